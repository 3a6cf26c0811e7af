"""Clusters of a corpus in parts: what each part finds nearest to the centroids, put together and kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tithe.selection import clustering
from tithe.selection.cells import SearchQuality
from tithe.selection.clustering import Clustering
from tithe.selection.embedded import LENGTHS, read_facts, save_facts
from tithe.selection.engines import part_facts, part_work
from tithe.selection.engines.crew import Crew
from tithe.selection.engines.laying_embeddings import ScatteredEmbeddings
from tithe.selection.engines.part_facts import Assigned, PlacedPart, Records
from tithe.selection.engines.scattered import LABELS, ScatteredHome
from tithe.selection.errors import TitheError
from tithe.selection.groundwork import find_centroids
from tithe.selection.options import Options
from tithe.selection.own_files import OwnPath
from tithe.selection.plan import Plan
from tithe.selection.stages import Stages
from tithe.selection.work.arrays import load_array, save_array
from tithe.selection.work.folder import WorkFolder, writing

Vectors = npt.NDArray[np.float32]

_ARRAYS = ("centres", "centre_vectors")


@dataclass(frozen=True)
class LaidClusters:
    """The parts with their clusters."""

    places: Sequence[PlacedPart]
    clusters: Clustering
    """Without what is known of each record."""
    found: bool
    """Whether an earlier run had made them."""


def lay_clusters(
    options: Options,
    crew: Crew,
    embeddings: ScatteredEmbeddings,
    plan: Plan,
    work: WorkFolder,
    key: Mapping[str, Any],
    stages: Stages,
) -> LaidClusters:
    """Cluster what is embedded, or find it clustered; `key` says what the clusters depend on."""
    entry = work.find("clusters", key)
    found = None if entry is None else _loaded(crew, work, entry)
    if found is not None:
        return found
    centroids, trial = find_centroids(options, plan.records, plan, embeddings, work, key, stages)
    made = _clustered(options, crew, embeddings, key, centroids, trial, work, stages)
    _keep(work, key, made)
    return made


def _clustered(
    options: Options,
    crew: Crew,
    embeddings: ScatteredEmbeddings,
    key: Mapping[str, Any],
    centroids: Vectors,
    trial: Vectors,
    work: WorkFolder,
    stages: Stages,
) -> LaidClusters:
    executor = crew.executor
    shared_key, *arrays = (executor.share(value) for value in (key, centroids, trial))
    k = len(centroids)
    best, owners, nearest = np.full(k, np.inf, np.float32), np.full(k, -1, np.int64), np.full(k, -1, np.int64)
    cost, by_cells = 0.0, False
    known: list[Records] = []
    with stages("assign", crew.bytes, "bytes") as advance:
        calls = [
            (part, crew.shared, shared_key, was, *arrays)
            for part, was in zip(crew.parts, embeddings.known, strict=True)
        ]
        found: Assigned
        for number, found in enumerate(executor.map(part_work.assigned, calls)):
            better = found.distances < best
            best[better], owners[better], nearest[better] = found.distances[better], number, found.nearest[better]
            cost += found.cost
            by_cells |= found.by_cells
            known.append(found.records)
            advance(crew.share_of(number))
    kept = np.flatnonzero(owners >= 0)
    if len(kept) == 0:
        raise TitheError(f"{options.first_input}: none of the records can be used")
    embeddings = embeddings.knowing(known)
    renumbered = np.full(k, -1, np.int32)
    renumbered[kept] = np.arange(len(kept), dtype=np.int32)
    starts = np.cumsum([0, *(part.usable for part in known)])
    centres = starts[owners[kept]] + nearest[kept]
    vectors = _taken(embeddings, centres)
    with stages("distances", crew.bytes, "bytes") as advance:
        shared = (executor.share(renumbered), executor.share(vectors))
        calls = [(part, crew.shared, shared_key, was, *shared) for part, was in zip(crew.parts, known, strict=True)]
        folders = []
        for number, folder in enumerate(executor.map(part_work.centred, calls)):
            folders.append(folder)
            advance(crew.share_of(number))
    places = _placed(crew, known, folders, work)
    quality = None
    if by_cells:
        checked = clustering.looked_up_at_random(int(starts[-1]))
        labels = ScatteredHome(executor, places).lookup(LABELS, checked)
        quality = SearchQuality.of(_taken(embeddings, checked), centroids, kept[labels].astype(np.int32))
    return LaidClusters(places, _without_records(centres, vectors, cost, quality), found=False)


def _taken(embeddings: ScatteredEmbeddings, positions: npt.NDArray[np.int64]) -> Vectors:
    """The vectors of some records, in any order."""
    order = np.argsort(positions, kind="stable")
    block = embeddings.take(positions[order])
    found = np.empty_like(block)
    found[order] = block
    return found


def _without_records(
    centres: npt.NDArray[np.int64], vectors: Vectors, cost: float, quality: SearchQuality | None
) -> Clustering:
    return Clustering(np.empty(0, np.int32), np.empty(0, np.float32), centres, vectors, cost, quality)


def _placed(crew: Crew, known: Sequence[Records], folders: Sequence[OwnPath], work: WorkFolder) -> list[PlacedPart]:
    places: list[PlacedPart] = []
    start = first_row = 0
    for part, was, folder in zip(crew.parts, known, folders, strict=True):
        places.append(PlacedPart(part, start, first_row, was, folder, part_facts.scratch_of(work.scratch, part)))
        start, first_row = start + was.usable, first_row + was.rows
    return places


def _keep(work: WorkFolder, key: Mapping[str, Any], made: LaidClusters) -> None:
    """Leave the clusters for later runs."""
    clusters = made.clusters
    with work.adding("clusters", key) as folder, writing(work.path):
        for name in _ARRAYS:
            save_array(folder / f"{name}.npy", getattr(clusters, name))
        facts = {
            "cost": clusters.cost,
            "search": clusters.search and asdict(clusters.search),
            "parts": [
                {
                    **asdict(place.known),
                    "bad": place.known.bad.tolist(),
                    "lengths": place.known.lengths and place.known.lengths.parent.name,
                    "folder": place.folder.name,
                }
                for place in made.places
            ],
        }
        save_facts(folder, facts)


def _loaded(crew: Crew, work: WorkFolder, entry: OwnPath) -> LaidClusters | None:
    """What `_keep` left, unless a part of it is gone."""
    facts, here = read_facts(entry), work.path.absolute()
    known, folders = [], []
    for part in facts["parts"]:
        folder, lengths = here / part.pop("folder"), part.pop("lengths")
        if not folder.is_folder():
            return None
        folders.append(folder)
        known.append(
            Records(
                **{**part, "bad": np.array(part["bad"], np.int64), "places": tuple(part["places"])},
                lengths=None if lengths is None else here / lengths / LENGTHS,
            )
        )
    centres, vectors = (load_array(entry / f"{name}.npy") for name in _ARRAYS)
    search = facts["search"] and SearchQuality(**facts["search"])
    clusters = _without_records(centres, vectors, facts["cost"], search)
    return LaidClusters(_placed(crew, known, folders, work), clusters, found=True)
