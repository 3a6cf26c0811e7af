"""`tithe verify`: what holds, what has drifted, and what cannot be told."""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import Tithe, write_jsonl
from tests.manifests import resealed
from tests.selections import BUDGET, CASES, Made, make, make_inputs
from tithe.selection.review.local_copy import find_manifest
from tithe.selection.subset.checksum import with_checksum


@pytest.fixture
def made(tithe: Tithe, tmp_path: Path) -> Made:
    return make(tithe, "losses of a file", tmp_path)


def found(tithe: Tithe, manifest: Path | str, *arguments: str) -> tuple[int, dict[str, str], list[str]]:
    """The exit code, what is said of each part, and the details."""
    ran = tithe("verify", manifest, "--json", *arguments)
    document = json.loads(ran.out)
    return ran.code, document["parts"], [finding["detail"] for finding in document["findings"]]


@pytest.mark.parametrize("case", CASES)
def test_selections_of_every_kind_hold(tithe: Tithe, tmp_path: Path, case: str) -> None:
    made = make(tithe, case, tmp_path)
    ran = tithe("verify", made.manifest, "--allow-code")
    assert (ran.code, ran.err) == (0, ""), ran.out
    assert [line.split() for line in ran.out.splitlines()] == [
        [part, "holds"] for part in ("manifest", "inputs", "encoder", "options", "outputs", "weights")
    ]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_byte_that_is_changed_is_found(tithe: Tithe, made: Made, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["manifest", "subset", "rows", "clusters", "input", "losses"]))
    path = {
        "manifest": made.manifest, "subset": made.subset, "rows": made.rows, "clusters": made.clusters,
        "input": made.folder / "c.jsonl", "losses": made.folder / "l.jsonl",
    }[kind]  # fmt: skip
    content = path.read_bytes()
    at = data.draw(st.integers(0, len(content) - 1))
    change = data.draw(st.integers(1, 255))
    try:
        path.write_bytes(content[:at] + bytes([content[at] ^ change]) + content[at + 1 :])
        assert tithe("verify", made.manifest).code == 3
    finally:
        path.write_bytes(content)


def test_bytes_added_and_bytes_taken_away_are_found(tithe: Tithe, made: Made) -> None:
    for path in (made.manifest, made.subset, made.rows, made.clusters, made.folder / "c.jsonl"):
        content = path.read_bytes()
        for other in (content + b"\n", content[:-1], b" " + content, b""):
            path.write_bytes(other)
            assert tithe("verify", made.manifest).code == 3
        path.write_bytes(content)
    assert tithe("verify", made.manifest).code == 0


def test_the_seal_is_what_a_shell_can_work_out(made: Made) -> None:
    lines = made.manifest.read_bytes().splitlines(keepends=True)
    digest = hashlib.sha256(b"".join(lines[:-2])).hexdigest()
    assert lines[-2:] == [f'  "sha256": "{digest}"\n'.encode(), b"}\n"]


def test_names_are_meant_from_the_folder_of_the_run(
    tithe: Tithe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make(tithe, "messages", tmp_path)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "chats").mkdir()  # the like-named here is not meant
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert tithe("verify", "../s.jsonl.manifest.json", "--allow-code").code == 0
    moved = tmp_path / "moved"
    moved.mkdir()
    outputs = (*made.outputs(), made.manifest.name)
    for name in ("chats", "mine.py", *outputs):
        shutil.move(tmp_path / name, moved / name)
    assert tithe("verify", moved / made.manifest.name, "--allow-code").code == 0
    # The outputs alone elsewhere: the inputs are looked for from the current folder.
    (tmp_path / "outputs").mkdir()
    for name in outputs:
        shutil.move(moved / name, tmp_path / "outputs" / name)
    code, parts, details = found(tithe, tmp_path / "outputs" / made.manifest.name, "--allow-code")
    assert (code, parts["inputs"], parts["outputs"]) == (1, "unknown", "holds")
    assert "chats/a.jsonl: is not there" in details
    monkeypatch.chdir(moved)
    manifest = tmp_path / "outputs" / made.manifest.name
    assert tithe("verify", manifest, "--allow-code", "--allow-read", "chats").code == 0


def test_a_folder_of_outputs_may_be_a_link(tithe: Tithe, tmp_path: Path, corpus: Path) -> None:
    (tmp_path / "deep" / "down").mkdir(parents=True)
    (tmp_path / "out").symlink_to(tmp_path / "deep" / "down")
    assert tithe("select", corpus.name, "-o", "out/s.jsonl", "--size", "30").code == 0
    for manifest in ("out/s.jsonl.manifest.json", "deep/down/s.jsonl.manifest.json"):
        assert tithe("verify", manifest, "--allow-read", corpus.name).code == 0


def test_what_cannot_be_told_is_no_drift(tithe: Tithe, tmp_path: Path, corpus: Path) -> None:
    ran = tithe("select", "-", "-o", "s.jsonl", "--size", "40", stdin=corpus.read_bytes())
    assert ran.code == 0
    code, parts, details = found(tithe, "s.jsonl.manifest.json")
    assert (code, parts["inputs"]) == (1, "unknown")
    assert details == ["-: standard input cannot be read again"]
    (tmp_path / "s.jsonl").unlink()
    code, parts, details = found(tithe, "s.jsonl.manifest.json")
    assert (code, parts["outputs"], parts["weights"]) == (3, "drifted", "unknown")
    assert "s.jsonl: is not there" in details
    assert tithe("verify", "none.manifest.json").code == 1


def test_code_is_not_run_unasked(tithe: Tithe, tmp_path: Path) -> None:
    made = make(tithe, "messages", tmp_path)
    with (tmp_path / "mine.py").open("a") as module:
        module.write("raise RuntimeError('was run')\n")
    code, parts, details = found(tithe, made.manifest)
    assert (code, parts["encoder"]) == (1, "unknown")
    assert details == ["--encoder mine:make: is code that the manifest names; --allow-code runs it"]


def test_files_that_come_to_a_folder_are_drift(tithe: Tithe, tmp_path: Path) -> None:
    made = make(tithe, "messages", tmp_path)
    write_jsonl(tmp_path / "chats" / "c.jsonl", [{"messages": []}])
    code, _, details = found(tithe, made.manifest, "--allow-code")
    assert (code, details) == (3, ["chats/c.jsonl: is new"])


def test_another_encoder_is_drift(tithe: Tithe, tmp_path: Path) -> None:
    made = make(tithe, "vectors of a file", tmp_path)
    vectors = np.load(tmp_path / "v.npy")
    vectors[17, 2] += 1
    np.save(tmp_path / "v.npy", vectors)
    code, parts, details = found(tithe, made.manifest)
    assert (code, parts["encoder"]) == (3, "drifted")
    assert details == ["npy:v.npy: differs in sha256"]


def test_other_versions_are_told_and_are_no_drift(tithe: Tithe, made: Made) -> None:
    manifest = json.loads(made.manifest.read_text())
    resealed(made, {"versions": {**manifest["versions"], "numpy": "1.0"}})
    ran = tithe("verify", made.manifest)
    assert ran.code == 0
    assert f"version   numpy was 1.0, is {np.__version__}" in ran.out


def test_older_manifests_and_other_files_are_told_apart(tithe: Tithe, tmp_path: Path) -> None:
    manifest = tmp_path / "m.json"
    for text, code, said in (
        ('{"schema_version": 1}\n', 1, "of an older tithe"),
        ('{"schema_version": 2}\n', 3, "is not as tithe select wrote it"),
        ("{}", 1, "is no manifest of tithe select"),
        ("nothing", 1, "is no manifest of tithe select"),
    ):
        manifest.write_text(text)
        ran = tithe("verify", manifest)
        assert (ran.code, said in ran.out + ran.err) == (code, True)
    named = tmp_path / "m.manifest.json"
    for text, said in (("{}", "is not as tithe select wrote it"), ("nothing", "is no manifest, or is damaged")):
        named.write_text(text)
        ran = tithe("verify", named)
        assert (ran.code, said in ran.out) == (3, True)
    manifest.write_bytes(with_checksum(b'{\n  "schema_version": 3\n}\n'))
    ran = tithe("verify", manifest)
    assert (ran.code, "of another version of tithe (schema 3" in ran.err) == (1, True)


@pytest.mark.parametrize(
    ("case", "column", "said"),
    [
        ("plain", "weight", "weight: is not the inverse of the inclusion probability"),
        ("plain", "inclusion_probability", "weight: is not the inverse"),
        ("plain", "score", "inclusion_probability: is not in proportion to the score"),
        ("independent draws", "row", "is_centre: is not so"),
        ("plain", "cluster", "clusters file: selected"),
        ("independent draws", "weight", "weight: does not fit the inclusion probability of independent draws"),
        ("duplicates", "weight", "weight: is not the inverse"),
        ("nested", "weight", "weight: is not the inverse"),
        ("copies", "copies", "subset: has 60 lines"),
        ("mean 1", "weight", "weight: is not the inverse"),
        ("k-center", "weight", "weight: is not 1 everywhere"),
    ],
)
def test_weights_that_are_not_unbiased_are_found_under_fitting_hashes(
    tithe: Tithe, tmp_path: Path, case: str, column: str, said: str
) -> None:
    made = make(tithe, case, tmp_path)
    table = pq.read_table(made.rows)
    values = table[column].to_numpy().copy()
    centre = int(np.flatnonzero(table["is_centre"].to_numpy())[0]) if column == "row" else len(values) // 2
    values[centre] = values[centre] * 0.9 if values.dtype.kind == "f" else (values[centre] + 1) % 600
    if column == "cluster":
        values[centre] %= 12
    at = table.column_names.index(column)
    pq.write_table(table.set_column(at, column, pa.array(values, table[column].type)), made.rows)
    resealed(made)
    code, parts, details = found(tithe, made.manifest)
    assert (code, parts["manifest"], parts["outputs"], parts["weights"]) == (3, "holds", "holds", "drifted")
    assert any(detail.startswith(said) for detail in details), details


def test_a_subset_with_other_weights_than_its_rows_file_is_found(tithe: Tithe, tmp_path: Path) -> None:
    made = make(tithe, "losses of the corpus", tmp_path)
    lines = made.subset.read_text().splitlines()
    record = json.loads(lines[3])
    lines[3] = json.dumps({**record, "weight": record["weight"] * 2})
    made.subset.write_text("\n".join(lines) + "\n")
    resealed(made)
    assert found(tithe, made.manifest)[2] == ["subset: weight is not what the rows file gives"]


@pytest.mark.parametrize("command", ["verify", "replay", "report -o r.html", "explain --row 3"])
def test_the_subset_stands_for_its_manifest(tithe: Tithe, tmp_path: Path, command: str) -> None:
    made = make(tithe, "losses of a file", tmp_path)
    name, *options = command.split()
    ran = tithe(name, made.subset, *options)
    assert ran.code == 0, ran.err
    # What is neither a subset nor a manifest has not drifted: it was named wrongly.
    for other in ("s.jsonl.zs", "c.jsonl", "s.jsonl.zst.rows.parquet", tmp_path / "none" / "s.parquet"):
        ran = tithe(name, other, *options, *(["--force"] if name == "report" else []))
        assert (ran.code, ran.out) == (1, ""), ran.out
        assert ran.err.startswith(f"tithe: {other}: ") and ran.err.count("\n") == 1


def test_subsets_stand_for_their_manifests_in_diff(tithe: Tithe, tmp_path: Path) -> None:
    made = make(tithe, "plain", tmp_path)
    assert tithe("diff", made.subset, made.manifest).out == "nothing differs\n"
    ran = tithe("diff", made.subset, "s.parqet")
    assert (ran.code, ran.err) == (1, "tithe: s.parqet: cannot be read (No such file or directory)\n")


def test_a_folder_of_shards_stands_for_its_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out.manifest.json").touch()
    assert find_manifest(Path("out/")) == Path("out.manifest.json")
    assert find_manifest(Path("out.manifest.json")) == Path("out.manifest.json")


OUTSIDE = "outside the manifest's folder, where nothing is read on its word alone; if you trust it there, add "


def remedy(printed: str) -> list[str]:
    """The options that a refusal names."""
    (line,) = [line for line in printed.splitlines() if OUTSIDE in line]
    return shlex.split(line.partition(OUTSIDE)[2])


@pytest.mark.parametrize("command", ["verify", "replay", "explain --row 3"])
def test_what_lies_elsewhere_is_read_when_the_user_names_it(
    tithe: Tithe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    make_inputs(tmp_path)
    (tmp_path / "out").mkdir()
    arguments = ("-o", "out/s.jsonl", *BUDGET, "--loss", "file:l.jsonl")
    assert tithe("select", "chats", "-o", "first.jsonl", *BUDGET).code == 0
    assert tithe("select", "chats", *arguments, "--exclude", "first.jsonl").code == 0
    name, *options = command.split()
    given = [name, tmp_path / "out" / "s.jsonl", *options]
    ran = tithe(*given)
    assert ran.code == 1
    assert remedy(ran.out + ran.err) in (
        ["--allow-read", "chats", "--allow-read", "l.jsonl", "--allow-read", "first.jsonl.rows.parquet"],
        ["--allow-read", "."],  # of many things, the folders
    )
    ran = tithe(*given, *remedy(ran.out + ran.err))
    assert ran.code == 0, ran.out + ran.err
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    ran = tithe(*given)
    assert ran.code == 1
    assert tithe(*given, *remedy(ran.out + ran.err)).code == 0
    # A link in the manifest's folder leads out of it.
    (tmp_path / "out" / "linked.jsonl").symlink_to(tmp_path / "c.jsonl")
    monkeypatch.chdir(tmp_path / "out")
    assert tithe("select", "linked.jsonl", "-o", "l.jsonl", *BUDGET).code == 0
    ran = tithe(name, "l.jsonl", *options)
    assert (ran.code, remedy(ran.out + ran.err)) == (1, ["--allow-read", str(tmp_path / "c.jsonl")])
    assert tithe(name, "l.jsonl", *options, "--allow-read", "../c.jsonl").code == 0


def test_vectors_elsewhere_are_read_when_the_user_names_them(tithe: Tithe, tmp_path: Path) -> None:
    made = make(tithe, "vectors of a file", tmp_path)
    out = tmp_path / "out"
    out.mkdir()
    for name in (*made.outputs(), made.manifest.name, "c.jsonl", "first.jsonl.rows.parquet"):
        shutil.copy(tmp_path / name, out / name)
    resealed(made)
    manifest = json.loads(made.manifest.read_text())
    resealed(Made(out, out / made.manifest.name), {"run": {**manifest["run"], "folder": ".."}})
    code, parts, details = found(
        tithe, "out/s.jsonl", "--allow-read", "c.jsonl", "--allow-read", "first.jsonl.rows.parquet"
    )
    assert (code, parts["inputs"], parts["encoder"]) == (1, "holds", "unknown")
    assert details == [f"--encoder npy:v.npy: v.npy: {OUTSIDE}--allow-read v.npy"]
    assert tithe("verify", "out/s.jsonl", "--allow-read", ".").code == 0


@pytest.mark.parametrize("command", ["verify s.parquet", "diff s.parquet s.parquet", "report s.parquet -o r.html"])
def test_outputs_that_are_links_out_of_the_folder_are_not_read(
    tithe: Tithe, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, command: str
) -> None:
    made, elsewhere = make(tithe, "plain", tmp_path), tmp_path_factory.mktemp("elsewhere")
    shutil.move(made.rows, elsewhere / "rows.parquet")
    made.rows.symlink_to(elsewhere / "rows.parquet")
    ran = tithe(*command.split())
    assert ran.code == 1
    assert f"--allow-read {elsewhere / 'rows.parquet'}" in ran.out + ran.err
    assert tithe(*command.split(), "--allow-read", elsewhere).code == 0
