"""What the files of a subset are called that is a folder of shards."""

from __future__ import annotations

import re

from tithe.selection.subset.exporters.registry import EXPORTERS

_SHARD = re.compile(rf"part-\d{{5,}}\.({'|'.join(map(re.escape, EXPORTERS))})")


def shard_name(number: int, format: str) -> str:
    """The name of the shard of one part of the corpus."""
    return f"part-{number:05}.{format}"


def is_shard(name: str) -> bool:
    """Whether a file of this name is a shard."""
    return _SHARD.fullmatch(name) is not None
