"""`tithe diff`: what differs between two selections."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tithe.selection.review.files import require_tables
from tithe.selection.review.record import Record
from tithe.selection.review.tables import read_rows

# Weights that differ by rounding alone are the same.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Change:
    """A value of both selections."""

    name: str
    before: Any
    after: Any


@dataclass(frozen=True)
class Place:
    """A record of the corpus."""

    file: str
    row_in_file: int


@dataclass(frozen=True)
class Records:
    """Which records are in the one, in the other, and in both."""

    both: int
    out: tuple[Place, ...]
    """Only in the first."""
    into: tuple[Place, ...]
    """Only in the second."""
    reweighted: int
    """Of those in both: how many weigh something else."""
    largest_ratio: float | None
    """The largest ratio of the two weights of one record, at least 1; None where none is in both."""


@dataclass(frozen=True)
class Difference:
    """From one selection to another."""

    options: tuple[Change, ...]
    versions: tuple[Change, ...]
    inputs: tuple[Change, ...]
    """By path: the SHA-256; None where one selection has no such file."""
    records: Records
    weights: tuple[Change, ...]
    evidence: tuple[Change, ...]

    @property
    def nothing(self) -> bool:
        """Whether nothing differs."""
        moved = self.records.out or self.records.into or self.records.reweighted
        return not (self.options or self.versions or self.inputs or moved or self.weights or self.evidence)


def difference(before: Record, after: Record) -> Difference:
    """What differs. A record is the same where its row is, of a file with the same bytes, whatever its name.

    Raises TitheError where a rows or clusters file is not the one that its manifest vouches for.
    """
    require_tables(before)
    require_tables(after)
    a, b = before.manifest, after.manifest
    return Difference(
        options=(*_changes(a["options"], b["options"]),),
        versions=(*_changes(a["versions"], b["versions"]),),
        inputs=(*_changes(_hashes(a), _hashes(b)),),
        records=_records(before, after),
        weights=(*_changes(a["weights"], b["weights"]),),
        evidence=(*_changes(_figures(a["evidence"]), _figures(b["evidence"])),),
    )


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    for name in {**before, **after}:
        if before.get(name) != after.get(name):
            yield Change(name, before.get(name), after.get(name))


def _hashes(manifest: dict[str, Any]) -> dict[str, str]:
    return {file["path"]: file["sha256"] for file in (*manifest["inputs"], *manifest["other_inputs"])}


def _figures(evidence: dict[str, Any]) -> dict[str, float | None]:
    """The numbers of the evidence that say something by themselves."""
    found = {"effective_sample_size": evidence["effective_sample_size"], "design_effect": evidence["design_effect"]}
    for part, names in (
        ("estimate", ("mean_loss", "low", "high")),
        ("error", ("relative_to_uniform",)),
        ("coverage", ("clusters", "clusters_with_a_record", "mass", "distance")),
        ("validation", ("correlation",)),
    ):
        found.update({f"{part}.{name}": (evidence[part] or {}).get(name) for name in names})
    return found


def _records(before: Record, after: Record) -> Records:
    first, second = _weights(before), _weights(after)
    ratios = [_ratio(first[key][1], second[key][1]) for key in first if key in second]
    return Records(
        both=len(ratios),
        out=tuple(place for key, (place, _) in first.items() if key not in second),
        into=tuple(place for key, (place, _) in second.items() if key not in first),
        reweighted=sum(ratio > 1 + _ROUNDING for ratio in ratios),
        largest_ratio=max(ratios, default=None),
    )


def _ratio(one: float, other: float) -> float:
    low, high = sorted((one, other))
    return high / low


def _weights(record: Record) -> dict[tuple[str, int, int], tuple[Place, float]]:
    """Place and weight of each selected record, by the hash of its file, which of such files it is, and its row."""
    table = read_rows(record)
    rows, weights = table["row"].to_numpy(), table["weight"].to_pylist()
    inputs, seen, keys = record.manifest["inputs"], Counter[str](), []
    for file in inputs:
        keys.append((file["sha256"], seen[file["sha256"]]))
        seen[file["sha256"]] += 1
    starts = np.cumsum([0, *(file["rows"] for file in inputs)])
    numbers = np.searchsorted(starts, rows, side="right") - 1
    return {
        (*keys[number], row): (Place(inputs[number]["path"], row), weight)
        for number, row, weight in zip(numbers.tolist(), (rows - starts[numbers]).tolist(), weights, strict=True)
    }
