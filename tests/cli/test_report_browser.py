"""The page of `tithe report` in Chromium: it opens quietly, what records hold is text, and all of it can be read."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Browser, Dialog, Page, sync_playwright

from tests.cli.test_report import BUDGET, HOSTILE
from tests.conftest import Tithe, make_records, write_jsonl
from tithe.selection.subset.checksum import with_checksum
from tithe.selection.subset.manifest import to_json

ALL = ("--loss", "column:loss", "--score-subset", "--validate", "100")
# Every element with text of its own that is shown: the text, its colour, and the first background behind it.
COLOURS = """() => [...document.querySelectorAll("body, body *:not(svg *)")]
    .filter(e => [...e.childNodes].some(n => n.nodeType === Node.TEXT_NODE && n.data.trim()) && e.getClientRects().length)
    .map(e => {
        let behind = e;
        while (getComputedStyle(behind).backgroundColor === "rgba(0, 0, 0, 0)") behind = behind.parentElement;
        return [e.innerText, getComputedStyle(e).color, getComputedStyle(behind).backgroundColor];
    })"""

# How far the centre of each ring is from that of its circle.
OFF_CENTRE = """() => [...document.querySelectorAll(".ring")].map(ring => {
    const [one, other] = [ring, ring.previousElementSibling].map(e => e.getBoundingClientRect());
    return Math.hypot(one.x + one.width / 2 - other.x - other.width / 2, one.y + one.height / 2 - other.y - other.height / 2);
})"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium as the machine has it: playwright's own would be a download."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        reason = "no Chromium on the PATH: `apt-get install chromium` brings it"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found)
        yield browser
        browser.close()


@pytest.fixture(params=[(), ALL], ids=["no losses", "all"])
def page_file(request: pytest.FixtureRequest, tithe: Tithe, tmp_path: Path) -> Path:
    """A page with little to show and one with all; the records would take it over, and do not wrap by themselves."""
    records = [{**record, "text": f"{HOSTILE} {'W' * 100} {record['text']}"} for record in make_records(400)]
    corpus = write_jsonl(tmp_path / "<b>c.jsonl", records)
    assert tithe("select", corpus, "-o", "s.jsonl", *BUDGET, *request.param).code == 0
    assert tithe("report", "s.jsonl.manifest.json", "-o", "r.html").code == 0
    return tmp_path / "r.html"


def opened(browser: Browser, file: Path, **options: Any) -> Page:
    page = browser.new_page(**options)
    page.goto(file.as_uri())
    return page


def test_the_page_opens_quietly_and_records_stay_text(browser: Browser, page_file: Path) -> None:
    said: list[str] = []
    asked: list[str] = []

    def refuse(dialog: Dialog) -> None:
        said.append(dialog.message)
        dialog.dismiss()

    with browser.new_page() as page:
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", refuse)
        page.on("request", lambda request: asked.append(request.url))
        page.goto(page_file.as_uri())
        shown = page.inner_text("body")
        elements = set(page.evaluate("[...document.querySelectorAll('*')].map(e => e.localName)"))
    assert said == []
    assert asked == [page_file.as_uri()]
    assert HOSTILE.replace("\u202e", "⟨U+202E⟩") in shown
    assert "<b>c.jsonl, row " in shown
    assert "\u202e" not in shown
    assert not elements & {"script", "img", "link", "iframe", "a"}


ATTACKS = (
    "<script>hacked=1</script></script><script>hacked=1//",
    "</title></style></code><script>hacked=1</script>",
    "<img src=x onerror=hacked=1><input autofocus onfocus=hacked=1>",
    "<svg onload=hacked=1><foreignObject><iframe src=javascript:hacked=1></foreignObject></svg>",
    "<a href=javascript:hacked=1>x</a><form action=javascript:hacked=1><button>",
    '" onmouseover=hacked=1 style="position:fixed;inset:0;background:url(http://127.0.0.1:9/a)',
    "' style='position:fixed;inset:0",
    "}body{display:none}@import url(http://127.0.0.1:9/b);",
    "<base href=//127.0.0.1:9><meta http-equiv=refresh content=0;url=http://127.0.0.1:9/c><link rel=stylesheet href=//x>",
    "{{ 7 * 7 }}{% include 'x' %}<!-- ]]> &lt;b&gt;",
)
UNSEEN = "\u202e\u2066\u200f\u200b\ufeff\x1b\x07\u2028\u2029\x85"
NEVER = "\x00\ud800"  # where files hold what no text can
MARKS = "a" + "\u0301" * 500
LONG = "W" * 10_000


def resealed(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a manifest, and seal it again: whoever writes one can do that."""
    manifest = json.loads(path.read_text(encoding="utf-8"))
    del manifest["sha256"]
    change(manifest)
    path.write_bytes(with_checksum(to_json(manifest).encode("utf-8", "backslashreplace")))


def calm(browser: Browser, file: Path) -> str:
    """The text of a page that does nothing, asks for nothing and fits the window."""
    said: list[str] = []
    asked: list[str] = []

    def refuse(dialog: Dialog) -> None:
        said.append(dialog.message)
        dialog.dismiss()

    for width in (390, 1280):
        with browser.new_page(viewport={"width": width, "height": 800}) as page:
            page.on("console", lambda message: said.append(message.text))
            page.on("pageerror", lambda error: said.append(str(error)))
            page.on("dialog", refuse)
            page.on("request", lambda request: asked.append(request.url))
            page.goto(file.as_uri())
            page.mouse.move(width / 2, 300)
            content, window = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
            assert content <= window == width
            assert page.evaluate("typeof hacked") == "undefined"
            elements = set(page.evaluate("[...document.querySelectorAll('*')].map(e => e.localName)"))
            fixed = page.evaluate("[...document.querySelectorAll('*')].map(e => getComputedStyle(e).position)")
            shown = page.inner_text("body")
    assert said == []
    assert asked == [file.as_uri()] * 2
    assert not elements & {"script", "img", "link", "iframe", "a", "base", "form", "input", "button", "foreignObject"}
    assert "fixed" not in fixed
    return shown


def test_what_a_corpus_brings_into_a_page_is_text(browser: Browser, tithe: Tithe, tmp_path: Path) -> None:
    field, group = ATTACKS[0], f"{ATTACKS[1]}{UNSEEN}"
    records = [
        {field: f"{ATTACKS[i % 10]} {UNSEEN}{MARKS} {i} {record['text']} {LONG}", group: ATTACKS[i % 3] + UNSEEN}
        for i, record in enumerate(make_records(200))
    ]
    corpus = write_jsonl(tmp_path / f"{ATTACKS[2]}{UNSEEN}.jsonl".replace("/", "|"), records)
    (tmp_path / "mine.py").write_text(
        "import numpy as np\n"
        "class Mine:\n"
        f"    def identity(self): return {{'name': {ATTACKS[3] + UNSEEN!r}, {ATTACKS[4]!r}: {LONG!r}}}\n"
        "    def encode(self, texts): return np.array([[len(t), t.count('1')] for t in texts], np.float32)\n"
    )
    loss = f"exec:while read line; do echo '{{\"loss\": 1}}'; done # {ATTACKS[5]} {ATTACKS[8]} {UNSEEN[:6]}"
    ran = tithe(
        "select", corpus, "-o", "s.jsonl", "--text", field, "--group-by", group, "--encoder", "mine:Mine", "--clusters",
        "9", "--size", "40", "--loss", loss, "--weight-column", ATTACKS[7],
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert tithe("report", "s.jsonl.manifest.json", "-o", "r.html").code == 0
    shown = calm(browser, tmp_path / "r.html")
    for attack in (*ATTACKS[:6], ATTACKS[8]):
        assert attack[:40] in shown, attack
    assert not set(UNSEEN) & set(shown)
    assert "\u0301" * 20 not in shown


def test_what_a_manifest_brings_into_a_page_is_text(browser: Browser, tithe: Tithe, tmp_path: Path) -> None:
    """A manifest from elsewhere: sealed as any, but with what no run of ours would write."""
    write_jsonl(tmp_path / "c.jsonl", make_records(200))
    options = ("--clusters", "9", "--size", "40", "--loss", "column:loss", "--validate", "50")
    assert tithe("select", "c.jsonl", "-o", "s.jsonl", *options).code == 0
    clusters = tmp_path / "s.jsonl.clusters.parquet"
    table = pq.read_table(clusters)
    excerpts = [f"{ATTACKS[i % 10]}{UNSEEN}{LONG}" for i in range(len(table))]
    pq.write_table(table.set_column(table.schema.get_field_index("excerpt"), "excerpt", [excerpts]), clusters)
    all_of_it = "".join(ATTACKS) + UNSEEN + NEVER + MARKS + LONG

    def change(manifest: dict[str, Any]) -> None:
        # What no name of a file can be is refused at the door.
        named = all_of_it.replace(NEVER, "")[:4000]
        manifest["options"]["inputs"] = [f"{attack}{UNSEEN}{LONG[:3000]}" for attack in ATTACKS]
        manifest["options"]["loss"] = f"exec:{named}"
        manifest["inputs"][0]["path"] = named
        manifest["encoder"] = {"name": all_of_it, ATTACKS[4] + NEVER: LONG}
        manifest["versions"] = dict.fromkeys(manifest["versions"], all_of_it)
        manifest["evidence"]["error"]["sentence"] = all_of_it
        for heavy in manifest["evidence"]["largest_weights"]:
            heavy["file"] = all_of_it
        for output in manifest["outputs"]:
            content = (tmp_path / output["path"]).read_bytes()
            output |= {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}

    resealed(tmp_path / "s.jsonl.manifest.json", change)
    ran = tithe("report", "s.jsonl.manifest.json", "-o", "r.html")
    assert ran.code == 0, ran.err
    shown = calm(browser, tmp_path / "r.html")
    for attack in ATTACKS:
        assert shown.count(attack) > 5, attack
    assert not set(UNSEEN + NEVER) & set(shown)
    assert "⟨U+D800⟩" in shown and "⟨U+0000⟩" in shown
    assert "\u0301" * 20 not in shown


def test_light_and_dark_can_be_read(browser: Browser, page_file: Path) -> None:
    clustered_corpora = set()
    for scheme in ("light", "dark"):
        with opened(browser, page_file, color_scheme=scheme) as page:
            colours = page.evaluate(COLOURS)
            clustered_corpora.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        assert len(colours) > 50
        faint = [(text[:40], scheme) for text, ink, ground in colours if contrast(ink, ground) < 4.5]
        assert faint == []
    assert len(clustered_corpora) == 2


def test_nothing_is_wider_than_the_window(browser: Browser, page_file: Path) -> None:
    for width in (390, 1280):
        with opened(browser, page_file, viewport={"width": width, "height": 800}) as page:
            content, window = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert content <= window == width


def test_rings_lie_around_their_circles(browser: Browser, page_file: Path) -> None:
    with opened(browser, page_file) as page:
        off = page.evaluate(OFF_CENTRE)
    assert len(off) >= 6
    assert max(off) < 0.1


def contrast(one: str, other: str) -> float:
    """The contrast of two opaque CSS colours, rgb(r, g, b), as WCAG 2 defines it."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    assert colour.startswith("rgb("), colour
    shares = [channel / 255 for channel in json.loads(f"[{colour[4:-1]}]")]
    red, green, blue = (share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
