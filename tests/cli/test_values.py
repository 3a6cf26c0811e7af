"""Values that options cannot mean: each ends in one line and exit code 2, or in a selection; never in a traceback."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest

from tests.cli.test_help import commands
from tests.conftest import Ran, Tithe, make_records, write_jsonl
from tithe.cli.config_file import _by_key

HUGE = str(10**400)
VALUES = [
    "inf", "-inf", "nan", "-0", "0", "-1", "1e308", "1e-308", "5e-324", "9223372036854775808", HUGE, "9" * 5000,
    "", " ", "abc", "1,2", "x=1", "[]", "{}", "-", "\udcff", "\x1b", "\N{ARABIC-INDIC DIGIT FIVE}",
]  # fmt: skip
TOML = [
    "inf", "-inf", "nan", "-0.0", "0", "-1", "1e308", "1e-308", "9223372036854775808", HUGE, "1.5", "true", "false",
    '""', '"abc"', '"nan"', '"\\u0000"', '"\\u001b"', "[]", "[[]]", "[{}]", "[nan]", "[true]", "[1979-05-27]", "{}",
    "{a = 1}", "1979-05-27", "07:32:00",
]  # fmt: skip
COMMANDS = {name: command for name, command in commands() if not isinstance(command, click.Group)}

# What each command needs besides; there is no such file, so that nothing long runs.
GIVEN = {
    "select": ("no.jsonl", "-o", "s.jsonl"),
    "centers": ("no.jsonl", "-o", "c.jsonl"),
    "explain": ("no.json", "--row", "1"),
    "report": ("no.json", "-o", "r.html"),
    "verify": ("no.json",),
    "replay": ("no.json",),
    "diff": ("no.json", "no.json"),
}

# Without which an option means nothing.
BESIDE = {
    "--rank": ("--method", "low-rank"),
    "--loss-timeout": ("--loss", "exec:yes '{\"loss\": 1}'"),
    "--validate": ("--loss", "column:loss"),
    "--validation-loss": ("--loss", "column:loss", "--validate", "9"),
    "--num-gpus": ("--engine", "ray"),
    "--features": ("--task", "regression", "--target", "y"),
    "--target": ("--task", "regression", "--features", "x"),
    "--token-column": ("--tokens", "9"),
    "--tokenizer": ("--tokens", "9"),
    "--group-min": ("--group-by", "g"),
    "--group-max": ("--group-by", "g"),
    "--group-share": ("--group-by", "g"),
}


def options(command: click.Command) -> list[str]:
    """The options of a command that take a value."""
    found = [p for p in command.params if isinstance(p, click.Option) and not p.is_flag]
    return [max(option.opts, key=len) for option in found]


def ends_well(ran: Ran, *codes: int) -> None:
    """That a run said in one line, at the end, what is wrong, if anything is."""
    assert ran.code in codes, ran.err
    assert "internal error" not in ran.err, ran.err
    assert "Traceback" not in ran.err, ran.err
    if ran.code:
        assert ran.err.splitlines()[-1].startswith("tithe: "), ran.err


@pytest.mark.parametrize("name", COMMANDS, ids=" ".join)
def test_every_option_with_every_value(tithe: Tithe, name: tuple[str, ...]) -> None:
    given = GIVEN.get(name[0], ())
    for option in options(COMMANDS[name]):
        if option == "--num-gpus":
            continue  # below: some values start a cluster
        for value in VALUES:
            ran = tithe(*name, *given, *BESIDE.get(option, ()), f"{option}={value}")
            ends_well(ran, 0, 1, 2) if not given else ends_well(ran, 1, 2)


@pytest.mark.parametrize("value", ["inf", "-inf", "nan", "-1", "-1e308", HUGE, "", "abc"])
def test_gpus_that_cannot_be(tithe: Tithe, value: str) -> None:
    ends_well(tithe("select", "no.jsonl", "-o", "s.jsonl", "--engine", "ray", f"--num-gpus={value}"), 2)


@pytest.mark.parametrize("name", ["select", "centers"])
def test_every_key_of_a_configuration_with_every_value(tithe: Tithe, name: str) -> None:
    for key in _by_key(COMMANDS[(name,)]):
        if key in ("engine", "num-gpus"):
            continue
        given = ["-o", "s.jsonl"] if key != "output" else []
        given += ["no.jsonl"] if key != "inputs" else []
        for value in TOML:
            Path("o.toml").write_text(f"{key} = {value}\n")
            ends_well(tithe(name, *given, *BESIDE.get(f"--{key}", ()), "--config", "o.toml"), 1, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--loss-timeout", "inf"), "--loss-timeout inf: a finite number is needed"),
        (("--loss-timeout", "1e10"), "--loss-timeout 1e+10: seconds are needed, more than 0 and at most 1e+09"),
        (("--tokens", HUGE), "--tokens: at most 9007199254740992 can be asked for"),
        (("--size", HUGE), "--size: at most 9007199254740992 can be asked for"),
        (("--group-by", "topic", "--group-max", "9223372036854775808"), "--group-max: at most 9007199254740992"),
        (("--lambda", "1e308"), "--lambda 1e+308: auto, or a number from 0 to 1e+30, is needed"),
        (("--temper", "nan"), "--temper nan: a finite number is needed"),
        (("--dedup-near", "nan"), "--dedup-near nan: a finite number is needed"),
        (("--fraction", "nan"), "--fraction nan: a number above 0"),
        (("--weight-column", "\udcff"), r"--weight-column \udcff: a name in UTF-8 is needed"),
    ],
)
def test_values_that_no_step_could_compute_with(
    tithe: Tithe, corpus: Path, arguments: tuple[str, ...], message: str
) -> None:
    ran = tithe("select", corpus, "-o", "s.jsonl", *arguments)
    ends_well(ran, 2)
    assert message in ran.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--size", "99999"), "--size 99,999: everything is taken, 60 records\n"),
        (("--size", str(2**53)), "everything is taken, 60 records\n"),
        (("--fraction", "1"), "--fraction 1: everything is taken, 60 records\n"),
        ((), "--epsilon 0.05: everything is taken, 60 records\n"),
        (("--epsilon", "0.0005"), "--epsilon 0.0005: everything is taken, 60 records\n"),
        (("--tokens", "99999"), "--tokens 99,999: everything is taken, 60 records of 1"),
        (("--size", "50", "--never", "half=true"), "--size 50: everything is taken, 30 records\n"),
        (("--size", "99", "--sampler", "iid"), "--size 99: as many draws as there are records, 60 records\n"),
        (("--size", "20", "--clusters", str(2**53)), "--clusters 9,007,199,254,740,992: 60 records make no more\n"),
        (("--size", "20", "--loss", "column:loss", "--validate", "61"), "--validate 61: all are asked about, 60 records\n"),
        (("--size", "20", "--method", "low-rank", "--rank", "9999", "--loss", "column:loss"), "--rank 9,999: the embeddings have no more than "),
        (("--size", "59"), ""),
        (("--size", "20", "--clusters", "20", "--loss", "column:loss", "--validate", "60", "--seed", HUGE), ""),
        (("--size", "20", "--temper", "5e-324", "--lambda", "1e30", "--cluster-seed", HUGE), ""),
    ],
)  # fmt: skip
def test_what_is_asked_for_beyond_what_there_is_is_said(
    tithe: Tithe, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    write_jsonl(tmp_path / "c.jsonl", [{**record, "half": i % 2 == 0} for i, record in enumerate(make_records(60))])
    ran = tithe("select", "c.jsonl", "-o", "s.jsonl", *arguments)
    assert ran.code == 0, ran.err
    told = [line for line in ran.err.splitlines() if line.startswith("--")]
    assert len(told) == bool(said), told
    assert said in ran.err


def test_centers_and_a_plan_say_it_too(tithe: Tithe, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "c.jsonl", make_records(60))
    asked = ("c.jsonl", "--size", "20", "--clusters", "61", "--validate", "61")
    for command in (("centers", *asked, "-o", "k.jsonl"), ("select", *asked, "--loss", "column:loss", "--dry-run")):
        ran = tithe(*command)
        assert ran.code == 0, ran.err
        assert "--clusters 61: 60 records make no more\n--validate 61: all are asked about, 60 records\n" in ran.err


@pytest.mark.parametrize("value", ["inf", "-1", "0", HUGE, "9" * 5000, "", "x"])
def test_what_the_environment_cannot_mean(
    tithe: Tithe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    write_jsonl(tmp_path / "c.jsonl", make_records(60))
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    monkeypatch.setenv("XDG_CACHE_HOME", value)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    ran = tithe("select", "c.jsonl", "-o", "s.jsonl", "--size", "9")
    assert ran.code == 0, ran.err
    assert json.loads((tmp_path / "s.jsonl.manifest.json").read_text())["n"] == 60
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith("s.jsonl")) == [
        "c.jsonl",
        "home",
    ]
