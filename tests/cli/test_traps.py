"""A repository that somebody prepared: whatever lies in it, and whatever command is run there, what is not ours stays
as it is, nobody is called, nothing waits for ever, and the terminal gets no orders.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import socket
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import make_records, write_jsonl
from tests.manifests import changed, seal
from tests.trapped import Ending, run

# What makes a terminal do something: in bytes, alone or as the UTF-8 of the controls from 80 to 9f.
ORDERS = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xaa-\xae]|\xe2\x81[\xa6-\xa9]")

# Colour, title, and the same with controls of one character; a text that is turned around.
EVIL = "\x1b[31m\x1b]0;owned\x07\x9b2J\u202egnp"

BUDGET = ("--clusters", "6", "--size", "20")

READING = (
    ("verify", "{}"), ("replay", "{}"), ("explain", "{}", "--row", "3"), ("diff", "{}", "{}"),
    ("report", "{}", "-o", "{mine}/r.html", "--force"), ("verify", "{}", "--json"), ("replay", "{}", "-o", "{mine}/s.jsonl"),
    ("explain", "{}", "--row", "3", "--json"),
)  # fmt: skip
"""All that reads a manifest."""


@dataclass
class Repository:
    """What was cloned; beside it what the user owns."""

    folder: Path
    """With a corpus, a selection of it, and traps."""
    victims: Path
    """Files of the user's that no command is told of."""
    mine: Path
    """Where the user has outputs written."""
    environment: dict[str, str]
    scratch: Path
    listener: socket.socket
    """A machine of the stranger's."""

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.listener.getsockname()[1]}"

    @property
    def manifest(self) -> Path:
        return self.folder / "s.jsonl.manifest.json"

    def run(self, *arguments: object) -> Ending:
        """Run `tithe ARGUMENTS` in the repository."""
        return run([str(argument) for argument in arguments], self.folder, self.environment, self.scratch)

    def rewrite(self, **values: Any) -> None:
        """Change values of the manifest, by path such as options__loss, under a seal that fits."""
        document = json.loads(self.manifest.read_text())
        for path, value in values.items():
            steps = [int(step) if step.isdigit() else step for step in path.split("__")]
            document = changed(document, tuple(steps), value)
        seal(self.manifest, document)

    def name_as_input(self, name: str) -> None:
        """Let the manifest be one of a corpus of this name."""
        self.rewrite(options__inputs=[name], inputs__0__path=name)

    def called(self) -> bool:
        """Whether anybody connected to the stranger's machine."""
        try:
            self.listener.accept()[0].close()
        except BlockingIOError:
            return False
        return True


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a corpus and a selection, in which nobody set a trap."""
    folder, scratch = tmp_path_factory.mktemp("clean"), tmp_path_factory.mktemp("scratch")
    write_jsonl(folder / "c.jsonl", make_records(120))
    ran = run(["select", "c.jsonl", "-o", "s.jsonl", *BUDGET], folder, {"XDG_CACHE_HOME": str(scratch)}, scratch)
    assert ran.code == 0, ran.err
    return folder


@pytest.fixture
def repository(clean: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    base = tmp_path_factory.mktemp("user")
    shutil.copytree(clean, base / "repository")
    for name in ("victims/folder", "mine", "cache", "tmp"):
        (base / name).mkdir(parents=True)
    (base / "victims" / "secret.jsonl").write_text('{"text": "secret"}\n' * 40)
    (base / "victims" / "folder" / "kept.txt").write_text("kept")
    environment = {
        "XDG_CACHE_HOME": str(base / "cache"), "TMPDIR": str(base / "tmp"), "HOME": str(base / "home"),
        "AWS_ACCESS_KEY_ID": "AKIDUSERSOWN", "AWS_SECRET_ACCESS_KEY": "hush", "AWS_SESSION_TOKEN": "hush-hush",
        "AWS_EC2_METADATA_DISABLED": "true", "NO_COLOR": "1", "HF_HUB_OFFLINE": "0",
    }  # fmt: skip
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(50)
        listener.setblocking(False)
        yield Repository(base / "repository", base / "victims", base / "mine", environment, tmp_path, listener)


def tree(*folders: Path) -> dict[str, tuple[str, int, str]]:
    """All that lies in folders: kind, mode and content, without following a link."""
    found = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            status = path.lstat()
            kind = stat.filemode(status.st_mode)[0]
            content = str(path.readlink()) if kind == "l" else _digest(path) if kind == "-" else ""
            found[str(path)] = (kind, stat.S_IMODE(status.st_mode), content)
    return found


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check(repository: Repository, commands: tuple[tuple[str, ...], ...], ours: tuple[str, ...] = ()) -> list[Ending]:
    """Run commands, `{}` for the manifest, `{mine}` and `{victims}` for the user's folders.

    Only what begins with a name of `ours` in the repository may be new there or change.
    """
    before = _others(repository, ours)
    endings = []
    for command in commands:
        words = [w.replace("{}", "s.jsonl.manifest.json") for w in command]
        words = [w.format(mine=repository.mine, victims=repository.victims) for w in words]
        ran = repository.run(*words)
        assert ran.code is not None, f"{words}: hangs"
        assert ran.code in (0, 1, 2, 3), (words, ran)
        assert b"internal error" not in ran.err and b"Traceback" not in ran.err, (words, ran.err)
        assert ran.reached_for == "", (words, ran.reached_for)
        assert not repository.called(), words
        for printed in (ran.out, ran.err):
            assert ORDERS.search(printed) is None, (words, printed)
        assert _others(repository, ours) == before, words
        endings.append(ran)
    return endings


def _others(repository: Repository, ours: tuple[str, ...]) -> dict[str, tuple[str, int, str]]:
    found = tree(repository.folder, repository.victims)
    own = tuple(str(repository.folder / name) for name in ours)
    return {name: what for name, what in found.items() if not (own and name.startswith(own))}


def refused(endings: list[Ending], *said: str) -> None:
    """Each in one line that says so."""
    for ran in endings:
        assert ran.code in (1, 2, 3), ran
        assert any(word in (ran.out + ran.err).decode() for word in said), ran


# Manifests. What they name is nobody's business but the user's.


def reaching_out(name: str) -> Callable[[Repository], None]:
    return lambda repository: repository.name_as_input(
        name.format(endpoint=repository.endpoint, victims=repository.victims)
    )


def option(**values: Any) -> Callable[[Repository], None]:
    def change(repository: Repository) -> None:
        places = {"endpoint": repository.endpoint, "victims": repository.victims}
        given = {
            f"options__{name}": [v.format(**places) for v in value]
            if isinstance(value, list)
            else value.format(**places)
            if isinstance(value, str)
            else value
            for name, value in values.items()
        }
        repository.rewrite(**given)

    return change


WORDS = "outside the manifest's folder"

MANIFESTS: dict[str, tuple[Callable[[Repository], None], tuple[str, ...], str]] = {
    "an endpoint of the stranger's": (
        reaching_out("s3://bucket/c.jsonl?endpoint_override={endpoint}&scheme=http"), ("verify", "replay", "explain"), WORDS,
    ),
    "a folder at the stranger's": (
        reaching_out("s3://bucket/*/c.jsonl?endpoint_override={endpoint}&scheme=http"), ("verify", "replay", "explain"), WORDS,
    ),
    "another store": (
        reaching_out("gs://bucket/c.jsonl?endpoint_override={endpoint}&scheme=http"), ("verify", "replay", "explain"), WORDS,
    ),
    "a file of the user's": (reaching_out("{victims}/secret.jsonl"), ("verify", "replay", "explain"), WORDS),
    "up and away": (reaching_out("../victims/secret.jsonl"), ("verify", "replay", "explain"), WORDS),
    "a URL of a file of the user's": (reaching_out("file://{victims}/secret.jsonl"), ("verify", "replay", "explain"), WORDS),
    "a device": (reaching_out("/dev/zero"), ("verify", "replay", "explain"), WORDS),
    "losses of the user's": (option(loss="file:{victims}/secret.jsonl"), ("replay", "explain"), WORDS),
    "vectors of the user's": (option(encoder="npy:{victims}/v.npy"), ("verify", "replay", "explain"), WORDS),
    "vectors without end": (option(encoder="npy:/dev/zero"), ("verify", "replay", "explain"), WORDS),
    "a subset of the stranger's": (
        option(exclude=["s3://bucket/s.jsonl?endpoint_override={endpoint}&scheme=http"]), ("replay", "explain"), WORDS,
    ),
    "a model of the hub": (option(encoder="sentence-transformers:some/model"), ("verify", "replay", "explain"), WORDS),
    "a language model of the hub": (option(loss="model:some/model"), ("replay",), WORDS),
    "a folder of models": (option(encoder="sentence-transformers:{victims}/folder"), ("verify", "replay", "explain"), WORDS),
    "a command": (option(loss="exec:touch {victims}/owned"), ("replay",), "--allow-code"),
    "code": (option(encoder="evil:encoder"), ("verify", "replay", "explain"), "--allow-code"),
    "code for losses": (option(loss="evil:losses"), ("replay",), "--allow-code"),
    "a work folder of the user's": (option(work_dir="{victims}/folder"), (), ""),
    "an output of the user's": (option(output="{victims}/secret.jsonl"), (), ""),
    "outputs elsewhere": (lambda r: r.rewrite(outputs__1__path="../victims/secret.jsonl"), ("verify", "diff", "report"), "no name of a file"),
    "a folder that is none": (lambda r: r.rewrite(run__folder="/dev/null"), (), ""),
    "orders": (lambda r: r.rewrite(versions__numpy=EVIL, text__rule=EVIL, run__started=EVIL, bad_records__first_places=[EVIL]), (), ""),
    "orders in options": (option(text=[EVIL], always=[f"{EVIL}=1"], weight_column=EVIL), (), ""),
    "orders in names": (reaching_out(EVIL), ("verify", "explain"), "is not there"),
    "orders in an encoder": (option(encoder=f"{EVIL}:x", loss=f"{EVIL}:y", tokenizer=None), ("verify", "replay"), "--allow-code"),
}  # fmt: skip


@pytest.mark.parametrize("trap", MANIFESTS)
def test_manifests(repository: Repository, trap: str) -> None:
    set_up, refusing, said = MANIFESTS[trap]
    (repository.folder / "evil.py").write_text(f"open({str(repository.victims / 'owned')!r}, 'w')\n")
    set_up(repository)
    endings = check(repository, READING)
    for command, ran in zip(READING, endings, strict=True):
        if command[0] in refusing and "--json" not in command:
            refused([ran], said)


def test_manifests_that_are_no_manifests(repository: Repository) -> None:
    original = repository.manifest.read_bytes()
    for content in (
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b"\x00" * 100,
        b"\x1b[31m",
        b'{"schema_version": "\x1b[2J"}\n',
        b"",
    ):
        repository.manifest.write_bytes(content)
        check(repository, (("verify", "{}"), ("diff", "{}", "{}"), ("replay", "{}")))
    repository.manifest.unlink()
    for make in (lambda path: path.mkdir(), os.mkfifo, lambda path: path.symlink_to("/dev/zero"), _bind):
        make(repository.manifest)
        refused(check(repository, READING[:5]), "tithe: ")
        shutil.rmtree(repository.manifest) if repository.manifest.is_dir() else repository.manifest.unlink()
    repository.manifest.write_bytes(original)


def _bind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            made.bind(f"/proc/self/fd/{folder}/{path.name}")
        finally:
            os.close(folder)


def test_outputs_beside_a_manifest_that_are_links_pipes_and_devices(repository: Repository) -> None:
    for name in ("s.jsonl", "s.jsonl.rows.parquet", "s.jsonl.clusters.parquet"):
        path = repository.folder / name
        content = path.read_bytes()
        for make in (
            os.mkfifo,
            lambda path: path.symlink_to("/dev/zero"),
            lambda path: path.symlink_to(repository.victims / "secret.jsonl"),
        ):
            path.unlink()
            make(path)
            check(repository, READING[:5])
        path.unlink()
        path.write_bytes(content)


@pytest.mark.parametrize("kind", ["pipe", "device", "socket"])
def test_what_is_no_file_is_not_waited_for(repository: Repository, kind: str) -> None:
    """Named by an option, found in a folder, in the place of the inputs of a manifest."""
    make: Callable[[Path], None] = {"pipe": os.mkfifo, "device": lambda p: p.symlink_to("/dev/zero"), "socket": _bind}[
        kind
    ]
    (repository.folder / "data").mkdir()
    shutil.copy(repository.folder / "c.jsonl", repository.folder / "data" / "c.jsonl")
    for name in ("x.jsonl", "x.npy", "x.toml", "data/x.jsonl", "x.rows.parquet", "x.manifest.json", "x"):
        make(repository.folder / name)
    out = ("-o", "{mine}/o.jsonl", "--force", *BUDGET)
    refused(
        check(
            repository,
            (
                ("select", "x.jsonl", *out), ("select", "c.jsonl", *out, "--encoder", "npy:x.npy"),
                ("select", "c.jsonl", *out, "--loss", "file:x.jsonl"), ("select", "c.jsonl", *out, "--config", "x.toml"),
                ("select", "c.jsonl", *out, "--exclude", "x"), ("centers", "x.jsonl", *out), ("verify", "x"),
            ),
        ),
        "tithe: ",
    )  # fmt: skip
    check(repository, (("select", "data", *out), ("select", "data/*", *out), ("select", "data", "--dry-run", *BUDGET)))
    shutil.move(repository.folder / "x.jsonl", repository.folder / "y.jsonl")
    (repository.folder / "c.jsonl").unlink()
    make(repository.folder / "c.jsonl")
    refused(check(repository, READING[:3]), "c.jsonl", WORDS)


# Work folders. Whoever wrote the repository can have made a folder as we do, with our marker.


WORK = ("select", "c.jsonl", "-o", "{mine}/w.jsonl", "--force", "--work-dir", "work", *BUDGET)
USES = (
    WORK, ("explain", "{}", "--row", "3", "--work-dir", "work"), ("replay", "{}", "--work-dir", "work"),
    ("centers", "c.jsonl", "-o", "{mine}/centers.jsonl", "--force", "--work-dir", "work", *BUDGET),
    ("cache", "list", "--work-dir", "work"), ("cache", "verify", "--work-dir", "work"),
    ("cache", "prune", "--unused-days", "1", "--work-dir", "work"), ("cache", "prune", "--all", "--work-dir", "work"),
)  # fmt: skip


def linked(pattern: str, target: str) -> Callable[[Repository], None]:
    """What fits the pattern in the work folder becomes a link."""

    def change(repository: Repository) -> None:
        found = [*(repository.folder / "work").glob(pattern)]
        assert found, pattern
        for path in found:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            path.symlink_to(repository.victims / target)

    return change


WORK_TRAPS: dict[str, Callable[[Repository], None]] = {
    "shards": linked("embeddings/*/*.shard", "secret.jsonl"),
    "shards to be made": linked("embeddings/*/*.shard", "new"),
    "lock": linked("lock", "secret.jsonl"),
    "lock to be made": linked("lock", "new"),
    "lock of an encoder": linked("embeddings/*/lock", "new"),
    "key of an encoder": linked("embeddings/*/key.json", "secret.jsonl"),
    "folder of embeddings": linked("embeddings", "folder"),
    "folder of an encoder": linked("embeddings/*", "folder"),
    "entries": linked("clusters-*", "folder"),
    "files of entries": linked("clusters-*/*", "secret.jsonl"),
}


@pytest.mark.parametrize("trap", WORK_TRAPS)
def test_links_in_a_work_folder_are_not_followed(repository: Repository, trap: str) -> None:
    made = repository.run(*(word.replace("{mine}", str(repository.mine)) for word in WORK))
    assert made.code == 0, made.err
    WORK_TRAPS[trap](repository)
    check(repository, USES, ours=("work",))


def test_what_lies_in_a_work_folder_and_is_not_ours_stays(repository: Repository) -> None:
    made = repository.run(*(word.replace("{mine}", str(repository.mine)) for word in WORK))
    assert made.code == 0, made.err
    foreign = ("work/thesis.partial", "work/embeddings/thesis", "work/records-thesis", "work/thesis")
    for name in foreign:
        (repository.folder / name).mkdir(parents=True)
        (repository.folder / name / "key.json").write_text('{"key": {}, "checksums": {}}')
        (repository.folder / name / "000000.shard").write_text("years of work")
    before = {name: tree(repository.folder / name) for name in foreign}
    check(repository, USES, ours=("work",))
    assert {name: tree(repository.folder / name) for name in foreign} == before


def test_a_folder_of_other_things_is_no_work_folder(repository: Repository) -> None:
    work = repository.folder / "work"
    for name in ("thesis.partial", "thesis", "embeddings"):
        (work / name).mkdir(parents=True)
        (work / name / "key.json").write_text('{"key": {}}')
    (work / "lock").write_text("of another program")
    refused(check(repository, (*USES[:4], *USES[6:])), "work")
    work.rename(repository.folder / "elsewhere")
    work.symlink_to(repository.victims / "folder")
    check(repository, USES)


# Outputs, and what lies beside them.


def test_links_in_the_place_of_outputs_are_not_followed(repository: Repository) -> None:
    victim, folder = repository.victims / "secret.jsonl", repository.victims / "folder"
    names = (
        "o.jsonl",
        "o.jsonl.rows.parquet",
        "o.jsonl.clusters.parquet",
        "o.jsonl.manifest.json",
        "r.html",
        "k.jsonl",
    )
    for name in names:
        (repository.folder / name).symlink_to(victim)
    for name in (".p.jsonl.tithe", ".q.html.tithe", ".n.jsonl.tithe"):
        (repository.folder / name).symlink_to(folder)
    check(
        repository,
        (
            ("select", "c.jsonl", "-o", "o.jsonl", *BUDGET), ("select", "c.jsonl", "-o", "o.jsonl", "--force", *BUDGET),
            ("report", "{}", "-o", "r.html"), ("report", "{}", "-o", "r.html", "--force"),
            ("centers", "c.jsonl", "-o", "k.jsonl", "--force", *BUDGET), ("replay", "{}", "-o", "o.jsonl", "--force"),
            ("select", "c.jsonl", "-o", "p.jsonl", *BUDGET), ("report", "{}", "-o", "q.html"),
            ("centers", "c.jsonl", "-o", "n.jsonl", *BUDGET),
        ),
        ours=("o.jsonl", "r.html", "k.jsonl", "p.jsonl", "q.html", "n.jsonl", ".p.jsonl", ".q.html", ".n.jsonl"),
    )  # fmt: skip


# Names and texts that give orders to the terminal.


def test_no_order_reaches_the_terminal(repository: Repository) -> None:
    folder = repository.folder
    evil = f"{EVIL}.jsonl"
    records = [
        {"text": f"{EVIL} {record['text']}", EVIL: f"{EVIL}{i % 3}", "loss": 1.0}
        for i, record in enumerate(make_records(60))
    ]
    write_jsonl(folder / evil, records)
    (folder / EVIL).mkdir()
    write_jsonl(folder / EVIL / evil, records[:30])
    (folder / f"bad{evil}").write_text(f'{{"text": "{EVIL}"\n')
    (folder / f"{EVIL}.toml").write_text(f'"{EVIL[:5]}" = 1\n'.replace("\x1b", "\\u001b"))
    (folder / f"{EVIL}.npy").write_bytes(EVIL.encode())
    (folder / "shout.py").write_text(f"import sys\nsys.stderr.write({EVIL!r} + chr(10))\nsys.exit(1)\n")
    (folder / "evil.py").write_text(f"def losses(records):\n    raise ValueError({EVIL!r})\nlosses.x = 1\n")
    (folder / "warn.py").write_text(
        f"import sys, warnings\ndef losses(records):\n    warnings.warn({EVIL!r})\n    sys.stderr.write({EVIL!r})\n"
        "    return [1.0] * len(records)\n"
    )
    out = ("-o", "{mine}/o.jsonl", "--force", *BUDGET)
    check(
        repository,
        (
            ("select", evil, *out), ("select", EVIL, *out), ("select", f"bad{evil}", *out),
            ("select", f"bad{evil}", *out, "--on-bad-record", "skip"), ("select", evil, *out, "--group-by", EVIL),
            ("select", evil, *out, "--text", f"{EVIL}x"), ("select", evil, *out, "--loss", "exec:python shout.py"),
            ("select", evil, *out, "--loss", "evil:losses"), ("select", evil, *out, "--loss", "warn:losses"),
            ("select", evil, *out, "--loss", f"file:{EVIL}"), ("select", evil, *out, "--encoder", f"npy:{EVIL}.npy"),
            ("select", evil, *out, "--encoder", f"column:{EVIL}"), ("select", evil, *out, "--config", f"{EVIL}.toml"),
            ("select", evil, "--dry-run", *BUDGET), ("select", f"{EVIL}/none", *out), ("select", f"s3://{EVIL}/x", *out),
            ("centers", evil, *out), ("select", evil, *out, "--work-dir", f"{EVIL}/{evil}"), ("select", evil, *out, f"--{EVIL}"),
            ("select", evil, *out, "--method", EVIL), (EVIL,), ("verify", EVIL), ("verify", evil), ("diff", EVIL, evil),
            ("replay", f"{EVIL}/none"), ("report", EVIL, "-o", f"{EVIL}/{EVIL}/r.html"), ("cache", "list", "--work-dir", EVIL),
            ("cache", "prune", "--all", "--work-dir", "none" + EVIL), ("explain", EVIL, "--row", EVIL),
            ("verify", "{}", "--allow-read", f"https://{EVIL}"), ("select", "c.jsonl", "-o", f"{{mine}}/{evil}", *BUDGET),
            ("verify", f"{{mine}}/{evil}"), ("report", f"{{mine}}/{evil}", "-o", f"{{mine}}/{EVIL}.html"), ("encoders",), ("versions",),
        ),
    )  # fmt: skip
    # A selection of all that, read back by every command.
    assert repository.run("select", evil, "-o", "s.jsonl", "--force", "--group-by", EVIL, *BUDGET).code == 0
    check(repository, READING)
