"""`tithe report`: one page of one file, in which what records hold is text and nothing else."""

from __future__ import annotations

import html
import re
import shlex
import sys
from pathlib import Path

import pytest

from tests.conftest import Ran, Tithe, make_records, write_jsonl
from tests.selections import CASES, make
from tithe.cli.main import tithe as root
from tithe.selection.options.options import Options
from tithe.selection.review.report.provenance import command_line

BUDGET = ("--clusters", "12", "--size", "60")
HOSTILE = "<script>alert(1)</script> \"><img src=x onerror=alert(2)> ' \u202egnirts"


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    records = [{**record, "text": f"{HOSTILE} {record['text']}"} for record in make_records(400)]
    return write_jsonl(tmp_path / "<b>c.jsonl", records)


def report(tithe: Tithe, *arguments: str) -> Ran:
    return tithe("report", "s.jsonl.manifest.json", "-o", "r.html", *arguments)


@pytest.mark.parametrize(
    "options",
    [(), ("--loss", "column:loss"), ("--loss", "column:loss", "--score-subset", "--validate", "100")],
    ids=["no losses", "centres", "all"],
)
def test_the_page_holds_what_is_known_and_only_as_text(
    tithe: Tithe, hostile: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    assert tithe("select", hostile, "-o", "s.jsonl", *BUDGET, *options).code == 0
    ran = report(tithe)
    assert ran.code == 0, ran.err
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    for tag in ("<script", "<img", "<b>c.jsonl", "<link", "@import", "url(", "href="):
        assert tag not in page
    assert "\u202e" not in page
    assert html.escape("<script>alert(1)</script>") in page
    assert "⟨U+202E⟩" in page
    assert "default-src 'none'" in page
    assert ("--validate V" in page) == ("--validate" not in options)
    assert ("uniform sample" in page) == bool(options)


@pytest.mark.parametrize("case", CASES)
def test_the_command_that_the_page_shows_makes_the_subset(tithe: Tithe, tmp_path: Path, case: str) -> None:
    made = make(tithe, case, tmp_path)
    assert tithe("report", made.subset, "-o", "r.html").code == 0
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    (shown,) = re.findall("<code>.*?(tithe select .*?)</code>", page)
    command = shlex.split(html.unescape(re.sub("<.*?>", "", shown)))
    before = made.outputs()
    for name in before:
        (tmp_path / name).unlink()
    assert tithe(*command[1:], "--force").code == 0
    assert made.outputs() == before


def test_the_command_has_names_that_look_like_options_and_folders_of_shards() -> None:
    options = Options(inputs=("-a b.jsonl", "c.jsonl"), output=Path("-out"), shards=True, engine="ray", fraction=(0.5,))
    command = shlex.split(command_line(options.recorded()))
    context = root.commands["select"].make_context("select", command[2:])
    assert command[:2] == ["tithe", "select"]
    assert context.params["inputs"] == ("-a b.jsonl", "c.jsonl")
    assert (context.params["output"], context.params["engine"]) == ("-out/", "ray")
    assert not [word for word in command if word == "--shards"]


def test_vectors_alone_and_a_subset_of_everything_can_be_shown(tithe: Tithe, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "v.jsonl", [{"vector": [float(i % 7), 1.0, float(i % 3)]} for i in range(60)])
    assert tithe("select", "v.jsonl", "-o", "s.jsonl", "--encoder", "column:vector", "--fraction", "1").code == 0
    ran = report(tithe)
    assert ran.code == 0, ran.err


def test_one_cluster_and_one_record(tithe: Tithe, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "c.jsonl", [{"text": "same words", "loss": 1.0}] * 30)
    options = ("--clusters", "1", "--size", "1", "--loss", "column:loss", "--validate", "10")
    assert tithe("select", "c.jsonl", "-o", "s.jsonl", *options).code == 0
    ran = report(tithe)
    assert ran.code == 0, ran.err


def test_files_that_are_not_what_they_should_be_are_named(
    tithe: Tithe, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = report(tithe)
    assert (ran.code, "s.jsonl.manifest.json: cannot be read" in ran.err) == (1, True)
    (tmp_path / "s.jsonl.manifest.json").write_text("{")
    ran = report(tithe)
    assert (ran.code, "is no manifest, or is damaged: not JSON" in ran.err) == (1, True)
    assert tithe("select", corpus, "-o", "s.jsonl", *BUDGET, "--force").code == 0
    (tmp_path / "r.html").write_text("precious")
    ran = report(tithe)
    assert (ran.code, "r.html: exists already" in ran.err) == (1, True)
    assert report(tithe, "--force").code == 0
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "jinja2", None)
        ran = report(tithe, "--force")
        assert (ran.code, "needs the extra: pip install 'tithe[report]'" in ran.err) == (1, True)
    with (tmp_path / "s.jsonl").open("a") as subset:
        subset.write("{}\n")
    ran = report(tithe, "--force")
    assert (ran.code, "s.jsonl: is not what it was" in ran.err) == (1, True)
    manifest = tmp_path / "s.jsonl.manifest.json"
    manifest.write_text(manifest.read_text().replace('"seed": 0', '"seed": 1'))
    ran = report(tithe, "--force")
    assert (ran.code, "s.jsonl.manifest.json: is not as tithe select wrote it" in ran.err) == (1, True)
