"""From what the page says to HTML: one file without script that loads nothing."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Any

from tithe.selection.errors import TitheError
from tithe.selection.review.report.content import Page
from tithe.selection.review.report.wording import visible

if TYPE_CHECKING:
    from jinja2 import Template


def load_template() -> Template:
    """The page's template; raises TitheError where the extra is missing."""
    try:
        from jinja2 import Environment, FunctionLoader, StrictUndefined
    except ImportError as error:
        raise TitheError("report: needs the extra: pip install 'tithe[report]'") from error
    environment = Environment(
        loader=FunctionLoader(_source),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2")


def render(template: Template, page: Page) -> bytes:
    """The HTML of a page, in UTF-8."""
    return template.render(page=page).encode()


def _shown(value: Any) -> Any:
    """Every text that the page says, whatever it is from; not what the template makes of it, which is escaped."""
    return visible(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def _source(name: str) -> str:
    return resources.files("tithe.selection.review.report").joinpath(name).read_text(encoding="utf-8")
