"""What is not ours does nothing to the terminal: not in names, records, manifests, commands or what libraries say."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
import pytest

from tests.cli.test_help import commands
from tests.conftest import Ran, Tithe, make_records, write_jsonl
from tithe.cli.main import tithe as root
from tithe.cli.terminal import bars, guarded, say, show, show_document
from tithe.selection.subset.checksum import with_checksum
from tithe.selection.subset.manifest import to_json

# A title for the window, a colour by a C1 control, text turned around, a line of its own (twice), and the bell.
EVIL = "\x1b]0;pwned\x07\x9b31m\u202egnp\nFORGED\u2028FORGED\x7f"
# As a file's name, one that is no UTF-8 besides.
EVIL_NAME = EVIL + "\udcff"

LOSSES = f"""
import sys, warnings
EVIL = {EVIL!r}

class Broken:
    def losses(self, records):
        sys.stderr.write("a library says " + EVIL.replace(chr(10), " ") + chr(10))  # its lines are its own
        raise RuntimeError(EVIL)

class Named:
    def identity(self):
        return {{"name": EVIL, "model": EVIL}}
    def encode(self, texts):
        import numpy as np
        return np.array([[len(t), t.count("e"), t.count("o"), 1] for t in texts], np.float32)
"""


def harmless(ran: Ran) -> str:
    """All that a run printed, which is only what may be printed, in lines that are ours."""
    printed = ran.out + ran.err
    assert [c for c in printed if not (c.isprintable() or c == "\n")] == [], printed
    assert not [line for line in printed.splitlines() if line.startswith("FORGED")], printed
    return printed


@pytest.fixture
def evil(tithe: Tithe, tmp_path: Path) -> str:
    """A corpus whose name, fields, texts and groups are evil; a module of losses."""
    records = [
        {**record, EVIL: record["text"] + EVIL, "group" + EVIL: f"{record['topic'] % 2}{EVIL}"}
        for record in make_records(80)
    ]
    write_jsonl(tmp_path / f"{EVIL_NAME}.jsonl", records)
    name = f"losses_{tmp_path.name}".replace("-", "_")  # another module for each test
    (tmp_path / f"{name}.py").write_text(LOSSES)
    return name


# Texts by their evil field; the option's value is a path with dots, which the field has not.
def basic(*more: str) -> tuple[str, ...]:
    return (f"{EVIL_NAME}.jsonl", "-o", f"{EVIL_NAME}-s.jsonl", "--size", "20", "--clusters", "8", "--force", *more)


def test_a_selection_and_all_that_starts_from_it(tithe: Tithe, evil: str, tmp_path: Path) -> None:
    options = basic("--text", EVIL, "--group-by", "group" + EVIL, "--encoder", f"{evil}:Named", "--loss", "column:loss")
    ran = tithe("select", *options)
    assert ran.code == 0, ran.err
    assert "pwned" in harmless(ran)
    manifest = f"{EVIL_NAME}-s.jsonl.manifest.json"
    assert tithe("select", *options[:1], "-o", "other.jsonl", *options[3:], "--seed", "1").code == 0
    for command, code in {
        ("centers", options[0], "-o", f"{EVIL_NAME}-c.jsonl", "--text", EVIL, "--clusters", "8", "--debug"): 0,
        ("explain", manifest, "--row", "3", "--allow-code"): 0,
        ("explain", manifest, "--row", "3", "--allow-code", "--json"): 0,
        ("verify", manifest, "--allow-code"): 0,
        ("verify", manifest, "--allow-code", "--json"): 0,
        ("replay", manifest, "--allow-code"): 0,
        ("diff", manifest, "other.jsonl.manifest.json"): 0,
        ("diff", manifest, "other.jsonl.manifest.json", "--json"): 0,
        ("report", manifest, "-o", f"{EVIL_NAME}.html", "--json"): 0,
        ("report", manifest, "-o", f"{EVIL_NAME}.html"): 1,  # it is there
        ("select", *options, "--dry-run"): 0,
        ("select", *options, "--json"): 0,
        ("cache", "list"): 0,
        ("cache", "list", "--json"): 0,
        ("cache", "verify"): 0,
        ("cache", "prune", "--all"): 0,
    }.items():
        ran = tithe(*command)
        assert ran.code == code, (command, ran.err)
        harmless(ran)


def test_a_manifest_that_was_written_by_somebody_else(tithe: Tithe, corpus: Path, tmp_path: Path) -> None:
    assert tithe("select", corpus, "-o", "s.jsonl", "--size", "20", "--clusters", "8").code == 0
    manifest = json.loads((tmp_path / "s.jsonl.manifest.json").read_text())

    def made_evil(value: object) -> object:
        if isinstance(value, dict):
            return {key: made_evil(item) for key, item in value.items()}
        if isinstance(value, list):
            return [made_evil(item) for item in value]
        return EVIL if isinstance(value, str) else value

    del manifest["sha256"]
    made = {
        "evil": made_evil(manifest),
        **{key: {**manifest, key: made_evil(value)} for key, value in manifest.items()},
    }
    for name, content in made.items():  # all at once stops at the first
        (tmp_path / f"{name}.manifest.json").write_bytes(with_checksum(to_json(content).encode()))
    for part in ("evil", "options", "versions", "inputs", "outputs", "run", "encoder", "loss", "evidence"):
        path = f"{part}.manifest.json"
        for command in (("verify", path), ("replay", path), ("explain", path, "--row", "1"),
                        ("diff", path, "s.jsonl.manifest.json"), ("report", path, "-o", "r.html", "--force")):  # fmt: skip
            harmless(tithe(*command))


def test_errors_that_name_what_is_not_ours(tithe: Tithe, evil: str, tmp_path: Path) -> None:
    (tmp_path / "evil.sh").write_text("printf '\\033]0;pwned\\007\\nFORGED\\n' >&2; exit 3\n")
    for name, content in {"losses": '{"row": "' + "x\\u001b" + '", "loss": 1}\n', "bad": "\x1b]0;pwned\x07\n"}.items():
        (tmp_path / f"{EVIL_NAME}-{name}.jsonl").write_text(content)
    configs = {
        "key": json.dumps(EVIL, ensure_ascii=True) + " = 1",
        "value": "encoder = " + json.dumps(EVIL),
        "choice": "sampler = " + json.dumps(EVIL),
        "number": "rank = " + json.dumps(EVIL),
        "bytes": "\x1b]0;pwned\x07",
    }
    for name, content in configs.items():
        (tmp_path / f"{EVIL_NAME}-{name}.toml").write_text(content.replace("\\u007f", "\\u007F"))
    for arguments in (
        *(("select", *basic("--config", f"{EVIL_NAME}-{name}.toml")) for name in configs),
        ("select", *basic("--text", "text", "--loss", "exec:sh evil.sh")),
        ("select", *basic("--text", "text", "--loss", f"{evil}:Broken")),
        ("select", *basic("--text", "text", "--loss", f"{evil}:Broken", "--debug")),
        ("select", *basic("--text", "text", "--loss", f"file:{EVIL_NAME}-losses.jsonl")),
        ("select", *basic("--text", "text", "--loss", f"column:{EVIL}")),
        ("select", *basic("--text", "text", "--loss", EVIL)),
        ("select", *basic("--text", "text", "--loss", f"exec:exit 1 # {EVIL}")),
        ("select", f"{EVIL_NAME}-bad.jsonl", "-o", "s.jsonl"),
        ("select", f"{EVIL_NAME}-bad.jsonl", "-o", "s.jsonl", "--on-bad-record", "skip"),
        ("select", *basic("--text", f"no{EVIL}")),
        ("select", *basic("--text", "text", "--never", f"topic={EVIL}")),
        ("select", *basic("--text", "text", "--group-by", "topic", "--group-share", f"{EVIL}=1")),
        *(("select", *basic("--text", "text", option, EVIL)) for option in (
            "--encoder", "--device", "--sampler", "--size", "--lambda", "--template", "--exclude", "--weight-column",
            "--fraction", "--for", "--token-column", "--target", "--work-dir", "--validation-loss", f"--{EVIL}",
        )),
        (EVIL,),
        ("cache", EVIL),
        ("cache", "prune", "--max-size", EVIL),
        ("centers", f"{EVIL}.jsonl", "-o", EVIL),
        ("verify", EVIL), ("replay", EVIL), ("diff", EVIL, EVIL), ("report", EVIL, "-o", EVIL), ("explain", EVIL, "--row", "1"),
        ("verify", f"s3://{EVIL}"), ("explain", "x", "--row", EVIL),
    ):  # fmt: skip
        ran = tithe(*arguments)
        printed = harmless(ran)
        if "--weight-column" not in arguments and "--work-dir" not in arguments:
            assert ran.code in (1, 2), (arguments[-2:], printed)
            assert printed.splitlines()[-1].startswith("tithe: "), (arguments[-2:], printed)
        assert "internal error" not in printed, (arguments[-2:], printed)


def test_a_line_stays_one_and_an_escape_that_is_shown_is_shown_once(capfd: pytest.CaptureFixture[str]) -> None:
    with guarded():
        say(EVIL)
        show("a\tb\r\x00é→")
        show_document("one\ntwo\x1b\n")
        print(EVIL, file=sys.stderr)  # noqa: T201 - as libraries do
        bars().write("\rbar")
        click.echo("\x1b[31mred")
    out, err = capfd.readouterr()
    escaped = r"\x1b]0;pwned\x07\x9b31m\u202egnp\nFORGED\u2028FORGED\x7f"
    assert out.splitlines() == [r"a\tb\r\x00é→", "one", r"two\x1b", "red"]
    assert err == escaped + "\n" + escaped.replace(r"\n", "\n") + "\n\rbar"


@pytest.mark.parametrize("name", dict(commands()), ids=" ".join)
def test_every_command_shows_a_traceback_on_demand(tithe: Tithe, name: tuple[str, ...]) -> None:
    command = dict(commands(root))[name]
    if isinstance(command, click.Group):
        return
    given = {"manifest": "no", "before": "no", "after": "no", "inputs": "no.jsonl", "output": "s.jsonl", "row": "1"}
    options: list[str] = []
    for parameter in command.params:
        if parameter.name in given:
            words = [given[parameter.name]]
            options += words if isinstance(parameter, click.Argument) else [max(parameter.opts, key=len), *words]
    for arguments in (["--debug", *options], [*options, "--debug"]):
        ran = tithe(*name, *arguments)
        assert ("Traceback" in ran.err) == (ran.code != 0), ran.err
        assert "No such option" not in ran.err
    assert "Traceback" not in tithe(*name, *options).err


def test_what_an_engine_is_told_of_debugging(tithe: Tithe, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = []
    monkeypatch.setattr("tithe.cli.replay.executor_of", lambda options: told.append(is_debugging()) or _local())
    from tithe.cli.options import is_debugging

    def _local() -> object:
        from contextlib import nullcontext

        return nullcontext()

    assert tithe("select", corpus, "-o", "s.jsonl", "--size", "20", "--clusters", "8").code == 0
    assert tithe("replay", "s.jsonl.manifest.json", "--debug").code == 0
    assert tithe("replay", "s.jsonl.manifest.json").code == 0
    assert told == [True, False]


@pytest.mark.parametrize(
    ("count", "read", "selected"),
    [(1, "1 record from 1 file", "1 record ("), (2, "2 records from 2 files", "2 records (")],
)
def test_counted_nouns(tithe: Tithe, tmp_path: Path, count: int, read: str, selected: str) -> None:
    for number in range(count):
        write_jsonl(tmp_path / f"{number}.jsonl", make_records(count)[number : number + 1])
    ran = tithe("select", *(f"{number}.jsonl" for number in range(count)), "-o", "s.jsonl")
    assert ran.code == 0, ran.err
    assert f"read      {read}\n" in ran.err
    assert f"selected  {selected}" in ran.err
