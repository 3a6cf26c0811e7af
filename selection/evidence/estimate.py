"""What the subset is worth: an estimate with its interval, what the weights cost, coverage, and whether a uniform
sample would have done as well."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from tithe.selection.arrays import Floats
from tithe.selection.clustering.kmeans import Clustering
from tithe.selection.engine.quantities import Derived, Quantity, extremes, totals
from tithe.selection.evidence.interval import CONFIDENCE, FEWEST, TOO_FEW, largest_unseen, skewed_interval
from tithe.selection.evidence.validation import Validation
from tithe.selection.sampling import variance
from tithe.selection.sampling.design import Design
from tithe.selection.sampling.probabilities import Sample
from tithe.selection.scoring.proxy import Proxy
from tithe.selection.scoring.scores import distances_to_the_power

# An expected error of this much of uniform's, or more, is no gain worth naming; and what is less certain is no verdict.
_NO_GAIN, _UNCERTAIN = 0.95, 0.25

# Groups of validated losses that are left out one at a time.
_GROUPS = 40

# Where the largest loss of a probe is so many times that of all validated records, these have missed what matters.
_MISSED = 2.0

_LARGEST, _BINS = 5, 40


@dataclass(frozen=True)
class Forecast:
    """The expected error of the estimated mean loss, against that of a uniform sample of the same size."""

    design: float
    """Standard error under the design used, in units of the loss."""
    uniform: float
    uncertainty: float
    """Standard error of the ratio of the two, with what a record more may add that is unlike those seen."""
    source: str
    """What losses it rests on: `all`, `validation`, `centres` or `landmarks`."""

    @property
    def ratio(self) -> float:
        return self.design / self.uniform if self.uniform > 0 else 1.0

    def describe(self) -> dict[str, Any]:
        """For the manifest."""
        return {
            "relative_to_uniform": self.ratio,
            "uncertainty": self.uncertainty,
            "design": self.design,
            "uniform": self.uniform,
            "from": self.source,
            "sentence": self.sentence(),
        }

    def sentence(self) -> str:
        """The verdict. A gain that is within its own uncertainty is none, and with much of it there is no verdict."""
        basis = {
            "all": "by the losses of all records",
            "validation": "by the validated losses",
            "centres": "by the centres' losses alone",
            "landmarks": "by the landmarks' losses alone",
        }[self.source]
        if self.ratio - self.uncertainty > 1 / _NO_GAIN:
            return f"{basis}, a uniform sample of the same size would do better"
        if self.ratio + self.uncertainty >= _NO_GAIN:
            if self.uncertainty > _UNCERTAIN:
                low, high = max(self.ratio - self.uncertainty, 0.0), self.ratio + self.uncertainty
                return (
                    f"{basis}, which are too few to tell, the expected error is {low:.2f} to {high:.2f} of that of a "
                    "uniform sample of the same size"
                )
            return f"{basis}, a uniform sample of the same size would do as well"
        margin = f" (± {self.uncertainty:.2f})" if self.uncertainty > 0 else ""
        return f"{basis}, the expected error is {self.ratio:.2f}{margin} of that of a uniform sample of the same size"


def suffices(validation: Validation, proxy: Proxy) -> bool:
    """Whether a forecast can rest on the validated losses: not where they have seen less of what matters than the
    probes."""
    largest = float(validation.losses.max())
    seen = np.count_nonzero(validation.losses) >= FEWEST
    return bool(seen and proxy.losses.max(initial=0.0) <= _MISSED * largest)


def forecast_from_validation(
    design: Design, validation: Validation, *, population_size: int, copies: Floats | None = None, represented: int = 0
) -> Forecast:
    """The errors that the validated losses (V >= 2, a simple random sample) let expect of an estimate for n records.

    Where these stand for copies, `copies` says how many each validated record has, shape (V,), and `represented` how
    many records all stand for: a uniform sample would be one of those.
    """
    represented = represented or population_size
    losses, chances = validation.losses, design.chances(validation.positions)

    def errors(part: npt.NDArray[np.int64]) -> tuple[float, float]:
        expected = chances.part(part).forecast(losses[part], population_size=population_size)
        if copies is None:
            of_uniform = variance.uniform_variance(losses[part], design.size, population_size=population_size)
        else:
            apart = losses[part] - np.average(losses[part], weights=copies[part])
            spread = float(np.average(apart**2, weights=copies[part])) * len(part) / (len(part) - 1)
            of_uniform = represented**2 * (1 - design.size / represented) * spread / design.size
        return math.sqrt(expected), math.sqrt(of_uniform)

    of_design, of_uniform = errors(np.arange(len(losses)))
    if len(losses) == population_size:
        return Forecast(of_design / represented, of_uniform / represented, 0.0, "all")
    # Random groups, one left out at a time: the jackknife of the ratio. What a group changes has heavy tails where the
    # losses have, so that one that is not among these may change it more.
    count = min(_GROUPS, len(losses) // 2)
    groups = np.random.default_rng(0).permutation(len(losses)) % max(count, 1)
    ratios = []
    for group in range(count):
        a, b = errors(np.flatnonzero(groups != group))
        ratios.append(a / b if b > 0 else 1.0)
    spread = 1.0
    if count > 1:
        changes = np.abs(np.array(ratios) - np.mean(ratios)) * math.sqrt((count - 1) / count)
        spread = math.hypot(float(np.linalg.norm(changes)), largest_unseen(changes))
    # Neither variance is complete without the loss farther out than all that were seen.
    squares = (losses - np.average(losses, weights=copies)) ** 2
    beyond = math.sqrt(1 + largest_unseen(squares) / float(squares.sum())) if squares.any() else 1.0
    return Forecast(beyond * of_design / represented, beyond * of_uniform / represented, spread, "validation")


def forecast_from_probes(design: Design, proxy: Proxy, stands_for: Quantity, represented: int) -> Forecast:
    """The errors that the losses of the probes let expect, each probe standing for the records nearest to it.

    Args:
        design: the design used.
        proxy: losses, and what the other probes say of each.
        stands_for: how many records each candidate stands for; 0 for those that are none.
        represented: their sum.
    """
    n, size = float(represented), design.size
    share = totals(proxy.nearest, len(proxy.losses), stands_for) / n
    mean = float(share @ proxy.losses)
    of_design = design.forecast_from_probes(proxy.nearest, proxy.losses, proxy.left_out)
    of_uniform = n**2 * (1 - size / n) / size * share * (proxy.losses - mean) ** 2
    design_total, uniform_total = max(float(of_design.sum()), 0.0), float(of_uniform.sum())
    uncertainty = 1.0
    if design_total > 0 and uniform_total > 0:
        # The delta method for a ratio of sums over the probes, halved for its square root.
        squared_ratio = design_total / uniform_total
        influence = np.abs(of_design - squared_ratio * of_uniform)
        spread = math.hypot(float(np.linalg.norm(influence)), largest_unseen(influence))
        uncertainty = spread / (2 * math.sqrt(squared_ratio) * uniform_total)
    return Forecast(math.sqrt(design_total) / n, math.sqrt(uniform_total) / n, uncertainty, proxy.name)


def estimate_from_subset(design: Design, sample: Sample, losses: Floats, *, population_size: int) -> dict[str, Any]:
    """The mean loss by the subset, with an interval by the variance of the design that drew it."""
    added, open_ = sample.weights * losses, sample.probabilities < 1.0
    by_chance = float(added[open_].sum())
    certain = float(added.sum()) - by_chance
    deviations = design.deviations(sample, losses)[open_]
    interval = skewed_interval(by_chance, deviations, losses[open_], sample.weights[open_])
    if not open_.any():
        interval = (0.0, 0.0)
    return _estimate("subset", by_chance + certain, deviations, interval, population_size, certain)


def estimate_from_validation(
    validation: Validation, mean_proxy: float, *, population_size: int, copies: Floats | None = None
) -> dict[str, Any]:
    """The mean loss as the mean proxy, corrected by the mean difference over the validated records.

    `copies`: how many records each of them stands for, shape (V,); None: itself.
    """
    differences = validation.losses - validation.proxies
    count, mean = len(differences), float(np.average(differences, weights=copies))
    apart = differences - mean
    if copies is not None:  # a ratio of two sums over the sample
        apart = copies / copies.mean() * apart
    deviations = apart * math.sqrt((1 - count / population_size) / (count * (count - 1)))
    each = np.full(count, 1 / count) if copies is None else copies / copies.sum()
    interval = skewed_interval(mean_proxy + mean, deviations, validation.losses, each)
    if count == population_size:
        interval = (mean_proxy + mean, mean_proxy + mean)
    return _estimate("validation", mean_proxy + mean, deviations, interval, 1)


def estimate_from_probes(proxy: Proxy, mean_proxy: float) -> dict[str, Any]:
    """The mean proxy: nothing says how far off it is."""
    return {
        "mean_loss": mean_proxy,
        "low": None,
        "high": None,
        "standard_error": None,
        "confidence": CONFIDENCE,
        "from": proxy.name,
        "no_interval": f"by the {proxy.name} alone; --score-subset or --validate gives one",
    }


def _estimate(
    source: str,
    total: float,
    deviations: Floats,
    interval: tuple[float, float] | None,
    population_size: int,
    certain: float = 0.0,
) -> dict[str, Any]:
    """An estimated mean for the manifest, from a total; the interval is that of what is left besides `certain`."""
    low, high = (None, None) if interval is None else ((certain + limit) / population_size for limit in interval)
    return {
        "mean_loss": total / population_size,
        "low": low,
        "high": high,
        "standard_error": float(np.linalg.norm(deviations)) / population_size,
        "confidence": CONFIDENCE,
        "from": source,
        "no_interval": TOO_FEW if interval is None else None,
    }


def coverage(clusters: Clustering, sample: Sample) -> dict[str, Any]:
    """How much of the corpus lies in clusters of which at least one record was drawn."""
    covered = np.bincount(clusters.labels[sample.positions], minlength=clusters.k) > 0
    distances = totals(clusters.labels, clusters.k, distances_to_the_power(clusters.squared_distances, 1))
    sizes = totals(clusters.labels, clusters.k)
    total = float(distances.sum())
    return {
        "clusters": clusters.k,
        "clusters_with_a_record": int(covered.sum()),
        "mass": float(sizes[covered].sum() / len(clusters.labels)),
        "distance": float(distances[covered].sum()) / total if total > 0 else 1.0,
    }


def largest_weights(sample: Sample) -> npt.NDArray[np.int64]:
    """Indices into the sample of its largest weights, largest first; the earlier record first among equals."""
    return np.argsort(-sample.weights, kind="stable")[:_LARGEST]


def histogram(corpus: Quantity, sample: Sample, *, logarithmic: bool) -> dict[str, list[float]]:
    """A quantity in the corpus and in the weighted subset over common bins.

    The bins are of equal width, or of equal width on the scale of log(1 + value).
    """
    low, high = extremes(corpus)
    high = high if high > low else low + 1.0
    edges = np.linspace(low, high, _BINS + 1)
    if logarithmic:
        edges = np.expm1(np.linspace(np.log1p(low), np.log1p(high), _BINS + 1))
        edges[0], edges[-1] = low, high  # not a rounding beside them
    return {
        "edges": edges.tolist(),
        "corpus": totals(Derived(partial(_bins, edges), corpus), _BINS).astype(np.int64).tolist(),
        "subset": np.bincount(_bins(edges, corpus[sample.positions]), sample.weights, minlength=_BINS).tolist(),
    }


def _bins(edges: Floats, values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """The bin of each value, which lies within the edges; the last bin holds the last edge, too."""
    return np.minimum(np.searchsorted(edges, values.astype(np.float64), side="right"), _BINS) - 1
