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

**Groups.** Where groups are drawn from one by one, each has a line of its own, the same order of its own records; the
lines lie one after the other, each of the length of its sample, and all are drawn from at once. Of many groups, several
shells that follow one another are taken for one (`Chain.in_lines`), so that there are not more of them than is good to
send; within a part all records keep their order.

What leaves a part is two numbers for each of its cells and five for each point that lies in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Keys = npt.NDArray[np.unsignedinteger]

# Shells of a cluster. With 8 of them, a 64th is left of what spreading by distance takes from the variance.
SHELLS = 8

# Shells on all lines of several, at most, unless there are more lines.
_MOST = 1 << 18

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
    lines: int = 1
    together: int = 1
    """Shells that follow one another and are taken for one."""

    @staticmethod
    def of(ranks: Integers, means: Floats, labels: npt.NDArray[np.integer], squared_distances: Floats) -> Chain:
        """Shells of about as many records each, to judge by some records at random.

        `means` are those of the squared distances of each cluster, shape (k,).
        """
        means = np.where(means > 0, means, 1.0)
        quantiles = np.linspace(0, 1, SHELLS + 1)[1:-1]
        return Chain(ranks, means, np.quantile(squared_distances / means[labels], quantiles))

    def in_lines(self, lines: int) -> Chain:
        """The same order on each of several lines, one after the other."""
        return replace(self, lines=lines, together=-(-self._fine * lines // _MOST))

    @property
    def shells(self) -> int:
        """Their number on all lines, c."""
        return self.lines * self._of_line

    @property
    def _fine(self) -> int:
        return len(self.ranks) * (len(self.edges) + 1)

    @property
    def _of_line(self) -> int:
        return -(-self._fine // self.together)

    def shells_of(
        self,
        labels: npt.NDArray[np.integer],
        squared_distances: npt.NDArray[np.float32],
        lines: npt.NDArray[np.integer] | None = None,
    ) -> Integers:
        """The shell of each record, by its place in the order; shape (m,). `lines` say which line it is on."""
        found = self._fine_of(labels, squared_distances) // self.together
        return found if lines is None else lines.astype(np.int64) * self._of_line + found

    def keys_of(
        self, labels: npt.NDArray[np.integer], squared_distances: npt.NDArray[np.float32], part: int | Integers
    ) -> Keys:
        """What the records of a cell are sorted by: outwards and inwards, in one part after the other; shape (m,)."""
        # The bits of floats that are not negative sort as the floats do.
        outwards = (squared_distances + np.float32(0)).view(np.uint32)
        keys = np.where((self.ranks[labels] + part) % 2 == 0, outwards, ~outwards)
        if self.together == 1:
            return keys
        first = (self._fine_of(labels, squared_distances) % self.together).astype(np.uint64)
        return (first << np.uint64(32)) | keys

    def _fine_of(self, labels: npt.NDArray[np.integer], squared_distances: npt.NDArray[np.float32]) -> Integers:
        last = len(self.edges)
        outwards = np.searchsorted(self.edges, squared_distances / self.means[labels], side="right")
        ranks = self.ranks[labels]
        return ranks * (last + 1) + np.where(ranks % 2 == 0, outwards, last - outwards)


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
    """Where the cells of one part begin and end, and the place of their first record; shape (c,)."""

    starts: Floats
    ends: Floats
    first_places: Integers
    factors: Floats
    """What the masses of each line are multiplied by."""


@dataclass(frozen=True)
class Layout:
    """Where the shells begin on their lines."""

    starts: Floats
    """Shape (c + 1,): where the last one ends, too."""
    first_places: Integers
    last_parts: Integers
    """The last part in which each shell has a mass, -1 for none; shape (c,)."""
    factors: Floats
    """What the masses of each line are multiplied by."""

    @staticmethod
    def of(sums: Iterable[CellSums], chain: Chain) -> Layout:
        """From the sums of all parts, looked at once, in their order."""
        count = chain.shells
        masses, counts, last = np.zeros(count), np.zeros(count, np.int64), np.full(count, -1, np.int64)
        for number, part in enumerate(sums):
            masses += part.masses
            counts += part.counts
            last[part.masses > 0] = number
        starts = np.concatenate([[0.0], np.cumsum(masses)])
        return Layout(starts, np.cumsum(counts) - counts, last, np.ones(chain.lines))

    @property
    def of_lines(self) -> Floats:
        """The masses of the lines."""
        return np.diff(self.starts[:: self._of_line])

    @property
    def _of_line(self) -> int:
        return len(self.last_parts) // len(self.factors)

    def stretched(self, factors: Floats, lengths: Floats) -> Layout:
        """The same where the masses of a line count so many times, and make up its length, but for rounding."""
        each, ends = self._of_line, np.cumsum(lengths)
        line = np.arange(len(self.last_parts)) // each
        starts = (ends - lengths)[line] + (self.starts[:-1] - self.starts[:-1:each][line]) * factors[line]
        # What comes after the last mass of a line begins where the next line does, whatever is rounded.
        there = np.where(self.last_parts >= 0, np.arange(len(line)), -1).reshape(-1, each).max(axis=1)
        starts = np.where(np.arange(len(line)) > there[line], ends[line], np.minimum(starts, ends[line]))
        return replace(self, starts=np.append(starts, ends[-1]), factors=factors)

    def bounds(self, sums: Iterable[CellSums]) -> Iterator[Bounds]:
        """Those of each part, from the same sums once more."""
        starts, places = self.starts[:-1], self.first_places
        factors = np.repeat(self.factors, self._of_line)
        # The last cell that has a mass takes all that lies beyond it, by rounding.
        last_shell = int(np.flatnonzero(self.last_parts >= 0)[-1]) if (self.last_parts >= 0).any() else -1
        for number, part in enumerate(sums):
            # What a shell's parts add up to is rounded in another way than where the next shell begins.
            ends = np.minimum(starts + part.masses * factors, self.starts[1:])
            ends = np.where(self.last_parts == number, self.starts[1:], ends)
            open_ends = ends.copy()
            if last_shell >= 0 and self.last_parts[last_shell] == number:
                open_ends[last_shell] = np.inf
            yield Bounds(starts, open_ends, places, self.factors)
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
    shells: Integers,
    keys: Keys,
    masses_of: MassesOf,
) -> Located:
    """Which of the targets lie in the cells of a part, and on which record.

    Args:
        targets: points on the line, ascending.
        bounds: of the part's cells.
        shells: of the part's records, shape (m,).
        keys: what the records of a cell are sorted by, shape (m,).
        masses_of: their masses.
    """
    first, last = np.searchsorted(targets, bounds.starts), np.searchsorted(targets, bounds.ends)
    held = np.maximum(last - first, 0)
    cells = np.flatnonzero(held)
    line = _lined_up(cells, bounds, shells, keys, masses_of)
    number = np.repeat(first[cells] - (np.cumsum(held[cells]) - held[cells]), held[cells])
    number = number + np.arange(len(number))
    wanted = targets[number]
    cell = np.repeat(np.arange(len(cells)), held[cells])
    # The record with the last mass of a cell takes all that rounding leaves over.
    heaviest = np.maximum(np.searchsorted(line.after, line.after[line.stops - 1]), line.firsts)
    at = np.clip(np.searchsorted(line.after, wanted, side="right"), line.firsts[cell], heaviest[cell])
    places = bounds.first_places[cells][cell] + at - line.firsts[cell]
    return Located(number, line.members[at], places, line.before[at], np.maximum(line.after[at], wanted))


def middles(members: Integers, bounds: Bounds, shells: Integers, keys: Keys, masses_of: MassesOf) -> Floats:
    """Where the stretches of some records of a part have their middle; `members` are their numbers in it."""
    cells = np.unique(shells[members])
    line = _lined_up(cells, bounds, shells, keys, masses_of)
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


def _lined_up(cells: Integers, bounds: Bounds, shells: Integers, keys: Keys, masses_of: MassesOf) -> _Line:
    count = len(bounds.starts)
    wanted = np.zeros(count, bool)
    wanted[cells] = True
    members = np.flatnonzero(wanted[shells])
    members = members[np.lexsort((keys[members], shells[members]))]
    sizes = np.bincount(shells[members], minlength=count)[cells]
    stops = np.cumsum(sizes)
    firsts = stops - sizes
    cell = np.repeat(np.arange(len(cells)), sizes)
    factors = bounds.factors[cells * len(bounds.factors) // count][cell]
    sums = np.concatenate([[0.0], np.cumsum(masses_of(members) * factors)])
    begin, base = bounds.starts[cells][cell], sums[firsts][cell]
    before = begin + (sums[:-1] - base)
    after = np.minimum(begin + (sums[1:] - base), bounds.ends[cells][cell])
    return _Line(members, np.minimum(before, after), after, firsts, stops)
