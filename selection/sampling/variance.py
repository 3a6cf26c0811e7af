"""The variance of an estimated total under the design that drew the sample: forecast from losses, or estimated.

The estimate is Horvitz and Thompson's, Σ_S w y; for independent draws Hansen and Hurwitz's.

*Ordered pivotal sampling* draws one record from each unit of cumulated inclusion probability, but for the
records that straddle a boundary. Were the units strata of their own, cut at a random offset, the variance would be

    V = ½ Σ_i Σ_j π_i π_j K(u_i - u_j) (y_i/π_i - y_j/π_j)²,      K(t) = max(0, 1 - |t|),

u_i being the cumulated probability in the middle of record i, and K(t) the probability that two records lie in one
unit. This is not exact, but within about 3% of the standard error of simulated draws on every corpus tried
(tests/benchmarks/evidence.py). A sum over pairs, it can also be estimated without bias from any simple random sample.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tithe.selection.arrays import Floats, Positions
from tithe.selection.engine.quantities import Few, Quantity, cumulated

# Pairs of records close in the order that a forecast should rest on at least.
_PAIRS = 300


@dataclass(frozen=True)
class Stretches:
    """Parts of the order, one after the other, from each of which a number of records of its own is drawn."""

    of: Positions
    """The stretch of each of m records."""
    units: Floats
    """The sum of the probabilities below 1 in each stretch; an integer."""


def pivotal_variance(
    values: Floats,
    probabilities: Floats,
    places: Floats,
    *,
    population_size: int,
    stretches: Stretches | None = None,
) -> float:
    """Variance of Σ_S y/π under ordered pivotal sampling, from a simple random sample of V of the records, or from all.

    Where few of them lie close in the order, K is widened until about 300 pairs do, which errs to the safe side:
    records further apart are less alike.

    Args:
        values: y of the records known, shape (V,), V >= 2.
        probabilities: their inclusion probabilities, shape (V,).
        places: their places u in the order, shape (V,), see `places_in_order`.
        population_size: n; V = n where all are known.
        stretches: where records of different groups never meet. A unit then cannot lie across the end of its
            stretch: K is raised there so that, as elsewhere, a record shares its unit with a probability mass of 1.
    """
    known = len(values)
    open_ = np.flatnonzero(probabilities < 1.0)
    order = open_[np.argsort(places[open_], kind="stable")]
    u, mass, z = places[order], probabilities[order], values[order] / probabilities[order]
    width = 1.0
    if known < population_size:
        units = population_size / known * float(mass.sum())
        width = max(1.0, _PAIRS * units / known**2)
    z = z - z.mean() if len(z) else z  # changes nothing but rounding
    reach = np.ones_like(u)
    if stretches is not None:
        of, units = stretches.of[order], stretches.units
        before = np.cumsum(units) - units
        reach = _reach((u - before[of]) / width) + _reach((before[of] + units[of] - u) / width)
        u = u + of * width  # too far apart to meet
    around, first, second = (_kernel_sum(u, mass * power, width) for power in (np.ones_like(z), z, z**2))
    total = 0.5 * float((mass / reach * (z**2 * around - 2 * z * first + second)).sum())
    return max(total, 0.0) * population_size * (population_size - 1) / (known * (known - 1))


def independent_variance(values: Floats, shares: Floats, draws: int, *, population_size: int) -> float:
    """Variance of (1/s) Σ y/p over s independent draws, (Σ_e y²/p - Y²) / s, from a simple random sample of V records.

    Args:
        values: y of the records known, shape (V,), V >= 2.
        shares: their probabilities p of being drawn in one draw, shape (V,); 0 for those drawn with certainty.
        draws: s.
        population_size: n.
    """
    if draws == 0:
        return 0.0
    scale = population_size / len(values)
    open_ = shares > 0
    y, p = values[open_], shares[open_]
    # Of V known records, Y² would be too large by the variance of its own estimate.
    total = scale * float(y.sum())
    noise = population_size**2 * (1 - 1 / scale) * float(values.var(ddof=1)) / len(values)
    return max(scale * float((y**2 / p).sum()) - (total**2 - noise), 0.0) / draws


def uniform_variance(values: Floats, size: int, *, population_size: int) -> float:
    """Variance of the estimated total of a simple random sample of `size` records: n² (1 - s/n) S² / s."""
    return population_size**2 * (1 - size / population_size) * float(values.var(ddof=1)) / size


def places_in_order(masses: Quantity, order: Quantity, positions: Positions) -> Floats:
    """The places u of records at `positions`, ascending: mass cumulated along `order` to their middle; shape (m,).

    `masses` are those along the order: inclusion probabilities, those of 1 left out.
    """
    places, wanted = np.empty(len(positions)), Few(positions)
    for part, sums in cumulated(masses):
        here, which = wanted.among(order[part])
        places[which] = (sums[here] + sums[here + 1]) / 2
    return places


def pivotal_deviations(
    values: Floats, probabilities: Floats, places: Floats, *, groups: Positions | None = None
) -> Floats:
    """Deviations under ordered pivotal sampling, from the sample itself; shape (s,), 0 for records that are certain.

    r_i = √(2/3 (1 - π_i)) (y_i/π_i - ½ (y_{i-1}/π_{i-1} + y_{i+1}/π_{i+1})), over neighbours in the order among the
    records that were not certain; at either end √(1/2 (1 - π_i)) times the difference from the only neighbour. Σ r²
    estimates the variance of Σ_S y/π by second differences, as is usual for systematic sampling (Wolter 2007, section
    8.2), whose neighbours are as far apart: a drift of the losses along the order, which costs such a sample nothing,
    counts for nothing.

    Where groups are drawn from one by one, neighbours are those in a group. Groups of which one record was drawn say
    nothing of their variance; they are taken together as one more group (collapsed strata), which errs to the safe
    side.

    Args:
        values: y of the records drawn, shape (s,).
        probabilities: their inclusion probabilities, shape (s,).
        places: their places in the order, shape (s,).
        groups: numbers of their groups, shape (s,).
    """
    found = np.zeros(len(values))
    open_ = np.flatnonzero(probabilities < 1.0)
    if len(open_) < 2:
        return found
    order = open_[np.argsort(places[open_], kind="stable")]
    z, scale = values[order] / probabilities[order], np.sqrt(1.0 - probabilities[order])
    if groups is None:
        found[order] = scale * _second_differences(z, np.ones(len(z) - 1, np.bool_))
        return found
    of = groups[order]
    together = of[1:] == of[:-1]
    differences = _second_differences(z, together)
    alone = np.flatnonzero(np.bincount(of)[of] == 1)
    if len(alone) == 1:  # with a neighbour of another group
        neighbour = alone[0] - 1 if alone[0] else 1
        differences[alone] = np.sqrt(0.5) * (z[alone] - z[neighbour])
    elif len(alone):
        differences[alone] = _second_differences(z[alone], np.ones(len(alone) - 1, np.bool_))
    found[order] = scale * differences
    return found


def independent_deviations(values: Floats, shares: Floats, counts: Floats) -> Floats:
    """Deviations under independent draws, √(c / (s (s - 1))) (y/p - mean of y/p), from the draws; shape (m,).

    Args:
        values: y of the distinct records drawn, shape (m,).
        shares: their probabilities p of being drawn in one draw, shape (m,); 0 for those drawn with certainty.
        counts: how often c each was drawn, shape (m,).
    """
    found = np.zeros(len(values))
    open_ = shares > 0
    s = float(counts[open_].sum())
    if s >= 2:
        expanded = values[open_] / shares[open_]
        mean = float(counts[open_] @ expanded) / s
        found[open_] = np.sqrt(counts[open_] / (s * (s - 1))) * (expanded - mean)
    return found


def _second_differences(z: Floats, together: npt.NDArray[np.bool_]) -> Floats:
    """√(c / (c + 1)) (z_i - the mean of its c neighbours), of which there are up to two; 0 where there are none.

    `together`, shape (len(z) - 1,), says which of the z are neighbours of the next one.
    """
    before, after = np.concatenate([[False], together]), np.concatenate([together, [False]])
    count = before.astype(np.float64) + after
    around = np.where(before, np.roll(z, 1), 0.0) + np.where(after, np.roll(z, -1), 0.0)
    mean = np.divide(around, count, out=z.copy(), where=count > 0)
    return np.sqrt(count / (count + 1)) * (z - mean)


def _reach(distance: Floats) -> Floats:
    """∫ K from 0 to a distance."""
    distance = np.clip(distance, 0.0, 1.0)
    return distance - distance**2 / 2


def _kernel_sum(u: Floats, mass: Floats, width: float) -> Floats:
    """Σ_j mass_j K((u_i - u_j) / width) / width for each i, u ascending: the sums over either side are differences of
    cumulated sums, so that no pair is visited."""
    total = np.concatenate([[0.0], np.cumsum(mass)])
    moment = np.concatenate([[0.0], np.cumsum(mass * u)])
    here = np.arange(len(u))
    low = np.searchsorted(u, u - width, side="right")
    high = np.searchsorted(u, u + width, side="left")
    left = (total[here] - total[low]) * (1 - u / width) + (moment[here] - moment[low]) / width
    right = (total[high] - total[here]) * (1 + u / width) - (moment[high] - moment[here]) / width
    return (left + right) / width
