"""Sizes in bytes, as people write them."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

import click

# A file of more bytes there is on no system.
_LARGEST = 2**63 - 1


class Size(click.ParamType):
    """A number of bytes: 500M, 10G, 1.5GiB; each unit is 1,024 of the one before."""

    name = "SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        match = re.fullmatch(r"(\d{1,19}(?:\.\d{1,19})?)\s*([kKmMgGtT]?)(?:i?[bB])?", str(value), re.ASCII)
        if match is None:
            self.fail(f"{value!r} is no size such as 500M or 10G", param, ctx)
        size = int(Fraction(match[1]) * 1024 ** " kmgt".index(match[2].lower() or " "))
        if size > _LARGEST:
            self.fail(f"{value!r} is more than any file can hold", param, ctx)
        return size
