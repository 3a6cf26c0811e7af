"""The page of `tithe report` in Chromium: it opens quietly, what records hold is text, and all of it can be read."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Dialog, Page, sync_playwright

from tests.cli.test_report import BUDGET, HOSTILE
from tests.conftest import Tithe, make_records, write_jsonl

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


def test_light_and_dark_can_be_read(browser: Browser, page_file: Path) -> None:
    grounds = set()
    for scheme in ("light", "dark"):
        with opened(browser, page_file, color_scheme=scheme) as page:
            colours = page.evaluate(COLOURS)
            grounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        assert len(colours) > 50
        faint = [(text[:40], scheme) for text, ink, ground in colours if contrast(ink, ground) < 4.5]
        assert faint == []
    assert len(grounds) == 2


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
