"""Outputs appear whole or not at all: killed runs, full disks, runs that meet, readers that leave."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.conftest import make_records, write_jsonl
from tithe.selection.encode import ENCODER_BATCH
from tithe.selection.errors import TitheError
from tithe.selection.manifest import sha256
from tithe.selection.outputs import Outputs, staging

TITHE = (sys.executable, "-c", "from tithe.cli.main import main; main()")
SLOW_ENCODER = """
import time
import numpy as np

class Slow:
    def identity(self):
        return {"name": "slow"}
    def encode(self, texts):
        time.sleep(0.1)
        with open("encoded", "a") as file:
            file.writelines(text + chr(10) for text in texts)
        return np.array([[len(t), t.count("e"), t.count("o"), 1] for t in texts], np.float32)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_jsonl(tmp_path / "c.jsonl", make_records(9000))
    (tmp_path / "slow.py").write_text(SLOW_ENCODER)
    return tmp_path


def started(folder: Path, *arguments: str, **options: object) -> subprocess.Popen[bytes]:
    command = [*TITHE, "select", "c.jsonl", *arguments]
    return subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.PIPE, **options)  # type: ignore[call-overload]


def ended(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    _, err = process.communicate(timeout=60)
    return process.returncode, err.decode()


def visible(folder: Path) -> list[str]:
    """What lies in a folder, but for what encoders leave."""
    return sorted(path.name for path in folder.iterdir() if path.name not in ("__pycache__", "encoded"))


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
    old = (folder / "s.parquet").read_bytes()
    start = time.perf_counter()
    assert ended(started(folder, *SELECT, "--seed", "2"))[0] == 0
    takes = time.perf_counter() - start
    new = (folder / "s.parquet").read_bytes()
    assert new != old
    rng = random.Random(0)
    seen = set()
    for _ in range(6):
        assert ended(started(folder, *SELECT, "--seed", "1"))[0] == 0
        process = started(folder, *SELECT, "--seed", "2")
        time.sleep(rng.uniform(0.4, 1.0) * takes)
        process.kill()
        process.communicate()
        content = (folder / "s.parquet").read_bytes()
        assert content in (old, new)
        seen.add(content == new)
        if (folder / "s.parquet.manifest.json").exists():
            assert whole(folder)
    assert False in seen  # at least one was killed before it had finished
    assert ended(started(folder, *SELECT, "--seed", "2"))[0] == 0
    assert (folder / "s.parquet").read_bytes() == new
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_run_that_is_told_to_stop_cleans_up(folder: Path, cache: Path, number: int, code: int) -> None:
    # Where the tests run in the background, SIGINT is ignored, and children would inherit that.
    process = started(folder, *SELECT, preexec_fn=lambda: signal.signal(number, signal.SIG_DFL))
    for _ in range(200):
        if list(cache.glob("embeddings/*/*.shard")):
            break
        time.sleep(0.05)
    process.send_signal(number)
    assert ended(process)[0] == code
    assert visible(folder) == ["c.jsonl", "slow.py"]
    assert not list(cache.glob("*.partial"))


def test_two_runs_cannot_write_one_output(folder: Path) -> None:
    with Outputs.of(folder / "s.parquet", overwrite=False).work_folder() as work:
        code, err = ended(started(folder, *SELECT))
        assert (code, "another run of tithe is writing it" in err) == (1, True)
        assert work.exists()
    assert ended(started(folder, *SELECT))[0] == 0


@pytest.mark.parametrize("limit", [20_000, 100_000, 230_000, 1_000_000])
def test_a_write_that_fails_ends_in_one_line_and_the_next_run_goes_on(folder: Path, limit: int) -> None:
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
    assert ended(started(folder, *arguments))[0] == 0
    assert_encoded_once(folder, before)


@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="needs to mount a small file system")
@pytest.mark.parametrize("kib", [16, 120, 250, 340, 420, 700, 1400])
def test_a_full_disk_ends_in_one_line_leaves_the_old_outputs_and_the_next_run_goes_on(folder: Path, kib: int) -> None:
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
        assert ended(started(folder, "-o", "disk/s.jsonl", *options))[0] == 0
        assert_encoded_once(folder, before)
        assert ended(started(folder, "-o", "t.jsonl", *options[:4]))[0] == 0
        assert (folder / "t.jsonl").read_bytes() == (disk / "s.jsonl").read_bytes()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_killed_runs_are_gone_on_with_and_no_text_is_embedded_twice_but_those_of_one_batch(
    folder: Path, cache: Path
) -> None:
    start = time.perf_counter()
    assert ended(started(folder, *SELECT, "--work-dir", "undisturbed"))[0] == 0
    takes = time.perf_counter() - start
    undisturbed = (folder / "s.parquet").read_bytes()
    (folder / "encoded").unlink()
    rng = random.Random(1)
    kills = 5
    for _ in range(kills):
        process = started(folder, *SELECT)
        time.sleep(rng.uniform(0.3, 0.8) * takes)
        process.kill()
        process.communicate()
    assert encoded(folder)
    assert ended(started(folder, *SELECT))[0] == 0
    assert (folder / "s.parquet").read_bytes() == undisturbed
    assert len(encoded(folder)) <= 9000 + kills * ENCODER_BATCH
    assert not list(cache.glob("*.partial"))
    # What the last one found whole, it did not embed again.
    assert json.loads((folder / "s.parquet.manifest.json").read_text())["run"]["texts_encoded"] < 9000


def test_runs_with_one_encoder_wait_for_each_other_and_embed_once(folder: Path) -> None:
    runs = [started(folder, "-o", f"{i}.parquet", *SELECT[2:], "--seed", str(i)) for i in range(2)]
    ends = [ended(run) for run in runs]
    assert [code for code, _ in ends] == [0, 0]
    assert any("waiting for another run of tithe, which embeds with the same encoder" in err for _, err in ends)
    assert len(encoded(folder)) == len(set(encoded(folder)))


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

    def stop_at_the_second(self: Path, target: Path) -> Path:
        if moved:
            raise OSError(5, "Input/output error")
        moved.append(str(target))
        self.rename(target)
        return target

    with pytest.raises(TitheError, match="Input/output"), outputs.work_folder() as work:
        for name in ("subset", "rows.parquet", "clusters.parquet"):
            (staging(work, 0) / name).write_text("new")
        monkeypatch.setattr(Path, "replace", stop_at_the_second)
        outputs.publish(work, [{}], None, lines=[1])
    assert moved
    assert not (tmp_path / "s.jsonl.manifest.json").exists()


def test_a_work_folder_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "precious").write_text("x")
    (tmp_path / ".s.jsonl.tithe").symlink_to("elsewhere")
    with (
        pytest.raises(TitheError, match="cannot write"),
        Outputs.of(tmp_path / "s.jsonl", overwrite=False).work_folder(),
    ):
        pass
    assert (tmp_path / "elsewhere" / "precious").exists()
