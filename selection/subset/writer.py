"""The subset: the selected records as they came in, with what stands for their weights."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tithe.selection.arrays import Rows, Weights
from tithe.selection.corpus.corpus import Corpus
from tithe.selection.corpus.inputs import Compression, Format
from tithe.selection.options.choices import WeightsAs
from tithe.selection.storage.own_files import OwnPath
from tithe.selection.subset.exporters.base import Subset
from tithe.selection.subset.exporters.registry import EXPORTERS
from tithe.selection.subset.weight_shapes.registry import WEIGHT_SHAPES


def check_writable(corpus: Corpus, format: Format, weight_column: str, weights_as: WeightsAs = "column") -> None:
    """Raise UsageError for what the chosen output cannot hold, as far as it can be told before the long work."""
    WEIGHT_SHAPES[weights_as]().check_corpus(corpus, weight_column)
    EXPORTERS[format]().check(corpus)


def write_subset(
    corpus: Corpus,
    rows: Rows,
    weights: Weights,
    *,
    path: OwnPath,
    format: Format,
    compression: Compression | None,
    weight_column: str,
    weights_as: WeightsAs = "column",
    lines: npt.NDArray[np.int64] | None = None,
) -> None:
    """Write the records at `rows` (ascending, shape (s,)) with their `weights` to `path`, batch by batch.

    JSON keeps every record's own text, Parquet schema and metadata. From one to the other, values are converted where
    nothing is lost. Raises TitheError naming the column, or the record, where something would be.

    Args:
        corpus: what the rows are of.
        rows: overall rows.
        weights: read where `weights_as` is a shape that weighs.
        path: a new file in the run's own folder.
        format: of the output, a name of EXPORTERS.
        compression: of the file, for formats that have one.
        weight_column: name of the column of weights.
        weights_as: where the weights go, a name of WEIGHT_SHAPES.
        lines: which of the s records each line holds; None: each comes once, in input order.
    """
    if lines is not None:
        held, lines = np.unique(lines, return_inverse=True)
        rows, weights = rows[held], weights[held]
    subset = Subset(corpus, rows, weights, WEIGHT_SHAPES[weights_as](), weight_column, lines)
    EXPORTERS[format]().write(subset, path, compression)
