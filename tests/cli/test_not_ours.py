"""What is not ours stays untouched: links and foreign things in work folders and beside outputs, one trap a test."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Ran, Tithe, make_records, write_jsonl
from tithe.selection.embedding.work_folder import open_work_folder
from tithe.selection.errors import TitheError
from tithe.selection.subset.outputs import Outputs, staging

BUDGET = ("--clusters", "12", "--size", "60")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a work folder is kept that a run has filled, and its subset."""
    return tmp_path_factory.mktemp("filled")


@pytest.fixture
def worked(tmp_path: Path, corpus: Path, tithe: Tithe, filled: Path) -> Path:
    """A work folder that a run has filled; `elsewhere`, with precious things, lies beside it."""
    if not (filled / "work").exists():
        assert tithe("select", corpus, "-o", filled / "s.jsonl", "--work-dir", filled / "work", *BUDGET).code == 0
    shutil.copytree(filled / "work", tmp_path / "work")
    precious = tmp_path / "elsewhere"
    (precious / "deep").mkdir(parents=True)
    (precious / "file").write_text("precious " * 100)
    (precious / "deep" / "file").write_text("precious")
    return tmp_path / "work"


def state(folder: Path) -> dict[str, tuple[str, int]]:
    """Everything below a folder, with what it holds and when it was changed."""
    found = {}
    for path in sorted(folder.rglob("*")):
        what = f"link to {path.readlink()}" if path.is_symlink() else "folder" if path.is_dir() else "file"
        held = hashlib.sha256(path.read_bytes()).hexdigest() if what == "file" else what
        found[str(path.relative_to(folder))] = (held, path.lstat().st_mtime_ns)
    return found


def again(tithe: Tithe) -> Ran:
    return tithe("select", "corpus.jsonl", "-o", "t.jsonl", "--work-dir", "work", *BUDGET)


def use(work: Path) -> None:
    """Do what every run does first in its work folder."""
    with open_work_folder(work, spare=work.parent, notify=lambda line: None):
        pass


def in_place_of(path: Path, target: Path) -> None:
    """Put a link in place of a file or folder, which goes where the link points if there is nothing."""
    if target.exists():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    else:
        path.rename(target)
    path.symlink_to(target)


def entry(work: Path, kind: str) -> Path:
    return next(work.glob(f"{kind}-*"))


def encoder(work: Path) -> Path:
    return next(work.glob("embeddings/*"))


LINKS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "shard": (lambda work: encoder(work) / "000000.shard", "file"),
    "shard to a file that is not there": (lambda work: encoder(work) / "000000.shard", "new"),
    "lock": (lambda work: work / "lock", "file"),
    "lock of the encoder": (lambda work: encoder(work) / "lock", "new"),
    "marker": (lambda work: work / "tithe_work_folder", "new"),
    "all encoders": (lambda work: work / "embeddings", "deep"),
    "all encoders, moved away": (lambda work: work / "embeddings", "new"),
    "encoder": (lambda work: encoder(work), "deep"),
    "encoder, moved away": (lambda work: encoder(work), "new"),
    "key of the encoder": (lambda work: encoder(work) / "key.json", "new"),
    "entry": (lambda work: entry(work, "records"), "deep"),
    "entry, moved away": (lambda work: entry(work, "clusters"), "new"),
    "key of an entry": (lambda work: entry(work, "records") / "key.json", "new"),
    "file of an entry": (lambda work: entry(work, "records") / "rows", "new"),
}


@pytest.mark.parametrize("trap", LINKS)
def test_no_link_in_a_work_folder_is_followed(trap: str, worked: Path, tmp_path: Path, tithe: Tithe) -> None:
    at, target = LINKS[trap]
    link = at(worked)
    in_place_of(link, tmp_path / "elsewhere" / target)
    if trap == "lock of the encoder":
        shutil.rmtree(entry(worked, "records"))  # whoever finds all that he needs takes no lock
    before = state(tmp_path / "elsewhere")
    ran = again(tithe)
    assert state(tmp_path / "elsewhere") == before
    assert (ran.code, ran.err.count("tithe: ")) == (1, 1)
    assert str(link.relative_to(tmp_path)) in ran.err or str(link.parent.relative_to(tmp_path)) in ran.err
    assert "remove it" in ran.err or "name a new or an empty folder" in ran.err
    for command in (("list",), ("verify",), ("prune", "--all")):
        tithe("cache", *command, "--work-dir", "work")
        assert state(tmp_path / "elsewhere") == before


def test_a_link_instead_of_a_shard_is_not_followed_by_whoever_appends(
    corpus: Path, tmp_path: Path, tithe: Tithe
) -> None:
    (tmp_path / "count.py").write_text(
        "import numpy as np\n"
        "class E:\n"
        "    def identity(self): return {'name': 'e'}\n"
        "    def encode(self, texts): return np.array([[len(t), t.count('e'), 1] for t in texts], np.float32)\n"
    )
    options = ("--work-dir", "w", "--encoder", "count:E", *BUDGET, "--force", "-o", "u.jsonl")
    assert tithe("select", "corpus.jsonl", *options).code == 0
    (tmp_path / "precious").write_text("x")
    in_place_of(encoder(tmp_path / "w") / "000000.shard", tmp_path / "precious")
    write_jsonl(tmp_path / "corpus.jsonl", make_records(300, seed=8))
    ran = tithe("select", "corpus.jsonl", *options)
    assert (tmp_path / "precious").read_text() == "x"
    assert (ran.code, "000000.shard: is a link, or not what tithe keeps under this name" in ran.err) == (1, True)


def test_a_shard_with_another_name_elsewhere_is_read_and_not_written(
    worked: Path, filled: Path, tmp_path: Path, tithe: Tithe
) -> None:
    (shard,) = encoder(worked).glob("*.shard")
    with shard.open("ab") as file:
        file.write(b"half-written")
    backup = tmp_path / "elsewhere" / "backup"
    os.link(shard, backup)
    before = state(tmp_path / "elsewhere")
    shutil.rmtree(entry(worked, "records"))
    ran = again(tithe)
    assert (ran.code, "12 damaged or half-written bytes" in ran.err) == (0, True)
    assert state(tmp_path / "elsewhere") == before
    assert (tmp_path / "t.jsonl").read_bytes() == (filled / "s.jsonl").read_bytes()


FOREIGN = {
    "a folder of somebody's": ("notes.partial/precious", "x"),
    "one that looks like ours": (f"records-{'0' * 32}.abcdef01.partial/precious", "x"),
    "one that looks like a run's": (f"run-{'0' * 32}.partial/precious", "x"),
    "one with a key of somebody's": ("mine/key.json", '{"key": {}}'),
    "one with the name of an entry": (f"clusters-{'0' * 32}/key.json", '{"key": {}, "checksums": {}}'),
    "one with the name of an encoder's": (f"embeddings/{'0' * 32}/key.json", '{"key": {}}'),
    "a file": ("precious", "x"),
}


@pytest.mark.parametrize("trap", FOREIGN)
def test_in_a_work_folder_only_what_carries_its_key_is_removed(trap: str, worked: Path, tithe: Tithe) -> None:
    name, content = FOREIGN[trap]
    (worked / name).parent.mkdir(exist_ok=True)
    (worked / name).write_text(content)
    use(worked)
    assert tithe("cache", "prune", "--all", "--work-dir", "work").code == 0
    assert (worked / name).read_text() == content
    left = {path.name for path in worked.iterdir()} - {name.partition("/")[0]}
    assert left <= {"tithe_work_folder", "lock", "embeddings"}


@pytest.mark.parametrize("moved", ["entry", "encoder"])
def test_prune_removes_links_never_through_them(moved: str, worked: Path, tmp_path: Path, tithe: Tithe) -> None:
    if moved == "entry":
        (entry(worked, "records") / "deep").symlink_to(tmp_path / "elsewhere")
    else:
        (encoder(worked) / "deep").symlink_to(tmp_path / "elsewhere")
    before = state(tmp_path / "elsewhere")
    ran = tithe("cache", "prune", "--all", "--work-dir", "work")
    assert ran.code == 0, ran.err
    assert state(tmp_path / "elsewhere") == before
    assert not list(worked.glob("*-*"))


@pytest.mark.parametrize("holds", ["precious", "run.partial/precious", "records/key.json", ".git/config", "lock"])
def test_a_folder_that_holds_anything_is_no_work_folder(holds: str, tmp_path: Path, corpus: Path, tithe: Tithe) -> None:
    project = tmp_path / "project"
    (project / holds).parent.mkdir(parents=True)
    (project / holds).write_text('{"key": {}}')
    before = state(project)
    first = holds.partition("/")[0]
    expected = (
        f"tithe: project: holds '{first}', and was not made by this version of tithe; "
        "name a new or an empty folder with --work-dir\n"
    )
    for command in (
        ("select", corpus, "-o", "s.jsonl"),
        ("centers", corpus, "-o", "c.jsonl"),
        ("cache", "list"),
        ("cache", "verify"),
        ("cache", "prune", "--all"),
    ):
        ran = tithe(*command, "--work-dir", "project")
        assert (ran.code, ran.err.splitlines(keepends=True)[-1]) == (1, expected), command
        assert state(project) == before, command


def test_the_default_cache_that_is_not_ours_is_done_without(cache: Path, corpus: Path, tithe: Tithe) -> None:
    cache.mkdir()
    (cache / "precious").write_text("x")
    before = state(cache)
    ran = tithe("select", corpus, "-o", "s.jsonl", *BUDGET)
    assert ran.code == 0, ran.err
    assert f"embeddings are not kept: {cache}: holds 'precious', and was not made by this version of tithe" in ran.err
    assert state(cache) == before


@pytest.mark.parametrize("there", ["nothing", "an empty folder", "a link to an empty folder", "a half-written marker"])
def test_a_new_or_an_empty_folder_becomes_a_work_folder(there: str, tmp_path: Path, corpus: Path, tithe: Tithe) -> None:
    if there != "nothing":
        (tmp_path / ("real" if "link" in there else "work")).mkdir()
    if "link" in there:
        (tmp_path / "work").symlink_to("real")
    if "marker" in there:
        (tmp_path / "work" / "tithe_work_folder").write_bytes(b"tithe, wo")
    arguments = ("select", corpus, "--work-dir", "work", *BUDGET)
    assert tithe(*arguments, "-o", "s.jsonl").code == 0
    assert "embeddings and clusters" in tithe(*arguments, "-o", "t.jsonl").err
    assert tithe("cache", "prune", "--all", "--work-dir", "work").code == 0


@pytest.mark.parametrize("killed", ["before it had a key", "with half a key", "with a key", "while it was removed"])
@pytest.mark.parametrize("kind", ["run", "records"])
def test_what_a_killed_run_left_in_a_work_folder_is_swept_away(kind: str, killed: str, worked: Path) -> None:
    key = {"run": "0"}
    name = f"{kind}-{hashlib.sha256(json.dumps(key, separators=(',', ':')).encode()).hexdigest()[:32]}"
    left = worked / (f"{name}.partial" if kind == "run" else f"{name}.01234567.partial")
    left.mkdir()
    if killed == "with half a key":
        (left / "key.partial").write_text('{"key')
    elif killed != "before it had a key":
        (left / "key.json").write_text(json.dumps({"key": key}))
    if killed == "with a key":
        (left / "rows").write_text("half")
        (left / "key.partial").write_text('{"key')
    use(worked)
    assert not list(worked.glob("*.partial"))


def test_what_is_damaged_beyond_its_key_is_named_before_the_long_work(
    worked: Path, tmp_path: Path, tithe: Tithe
) -> None:
    (entry(worked, "clusters") / "key.json").write_text("damaged")
    ran = again(tithe)
    said = f"{entry(worked, 'clusters').relative_to(tmp_path)}: does not carry the key of what tithe keeps under this"
    assert (ran.code, said in ran.err) == (1, True)
    ran = tithe("cache", "verify", "--work-dir", "work")
    assert (ran.code, "does not carry its key" in ran.err) == (1, True)


@pytest.mark.parametrize("holds", ["precious", "deep/precious", "unfinished/precious"])
def test_a_folder_beside_the_output_that_we_did_not_make_is_not_emptied(
    holds: str, tmp_path: Path, corpus: Path, tithe: Tithe
) -> None:
    beside = tmp_path / ".s.jsonl.tithe"
    (beside / holds).parent.mkdir(parents=True)
    (beside / holds).write_text("x")
    before = state(beside)
    ran = tithe("select", corpus, "-o", "s.jsonl", *BUDGET)
    assert state(beside) == before
    assert ran.code == 1
    assert ".s.jsonl.tithe: holds " in ran.err
    assert "remove that folder, or choose another name for the output" in ran.err


@pytest.mark.parametrize("left", ["nothing", "half a marker", "a marker", "files"])
def test_what_a_killed_run_left_beside_the_output_is_swept_away(left: str, tmp_path: Path) -> None:
    beside = tmp_path / ".s.jsonl.tithe"
    with Outputs.of(tmp_path / "s.jsonl", overwrite=False).work_folder() as work:
        staging(work, 0).make_all()
        (staging(work, 0) / "subset").write(b"half")
        shutil.copytree(beside, tmp_path / "copy")
    shutil.copytree(tmp_path / "copy", beside)
    marker = beside / "tithe_unfinished_output"
    if left != "files":
        shutil.rmtree(beside / "unfinished")
    if left == "half a marker":
        marker.write_bytes(marker.read_bytes()[:5])
    if left == "nothing":
        marker.unlink()
    with Outputs.of(tmp_path / "s.jsonl", overwrite=False).work_folder() as work:
        assert {path.name for path in beside.rglob("*")} == {marker.name, work.name}
    assert not beside.exists()


def test_an_output_that_is_a_link_is_replaced_not_followed(tmp_path: Path, corpus: Path, tithe: Tithe) -> None:
    (tmp_path / "precious").write_text("x")
    for ending in ("", ".rows.parquet", ".clusters.parquet", ".manifest.json"):
        (tmp_path / f"s.jsonl{ending}").symlink_to("precious")
    assert tithe("select", corpus, "-o", "s.jsonl", *BUDGET, "--force").code == 0
    assert (tmp_path / "precious").read_text() == "x"
    assert not [path for path in tmp_path.glob("s.jsonl*") if path.is_symlink()]
    (tmp_path / "page.html").symlink_to("precious")
    assert tithe("report", "s.jsonl.manifest.json", "-o", "page.html", "--force").code == 0
    (tmp_path / "c.jsonl").symlink_to("precious")
    assert tithe("centers", corpus, "-o", "c.jsonl", *BUDGET, "--force").code == 0
    assert (tmp_path / "precious").read_text() == "x"


def test_an_output_that_appeared_during_the_run_is_not_overwritten(tmp_path: Path) -> None:
    outputs = Outputs.of(tmp_path / "s.jsonl", overwrite=False)
    with pytest.raises(TitheError, match=r"s\.jsonl\.rows\.parquet: exists already"), outputs.work_folder() as work:
        for name in ("subset", "rows.parquet", "clusters.parquet"):
            (staging(work, 0) / name).write(b"new")
        (tmp_path / "s.jsonl.rows.parquet").write_text("precious")
        outputs.publish(work, [{}], None, lines=[1])
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"s.jsonl.rows.parquet": "precious"}


@pytest.mark.parametrize("name", ["part-00000.jsonl/precious", "precious"])
def test_of_a_folder_of_shards_only_shards_are_overwritten(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "s"
    (folder / name).parent.mkdir(parents=True)
    (folder / name).write_text("precious")
    with pytest.raises(TitheError, match="which is no shard; it is not overwritten"):
        Outputs.of(folder, overwrite=True, shards=True)
    (tmp_path / "s").rename(tmp_path / "later")
    outputs = Outputs.of(folder, overwrite=True, shards=True)
    said = pytest.raises(TitheError, match="which is no shard; it is not overwritten")
    with said, outputs.work_folder() as work:
        for written in ("rows.parquet", "clusters.parquet"):
            (staging(work, 0) / written).write(b"new")
        (staging(work, 0) / "subset").make()
        (tmp_path / "later").rename(folder)  # during the run
        outputs.publish(work, [{}], None, lines=[1])
    assert (folder / name).read_text() == "precious"
