"""Outputs appear whole or not at all: killed runs, full disks, runs that meet, readers that leave."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.conftest import Tithe, make_records, write_jsonl
from tests.waiting import PATIENCE, read_until, until
from tithe.selection.embedding.encode import ENCODER_BATCH
from tithe.selection.engine.hashes import sha256
from tithe.selection.errors import TitheError
from tithe.selection.storage.own_files import OwnPath
from tithe.selection.subset.outputs import Outputs, staging

TITHE = (sys.executable, "-c", "from tithe.cli.main import main; main()")

# The command, killed in the moment before it changes something on disk for the Nth time; 0: never. At its end it says
# how often it did.
KILLED = """
import atexit, os, signal, sys
ending, changes = int(sys.argv.pop(1)), 0

def hook(event, arguments):
    global changes
    writes = event in ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate")
    writes |= event == "open" and bool(arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
    if not writes or not isinstance(arguments[0], str) or "__pycache__" in arguments[0] or "/dev/" in arguments[0]:
        return
    changes += 1
    if changes == ending:
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(hook)
atexit.register(lambda: print(changes))
from tithe.cli.main import main
main()
"""

# Writes down what it encodes, and goes no further than `hold` allows, a number of batches, as long as that is there.
SLOW_ENCODER = """
import time
from pathlib import Path
import numpy as np

class Slow:
    batches = 0

    def identity(self):
        return {"name": "slow"}

    def encode(self, texts):
        with open("encoded", "a") as file:
            file.writelines(text + chr(10) for text in texts)
        self.batches += 1
        while self.batches >= self.allowed():
            Path("held").touch()
            time.sleep(0.01)
        return np.array([[len(t), t.count("e"), t.count("o"), 1] for t in texts], np.float32)

    def allowed(self):
        try:
            return int(Path("hold").read_text())
        except (FileNotFoundError, ValueError):
            return 1 << 30
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_jsonl(tmp_path / "c.jsonl", make_records(9000))
    (tmp_path / "slow.py").write_text(SLOW_ENCODER)
    return tmp_path


def started(folder: Path, *arguments: str, **options: object) -> subprocess.Popen[bytes]:
    return begun(folder, *TITHE, "select", "c.jsonl", *arguments, **options)


def begun(folder: Path, *command: str, **options: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.PIPE, **options)  # type: ignore[call-overload]


def ended(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    _, err = process.communicate(timeout=PATIENCE)
    return process.returncode, err.decode()


def killed_at(folder: Path, change: int, *arguments: str) -> int:
    """Kill a run before a change on disk, or let it end and say how many it makes."""
    process = begun(folder, sys.executable, "-c", KILLED, str(change), "select", "c.jsonl", *arguments)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == (-signal.SIGKILL if change else 0), err
    return 0 if change else int(out)


def hold(folder: Path, batches: int) -> None:
    """Let the slow encoder stop in its batch of this number, as long as nobody lets it go on."""
    (folder / "held").unlink(missing_ok=True)
    (folder / "hold").write_text(str(batches))


def let_go(folder: Path) -> None:
    (folder / "hold").unlink()


def stopped_in_batch(folder: Path, batches: int, *arguments: str, **options: object) -> subprocess.Popen[bytes]:
    """A run that is held in a batch of texts, those before it being kept."""
    hold(folder, batches)
    process = started(folder, *arguments, **options)
    until((folder / "held").exists, process)
    return process


def visible(folder: Path) -> list[str]:
    """What lies in a folder, but for what encoders leave."""
    left = ("__pycache__", "encoded", "hold", "held")
    return sorted(path.name for path in folder.iterdir() if path.name not in left)


def encoded(folder: Path) -> list[str]:
    """All texts that the slow encoder was given so far."""
    path = folder / "encoded"
    return path.read_text().splitlines() if path.exists() else []


def assert_encoded_once(folder: Path, before: list[str]) -> None:
    """Of what was encoded `before`, no more was encoded again than the batch that could not be kept."""
    again = set(before) & set(encoded(folder)[len(before) :])
    assert len(again) <= ENCODER_BATCH


SELECT = ("-o", "s.parquet", "--encoder", "slow:Slow", "--size", "300", "--force")


def whole(folder: Path) -> bool:
    """Whether the outputs are there and vouch for one another."""
    manifest = json.loads((folder / "s.parquet.manifest.json").read_text())
    return all(sha256(folder / entry["path"]) == entry["sha256"] for entry in manifest["outputs"])


def test_a_killed_run_leaves_the_old_outputs_or_new_ones_and_the_next_run_sweeps_up(folder: Path) -> None:
    assert ended(started(folder, *SELECT, "--seed", "1"))[0] == 0
    old = {path: path.read_bytes() for path in folder.glob("s.parquet*")}
    changes = killed_at(folder, 0, *SELECT, "--seed", "2")
    new = {path: path.read_bytes() for path in folder.glob("s.parquet*")}
    subset = folder / "s.parquet"
    assert new[subset] != old[subset]
    left, seen = folder / ".s.parquet.tithe", set()
    # The last changes put the outputs into place.
    for change in (changes // 3, *range(changes - 9, changes + 1, 3)):
        for path, content in old.items():
            path.write_bytes(content)
        shutil.rmtree(left, ignore_errors=True)  # to sweep it up would be changes, too
        killed_at(folder, change, *SELECT, "--seed", "2")
        content = subset.read_bytes()
        assert content in (old[subset], new[subset])
        seen.add(content == new[subset])
        if (folder / "s.parquet.manifest.json").exists():
            assert whole(folder)
    assert seen == {False, True}
    assert killed_at(folder, changes - 8, *SELECT, "--seed", "1") == 0 and left.exists()
    assert ended(started(folder, *SELECT, "--seed", "2"))[0] == 0
    assert subset.read_bytes() == new[subset]
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_run_that_is_told_to_stop_cleans_up(folder: Path, cache: Path, number: int, code: int) -> None:
    # Where the tests run in the background, SIGINT is ignored, and children would inherit that.
    process = stopped_in_batch(folder, 3, *SELECT, preexec_fn=lambda: signal.signal(number, signal.SIG_DFL))
    assert list(cache.glob("embeddings/*/*.shard"))
    process.send_signal(number)
    let_go(folder)
    assert ended(process)[0] == code
    assert visible(folder) == ["c.jsonl", "slow.py"]
    assert not list(cache.glob("*.partial"))


def test_two_runs_cannot_write_one_output(folder: Path) -> None:
    with Outputs.of(folder / "s.parquet", overwrite=False).work_folder() as work:
        code, err = ended(started(folder, *SELECT))
        assert (code, "another run of tithe is writing it" in err) == (1, True)
        assert work.is_folder()
    assert ended(started(folder, *SELECT))[0] == 0


@pytest.mark.parametrize("limit", [20_000, 100_000, 230_000, 1_000_000])
def test_a_write_that_fails_ends_in_one_line_and_the_next_run_goes_on(folder: Path, tithe: Tithe, limit: int) -> None:
    # Python ignores SIGXFSZ, so writing past the limit fails as on a full disk. The embeddings take 217,000 bytes.
    def small_files() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    arguments = ("-o", "s.jsonl", "--encoder", "slow:Slow", "--fraction", "0.9")
    code, err = ended(started(folder, *arguments, preexec_fn=small_files))
    assert code == 1
    assert "cannot be written" in err.rstrip().splitlines()[-1]
    assert "File too large" in err
    assert "Traceback" not in err
    assert visible(folder) == ["c.jsonl", "slow.py"]
    before = encoded(folder)
    assert tithe("select", "c.jsonl", *arguments).code == 0
    assert_encoded_once(folder, before)


@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="needs to mount a small file system")
@pytest.mark.parametrize("kib", [16, 120, 250, 340, 420, 700, 1400])
def test_a_full_disk_ends_in_one_line_leaves_the_old_outputs_and_the_next_run_goes_on(
    folder: Path, tithe: Tithe, kib: int
) -> None:
    disk = folder / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(disk)], capture_output=True
    ).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        (disk / "s.jsonl").write_text("precious")
        options = ("--encoder", "slow:Slow", "--fraction", "0.9", "--force", "--work-dir", "disk/work")
        code, err = ended(started(folder, "-o", "disk/s.jsonl", *options))
        assert code == 1
        assert err.rstrip().splitlines()[-1].startswith("tithe: disk/")
        assert "No space left on device" in err
        assert "Traceback" not in err
        assert visible(disk) == ["s.jsonl", "work"]
        assert (disk / "s.jsonl").read_text() == "precious"
        before = encoded(folder)
        subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
        assert tithe("select", "c.jsonl", "-o", "disk/s.jsonl", *options).code == 0
        assert_encoded_once(folder, before)
        assert tithe("select", "c.jsonl", "-o", "t.jsonl", *options[:4]).code == 0
        assert (folder / "t.jsonl").read_bytes() == (disk / "s.jsonl").read_bytes()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_killed_runs_are_gone_on_with_and_no_text_is_embedded_twice_but_those_of_one_batch(
    folder: Path, cache: Path
) -> None:
    assert ended(started(folder, *SELECT, "--work-dir", "undisturbed"))[0] == 0
    undisturbed = (folder / "s.parquet").read_bytes()
    (folder / "encoded").unlink()
    kills = (3, 1, 4)  # each in its batch of this number
    for batch in kills:
        process = stopped_in_batch(folder, batch, *SELECT)
        process.kill()
        process.communicate()
    let_go(folder)
    before = len(set(encoded(folder)))
    assert before >= 2 * ENCODER_BATCH
    assert ended(started(folder, *SELECT))[0] == 0
    assert (folder / "s.parquet").read_bytes() == undisturbed
    assert len(encoded(folder)) <= 9000 + len(kills) * ENCODER_BATCH
    assert not list(cache.glob("*.partial"))
    # What the last one found whole, it did not embed again.
    run = json.loads((folder / "s.parquet.manifest.json").read_text())["run"]
    assert run["texts_encoded"] <= len(set(encoded(folder))) - before + ENCODER_BATCH


def test_runs_with_one_encoder_wait_for_each_other_and_embed_once(folder: Path) -> None:
    first = stopped_in_batch(folder, 2, "-o", "0.parquet", *SELECT[2:], "--seed", "0")
    second = started(folder, "-o", "1.parquet", *SELECT[2:], "--seed", "1")
    assert second.stderr is not None
    read_until(second.stderr, b"waiting for another run of tithe, which embeds with the same encoder")
    let_go(folder)
    assert [ended(run)[0] for run in (first, second)] == [0, 0]
    assert len(encoded(folder)) == len(set(encoded(folder)))


def test_runs_over_one_work_folder_do_what_each_does_alone(folder: Path, tithe: Tithe) -> None:
    runs = {
        "a.jsonl": ("--encoder", "slow:Slow", "--seed", "1"),
        "b.jsonl": ("--encoder", "slow:Slow", "--seed", "2", "--clusters", "20", "--no-normalize"),
        "c.parquet": ("--encoder", "lexical", "--validate", "50", "--loss", "column:loss"),
    }

    together = [
        started(folder, "-o", f"together-{name}", "--size", "200", "--work-dir", "together", *options)
        for name, options in runs.items()
    ]
    ends = [ended(run) for run in together]
    assert [code for code, _ in ends] == [0] * len(runs), ends
    for name, options in runs.items():
        alone = ("-o", f"of-{name}", "--size", "200", "--work-dir", f"work-of-{name}", *options)
        assert tithe("select", "c.jsonl", *alone).code == 0
        for ending in ("", ".rows.parquet", ".clusters.parquet"):
            one, other = (folder / f"{work}-{name}{ending}" for work in ("together", "of"))
            assert one.read_bytes() == other.read_bytes(), one
    assert not list((folder / "together").glob("*.partial"))


@pytest.mark.parametrize("files", [16, 24, 64])
def test_few_open_files_are_enough_or_end_in_one_line(folder: Path, tithe: Tithe, files: int) -> None:
    import resource

    (folder / "in").mkdir()
    for i in range(100):
        write_jsonl(folder / "in" / f"{i}.jsonl", make_records(20, seed=i))
    options = ("-o", "s.jsonl", "--encoder", "slow:Slow", "--size", "90")
    few = begun(
        folder, *TITHE, "select", "in", *options,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files)),
    )  # fmt: skip
    code, err = ended(few)
    assert "Traceback" not in err
    if code:
        assert (code, err.splitlines()[-1].startswith("tithe: ")) == (1, True), err
        assert "Too many open files" in err.splitlines()[-1]
        assert visible(folder) == ["c.jsonl", "in", "slow.py"]
        assert tithe("select", "in", *options).code == 0
    else:
        assert len((folder / "s.jsonl").read_text().splitlines()) == 90
    assert code == 0 or files < 32


def test_a_cache_that_cannot_be_written_is_done_without_and_a_work_folder_is_asked_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    code, err = ended(started(folder, *SELECT))
    assert code == 0
    assert "embeddings are not kept: the cache folder cannot be written to (No such file or directory)" in err
    code, err = ended(started(folder, *SELECT, "--work-dir", "/proc/nowhere"))
    assert (code, "tithe: --work-dir /proc/nowhere: cannot be written to (No such" in err) == (1, True)


def test_a_reader_that_leaves_is_no_traceback(folder: Path) -> None:
    process = started(folder, "-o", "-", "--encoder", "slow:Slow", "--fraction", "0.9")
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    code, err = ended(process)
    assert code == -signal.SIGPIPE
    assert "Traceback" not in err
    assert "Exception ignored" not in err


def test_the_installed_program_runs(folder: Path) -> None:
    program = Path(sys.executable).with_name("tithe")
    run = subprocess.run([program, "select", "c.jsonl", "-o", "s.parquet"], cwd=folder, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert pq.read_metadata(folder / "s.parquet").num_rows == 95 + 400
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    assert version.startswith("tithe ")


def test_an_old_manifest_never_vouches_for_files_it_does_not_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = Outputs.of(tmp_path / "s.jsonl", overwrite=True)
    (tmp_path / "s.jsonl.manifest.json").write_text("old")
    moved: list[str] = []

    def stop_at_the_second(self: OwnPath, target: OwnPath) -> None:
        if moved:
            raise OSError(5, "Input/output error")
        moved.append(str(target))
        self.path.rename(target.path)

    with pytest.raises(TitheError, match="Input/output"), outputs.work_folder() as work:
        for name in ("subset", "rows.parquet", "clusters.parquet"):
            (staging(work, 0) / name).write(b"new")
        monkeypatch.setattr(OwnPath, "replace", stop_at_the_second)
        outputs.publish(work, [{}], None, lines=[1])
    assert moved
    assert not (tmp_path / "s.jsonl.manifest.json").exists()


def test_a_work_folder_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "precious").write_text("x")
    (tmp_path / ".s.jsonl.tithe").symlink_to("elsewhere")
    with (
        pytest.raises(TitheError, match=r"\.s\.jsonl\.tithe: is a link, or not what tithe keeps"),
        Outputs.of(tmp_path / "s.jsonl", overwrite=False).work_folder(),
    ):
        pass
    assert (tmp_path / "elsewhere" / "precious").exists()
