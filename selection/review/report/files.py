"""The files of a selection, checked against the manifest that vouches for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tithe.selection.corpus.corpus import Corpus, open_corpus
from tithe.selection.corpus.text import DETECTED, BadText, TextRule, choose_rule
from tithe.selection.review.files import require_outputs
from tithe.selection.review.record import Record
from tithe.selection.review.report.evidence import Evidence, parse_evidence
from tithe.selection.review.report.wording import compact_json
from tithe.selection.review.tables import read_clusters, read_rows

_CLUSTER_NUMBERS = (
    "cluster",
    "centre_row",
    "records",
    "selected",
    "weight",
    "loss",
    "proxy",
    "mean_distance",
    "x",
    "y",
)

Columns = dict[str, npt.NDArray[np.float64]]


@dataclass(frozen=True)
class SelectionFiles:
    """A manifest and what it vouches for."""

    record: Record
    evidence: Evidence
    rows: Columns
    """By name: row, cluster and weight of each selected record, in the order of the subset; shape (s,)."""
    clusters: Columns
    """By name: the numeric columns of the clusters file, shape (k,); NaN stands for null."""
    excerpts: list[str | None]
    """The beginning of the text of each cluster's centre."""

    @property
    def manifest(self) -> dict[str, Any]:
        return self.record.manifest

    @property
    def subset(self) -> Path:
        return self.record.subset

    def paths(self) -> list[Path]:
        """The manifest and all files that it vouches for."""
        path = self.record.path
        return [path, *(path.parent / output["path"] for output in self.manifest["outputs"])]

    def texts(self, positions: npt.NDArray[np.int64]) -> dict[int, str]:
        """Texts of the selected records at some positions, ascending and distinct; only these are held.

        A record has a text where the selection read texts, and is printed as JSON where it read vectors only.
        """
        if len(positions) == 0:
            return {}
        found: dict[int, str] = {}
        with self._corpus() as corpus:
            rule = self._rule(corpus)
            for batch in corpus.take(positions, None):
                for position, record in zip(batch.rows.tolist(), batch.records(), strict=True):
                    if isinstance(record, dict):
                        found[position] = _text(record, rule, self.manifest["options"]["weight_column"])
        return found

    @contextmanager
    def _corpus(self) -> Iterator[Corpus]:
        with TemporaryDirectory(prefix="tithe-") as spool:
            yield open_corpus([str(self.subset)], max_record_size=self.record.max_record_size, spool=Path(spool))

    def _rule(self, corpus: Corpus) -> TextRule | None:
        described, options = self.manifest["text"], self.manifest["options"]
        if described is None:
            return None
        if options["text"] or options["template"] is not None:
            return choose_rule(corpus, fields=options["text"] or (), template=options["template"])
        # Not detected anew: the selected records might begin with another layout than the corpus.
        return next((rule for rule in DETECTED if rule.name == described["rule"]), None)


def open_selection(record: Record) -> SelectionFiles:
    """Check that the files beside a manifest are those that it describes.

    Raises TitheError where a file is missing or another one.
    """
    require_outputs(record)
    rows, clusters = read_rows(record), read_clusters(record)
    return SelectionFiles(
        record,
        parse_evidence(record.manifest["evidence"]),
        _numeric(rows, ("row", "cluster", "weight")),
        _numeric(clusters, _CLUSTER_NUMBERS),
        clusters["excerpt"].to_pylist(),
    )


def _numeric(table: pa.Table, names: tuple[str, ...]) -> Columns:
    return {name: table[name].cast(pa.float64()).to_numpy() for name in names}


def _text(record: dict[str, Any], rule: TextRule | None, weight_column: str) -> str:
    if rule is not None:
        try:
            return rule.text(record)
        except BadText:
            pass  # from one format to the other, a missing field may have become null: the record says more
    return compact_json({name: value for name, value in record.items() if name != weight_column})
