"""`tithe replay`: the same bytes again, or what differs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Tithe, write_jsonl
from tests.selections import CASES, Made, make
from tithe.cli.main import tithe as root
from tithe.cli.options import is_debugging

RUN = "from tithe.cli.main import main; main()"


@pytest.mark.parametrize("case", CASES)
def test_another_process_in_another_folder_makes_the_same_bytes(
    tithe: Tithe, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, case: str
) -> None:
    made = make(tithe, case, tmp_path)
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    ending = "".join(Path(CASES[case][2]).suffixes)
    environment = {**os.environ, "XDG_CACHE_HOME": str(elsewhere / "cache")}
    command = [
        sys.executable,
        "-c",
        RUN,
        "replay",
        str(made.manifest),
        "-o",
        f"again{ending}",
        "--allow-code",
        "--json",
    ]
    ran = subprocess.run(command, cwd=elsewhere, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    document = json.loads(ran.stdout)
    assert (document["identical"], document["findings"], document["versions"]) == (True, [], {})
    again = f"again-0.05{ending}" if case == "nested" else f"again{ending}"
    second = Made(elsewhere, elsewhere / f"{again}.manifest.json")
    assert list(second.outputs().values()) == list(made.outputs().values())
    assert tithe("verify", second.manifest, "--allow-code", "--allow-read", tmp_path).code == 0


def test_nothing_is_written_unasked(tithe: Tithe, tmp_path: Path) -> None:
    made = make(tithe, "plain", tmp_path)
    before = sorted(tmp_path.rglob("*"))
    ran = tithe("replay", made.manifest)
    assert (ran.code, ran.out) == (0, "".join(f"the same  {name}\n" for name in made.outputs()))
    assert sorted(tmp_path.rglob("*")) == before


def test_inputs_that_are_no_longer_the_same_stop_it(tithe: Tithe, tmp_path: Path) -> None:
    made = make(tithe, "plain", tmp_path)
    write_jsonl(tmp_path / "c.jsonl", [{"text": "another"}])
    ran = tithe("replay", made.manifest, "-o", "again.parquet")
    assert (ran.code, ran.out) == (3, "drifted   c.jsonl: is not what it was\n")
    assert not (tmp_path / "again.parquet").exists()


def test_standard_input_is_read_again(tithe: Tithe, corpus: Path) -> None:
    content = corpus.read_bytes()
    assert tithe("select", "-", "-o", "s.jsonl", "--size", "40", stdin=content).code == 0
    assert tithe("replay", "s.jsonl.manifest.json", stdin=content).code == 0
    ran = tithe("replay", "s.jsonl.manifest.json", stdin=content + b'{"text": "one more"}\n')
    assert (ran.code, "drifted   -: standard input is not what it was" in ran.out) == (3, True)


def test_what_makes_the_difference_is_said(tithe: Tithe, tmp_path: Path) -> None:
    made = make(tithe, "messages", tmp_path)
    changed = (tmp_path / "mine.py").read_text().replace('"mine"', '"other"').replace("% 7", "% 5")
    (tmp_path / "mine.py").write_text(changed)
    sys.modules.pop("mine", None)  # as in another process
    ran = tithe("replay", made.manifest, "--allow-code", "--json")
    document = json.loads(ran.out)
    assert (ran.code, document["identical"], document["written"]) == (3, False, None)
    assert [finding["detail"] for finding in document["findings"]] == ["mine:make: differs in name"]


@pytest.mark.parametrize("spec", ["own:losses", f"exec:{sys.executable} own.py"])
def test_code_that_a_manifest_names_is_not_run_unasked(tithe: Tithe, corpus: Path, tmp_path: Path, spec: str) -> None:
    (tmp_path / "own.py").write_text(
        "import sys\ndef losses(records):\n    return [1.0 for _ in records]\n"
        "if __name__ == '__main__':\n    for line in sys.stdin:\n        print('{\"loss\": 1.0}')\n"
    )
    assert tithe("select", corpus, "-o", "o.jsonl", "--size", "40", "--loss", spec).code == 0
    ran = tithe("replay", "o.jsonl.manifest.json")
    assert (ran.code, f"--loss {spec}: is code that the manifest names; --allow-code runs it" in ran.err) == (1, True)
    assert tithe("replay", "o.jsonl.manifest.json", "--allow-code").code == 0


def test_another_format_has_other_bytes(tithe: Tithe, tmp_path: Path) -> None:
    made = make(tithe, "plain", tmp_path)
    ran = tithe("replay", made.manifest, "-o", "again.jsonl")
    assert (ran.code, "must end as s.parquet does" in ran.err) == (2, True)
    ran = tithe("replay", made.manifest, "-o", "s.parquet")
    assert (ran.code, "exists already" in ran.err) == (1, True)
    assert tithe("replay", made.manifest, "-o", "s.parquet", "--force").code == 0


def test_the_work_folder_of_a_manifest_is_not_taken(tithe: Tithe, tmp_path: Path, cache: Path) -> None:
    make(tithe, "plain", tmp_path)
    assert tithe("select", "c.jsonl", "-o", "w.jsonl", "--size", "40", "--work-dir", "w").code == 0
    shutil.rmtree(tmp_path / "w")
    shutil.rmtree(cache)
    for command in (("verify", "w.jsonl"), ("replay", "w.jsonl"), ("explain", "w.jsonl", "--row", "3")):
        assert tithe(*command).code == 0
    assert (cache.is_dir(), (tmp_path / "w").exists()) == (True, False)
    assert tithe("replay", "w.jsonl", "--work-dir", "w").code == 0
    assert (tmp_path / "w").is_dir()


@pytest.mark.parametrize(
    "arguments", [("replay", "m"), ("explain", "m", "--row", "1"), ("verify", "m"), ("diff", "m", "m")]
)
def test_workers_are_told_of_debugging(tithe: Tithe, arguments: tuple[str, ...]) -> None:
    name, *given = arguments
    for more in ([], ["--debug"]):
        with root.commands[name].make_context(name, [*given, *more]):
            assert is_debugging() == bool(more)
