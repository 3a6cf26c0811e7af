"""Pipes, devices and sockets in place of files: one line at once, never a wait.

The commands run in a process of their own, which is killed where one takes longer than any should.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Ran, make_records, read_jsonl, write_jsonl
from tithe.selection.subset.checksum import with_checksum
from tithe.selection.subset.manifest import to_json

# Runs one command after the other: folder and arguments come as a line of JSON, what came of them goes back as one.
SERVER = """
import contextlib, io, json, os, sys
from tithe.cli.main import main
answers = os.fdopen(os.dup(1), "w")
for line in sys.stdin:
    folder, arguments = json.loads(line)
    os.chdir(folder)
    error, out = io.TextIOWrapper(io.BytesIO()), io.TextIOWrapper(io.BytesIO())
    with contextlib.redirect_stderr(error), contextlib.redirect_stdout(out):
        try:
            main(arguments)
        except SystemExit as exit_:
            code = exit_.code
    error.flush()
    out.flush()
    print(json.dumps([code, out.buffer.getvalue().decode(), error.buffer.getvalue().decode()]), file=answers, flush=True)
"""

SECONDS = 10
"""Longer than any command should take that ends with one line; the first one loads the libraries."""

BUDGET = ("--clusters", "12", "--size", "60")


class Server:
    """The command line in another process, as often as one is needed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def run(self, folder: Path, *arguments: object) -> Ran:
        if self._process is None:
            command = [sys.executable, "-c", SERVER]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            self.run(folder, "--help")
        assert self._process.stdin is not None and self._process.stdout is not None
        print(json.dumps([str(folder), [str(a) for a in arguments]]), file=self._process.stdin, flush=True)
        if not select.select([self._process.stdout], [], [], SECONDS)[0]:
            self.close()
            pytest.fail(f"tithe {arguments} has not ended after {SECONDS} s")
        return Ran(*json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a corpus and a subset of it are kept, once a test has made them."""
    return tmp_path_factory.mktemp("made")


@pytest.fixture
def folder(tmp_path: Path, made: Path, server: Server) -> Path:
    """A folder with a corpus and a subset of it, and what the options name that are tried."""
    if not (made / "s.jsonl").exists():
        write_jsonl(made / "corpus.jsonl", make_records(600))
        ran = server.run(made, "select", "corpus.jsonl", "-o", "s.jsonl", "--work-dir", "work", *BUDGET)
        assert ran.code == 0, ran.err
        np.save(made / "v.npy", np.random.default_rng(0).random((600, 4), np.float32))
        (made / "tokenizer").mkdir()
        (made / "model").mkdir()
        for name in ("config.json", "model.safetensors", "tokenizer.json"):
            (made / "model" / name).write_text("{}")
        shutil.copy(made / "model" / "tokenizer.json", made / "tokenizer")
        (made / "losses.jsonl").write_text('{"row": 0, "loss": 1}\n')
        (made / "options.toml").write_text("seed = 1\n")
        (made / "in").mkdir()
        write_jsonl(made / "in" / "a.jsonl", make_records(100))
    shutil.copytree(made, tmp_path / "f")
    return tmp_path / "f"


def sealed_with_size_0(manifest: Path, name: str) -> None:
    """Write a manifest by which a file is as long as a pipe or a device says it is."""
    about = json.loads(manifest.read_bytes())
    about.pop("sha256")
    for file in (*about["inputs"], *about["outputs"]):
        if file["path"] == name:
            file["size"] = 0
    manifest.write_bytes(with_checksum(to_json(about).encode()))


def put(kind: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a special file in place of a file, if there is one."""
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        monkeypatch.chdir(path.parent)  # the name of a socket must be short
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(path.name)


SELECT = ("select", "corpus.jsonl", "-o", "t.jsonl", *BUDGET)
MANIFEST = "s.jsonl.manifest.json"

# Said of inputs and of what lies in a work folder, whatever kind it is.
OTHER_WORDS = (
    "is neither a file nor a folder",
    "outside the manifest's folder, where nothing is read",
    "no file matches",
    "is a link, or not what tithe keeps",
)

# What is put there, the command, and the codes with which it may end.
TRAPS: dict[str, tuple[str, tuple[object, ...], tuple[int, ...]]] = {
    "input": ("x.jsonl", ("select", "x.jsonl", "-o", "t.jsonl"), (1,)),
    "glob": ("x.jsonl", ("select", "x.*", "-o", "t.jsonl"), (1,)),
    "input, compressed": ("x.parquet.gz", ("select", "x.parquet.gz", "-o", "t.parquet"), (1,)),
    "npy:": ("v.npy", (*SELECT, "--encoder", "npy:v.npy"), (1,)),
    "--loss file:": ("losses.jsonl", (*SELECT, "--loss", "file:losses.jsonl"), (1,)),
    "--validation-loss file:": (
        "losses.jsonl",
        (*SELECT, "--loss", "column:loss", "--validate", 20, "--validation-loss", "file:losses.jsonl"),
        (1,),
    ),
    "--config": ("options.toml", (*SELECT, "--config", "options.toml"), (2,)),
    "--exclude, its rows": ("s.jsonl.rows.parquet", (*SELECT, "--exclude", "s.jsonl"), (1,)),
    "--exclude, its manifest": (MANIFEST, (*SELECT, "--exclude", "s.jsonl"), (1,)),
    "--tokenizer": ("tokenizer/tokenizer.json", (*SELECT[:-2], "--tokens", 900, "--tokenizer", "tokenizer"), (1,)),
    "--tokenizer, another file": (
        "tokenizer/x.json",
        (*SELECT[:-2], "--tokens", 900, "--tokenizer", "tokenizer"),
        (1,),
    ),
    "--loss model:": ("model/config.json", (*SELECT, "--loss", "model:model"), (1,)),
    "--loss model:, its weights": ("model/model.safetensors", (*SELECT, "--loss", "model:model"), (1,)),
    "sentence-transformers:": ("model/x.json", (*SELECT, "--encoder", "sentence-transformers:model"), (1,)),
    "verify": (MANIFEST, ("verify", MANIFEST), (1,)),
    "report": (MANIFEST, ("report", MANIFEST, "-o", "r.html"), (1,)),
    "report, rows": ("s.jsonl.rows.parquet", ("report", MANIFEST, "-o", "r.html"), (1,)),
    "report, subset": ("s.jsonl", ("report", MANIFEST, "-o", "r.html"), (1,)),
    "verify, rows": ("s.jsonl.rows.parquet", ("verify", MANIFEST), (1, 3)),
    "verify, subset": ("s.jsonl", ("verify", MANIFEST), (1, 3)),
    "verify, clusters": ("s.jsonl.clusters.parquet", ("verify", MANIFEST), (1, 3)),
    "verify, input": ("corpus.jsonl", ("verify", MANIFEST), (1, 3)),
    "explain, input": ("corpus.jsonl", ("explain", MANIFEST, "--row", 1), (1,)),
    "replay, input": ("corpus.jsonl", ("replay", MANIFEST), (1,)),
    "explain, clusters": ("s.jsonl.clusters.parquet", ("explain", MANIFEST, "--row", 1), (1,)),
    "diff": (MANIFEST, ("diff", MANIFEST, MANIFEST), (1,)),
    "diff, rows": ("s.jsonl.rows.parquet", ("diff", MANIFEST, MANIFEST), (1,)),
    "replay": (MANIFEST, ("replay", MANIFEST), (1,)),
    "work folder, marker": ("work/tithe_work_folder", (*SELECT, "--work-dir", "work"), (1,)),
    "work folder, lock": ("work/lock", (*SELECT, "--work-dir", "work"), (1,)),
}


@pytest.mark.parametrize("kind", ["pipe", "device", "socket"])
@pytest.mark.parametrize("trap", TRAPS)
def test_what_is_no_file_is_named_at_once(
    trap: str, kind: str, folder: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, command, codes = TRAPS[trap]
    sealed_with_size_0(folder / MANIFEST, name)
    put(kind, folder / name, monkeypatch)
    ran = server.run(folder, *command)
    assert ran.code in codes, ran
    said = ran.out + ran.err
    assert Path(name).name in said or "x.*: no file matches" in said
    assert f"is a {kind}, not a regular file" in said or any(words in said for words in OTHER_WORDS), ran
    assert not list(folder.glob("t.jsonl*"))


@pytest.mark.parametrize("kind", ["pipe", "device", "socket"])
@pytest.mark.parametrize("name", ["x.jsonl", "x.txt", "deep/x.jsonl"])
def test_what_is_no_file_is_passed_over_in_a_folder(
    name: str, kind: str, folder: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "in" / "deep").mkdir()
    put(kind, folder / "in" / name, monkeypatch)
    ran = server.run(folder, "select", "in", "-o", "t.jsonl", "--size", 9)
    assert (ran.code, len(read_jsonl(folder / "t.jsonl"))) == (0, 9), ran.err


@pytest.mark.parametrize("kind", ["pipe", "device", "socket"])
@pytest.mark.parametrize(
    "at", ["records-*/rows", "records-*/key.json", "embeddings/*/000000.shard", "clusters-*/x.npy"]
)
def test_what_is_no_file_in_a_work_folder_keeps_nobody_waiting(
    at: str, kind: str, folder: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    (entry,) = (folder / "work").glob(at.rpartition("/")[0])
    put(kind, entry / at.rpartition("/")[2], monkeypatch)
    ran = server.run(folder, *SELECT, "--work-dir", "work")
    assert (ran.code, entry.name in ran.err) == ((0, False) if "x.npy" in at else (1, True))
    for command in ("list", "verify", "prune"):
        assert server.run(folder, "cache", command, "--work-dir", "work", *["--all"][: command == "prune"]).code in (
            0,
            1,
        )


@pytest.mark.parametrize("kind", ["pipe", "socket"])
@pytest.mark.parametrize("name", ["t.jsonl", "t.jsonl.rows.parquet", "t.jsonl.manifest.json", "r.html", "c.jsonl"])
def test_an_output_that_is_no_file_is_not_replaced(
    name: str, kind: str, folder: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = {"r.html": ("report", MANIFEST, "-o", name), "c.jsonl": ("centers", "corpus.jsonl", "-o", name)}
    put(kind, folder / name, monkeypatch)
    before = (folder / name).lstat()
    ran = server.run(folder, *commands.get(name, SELECT), "--force")
    assert (ran.code, ran.err) == (
        1,
        f"tithe: {name}: is a device, a pipe or a socket; the output must be a file\n",
    )
    assert (folder / name).lstat() == before


@pytest.mark.parametrize("name", ["/dev/stdin", "/dev/fd/0"])
def test_who_gives_a_pipe_as_a_file_is_told_of_the_dash(name: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from tithe.cli.main import main; main()", "select", name, "-o", "t.jsonl"]
    piped = subprocess.run(command, input=b'{"text": "a"}\n', capture_output=True, cwd=tmp_path, timeout=60)
    said = f"tithe: {name}: is neither a file nor a folder; a pipe can be given as -\n"
    assert (piped.returncode, piped.stderr.decode()) == (1, said)
