"""What tithe says of a subset, against what is true: errors, forecasts, intervals and verdicts.

The corpora are those of tests/benchmarks/corpora.py, with lexical embeddings. The error is the root mean square over 300 seeds, relative to that of uniform samples of the same size, whose
error is known exactly. Its standard error is about 4%.
"""

from __future__ import annotations

import numpy as np

from tests.benchmarks.common import Table
from tests.benchmarks.corpora import Case, cases, cluster_vectors, designed
from tithe.selection.evidence.estimate import estimate_from_subset, forecast_from_probes, forecast_from_validation
from tithe.selection.evidence.validation import Validation
from tithe.selection.options.options import Options
from tithe.selection.population.candidates import Candidates
from tithe.selection.scoring.base import Scoring

SEEDS, VALIDATED = 300, 500


def run() -> list[Table]:
    """Two tables with a row for each corpus and sampler: numbers, and what tithe would say."""
    numbers: Table = []
    verdicts: Table = []
    for case in cases():
        for sampler in ("pivotal", "iid"):
            row, said = _rows(case, sampler)
            numbers.append(row)
            verdicts.append(said)
    return [numbers, verdicts]


def _rows(case: Case, sampler: str) -> tuple[dict[str, object], dict[str, object]]:
    losses, n = case.losses, len(case.losses)
    clustered, everyone = cluster_vectors(case.vectors, case.k, case.size), Candidates.everyone(n)
    options = Options(inputs=(), output=None, loss="column:loss", sampler=sampler)
    scoring, design = designed(options, clustered, lambda positions: losses[positions])
    uniform = losses.std(ddof=1) * np.sqrt((1 - case.size / n) / case.size)
    errors, held = [], []
    for seed in range(SEEDS):
        sample = design.draw(np.random.default_rng([1, seed]))
        estimate = estimate_from_subset(design, sample, losses[sample.positions], population_size=n)
        errors.append(estimate["mean_loss"] - losses.mean())
        held.append(estimate["low"] <= losses.mean() <= estimate["high"])
    measured = float(np.sqrt(np.mean(np.square(errors))))
    known = forecast_from_validation(design, _validation(case, scoring, n), population_size=n)
    some = forecast_from_validation(design, _validation(case, scoring, VALIDATED), population_size=n)
    centres = forecast_from_probes(design, scoring.proxy, everyone, everyone.count)
    named: dict[str, object] = {"corpus": case.name, "sampler": sampler}
    row = {
        **named,
        "error relative to uniform": float(measured / uniform),
        "forecast, all losses known": known.ratio,
        f"forecast, {VALIDATED} validated": some.ratio,
        "forecast, centres alone": centres.ratio,
        "interval holds the mean": f"{np.mean(held):.1%}",
    }
    said = {**named, "by the centres": centres.sentence(), f"by {VALIDATED} validated": some.sentence()}
    return row, said


def _validation(case: Case, scoring: Scoring, count: int) -> Validation:
    at = np.sort(np.random.default_rng(2).choice(len(case.losses), count, replace=False))
    return Validation(at, case.losses[at], scoring.proxy.values[at], scoring.spreads[at])
