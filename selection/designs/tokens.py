"""The design of `--tokens`: the tokens of the sample add up to the budget, however long the records are.

*Probabilities.* Of all designs that cost as much, the one with π in proportion to s/√t has the smallest variance, s
being a record's score and t its tokens, which are its cost (Cochran 1977, section 5.5, for strata). They are scaled to
Σ π t = N, the budget.

*Draw.* The cube method (Deville & Tillé 2004) keeps every π and balances the sample on its numbers of records and of
tokens: Σ_S 1 = Σ π and Σ_S t = Σ π t. Three neighbours in the order at a time settle it among themselves: their π move
along the one line on which neither sum changes, to one of its two ends, at random so that the expected π stays. One of
the three is drawn or left out then. All triples do so at once, and again those that are left; so records near one
another take each other's place, as in ordered pivotal sampling. Triples settle the record of middle length first, and
what is left in the end would be the longest and the shortest. So the last 200 do otherwise: the longest of them is
settled first, all others making up for it by a little each, until two short ones are left, which do so at the cost of
a few tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tithe.selection.designs import variance
from tithe.selection.designs.pivotal import PivotalChances, PivotalDesign
from tithe.selection.designs.sampling import (
    NEARLY_ONE,
    ClustersElsewhere,
    Probabilities,
    Sample,
    open_mass,
    open_masses,
    with_certain,
)
from tithe.selection.errors import UsageError
from tithe.selection.frame.candidates import Candidates
from tithe.selection.per_record import (
    NOBODY,
    Derived,
    Few,
    PerRecord,
    Positions,
    blocks,
    reduced,
    total,
    without,
)

Floats = npt.NDArray[np.float64]

# The last ones, of which the longest is settled first.
_LAST = 200

# A probability this near to 0 or 1 has got there: the difference is rounding.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class TokenChances(PivotalChances):
    """Inclusion probabilities, places in the order and tokens of m records."""

    tokens: Floats

    def part(self, numbers: Positions) -> TokenChances:
        """See Chances."""
        return TokenChances(self.probabilities[numbers], self.places[numbers], self.tokens[numbers])

    def forecast(self, values: Floats, *, population: int) -> float:
        """See Chances."""
        left = unexplained(values, self.probabilities, self.tokens)
        return variance.pivotal_variance(left, self.probabilities, self.places, population=population)


@dataclass(frozen=True)
class TokenDesign(PivotalDesign):
    """Sampling along an order, balanced on tokens. `size` is the expected number of records, rounded."""

    tokens: PerRecord

    def draw(self, rng: np.random.Generator) -> Sample:
        """See Design."""
        return with_certain(self.probabilities, self._drawn_by_chance(rng))

    def _drawn_by_chance(self, rng: np.random.Generator) -> Positions:
        order = self.order
        if isinstance(order, ClustersElsewhere):
            return order.balanced(Derived(open_mass, self.probabilities), self.tokens, rng)
        masses = open_masses(self.probabilities, order)
        return order[draw_balanced(masses, Derived(lambda at: self.tokens[at], order), rng)].astype(np.int64)

    def chances(self, positions: Positions) -> TokenChances:
        """See Design."""
        chances = super().chances(positions)
        tokens = np.asarray(self.tokens[positions]).astype(np.float64)
        return TokenChances(chances.probabilities, chances.places, tokens)

    def deviations(self, sample: Sample, values: Floats) -> Floats:
        chances = self.chances(sample.positions)
        left = unexplained(values, sample.probabilities, chances.tokens)
        return variance.pivotal_deviations(left, sample.probabilities, chances.places)


def unexplained(values: Floats, probabilities: Floats, tokens: Floats) -> Floats:
    """What is left of y besides π (b + c t), which a sample balanced on records and tokens estimates without error.

    b and c are those of the regression of y/π on t with the weights π (1 - π) (Deville & Tillé 2005). Of records that
    are certain nothing is left, for they add no error.
    """
    open_ = probabilities < 1.0
    pi, t = probabilities[open_], tokens[open_]
    z, weights = values[open_] / pi, pi * (1 - pi)
    left = np.zeros(len(values))
    if len(pi):
        apart = t - np.average(t, weights=weights)
        z = z - np.average(z, weights=weights)
        spread = float(weights @ apart**2)
        slope = float(weights @ (apart * z)) / spread if spread > 0 else 0.0
        left[open_] = pi * (z - slope * apart)
    return left


def make_token_design(
    scores: PerRecord,
    tokens: PerRecord,
    budget: int,
    order: PerRecord,
    candidates: Candidates,
    certain: Positions = NOBODY,
) -> TokenDesign:
    """The design for a budget of tokens; raises UsageError where it is too small for one record, or what is certain."""
    certainly = int(np.asarray(tokens[certain], np.int64).sum()) if len(certain) else 0
    if certainly > budget:
        raise UsageError(
            f"--tokens {budget:,}: the {len(certain):,} records that are certain have {certainly:,} tokens already"
        )
    probabilities = token_probabilities(scores, tokens, budget, certain, candidates)
    expected = total(probabilities)
    if expected < 1 - _ROUNDING:
        mean = total(Derived(np.multiply, tokens, candidates)) / candidates.count
        raise UsageError(f"--tokens {budget:,}: is less than a record; they have {mean:,.0f} tokens on average")
    return TokenDesign(probabilities, order, round(expected), tokens)


def token_probabilities(
    scores: PerRecord, tokens: PerRecord, budget: int, certain: Positions, candidates: Candidates
) -> Probabilities:
    """Probabilities in proportion to s/√t, at most 1, with Σ π t the budget, or the tokens of all candidates.

    Those that would pass 1 are set to 1 and the rest rescaled, as often as it takes. Records at the positions
    `certain`, ascending, get 1. Where the candidates of positive score have fewer tokens than the budget, all of them
    get 1, and the others share what is left in proportion to 1/√t; t counts as 1 there for records without tokens.
    """
    chosen = Few(certain)
    costs = Derived(lambda t: t.astype(np.float64), tokens)
    roots = Derived(lambda t: np.sqrt(np.maximum(t, 1).astype(np.float64)), tokens)
    all_, open_ = (total(Derived(np.multiply, costs, some)) for some in (candidates, without(candidates, chosen)))
    left = budget - (all_ - open_)
    rates = Derived(np.divide, scores, roots)
    scored = total(Derived(lambda rate, cost: np.where(rate > 0, cost, 0.0), without(rates, chosen), costs))
    if open_ <= left:
        return Probabilities(Derived(lambda candidate, cost: candidate * 2.0, candidates, costs), 0.0, 2.0, chosen)
    if scored < left:
        rates = Derived(
            lambda rate, root, candidate: np.where(rate > 0, 2.0, candidate / root), rates, roots, candidates
        )
        return Probabilities(rates, *_cut_off(without(rates, chosen), costs, left, sure_from=2.0), chosen)
    return Probabilities(rates, *_cut_off(without(rates, chosen), costs, left), chosen)


def _cut_off(rates: PerRecord, costs: PerRecord, budget: float, sure_from: float = np.inf) -> tuple[float, float]:
    """What rates are multiplied by so that costs add up to the budget, those counted as 1 that are at least the second
    number."""
    while True:

        def found(
            part: slice, values: Floats, cost: Floats, sure_from: float = sure_from
        ) -> tuple[float, float, float]:
            values = values.astype(np.float64)
            sure = values >= sure_from
            values[sure] = 0.0
            return float(cost[sure].sum()), float(values @ cost), float(values.max())

        spent, below, largest = reduced(found, _together, (0.0, 0.0, 0.0), rates, costs)
        left = budget - spent
        if left <= 0 or below <= 0:
            return 0.0, sure_from
        factor = left / below
        if largest < NEARLY_ONE / factor:
            return factor, sure_from
        sure_from = NEARLY_ONE / factor


def _together(one: tuple[float, float, float], other: tuple[float, float, float]) -> tuple[float, float, float]:
    return one[0] + other[0], one[1] + other[1], max(one[2], other[2])


@dataclass(frozen=True)
class Settling:
    """Records of which some are drawn; arrays of shape (m,)."""

    drawn: Positions
    open: Positions
    """Those of which nobody knows yet."""
    probabilities: Floats
    """What those have come to."""
    tokens: Floats

    @staticmethod
    def together(parts: Sequence[Settling]) -> Settling:
        """All of them."""
        names = ("drawn", "open", "probabilities", "tokens")
        return Settling(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def at(self, positions: Positions) -> Settling:
        """The same of records that have these positions."""
        return replace(self, drawn=positions[self.drawn], open=positions[self.open])


def draw_balanced(probabilities: PerRecord, tokens: PerRecord, rng: np.random.Generator) -> Positions:
    """Which of m records are drawn, given probabilities below 1 and tokens along the order; ascending.

    Holds what it says of the records of a block, and of few of the others.
    """
    return np.sort(all_settled(settled_nearby(probabilities, tokens, rng), rng))


def settled_nearby(probabilities: PerRecord, tokens: PerRecord, rng: np.random.Generator) -> Settling:
    """What m neighbours settle among themselves; few of each block are left."""
    found = [Settling(NOBODY, NOBODY, np.empty(0), np.empty(0))]
    for part in blocks(len(probabilities)):
        p = _settled(probabilities[part].astype(np.float64))
        length = tokens[part].astype(np.float64)
        _settle_triples(p, length, rng)
        left = np.flatnonzero((p > 0) & (p < 1))
        drawn = part.start + np.flatnonzero(p == 1)
        found.append(Settling(drawn, part.start + left, p[left], length[left]))
    return Settling.together(found)


def all_settled(left: Settling, rng: np.random.Generator) -> Positions:
    """Who is drawn in the end, in any order; what is left is along the order."""
    p, length = left.probabilities, left.tokens
    _settle_triples(p, length, rng)
    _settle_longest_first(p, length, rng)
    return np.concatenate([left.drawn, left.open[p == 1]])


def _settled(p: Floats) -> Floats:
    p[p < _ROUNDING] = 0.0
    p[p > 1 - _ROUNDING] = 1.0
    return p


def _moved(p: Floats, line: Floats, rng: np.random.Generator) -> Floats:
    """Each row of probabilities at one end of its line, at random, so that the expected ones stay."""
    with np.errstate(divide="ignore", invalid="ignore"):
        forward = np.where(line > 0, (1 - p) / line, np.where(line < 0, -p / line, np.inf)).min(axis=1)
        back = np.where(line > 0, p / line, np.where(line < 0, -(1 - p) / line, np.inf)).min(axis=1)
    go = rng.random(len(p)) * (forward + back) < back
    return _settled(p + np.where(go, forward, -back)[:, None] * line)


def _settle_triples(p: Floats, tokens: Floats, rng: np.random.Generator) -> None:
    """Move probabilities, in place, until at most _LAST are open."""
    open_ = np.flatnonzero((p > 0) & (p < 1))
    while len(open_) > _LAST:
        triples = open_[: len(open_) // 3 * 3].reshape(-1, 3)
        t = tokens[triples]
        line = np.roll(t, -1, axis=1) - np.roll(t, -2, axis=1)  # the cross product of (1, 1, 1) and t
        line[~line.any(axis=1)] = (1.0, -1.0, 0.0)  # three of one length
        line /= np.abs(line).max(axis=1, keepdims=True)
        p[triples] = _moved(p[triples], line, rng)
        open_ = open_[(p[open_] > 0) & (p[open_] < 1)]


def _settle_longest_first(p: Floats, tokens: Floats, rng: np.random.Generator) -> None:
    """Move probabilities, in place, until none is open."""
    while len(open_ := np.flatnonzero((p > 0) & (p < 1))):
        pi, t = p[open_], tokens[open_]
        line = _line_of_longest(pi, t)
        p[open_] = _moved(pi[None], line[None], rng)[0]


def _line_of_longest(p: Floats, tokens: Floats) -> Floats:
    """The line along which the longest record changes, and all others as little as keeps both sums.

    That is the least change measured by Σ u² / (π (1 - π)). Where not enough records are left, or all are of one
    length, the number of records is kept, or nothing.
    """
    longest = int(np.argmax(tokens))
    line = np.zeros(len(p))
    line[longest] = 1.0
    room = p * (1 - p)
    room[longest] = 0.0
    if not room.any():
        return line
    mean = float(room @ tokens) / float(room.sum())
    apart = tokens - mean
    spread = float(room @ apart**2)
    line -= room / room.sum()
    if spread > _ROUNDING * max(mean, 1.0) ** 2 * float(room.sum()):
        line -= room * apart * ((tokens[longest] - mean) / spread)
    return line
