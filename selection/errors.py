"""The errors a user can mend. Whatever else is raised is a bug of ours."""

from __future__ import annotations


class TitheError(Exception):
    """A condition the user can mend: the message is one line that names the place and the remedy."""


class UsageError(TitheError):
    """Options that contradict each other or the corpus; the command line reports it with exit code 2."""
