"""What lies where a corpus is looked for, and is none of it: counted and named, so that nobody misses it."""

from __future__ import annotations

import errno
import stat
from dataclasses import dataclass, field
from pathlib import Path

from tithe.selection.errors import printable

# Names that are shown, and characters of each.
_NAMED, _CHARACTERS = 8, 60


@dataclass
class PassedOver:
    """Files that are not read, of which the first few are named. Hidden ones are only counted."""

    where: str
    """The folder or glob, as it may be shown."""
    _names: list[str] = field(default_factory=list)
    _others: int = 0
    _hidden: int = 0

    def add(self, name: str, what: str = "") -> None:
        """Take note of one, and of `what` it is where that is not a file of another kind."""
        if is_hidden(name):
            self._hidden += 1
        elif len(self._names) == _NAMED:
            self._others += 1
        else:
            shown = printable(name)
            shown = shown if len(shown) <= _CHARACTERS else f"{shown[: _CHARACTERS // 2]}…{shown[-_CHARACTERS // 2 :]}"
            self._names.append(f"{shown} ({what})" if what else shown)

    def line(self) -> str | None:
        """What was passed over; None where nothing was."""
        named = ", ".join(self._names) + (f" and {self._others:,} more" if self._others else "")
        hidden = f"{self._hidden:,} hidden" if self._hidden else ""
        count = len(self._names) + self._others + self._hidden
        files = "1 file" if count == 1 else f"{count:,} files"
        return f"passed over {files} in {self.where}: {'; '.join(filter(None, [named, hidden]))}" if count else None


def is_hidden(path: str) -> bool:
    """Whether a relative path is, or lies in, something whose name begins with a dot."""
    return any(part.startswith(".") and part not in (".", "..") for part in path.split("/"))


def no_file(path: Path) -> str | None:
    """What something is that is no regular file, as seen through links; None for one. Raises OSError."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        if error.errno == errno.ENOENT:
            return "a link to nothing"
        if error.errno == errno.ELOOP:
            return "a link that never ends"
        raise
    return None if stat.S_ISREG(mode) else _KINDS.get(stat.S_IFMT(mode), "no file")


_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
