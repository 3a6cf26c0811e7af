"""The picture in README.md: the top of a page of `tithe report`, as Chromium shows it, in few colours.

After the commands of the README: `python tests/demo/picture.py report.html .github/report.png`.
"""

from __future__ import annotations

import argparse
import io
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

WIDTH, HEIGHT = 1000, 1140


def main() -> None:
    """Open a page, and write what can be seen of it as PNG."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("picture", type=Path)
    arguments = parser.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page.goto(arguments.page.resolve().as_uri())
        seen = page.screenshot()
        browser.close()
    Image.open(io.BytesIO(seen)).convert("RGB").quantize(128).save(arguments.picture, optimize=True)


if __name__ == "__main__":
    main()
