"""Ordered pivotal sampling of records that lie in many parts: pure functions on arrays, no part sees another.

**The order.** Records are drawn along a line, as in one process: clusters in the order of their similarity; within a
cluster by distance to the centre, outwards and inwards by turns, but only by eighths (`Chain`): records of one such
*shell* come part by part, and by distance within each part. With one part this is the order of `order.sampling_order`.
The records of a shell in a part are a *cell*.

**The draw.** `sampling.ordered_pivotal` looks at the inclusion probabilities π (0 for records that are certain) in two
ways only: their sum, and which record's stretch of the line holds a given point, for 2s - 1 points, s the size of the
sample. Both are found part by part:

1. Each part tells the mass m = Σ π of its cells, and the number of records in them. Cumulated over shells, and over
   the parts within each, they say where each cell begins and ends (`Layout`). One part is looked at after another, so
   that what is held is a few numbers for each shell, not for each cell.
2. Each part is told the bounds of its cells, and the points; it sorts the records of those cells that hold a point,
   and says whose stretch that is, where the stretch begins and ends, and the record's place in the order (`locate`).
   A cell ends exactly where the next one begins, the last one nowhere: each point lies in one cell, whatever is
   rounded, and has one answer.

**Proof.** So `ordered_pivotal` gets what it would get if the line lay in one array, but for rounding in the last bits
of where a stretch begins, and draws what it would draw. All that was proved of it holds: Chauvet (2012, section 3)
shows that it is the pivotal method of Deville & Tillé (1998) with the survivor of the records so far meeting the next
one. A duel between a and b with a + b < 1 leaves one of them with a + b, the first with probability a / (a + b); with
a + b >= 1 it draws one of them, and leaves the other with a + b - 1. Either way the expected mass of both is what it
was: along the duels every record's mass is a martingale that begins at π and ends at 0 or 1. Hence

- every record is drawn with probability exactly π, and Σ_S y/π is unbiased for Σ y, whatever the clusters and parts;
- every duel but the last ends one record's part, and their masses always add up to s: s records are drawn, exactly;
- the duels follow a tree that was fixed beforehand, so the sample is strongly Rayleigh (Brändén & Jonasson 2012),
  hence negatively associated, with the tails of Bernstein's bound, as in one process.

Of any stretch of the line, a cluster, a shell or a cell, the number drawn is less than 2 off its mass, and but for its
two ends the floor or the ceiling: the allocation of the size over clusters, and over parts within a cluster, that
pivotal sampling on the fractional parts would make, comes out of the same draw. No cell must meet a number that its
probabilities, at most 1, could not.

What leaves a part is two numbers for each of its cells and five for each point that lies in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

# Shells of a cluster. With 8 of them, a 64th is left of what spreading by distance takes from the variance.
SHELLS = 8

MassesOf = Callable[[Integers], Floats]
"""The masses of some records of a part, given by their numbers in it."""


@dataclass(frozen=True)
class Chain:
    """The order of the shells of all clusters."""

    ranks: Integers
    """Where in the order each cluster stands, shape (k,)."""
    means: Floats
    """What the squared distances of each cluster are measured by, shape (k,)."""
    edges: Floats
    """Where one shell ends and the next begins, in these units; ascending."""

    @staticmethod
    def of(ranks: Integers, means: Floats, labels: npt.NDArray[np.integer], squared_distances: Floats) -> Chain:
        """Shells of about as many records each, to judge by some records at random.

        `means` are those of the squared distances of each cluster, shape (k,).
        """
        means = np.where(means > 0, means, 1.0)
        quantiles = np.linspace(0, 1, SHELLS + 1)[1:-1]
        return Chain(ranks, means, np.quantile(squared_distances / means[labels], quantiles))

    @property
    def shells(self) -> int:
        """Their number, c."""
        return len(self.ranks) * (len(self.edges) + 1)

    def shells_of(self, labels: npt.NDArray[np.integer], squared_distances: npt.NDArray[np.float32]) -> Integers:
        """The shell of each record, by its place in the order; shape (m,)."""
        last = len(self.edges)
        outwards = np.searchsorted(self.edges, squared_distances / self.means[labels], side="right")
        ranks = self.ranks[labels]
        return ranks * (last + 1) + np.where(ranks % 2 == 0, outwards, last - outwards)

    def keys_of(
        self, labels: npt.NDArray[np.integer], squared_distances: npt.NDArray[np.float32], part: int | Integers
    ) -> npt.NDArray[np.uint32]:
        """What the records of a cell are sorted by: outwards and inwards, in one part after the other; shape (m,)."""
        # The bits of floats that are not negative sort as the floats do.
        outwards = (squared_distances + np.float32(0)).view(np.uint32)
        return np.where((self.ranks[labels] + part) % 2 == 0, outwards, ~outwards)


@dataclass(frozen=True)
class CellSums:
    """The cells of one part, in the order of their shells; shape (c,)."""

    masses: Floats
    counts: Integers

    @staticmethod
    def of(shells: Integers, masses: Floats, count: int) -> CellSums:
        """Of the records of a part, shape (m,); `count` is c."""
        mass, number = np.bincount(shells, masses, minlength=count), np.bincount(shells, minlength=count)
        return CellSums(mass.astype(np.float64), number.astype(np.int64))

    def plus(self, other: CellSums) -> CellSums:
        """Those of both."""
        return CellSums(self.masses + other.masses, self.counts + other.counts)


@dataclass(frozen=True)
class Bounds:
    """Where the cells of one part begin and end on the line, and the place of their first record; shape (c,)."""

    starts: Floats
    ends: Floats
    first_places: Integers


@dataclass(frozen=True)
class Layout:
    """Where the shells begin on the line."""

    starts: Floats
    """Shape (c + 1,): where the last one ends, too."""
    first_places: Integers
    last_parts: Integers
    """The last part in which each shell has a mass, -1 for none; shape (c,)."""

    @staticmethod
    def of(sums: Iterable[CellSums], count: int) -> Layout:
        """From the sums of all parts, looked at once, in their order; `count` is c."""
        masses, counts, last = np.zeros(count), np.zeros(count, np.int64), np.full(count, -1, np.int64)
        for number, part in enumerate(sums):
            masses += part.masses
            counts += part.counts
            last[part.masses > 0] = number
        return Layout(np.concatenate([[0.0], np.cumsum(masses)]), np.cumsum(counts) - counts, last)

    def bounds(self, sums: Iterable[CellSums]) -> Iterator[Bounds]:
        """Those of each part, from the same sums once more."""
        starts, places = self.starts[:-1], self.first_places
        # The last cell that has a mass takes all that lies beyond it, by rounding.
        last_shell = int(np.flatnonzero(self.last_parts >= 0)[-1]) if (self.last_parts >= 0).any() else -1
        for number, part in enumerate(sums):
            # What a shell's parts add up to is rounded in another way than where the next shell begins.
            ends = np.minimum(starts + part.masses, self.starts[1:])
            ends = np.where(self.last_parts == number, self.starts[1:], ends)
            open_ends = ends.copy()
            if last_shell >= 0 and self.last_parts[last_shell] == number:
                open_ends[last_shell] = np.inf
            yield Bounds(starts, open_ends, places)
            starts, places = ends, places + part.counts


@dataclass(frozen=True)
class Located:
    """Records of a part whose stretches hold targets; arrays of shape (t,)."""

    targets: Integers
    """The numbers of the targets."""
    members: Integers
    """The numbers of the records in the part."""
    places: Integers
    """Their places in the order of all records."""
    before: Floats
    """Where their stretches begin."""
    after: Floats
    """Where they end."""


def locate(
    targets: Floats,
    bounds: Bounds,
    factor: float,
    shells: Integers,
    keys: npt.NDArray[np.uint32],
    masses_of: MassesOf,
) -> Located:
    """Which of the targets lie in the cells of a part, and on which record.

    Args:
        targets: points on the line, ascending.
        bounds: of the part's cells, on the line without `factor`.
        factor: what all masses are multiplied by.
        shells: of the part's records, shape (m,).
        keys: what the records of a cell are sorted by, shape (m,).
        masses_of: their masses.
    """
    starts, ends = bounds.starts * factor, bounds.ends * factor
    first, last = np.searchsorted(targets, starts), np.searchsorted(targets, ends)
    held = np.maximum(last - first, 0)
    cells = np.flatnonzero(held)
    line = _lined_up(cells, starts, ends, factor, shells, keys, masses_of)
    number = np.repeat(first[cells] - (np.cumsum(held[cells]) - held[cells]), held[cells])
    number = number + np.arange(len(number))
    wanted = targets[number]
    cell = np.repeat(np.arange(len(cells)), held[cells])
    # The record with the last mass of a cell takes all that rounding leaves over.
    heaviest = np.maximum(np.searchsorted(line.after, line.after[line.stops - 1]), line.firsts)
    at = np.clip(np.searchsorted(line.after, wanted, side="right"), line.firsts[cell], heaviest[cell])
    places = bounds.first_places[cells][cell] + at - line.firsts[cell]
    return Located(number, line.members[at], places, line.before[at], np.maximum(line.after[at], wanted))


def middles(
    members: Integers, bounds: Bounds, shells: Integers, keys: npt.NDArray[np.uint32], masses_of: MassesOf
) -> Floats:
    """Where the stretches of some records of a part have their middle; `members` are their numbers in it."""
    cells = np.unique(shells[members])
    line = _lined_up(cells, bounds.starts, bounds.ends, 1.0, shells, keys, masses_of)
    where = np.argsort(line.members, kind="stable")
    at = where[np.searchsorted(line.members, members, sorter=where)]
    return (line.before[at] + line.after[at]) / 2


@dataclass(frozen=True)
class _Line:
    """The records of some cells of a part, in order."""

    members: Integers
    before: Floats
    after: Floats
    firsts: Integers
    """Where each cell begins among them."""
    stops: Integers


def _lined_up(
    cells: Integers,
    starts: Floats,
    ends: Floats,
    factor: float,
    shells: Integers,
    keys: npt.NDArray[np.uint32],
    masses_of: MassesOf,
) -> _Line:
    wanted = np.zeros(len(starts), bool)
    wanted[cells] = True
    members = np.flatnonzero(wanted[shells])
    members = members[np.lexsort((keys[members], shells[members]))]
    sizes = np.bincount(shells[members], minlength=len(starts))[cells]
    stops = np.cumsum(sizes)
    firsts = stops - sizes
    cell = np.repeat(np.arange(len(cells)), sizes)
    sums = np.concatenate([[0.0], np.cumsum(masses_of(members) * factor)])
    begin, base = starts[cells][cell], sums[firsts][cell]
    before = begin + (sums[:-1] - base)
    after = np.minimum(begin + (sums[1:] - base), ends[cells][cell])
    return _Line(members, np.minimum(before, after), after, firsts, stops)
