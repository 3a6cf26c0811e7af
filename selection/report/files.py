"""The files of a selection, checked against the manifest that vouches for them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tithe.selection.corpus import BadText, Corpus, TextRule, choose_rule, open_corpus
from tithe.selection.corpus.text import DETECTED
from tithe.selection.errors import TitheError
from tithe.selection.manifest import sha256
from tithe.selection.report.evidence import Evidence, parse_evidence
from tithe.selection.report.wording import compact_json
from tithe.selection.whole import beside

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

    path: Path
    """The manifest."""
    manifest: dict[str, Any]
    evidence: Evidence
    subset: Path
    rows: Columns
    """By name: row, cluster and weight of each selected record, in the order of the subset; shape (s,)."""
    clusters: Columns
    """By name: the numeric columns of the clusters file, shape (k,); NaN stands for null."""
    excerpts: list[str | None]
    """The beginning of the text of each cluster's centre."""

    def paths(self) -> list[Path]:
        """The manifest and all files that it vouches for."""
        return [self.path, *(self.path.with_name(output["path"]) for output in self.manifest["outputs"])]

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
            yield open_corpus([str(self.subset)], spool=Path(spool))

    def _rule(self, corpus: Corpus) -> TextRule | None:
        described, options = self.manifest["text"], self.manifest["options"]
        if described is None:
            return None
        if options["text"] or options["template"] is not None:
            return choose_rule(corpus, fields=options["text"] or (), template=options["template"])
        # Not detected anew: the selected records might begin with another layout than the corpus.
        return next((rule for rule in DETECTED if rule.name == described["rule"]), None)


def open_selection(path: Path) -> SelectionFiles:
    """Read a manifest, and check that the files beside it are those that it describes.

    Raises TitheError where it is no manifest of a selection, or a file is missing or another one.
    """
    manifest = _read_manifest(path)
    try:
        outputs = {_plain(output["path"]): output for output in manifest["outputs"]}
        subset = path.with_name(next(iter(outputs)))
        evidence = parse_evidence(manifest["evidence"])
        for key in ("versions", "options", "inputs", "text", "encoder", "n", "k", "lambda"):
            manifest[key]
    except (KeyError, TypeError, ValueError, StopIteration) as error:
        reason = f"there is no {error}" if isinstance(error, KeyError) else str(error) or "no outputs"
        raise TitheError(
            f"{path}: is no manifest that this version of tithe reports on ({reason}); run tithe select again"
        ) from error
    rows, clusters = beside(subset, ".rows.parquet"), beside(subset, ".clusters.parquet")
    for file in (subset, rows, clusters):
        if file.name not in outputs:
            raise TitheError(f"{path}: does not vouch for {file.name}; run tithe select again")
    for name, output in outputs.items():
        _check(path, path.with_name(name), output)
    rows_table = _read(rows, ["row", "cluster", "weight"])
    clusters_table = _read(clusters, [*_CLUSTER_NUMBERS, "excerpt"])
    return SelectionFiles(
        path,
        manifest,
        evidence,
        subset,
        _numeric(rows_table, rows_table.column_names),
        _numeric(clusters_table, _CLUSTER_NUMBERS),
        clusters_table["excerpt"].to_pylist(),
    )


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(path.read_bytes(), parse_constant=_refuse_constant)
    except OSError as error:
        raise TitheError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise TitheError(f"{path}: is no manifest: not JSON ({error})") from error
    if not isinstance(manifest, dict) or "outputs" not in manifest:
        raise TitheError(f"{path}: is no manifest of tithe select, as OUT.manifest.json is")
    if "evidence" not in manifest:
        raise TitheError(f"{path}: holds no evidence: it is of an older tithe; run tithe select again")
    return manifest


def _plain(name: str) -> str:
    if Path(name).name != name:
        raise ValueError(f"{name!r} is no name of a file beside it")
    return name


def _check(manifest: Path, file: Path, output: dict[str, Any]) -> None:
    try:
        size = file.stat().st_size
        matches = size == output["size"] and sha256(file) == output["sha256"]
    except OSError as error:
        raise TitheError(f"{file}: cannot be read ({error.strerror}); {manifest.name} names it") from error
    if not matches:
        raise TitheError(f"{file}: does not match the manifest {manifest.name}; run tithe select again")


def _read(file: Path, columns: list[str]) -> pa.Table:
    try:
        with file.open("rb") as source:
            table = pq.read_table(source, columns=columns)
    except (OSError, pa.ArrowException) as error:
        raise TitheError(f"{file}: is no Parquet file, or is damaged ({str(error).splitlines()[0]})") from error
    for name in columns:
        if name not in table.column_names:
            raise TitheError(f"{file}: has no column {name!r}; run tithe select again")
    return table


def _numeric(table: pa.Table, names: list[str] | tuple[str, ...]) -> Columns:
    return {name: table[name].cast(pa.float64()).to_numpy() for name in names}


def _text(record: dict[str, Any], rule: TextRule | None, weight_column: str) -> str:
    if rule is not None:
        try:
            return rule.text(record)
        except BadText:
            pass  # from one format to the other, a missing field may have become null: the record says more
    return compact_json({name: value for name, value in record.items() if name != weight_column})


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")
