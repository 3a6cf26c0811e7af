"""The errors a user can mend. Whatever else is raised is a bug of ours."""

from __future__ import annotations


class TitheError(Exception):
    """A condition the user can mend: the message is one line that names the place and the remedy."""


class UsageError(TitheError):
    """Options that contradict each other or the corpus; the command line reports it with exit code 2."""


def first_line(error: BaseException) -> str:
    """The first line of an error's message, printable whatever bytes of a damaged file it repeats."""
    lines = str(error).splitlines() or [type(error).__name__]
    return printable(lines[0]).rstrip(".")


def printable(text: str) -> str:
    """A text that stands in one line and does nothing to a terminal: other characters are escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
