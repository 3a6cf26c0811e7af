"""What holds of the weights of any sample, whatever was drawn: checked against the rows file and the subset.

How weights follow from inclusion probabilities is what each sampler says (see Sampler.faults). Probabilities are in
proportion to the scores, but for those of 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tithe.selection.arrays import Floats
from tithe.selection.corpus.corpus import open_corpus
from tithe.selection.errors import TitheError
from tithe.selection.review.findings import Finding, drifted
from tithe.selection.review.record import Record
from tithe.selection.review.tables import read_clusters, read_rows
from tithe.selection.sampling.registry import SAMPLERS
from tithe.selection.sampling.sampler import Drawn, Sampler
from tithe.selection.sampling.weights import summarize, tempered
from tithe.selection.subset.exporters.registry import EXPORTERS
from tithe.selection.subset.shapes import scaled
from tithe.selection.subset.weight_shapes.base import WeightShape
from tithe.selection.subset.weight_shapes.registry import WEIGHT_SHAPES

# Relative difference of two ways to work out the same number in double precision.
_ROUNDING = 1e-9

# Scores may be kept in single precision.
_COARSE = 1e-5


def check_weights(record: Record) -> Iterator[Finding]:
    """Whether the rows file, the clusters file, the manifest and the subset agree, and the weights are unbiased."""
    try:
        broken = [*_broken(record, _columns(read_rows(record)), _columns(read_clusters(record)))]
    except TitheError as error:
        broken = [str(error)]
    yield from (drifted("weights", reason) for reason in broken)


def _columns(table: pa.Table) -> dict[str, npt.NDArray[Any]]:
    return {name: table[name].to_numpy() for name in table.column_names}


def _broken(record: Record, rows: dict[str, npt.NDArray[Any]], clusters: dict[str, npt.NDArray[Any]]) -> Iterator[str]:
    manifest = record.manifest
    weight, pi = rows["weight"], rows["inclusion_probability"]
    if not ((pi > 0) & (pi <= 1)).all():
        yield "inclusion_probability: is not within 0 and 1 everywhere"
        return
    sampler = SAMPLERS[record.options["sampler"]]()
    drawn = Drawn(weight, pi, manifest["budget"], stands_for_copies=manifest["duplicates"] is not None)
    if manifest["method"]["by_chance"]:
        yield from sampler.faults(drawn)
    elif (weight != 1).any():
        yield "weight: is not 1 everywhere, though nothing was left to chance"
    if _in_proportion(record):
        yield from _proportional(sampler, rows["score"], drawn)
    if "tokens" in rows and int(rows["tokens"].sum()) != manifest["tokens"]["selected"]:
        yield f"tokens: are {rows['tokens'].sum()}, by the manifest {manifest['tokens']['selected']}"
    yield from _clusters_agree(record, rows, clusters)
    written = scaled(tempered(weight, record.options["temper"]), record.options["weight_scale"])
    for name, value in asdict(summarize(written)).items():
        if not np.isclose(value, manifest["weights"][name], rtol=_ROUNDING, atol=0):
            yield f"weights of the manifest: {name} is {manifest['weights'][name]}, of the rows file {value}"
    yield from _subset_agrees(record, written, rows.get("copies"))


def _in_proportion(record: Record) -> bool:
    """Whether one factor leads from scores to probabilities: not where each group has its own, nor of two phases."""
    nested = record.manifest["nested"]
    within = nested is not None and nested["within"] is not None
    return record.manifest["method"]["by_chance"] and record.manifest["groups"] is None and not within


def _proportional(sampler: Sampler, score: Floats, drawn: Drawn) -> Iterator[str]:
    open_, chance = sampler.in_proportion(drawn)
    score = score[open_]
    factors = chance[score > 0] / score[score > 0]
    if len(factors) and not np.allclose(factors, factors[0], rtol=_COARSE, atol=0):
        yield "inclusion_probability: is not in proportion to the score"


def _clusters_agree(
    record: Record, rows: dict[str, npt.NDArray[Any]], clusters: dict[str, npt.NDArray[Any]]
) -> Iterator[str]:
    k, label = record.manifest["k"], rows["cluster"]
    if int(clusters["records"].sum()) != record.manifest["n"]:
        yield f"clusters file: holds {clusters['records'].sum()} records, of {record.manifest['n']}"
    if (np.bincount(label, minlength=k) != clusters["selected"]).any():
        yield "clusters file: selected is not what the rows file holds of each cluster"
    sums = np.bincount(label, rows["weight"], minlength=k)
    if not np.allclose(sums, clusters["weight"], rtol=_ROUNDING, atol=0):
        yield "clusters file: weight is not the sum of those of the rows file"
    if (rows["is_centre"] != (clusters["centre_row"][label] == rows["row"])).any():
        yield "is_centre: is not so by the clusters file"


def _subset_agrees(record: Record, weights: Floats, copies: npt.NDArray[np.int64] | None) -> Iterator[str]:
    """Of the subset: how many lines it has, and its weights where these can be read back."""
    shape = WEIGHT_SHAPES[record.options["weights_as"]]()
    lines = len(weights) if copies is None else int(copies.sum())
    column = record.options["weight_column"]
    found = record.manifest["outputs"][0]["lines"]
    held: list[Any] | None = None
    read_as = EXPORTERS[record.format].read_as
    if read_as is not None:
        found, held = _read_back(record, shape, read_as)
    if not found == lines == record.manifest["outputs"][0]["lines"]:
        yield f"subset: has {found} lines, the rows file {lines}"
    elif held is not None and held != weights.tolist():
        yield f"subset: {column} is not what the rows file gives"
    if copies is not None:
        yield from shape.faults(weights, copies)


def _read_back(record: Record, shape: WeightShape, format: str) -> tuple[int, list[Any] | None]:
    """The number of lines of the subset, and the weights in them, where the shape can tell."""
    column, held = record.options["weight_column"], None
    with TemporaryDirectory(prefix="tithe-") as spool:
        corpus = open_corpus(
            [str(record.subset)], format=format, max_record_size=record.max_record_size, spool=Path(spool)
        )
        if shape.can_be_read_back:
            in_column = shape.column(column)
            held = [
                shape.weight_in(one, column) if isinstance(one, dict) else None
                for batch in corpus.batches(None if in_column is None else (in_column,))
                for one in batch.records()
            ]
        return corpus.row_count(), held
