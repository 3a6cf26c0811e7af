"""The command `tithe select` for programs: the same options, the subset as an Arrow table.

>>> from tithe.embedders.registry import make_encoder
>>> from tithe.selection.api import select
>>> chosen = select("corpus.jsonl", make_encoder("lexical"), size=1000, seed=1)
>>> chosen.table, chosen.weights, chosen.manifest["evidence"]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tithe.selection import pipeline
from tithe.selection.embedding.lookup import Encoder
from tithe.selection.engine.stages import Progress, no_progress
from tithe.selection.errors import UsageError
from tithe.selection.options.options import Options
from tithe.selection.storage.own_files import OwnPath

Corpus = str | Path | pa.Table | Sequence[str | Path]


@dataclass(frozen=True)
class Chosen:
    """A weighted subset."""

    table: pa.Table
    """The lines of the subset, as the file has them: the records' fields, and the weights where they are a column."""
    rows: npt.NDArray[np.int64]
    """Which records they are, counted from 0 over all inputs, ascending; shape (s,)."""
    weights: npt.NDArray[np.float64]
    """The Horvitz-Thompson weight of each, shape (s,): Σ w f estimates the sum of f over the corpus."""
    details: pa.Table
    """A row for each record: cluster, distance, score, inclusion probability, weight and where it is from."""
    manifest: dict[str, Any]


def select(corpus: Corpus, encoder: Encoder, *, progress: Progress = no_progress, **options: Any) -> Chosen:
    """Choose a weighted subset. Nothing is written but what the work folder keeps.

    Args:
        corpus: files, folders or globs, or a table in memory.
        encoder: what embeds the records, of `tithe.embedders.registry.make_encoder`.
        progress: shows how far each stage is.
        options: of Options, under the names of the command line, but for inputs, output and force; one fraction at
            most.

    Raises:
        UsageError: the options contradict each other or the corpus.
        TitheError: an input cannot be read, a record cannot be used.
    """
    chosen = select_nested(corpus, encoder, progress=progress, **options)
    if len(chosen) > 1:
        raise UsageError("select: takes one fraction; select_nested takes several")
    return chosen[0]


def select_nested(
    corpus: Corpus, encoder: Encoder, *, progress: Progress = no_progress, **options: Any
) -> list[Chosen]:
    """A subset for each of several fractions, the largest first, each smaller one within the one before.

    See `select` for all else.
    """
    with TemporaryDirectory(prefix="tithe-") as name:
        folder = Path(name)
        if isinstance(corpus, pa.Table):
            inputs: tuple[str, ...] = (str(folder / "corpus.parquet"),)
            with OwnPath.of(Path(inputs[0])).create() as out:
                pq.write_table(corpus, out)
        else:
            inputs = tuple(map(str, [corpus] if isinstance(corpus, str | Path) else corpus))
        asked = Options(inputs=inputs, output=folder / "subset.parquet", **options)
        return [_read(made) for made in pipeline.select(asked, encoder, progress=progress)]


def _read(selection: pipeline.Selection) -> Chosen:
    details = pq.read_table(f"{selection.path}.rows.parquet")
    return Chosen(
        table=pq.read_table(selection.path),
        rows=details["row"].to_numpy(),
        weights=details["weight"].to_numpy(),
        details=details,
        manifest=selection.manifest,
    )
