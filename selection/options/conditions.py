"""`--always` and `--never`: a field, and the value that it must hold."""

from __future__ import annotations

from tithe.selection.errors import UsageError


def field_and_value(option: str, given: str) -> tuple[str, str]:
    """The two sides of FIELD=VALUE; raises UsageError where it is no such thing."""
    name, equals, value = given.partition("=")
    if not name or not equals:
        raise UsageError(f"{option} {given}: FIELD=VALUE is needed")
    return name, value
