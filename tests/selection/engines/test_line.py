"""The draw of records that lie in many parts: that of one process, with exact probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tithe.selection.clustering import Clustering
from tithe.selection.designs.allocation import Wanted
from tithe.selection.designs.grouped import make_group_design
from tithe.selection.designs.pivotal import PivotalDesign
from tithe.selection.designs.sampling import draw_pivotal, inclusion_probabilities
from tithe.selection.engines import line
from tithe.selection.engines.cluster_order import ScatteredOrder
from tithe.selection.engines.executor import Serial
from tithe.selection.engines.line import Chain
from tithe.selection.engines.scattered import Scattered, ScatteredHome
from tithe.selection.frame.candidates import Candidates
from tithe.selection.frame.groups import Groups
from tithe.selection.order import sampling_order, similarity_order
from tithe.selection.per_record import extremes, positions_where, total, totals


@dataclass(frozen=True)
class Held:
    """A part whose values are arrays."""

    start: int
    records: int
    arrays: Mapping[str, np.ndarray]

    def quantity(self, name: str) -> np.ndarray:
        return self.arrays[name]


@dataclass(frozen=True)
class Corpus:
    """Records in parts, and the same as arrays."""

    labels: np.ndarray
    squared_distances: np.ndarray
    scores: np.ndarray
    ranks: np.ndarray
    cuts: tuple[int, ...]

    @property
    def home(self) -> ScatteredHome:
        return self.home_of()

    def home_of(self, **others: np.ndarray) -> ScatteredHome:
        """The home of other quantities as well."""
        edges = (0, *self.cuts, len(self.labels))
        arrays = {"labels": self.labels, "squared_distances": self.squared_distances, "scores": self.scores, **others}
        return ScatteredHome(
            Serial(),
            [
                Held(start, end - start, {name: values[start:end] for name, values in arrays.items()})
                for start, end in pairwise(edges)
            ],
        )

    def order(self, chain: Chain, groups: np.ndarray | None = None) -> np.ndarray:
        """The order of all records, by sorting them in one place."""
        part = np.searchsorted(self.cuts, np.arange(len(self.labels)), side="right")
        keys = np.empty(len(part), np.uint64)
        for p in range(len(self.cuts) + 1):
            here = part == p
            keys[here] = chain.keys_of(self.labels[here], self.squared_distances[here], p)
        return np.lexsort((keys, part, chain.shells_of(self.labels, self.squared_distances, groups)))


def make(n: int, k: int, parts: int, seed: int, *, spread: float = 1.0) -> Corpus:
    """Records whose scores spread over so many orders of magnitude, some of them 0; clusters may be empty."""
    rng = np.random.default_rng(seed)
    scores = 10 ** (spread * rng.standard_normal(n)) * (rng.random(n) < 0.9)
    distances = rng.choice(rng.random(max(n // 2, 1)), n)  # some are equal
    cuts = np.sort(rng.integers(0, n + 1, parts - 1))  # parts may be empty, too
    return Corpus(
        rng.integers(0, k, n).astype(np.int32),
        distances.astype(np.float32),
        scores.astype(np.float32),
        rng.permutation(k),
        tuple(cuts.tolist()),
    )


corpora = st.builds(
    make,
    st.integers(1, 80),
    st.integers(1, 12),
    st.integers(1, 7),
    st.integers(0, 2**32),
    spread=st.sampled_from([0.5, 3.0]),  # of equal scores, a point may lie between two, and rounding decides
)


@given(corpora, st.data())
def test_parts_draw_what_one_process_draws_in_the_same_order(corpus: Corpus, data: st.DataObject) -> None:
    size = data.draw(st.integers(0, len(corpus.labels)))
    seed = data.draw(st.integers(0, 2**32))
    home = corpus.home
    scattered = inclusion_probabilities(home.quantity("scores"), size)
    together = inclusion_probabilities(corpus.scores, size)
    order = ScatteredOrder(home, corpus.ranks)
    found = draw_pivotal(scattered, order, np.random.default_rng(seed))
    expected = draw_pivotal(together, corpus.order(order.chain), np.random.default_rng(seed))
    assert len(found.positions) == size
    np.testing.assert_array_equal(found.positions, expected.positions)
    np.testing.assert_allclose(found.probabilities, expected.probabilities, rtol=1e-12)


@settings(deadline=None)
@given(corpora, st.integers(1, 5), st.sampled_from([5, 40, 1 << 18]), st.data())
def test_parts_draw_groups_as_one_process_does(corpus: Corpus, groups: int, shells: int, data: st.DataObject) -> None:
    """However few shells the groups may have."""
    n, seed = len(corpus.labels), data.draw(st.integers(0, 2**32))
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, groups, n).astype(np.uint16)
    scores = corpus.scores + rng.random(n).astype(np.float32)
    size = data.draw(st.integers(len(np.unique(codes)), n))
    home = replace(corpus, scores=scores).home_of(groups=codes)
    names = tuple(map(str, range(groups)))
    order = ScatteredOrder(home, corpus.ranks)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(line, "_MOST", shells)
        chain = order.chain.in_lines(groups)
        assert chain.shells <= max(shells + groups, groups)
        everyone = Candidates.everyone(n)
        scattered, together = (
            make_group_design(Groups("x", of, names), Wanted(), values, size, along, everyone)
            for of, values, along in (
                (home.quantity("groups"), home.quantity("scores"), order),
                (codes, scores, corpus.order(chain, codes)),
            )
        )
        found, expected = (design.draw(np.random.default_rng(seed)) for design in (scattered, together))
        np.testing.assert_array_equal(found.positions, expected.positions)
        np.testing.assert_allclose(found.probabilities, expected.probabilities, rtol=1e-12)
        at = np.arange(0, n, 2)
        places = [design.chances(at) for design in (scattered, together)]
        open_ = places[0].probabilities < 1
        np.testing.assert_allclose(places[0].places[open_], places[1].places[open_], rtol=1e-9, atol=1e-9)


@given(corpora)
def test_sums_over_parts_are_those_of_all_records(corpus: Corpus) -> None:
    home = corpus.home
    scores, labels = home.quantity("scores"), home.quantity("labels")
    assert total(scores) == pytest.approx(total(corpus.scores))
    k = len(corpus.ranks)
    np.testing.assert_allclose(totals(labels, k, scores), totals(corpus.labels, k, corpus.scores), rtol=1e-12)
    assert extremes(scores) == extremes(corpus.scores)
    np.testing.assert_array_equal(positions_where(lambda s: s > 1, scores), np.flatnonzero(corpus.scores > 1))
    at = np.random.default_rng(0).permutation(len(corpus.labels))
    np.testing.assert_array_equal(scores[at], corpus.scores[at])


@given(corpora, st.data())
def test_places_in_the_order_are_those_of_one_process(corpus: Corpus, data: st.DataObject) -> None:
    size = data.draw(st.integers(1, len(corpus.labels)))
    home = corpus.home
    order = ScatteredOrder(home, corpus.ranks)
    scattered = PivotalDesign(inclusion_probabilities(home.quantity("scores"), size), order, size)
    together = PivotalDesign(inclusion_probabilities(corpus.scores, size), corpus.order(order.chain), size)
    at = np.arange(0, len(corpus.labels), 2)
    found, expected = scattered.chances(at), together.chances(at)
    open_ = found.probabilities < 1
    np.testing.assert_allclose(found.places[open_], expected.places[open_], rtol=1e-9, atol=1e-9)


def test_every_record_is_drawn_as_often_as_its_probability_says() -> None:
    """Tolerance: of 60 frequencies over 2,500 draws none is off by more than 4.5 standard errors (P < 0.0005), and
    their mean square is that of a unit normal within 0.6 (3.3 standard errors)."""
    corpus = make(60, 7, 5, seed=3, spread=0.6)
    home, draws = corpus.home, 2500
    pi = inclusion_probabilities(home.quantity("scores"), 17)
    counts, order = np.zeros(60), ScatteredOrder(home, corpus.ranks)
    for seed in range(draws):
        sample = draw_pivotal(pi, order, np.random.default_rng(seed))
        assert len(sample.positions) == 17
        counts[sample.positions] += 1
    expected = inclusion_probabilities(corpus.scores, 17)[:]
    certain, never = expected == 1, expected == 0
    assert certain.any() and never.any()
    np.testing.assert_array_equal(counts[certain], draws)
    np.testing.assert_array_equal(counts[never], 0)
    open_ = ~certain & ~never
    p = expected[open_]
    z = (counts[open_] / draws - p) / np.sqrt(p * (1 - p) / draws)
    assert np.abs(z).max() < 4.5
    assert np.mean(z**2) == pytest.approx(1, abs=0.6)


def test_one_part_has_the_order_of_one_process() -> None:
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((9, 3)).astype(np.float32)
    corpus = make(500, 9, 1, seed=2)
    clusters = Clustering(corpus.labels, corpus.squared_distances, np.arange(9), centres, 0.0)
    ranks = np.empty(9, np.int64)
    ranks[similarity_order(centres)] = np.arange(9)
    order = corpus.order(ScatteredOrder(corpus.home, ranks).chain)
    np.testing.assert_array_equal(order, sampling_order(clusters))


def test_a_cluster_gives_what_its_mass_says_whatever_the_parts() -> None:
    corpus = make(400, 8, 6, seed=1, spread=0.2)
    home, size = corpus.home, 60
    pi = inclusion_probabilities(home.quantity("scores"), size)
    mass = totals(home.quantity("labels"), 8, pi)
    for seed in range(50):
        sample = draw_pivotal(pi, ScatteredOrder(home, corpus.ranks), np.random.default_rng(seed))
        drawn = np.bincount(corpus.labels[sample.positions], minlength=8)
        assert np.abs(drawn - mass).max() < 2


def test_all_values_of_a_scattered_quantity_are_never_here() -> None:
    scores = make(10, 2, 2, seed=0).home.quantity("scores")
    with pytest.raises(TypeError, match="not all values are ever here"):
        scores[0:5]
    assert isinstance(scores, Scattered)
