"""From what the page says to HTML: one file without script that loads nothing."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from tithe.selection.errors import TitheError
from tithe.selection.report.content import Page

if TYPE_CHECKING:
    from jinja2 import Template


def load_template() -> Template:
    """The page's template; raises TitheError where the extra is missing."""
    try:
        from jinja2 import Environment, FunctionLoader, StrictUndefined
    except ImportError as error:
        raise TitheError("report: needs the extra: pip install 'tithe[report]'") from error
    environment = Environment(
        loader=FunctionLoader(_source), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("page.html.j2")


def render(template: Template, page: Page) -> bytes:
    """The HTML of a page, in UTF-8."""
    return template.render(page=page).encode()


def _source(name: str) -> str:
    return resources.files("tithe.selection.report").joinpath(name).read_text(encoding="utf-8")
