"""What holds of the weights of any sample, whatever was drawn: checked against the rows file and the subset.

Unbiased weights of records drawn without replacement are w = 1/π (Horvitz & Thompson 1952); c/π where a record stands
for c records of the same text. Of s independent draws with chances p a record that came c times has
w = c / (s p) and π = 1 - (1 - p)^s (Hansen & Hurwitz 1943). Probabilities are in proportion to the scores, but for
those of 1.
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

from tithe.selection.corpus import open_corpus
from tithe.selection.errors import TitheError
from tithe.selection.provenance.findings import Finding, drifted
from tithe.selection.provenance.record import Record
from tithe.selection.provenance.tables import read_clusters, read_rows
from tithe.selection.shapes import scaled
from tithe.selection.weights import summarize, tempered

Floats = npt.NDArray[np.float64]

# Relative difference of two ways to work out the same number in double precision.
_ROUNDING = 1e-9

# Scores may be kept in single precision, chances of independent draws are worked out of 1 - π.
_COARSE = 1e-5

# Where 1 - π is less, nothing can be worked out of it.
_NEARLY_SURE = 1e-8


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
    yield from _unbiased(record, weight, pi)
    if _in_proportion(record):
        yield from _proportional(record, rows["score"], weight, pi)
    if "tokens" in rows and int(rows["tokens"].sum()) != manifest["tokens"]["selected"]:
        yield f"tokens: are {rows['tokens'].sum()}, by the manifest {manifest['tokens']['selected']}"
    yield from _clusters_agree(record, rows, clusters)
    written = scaled(tempered(weight, record.options["temper"]), record.options["weight_scale"])
    for name, value in asdict(summarize(written)).items():
        if not np.isclose(value, manifest["weights"][name], rtol=_ROUNDING, atol=0):
            yield f"weights of the manifest: {name} is {manifest['weights'][name]}, of the rows file {value}"
    yield from _subset_agrees(record, written, rows.get("copies"))


def _unbiased(record: Record, weight: Floats, pi: Floats) -> Iterator[str]:
    if not record.manifest["method"]["by_chance"]:
        if (weight != 1).any():
            yield "weight: is not 1 everywhere, though nothing was left to chance"
        return
    if _independent(record, pi):
        yield from _independent_draws(record, weight, pi)
        return
    budget = record.manifest["budget"]
    if len(weight) != budget:
        yield f"rows: are {len(weight)}, of a budget of {budget}"
    stands_for = weight * pi
    whole = np.rint(stands_for) if record.manifest["duplicates"] is not None else np.ones(len(weight))
    if not ((whole >= 1) & np.isclose(stands_for, whole, rtol=_ROUNDING, atol=0)).all():
        at = int(np.argmax(np.abs(stands_for - whole)))
        yield f"weight: is not the inverse of the inclusion probability, as in line {at + 1} of the rows file"


def _independent(record: Record, pi: Floats) -> bool:
    return record.options["sampler"] == "iid" and not (pi == 1).all()


def _chances(record: Record, weight: Floats, pi: Floats) -> tuple[int, npt.NDArray[np.bool_], Floats]:
    """The number of draws; which records can be judged; chances p of these in a single draw."""
    certain = (pi == 1) & (weight == 1)
    draws = record.manifest["budget"] - int(certain.sum())
    open_ = ~certain & (pi < 1 - _NEARLY_SURE)
    return draws, open_, -np.expm1(np.log1p(-pi[open_]) / max(draws, 1))


def _independent_draws(record: Record, weight: Floats, pi: Floats) -> Iterator[str]:
    draws, open_, p = _chances(record, weight, pi)
    counts = weight[open_] * draws * p
    if not ((np.rint(counts) >= 1) & np.isclose(counts, np.rint(counts), rtol=_COARSE, atol=0)).all():
        yield "weight: does not fit the inclusion probability of independent draws everywhere"
    drawn, all_judged = int(np.rint(counts).sum()), bool((open_ | (pi == 1)).all())
    if drawn > draws or (all_judged and (pi[~open_] == weight[~open_]).all() and drawn != draws):
        yield f"rows: stand for {drawn} draws, of {draws}"


def _in_proportion(record: Record) -> bool:
    """Whether one factor leads from scores to probabilities: not where each group has its own, nor of two phases."""
    nested = record.manifest["nested"]
    within = nested is not None and nested["within"] is not None
    return record.manifest["method"]["by_chance"] and record.manifest["groups"] is None and not within


def _proportional(record: Record, score: Floats, weight: Floats, pi: Floats) -> Iterator[str]:
    if _independent(record, pi):
        _, open_, chance = _chances(record, weight, pi)
    else:
        open_ = pi < 1
        chance = pi[open_]
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
    """Of the subset: how many lines it has, and its weights where these are in a column."""
    shape = record.options["weights_as"]
    lines = len(weights) if copies is None else int(copies.sum())
    column = record.options["weight_column"]
    held: list[Any] = []
    with TemporaryDirectory(prefix="tithe-") as spool:
        corpus = open_corpus([str(record.subset)], max_record_size=record.max_record_size, spool=Path(spool))
        if shape == "column":
            for batch in corpus.batches((column,)):
                held += [r.get(column) if isinstance(r, dict) else None for r in batch.records()]
        found = corpus.row_count()
    if not found == lines == record.manifest["outputs"][0]["lines"]:
        yield f"subset: has {found} lines, the rows file {lines}"
    elif shape == "column" and held != weights.tolist():
        yield f"subset: {column} is not what the rows file gives"
    if shape == "replicate" and copies is not None:
        expected = weights * (lines / weights.sum())
        if (np.abs(copies - expected) >= 1 + _ROUNDING * expected).any():
            yield "copies: are not in proportion to the weights, rounded up or down"
