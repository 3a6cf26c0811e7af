"""What a selection holds in memory once its records are clustered: seconds and peak memory of each step after that.

Made records: clusters and distances only, k = 10,000 centres in 64 dimensions, with losses; 1% of the records are drawn,
by `pivotal`. Each row is a process of its own. "MiB" is the most that was resident by the end of the step, libraries
and all; "bytes a record" is what that is above what the libraries took.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.common import SHIPPED, Table
from tests.clusters import InMemory
from tithe.selection.choose import validation_positions
from tithe.selection.clustering.clustered_corpus import ClusteredCorpus
from tithe.selection.clustering.kmeans import Clustering
from tithe.selection.corpus.bad_records import BadRecords
from tithe.selection.engine.quantities import blocks, totals
from tithe.selection.engine.stages import peak_memory
from tithe.selection.evidence.evaluation import Evaluation
from tithe.selection.evidence.validation import Validation
from tithe.selection.options.options import Options
from tithe.selection.options.plan import Plan
from tithe.selection.population.candidates import Candidates
from tithe.selection.population.population import Population
from tithe.selection.sampling.make import Drawing, make_design
from tithe.selection.scoring.sensitivity import Sensitivity

DIMENSIONS, VALIDATED = 64, 1000


def run() -> list[Table]:
    """One table: a row for each step, for 10 and for 100 million records."""
    rows: Table = []
    for records in (10_000_000, 100_000_000):
        for step in steps_of(records, 10_000):
            rows.append({"records": records, **step})
    return [rows]


def steps_of(records: int, k: int) -> list[dict[str, Any]]:
    """The steps, in a fresh process."""
    command = [sys.executable, "-m", "tests.benchmarks.state", str(records), str(k)]
    found = subprocess.run(command, env=SHIPPED, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    if found.returncode:
        raise RuntimeError(found.stderr[-2000:])
    return json.loads(found.stdout)


def main(records: int, k: int) -> None:
    """Go through the steps; print them as JSON."""
    steps: list[dict[str, Any]] = []
    _all_steps(20_000, 20, [])  # libraries load what they load at the first use
    _forget_peak()
    base = peak_memory()
    _all_steps(records, k, steps)
    for step in steps:
        step["bytes a record"] = (step["MiB"] * 2**20 - base) / records
    print(json.dumps(steps))


def _all_steps(records: int, k: int, steps: list[dict[str, Any]]) -> None:
    @contextmanager
    def step(name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        steps.append({"step": name, "seconds": time.perf_counter() - start, "MiB": peak_memory() / 2**20})

    options = Options(inputs=(), output=None, loss="column:loss", validate=VALIDATED, score_subset=True)
    rng = np.random.default_rng(0)
    with step("make the records"):
        clustered = _made(records, k, rng)
    losses, population = rng.gamma(2, 1, k), Population(Candidates.everyone(records))
    with step("order"):
        assert len(clustered.order) == records
    with step("scores"):
        scoring = Sensitivity(options, clustered).score(losses, population.candidates)
    with step("inclusion probabilities"):
        design = make_design(Drawing(), population, scoring.scores.values, clustered.order, clustered.plan.size)
    with step("draw"):
        sample = design.draw(rng)
    at = validation_positions(options, records)
    proxies, spreads = scoring.proxy.values[at], scoring.spreads[at]
    validation = Validation(at, proxies * rng.gamma(4, 1 / 4, len(at)), proxies, spreads)
    subset_losses = scoring.proxy.values[sample.positions]
    rows = clustered.rows(sample.positions)
    made: Any = _Nowhere()
    for name, known in (("evidence, centres", (None, None)), ("evidence, validated", (subset_losses, validation))):
        with step(name):
            Evaluation(made, clustered, population, scoring, design, sample, rows, True, *known).describe()
    with step("clusters"):
        totals(clustered.clusters.labels, k, scoring.proxy.values)


class _Nowhere:
    """Stands for the corpus, of which the evidence asks only where the largest weights are from."""

    files = (type("File", (), {"path": "made"}),)

    def locate(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros_like(rows), rows


def _made(records: int, k: int, rng: np.random.Generator) -> ClusteredCorpus:
    labels, squared_distances = np.empty(records, np.int32), np.empty(records, np.float32)
    for part in blocks(records):
        count = part.stop - part.start
        labels[part] = rng.integers(k, size=count, dtype=np.int32)
        squared_distances[part] = rng.standard_gamma(4, size=count, dtype=np.float32) / 8
    centres = np.arange(k) * (records // k)
    labels[centres], squared_distances[centres] = np.arange(k), 0.0
    vectors = rng.standard_normal((k, DIMENSIONS), dtype=np.float32)
    clusters = Clustering(labels, squared_distances, centres, vectors, 0.0)
    plan = Plan(records, k, records // 100, None)
    nothing: Any = InMemory(np.empty((0, DIMENSIONS), np.float32))  # no vector is looked at
    return ClusteredCorpus(None, BadRecords("fail"), plan, nothing, clusters, None, ())


def _forget_peak() -> None:
    """Start to count anew, where the system can (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
