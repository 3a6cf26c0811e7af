"""Embeddings of a corpus in parts: found, or made by whoever works on the part.

An encoder learns from the texts that one process would show it, so that it is the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from tithe.embedders.base import FittedEncoder, RecordEncoder
from tithe.selection.embedded import Encoder
from tithe.selection.embeddings import drawn
from tithe.selection.engines import part_work
from tithe.selection.engines.crew import Crew
from tithe.selection.engines.part_facts import Records
from tithe.selection.options import Options
from tithe.selection.per_record import BLOCK
from tithe.selection.reservoir import Reservoir
from tithe.selection.stages import Advance, Stages

Rows = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]


def lay_embeddings(
    options: Options, crew: Crew, encoder: Encoder, shared: Any, identity: Mapping[str, Any], stages: Stages
) -> tuple[list[Records], Mapping[str, Any]]:
    """What is known of the records of each part once they are embedded, and the encoder's identity.

    Args:
        options: of the selection.
        crew: the parts.
        encoder: what finds or makes the vectors.
        shared: what stands for it where the parts are.
        identity: the encoder's, as far as it is known; of one that learns it is not.
        stages: told of the work.
    """
    if isinstance(encoder, RecordEncoder):
        with stages("embed", crew.bytes, "bytes") as advance:
            return crew.each(part_work.embedded, advance, shared), identity
    with stages("check", crew.bytes, "bytes") as advance:
        found = crew.each(part_work.found_embedded, advance)
    missing = [number for number, known in enumerate(found) if known is None]
    if isinstance(encoder, FittedEncoder):
        if missing:
            _fit(options, crew, encoder, stages)
            identity, shared = dict(encoder.identity()), crew.executor.share(encoder)
        else:
            calls = [(crew.parts[0], crew.shared)]
            identity = next(iter(crew.executor.map(part_work.kept_identity, calls)))
    with stages("embed", crew.bytes, "bytes") as advance:
        calls = [(crew.parts[number], crew.shared, identity) for number in missing]
        for number, known in crew.executor.with_workers(shared, part_work.embedded_by, calls):
            found[missing[number]] = known
            advance(crew.share_of(missing[number]))
    return found, identity


def _fit(options: Options, crew: Crew, encoder: FittedEncoder, stages: Stages) -> None:
    """Let the encoder learn from the texts that one process would show it, in their order."""
    with stages("fit", crew.bytes, "bytes") as advance:
        counted: list[Records] = crew.each(part_work.counted, advance)
        starts = np.cumsum([0, *(known.usable for known in counted)])
        sample: Reservoir[int] = Reservoir(encoder.fit_records, np.random.default_rng(options.cluster_seed))
        for start in range(0, int(starts[-1]), BLOCK):
            sample.extend(range(start, min(start + BLOCK, int(starts[-1]))))
        numbers = np.array(sample.items, np.int64)
        order = np.argsort(numbers)
        edges = np.searchsorted(numbers[order], starts)
        calls = [
            (part, crew.shared, known, numbers[order[low:high]] - start, encoder.fit_characters)
            for part, known, start, low, high in zip(
                crew.parts, counted, starts[:-1].tolist(), edges[:-1].tolist(), edges[1:].tolist(), strict=True
            )
            if low < high
        ]
        found = [text for texts in crew.executor.map(part_work.texts, calls) for text in texts]
        learnt = [""] * len(found)
        for at, text in zip(order.tolist(), found, strict=True):
            learnt[at] = text
        encoder.fit(learnt, seed=options.cluster_seed)


@dataclass(frozen=True)
class ScatteredEmbeddings:
    """The embeddings of all parts, of which some can be had; see Embeddings."""

    crew: Crew
    known: Sequence[Records]
    in_place: bool = False
    """Whether vectors are read where they lie, so that nobody knows which are usable before all were looked at."""

    def knowing(self, known: Sequence[Records]) -> ScatteredEmbeddings:
        """The same once it is known which records are usable."""
        return replace(self, known=known, in_place=False)

    def sample(self, size: int, rng: np.random.Generator, advance: Advance) -> Vectors:
        """See Embeddings.sample."""
        starts = self._starts
        numbers, places = drawn(int(starts[-1]), size, rng)
        out, found = np.empty((0, 0), np.float32), np.zeros(len(numbers), bool)
        for part, at, there, block in self._read(numbers):
            if len(block):
                if not out.size:
                    out = np.empty((len(numbers), block.shape[1]), np.float32)
                targets = places[at][there]
                out[targets] = block
                found[targets] = True
            advance(int(starts[part + 1] - starts[part]))
        return out if found.all() else out[found]

    def blocks(self) -> Any:
        """See Embeddings.blocks."""
        raise TypeError("not all vectors are ever here")

    def take(self, positions: Rows) -> Vectors:
        """See Embeddings.take."""
        return np.concatenate([block for _, _, _, block in self._read(positions)])

    @property
    def _starts(self) -> Rows:
        return np.cumsum([0, *(known.rows if self.in_place else known.usable for known in self.known)])

    def _read(self, numbers: Rows) -> Any:
        """Part by part, of some records, ascending: the part, which they are, which of them have vectors, these."""
        starts, crew = self._starts, self.crew
        edges = np.searchsorted(numbers, starts)
        spans = [(part, slice(low, high)) for part, (low, high) in enumerate(pairwise(edges.tolist())) if low < high]
        calls = (
            (crew.parts[part], crew.shared, self.known[part], numbers[at] - starts[part], self.in_place)
            for part, at in spans
        )
        for (part, at), (there, block) in zip(spans, crew.executor.map(part_work.vectors, calls), strict=True):
            yield part, at, there, block
