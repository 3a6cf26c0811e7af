"""The checksum of a manifest: its last field, `sha256`, is the SHA-256 of all lines before it.

So no byte of the file can change unnoticed, and a shell can tell: `head -n -2 OUT.manifest.json | sha256sum`. A seal
is no signature: whoever changes a manifest on purpose can seal it again.
"""

from __future__ import annotations

import hashlib

FIELD = "sha256"

_END = b"\n}\n"


def with_checksum(content: bytes) -> bytes:
    """A JSON object as it is written, indented by two, with one more field."""
    assert content.endswith(_END)
    before = content.removesuffix(_END) + b",\n"
    return before + _last_lines(before)


def is_intact(content: bytes) -> bool:
    """Whether these are the bytes of a sealed file, each of them as it was written."""
    length = len(_last_lines(b""))
    return content[-length:] == _last_lines(content[:-length])


def _last_lines(before: bytes) -> bytes:
    return b'  "%s": "%s"' % (FIELD.encode(), hashlib.sha256(before).hexdigest().encode()) + _END
