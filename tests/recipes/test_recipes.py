"""The recipes, run as far as they can be here: Makefile and DVC for real, of the others the commands."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.conftest import make_records, write_jsonl

HERE = Path(__file__).parent

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in a project with a corpus and a configuration, where `tithe` is a command."""
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    (bin_ / "tithe").write_text(f"#!{sys.executable}\nfrom tithe.cli.main import main\nmain()\n")
    (bin_ / "tithe").chmod(0o755)
    project = tmp_path / "project"
    project.mkdir()
    write_jsonl(project / "corpus.jsonl", make_records(300))
    (project / "select.toml").write_text("size = 30\n")
    monkeypatch.chdir(project)
    environment = {
        **os.environ,
        "PATH": f"{bin_}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }

    def started(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)

    return started


def selected() -> int:
    """When the subset was made."""
    return Path("subset.parquet.manifest.json").stat().st_mtime_ns


def runs_again(run: Run, command: tuple[str, ...]) -> bool:
    before = selected()
    ran = run(*command)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return selected() != before


def check_when_it_runs(run: Run, command: tuple[str, ...], versions: str) -> None:
    """Once, and again where the input, the options or the versions are others; never else."""
    first = run(*command)
    assert first.returncode == 0, first.stdout + first.stderr
    assert not runs_again(run, command)
    write_jsonl(Path("corpus.jsonl"), make_records(310))
    assert runs_again(run, command)
    assert not runs_again(run, command)
    Path("select.toml").write_text("size = 40\n")
    assert runs_again(run, command)
    assert json.loads(Path("subset.parquet.manifest.json").read_text())["options"]["size"] == 40
    assert not runs_again(run, command)
    assert run("tithe", "verify", "subset.parquet.manifest.json").returncode == 0
    assert Path(versions).read_text().startswith("tithe ")


def test_make_selects_again_only_where_something_changed(run: Run) -> None:
    shutil.copy(HERE / "Makefile", "Makefile")
    check_when_it_runs(run, ("make",), ".versions")
    # As another version of a library would leave it.
    Path(".versions").write_text(re.sub(r"numpy .*", "numpy 1.0", Path(".versions").read_text()))
    assert runs_again(run, ("make",))
    assert not runs_again(run, ("make",))


@pytest.mark.skipif(
    shutil.which("dvc", path=str(Path(sys.executable).parent)) is None and not os.environ.get("CI"),
    reason="dvc is not installed",
)
def test_dvc_selects_again_only_where_something_changed(run: Run) -> None:
    shutil.copy(HERE / "dvc.yaml", "dvc.yaml")
    assert run("dvc", "init", "--no-scm", "--quiet").returncode == 0
    assert run("dvc", "config", "core.analytics", "false").returncode == 0
    check_when_it_runs(run, ("dvc", "repro"), "versions.txt")
    lock = Path("dvc.lock")
    recorded = yaml.safe_load(lock.read_text())
    (versions,) = (dep for dep in recorded["stages"]["select"]["deps"] if dep["path"] == "versions.txt")
    versions["md5"] = "0" * 32
    lock.write_text(yaml.safe_dump(recorded))
    assert runs_again(run, ("dvc", "repro"))


@pytest.mark.parametrize("name", ["github.yml", "gitlab.yml", "pre-commit.yaml"])
def test_other_recipes_notice_a_subset_that_has_drifted(run: Run, name: str) -> None:
    document = yaml.safe_load((HERE / name).read_text())
    commands = {
        "github.yml": lambda: [s["run"] for s in document["jobs"]["subset"]["steps"] if "run" in s],
        "gitlab.yml": lambda: document["subset"]["script"],
        "pre-commit.yaml": lambda: [hook["entry"] for hook in document["repos"][0]["hooks"]],
    }[name]()
    (verify,) = (command for command in commands if command.startswith("tithe"))
    assert run("tithe", "select", "corpus.jsonl", "-o", "subset.parquet", "--config", "select.toml").returncode == 0
    assert run("bash", "-c", verify).returncode == 0
    write_jsonl(Path("corpus.jsonl"), make_records(301))
    ran = run("bash", "-c", verify)
    assert (ran.returncode, "corpus.jsonl: is not what it was" in ran.stdout) == (3, True)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete(run: Run, shell: str) -> None:
    script = run("env", f"_TITHE_COMPLETE={shell}_source", "tithe").stdout
    assert f"_TITHE_COMPLETE={shell}_complete" in script


def test_completion_knows_commands_and_options(run: Run) -> None:
    def completed(*words: str) -> set[str]:
        line = ("env", "_TITHE_COMPLETE=bash_complete", f"COMP_WORDS={' '.join(words)}", f"COMP_CWORD={len(words) - 1}")
        return {answer.partition(",")[2] for answer in run(*line, "tithe").stdout.splitlines()}

    assert completed("tithe", "ver") == {"verify", "versions"}
    assert completed("tithe", "explain", "--ro") == {"--row"}
    assert "sensitivity" in completed("tithe", "select", "--method", "s")
