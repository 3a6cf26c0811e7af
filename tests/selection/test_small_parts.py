"""Bad records, reservoir, ordered_map, the embedding store, the BLAS kernel."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tithe.selection.corpus.bad_records import PLACES_KEPT, BadRecords
from tithe.selection.embedding.vector_file import BLOCK, VectorFile
from tithe.selection.engine.reservoir import Reservoir, VectorReservoir
from tithe.selection.engine.threads import chained, ordered_map
from tithe.selection.errors import TitheError
from tithe.selection.sampling.weights import summarize, tempered
from tithe.selection.storage.own_files import OwnPath


@given(st.sets(st.integers(0, 40)), st.integers(1, 41))
def test_rows_and_positions_without_the_bad_ones_are_each_others_inverse(rows: set[int], n: int) -> None:
    bad = BadRecords("skip")
    for row in rows:
        bad.report(row, f"line {row}", "broken")
    good = np.array([row for row in range(n) if row not in rows], np.int64)
    np.testing.assert_array_equal(bad.overall_rows(np.arange(len(good))), good)


def test_rows_that_turn_out_bad_later_count_at_once() -> None:
    bad = BadRecords("skip")
    assert bad.overall_rows(np.arange(3)).tolist() == [0, 1, 2]
    bad.report(1, "line 2", "broken")
    assert bad.overall_rows(np.arange(3)).tolist() == [0, 2, 3]
    bad.remember([0], ["line 1: broken"])
    assert bad.overall_rows(np.arange(3)).tolist() == [1, 2, 3]


def test_bad_records_stop_the_run_or_are_counted_once_with_their_first_places() -> None:
    with pytest.raises(TitheError, match=r"a.jsonl, line 3: invalid JSON .*--on-bad-record skip"):
        BadRecords("fail").report(2, "a.jsonl, line 3", "invalid JSON")
    bad = BadRecords("skip")
    for row in [*range(9), *range(9)]:
        bad.report(row, f"line {row + 1}", "broken")
    assert len(bad) == 9
    assert bad.places == [f"line {i + 1}: broken" for i in range(PLACES_KEPT)]


def test_a_reservoir_is_uniform_and_does_not_depend_on_how_the_stream_is_cut() -> None:
    hits = np.zeros(50)
    for seed in range(2000):
        sample: Reservoir[int] = Reservoir(10, np.random.default_rng(seed))
        sample.extend(range(50))
        hits[sample.items] += 1
    deviation = (hits / 2000 - 0.2) / np.sqrt(0.2 * 0.8 / 2000)
    assert np.abs(deviation).max() < 4.5

    whole: Reservoir[int] = Reservoir(7, np.random.default_rng(1))
    whole.extend(range(100))
    cut: Reservoir[int] = Reservoir(7, np.random.default_rng(1))
    for start in range(0, 100, 3):
        cut.extend(range(start, min(start + 3, 100)))
    assert cut.items == whole.items


def test_a_reservoir_of_vectors_is_uniform_and_does_not_depend_on_how_the_stream_is_cut() -> None:
    stream = np.arange(50, dtype=np.float32)[:, None]
    hits = np.zeros(50)
    for seed in range(2000):
        sample = VectorReservoir(10, np.random.default_rng(seed))
        cut = VectorReservoir(10, np.random.default_rng(seed))
        sample.extend(stream)
        for start in range(0, 50, 7):
            cut.extend(stream[start : start + 7])
        found = sample.vectors()
        assert found.shape == (10, 1)
        assert np.array_equal(cut.vectors(), found)
        hits[found[:, 0].astype(int)] += 1
    deviation = (hits / 2000 - 0.2) / np.sqrt(0.2 * 0.8 / 2000)
    assert np.abs(deviation).max() < 4.5

    few = VectorReservoir(10, np.random.default_rng(1))
    assert len(few.vectors()) == 0
    few.extend(stream[:4])
    assert sorted(few.vectors()[:, 0].tolist()) == [0, 1, 2, 3]
    none = VectorReservoir(0, np.random.default_rng(1))
    none.extend(stream)
    none.extend(stream)
    assert none.vectors().shape == (0, 1)


def test_ordered_map_keeps_order_and_never_runs_ahead_of_its_consumer() -> None:
    taken = 0

    def source() -> object:
        nonlocal taken
        for i in range(50):
            taken += 1
            yield i

    def slow(i: int) -> int:
        time.sleep(0.002 * (i % 3))
        return i * i

    for expected, result in enumerate(ordered_map(slow, source(), threads=3)):  # type: ignore[arg-type]
        assert result == expected**2
        assert taken <= expected + 1 + 4


def test_ordered_map_passes_errors_on_and_leaves_no_thread() -> None:
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError):
        list(ordered_map(lambda i: 1 // (3 - i), range(10), threads=2))
    assert threading.active_count() == before


def test_streams_come_one_after_the_other_and_few_items_are_made_ahead() -> None:
    made = [0] * 30

    def stream(number: int) -> Iterator[tuple[int, int]]:
        for i in range(number % 7 * 3):
            made[number] += 1
            time.sleep(0.0005 * (number % 3))
            yield number, i

    expected = [(number, i) for number in range(30) for i in range(number % 7 * 3)]
    taken = 0
    for item in chained((partial(stream, number) for number in range(30)), threads=3, ahead=2):
        assert item == expected[taken]
        taken += 1
        # Of this stream and of the three that follow: those that wait, and one in the hand of each thread.
        assert sum(made) - taken <= 4 * (2 + 1)
    assert taken == len(expected)


@pytest.mark.parametrize("ends", ["by an error", "since nobody wants more"])
def test_streams_leave_no_thread(ends: str) -> None:
    before, stopped = threading.active_count(), []

    def stream(number: int) -> Iterator[int]:
        try:
            for i in range(100):
                yield 1 // (50 - i) if number == 1 and ends == "by an error" else i
        finally:
            stopped.append(number)

    items = chained((partial(stream, number) for number in range(9)), threads=2, ahead=3)
    if ends == "by an error":
        taken = []
        with pytest.raises(ZeroDivisionError):
            taken.extend(items)
        assert next(items, None) is None
    else:
        assert [next(items) for _ in range(40)] == [*range(40)]
        items.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
    assert {0, 1} <= set(stopped) and len(stopped) <= 4


def test_the_spool_gives_back_what_it_got_in_blocks_of_fixed_size(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).standard_normal((BLOCK + 100, 3)).astype(np.float32)
    with VectorFile(OwnPath(tmp_path) / "vectors") as spool:
        for start in range(0, len(vectors), 777):
            spool.append(vectors[start : start + 777])
    blocks = list(spool.blocks())
    assert [len(block) for block in blocks] == [BLOCK, 100]
    np.testing.assert_array_equal(np.concatenate(blocks), vectors)


def test_the_effective_sample_size_is_kishs() -> None:
    assert summarize(np.full(8, 3.0)).effective_sample_size == pytest.approx(8)
    summary = summarize(np.array([1.0, 3.0]))
    assert (summary.total, summary.smallest, summary.largest, summary.count) == (4, 1, 3, 2)
    assert summary.effective_sample_size == pytest.approx(16 / 10)


@given(st.lists(st.floats(0.1, 1e6), min_size=1, max_size=30), st.floats(0, 1))
def test_tempered_weights_keep_their_sum_and_order_and_come_nearer_to_one_another(
    values: list[float], exponent: float
) -> None:
    weights = np.array(values)
    found = tempered(weights, exponent)
    assert found.sum() == pytest.approx(weights.sum())
    assert (np.diff(found[np.argsort(weights)]) >= -1e-9 * found.max()).all()
    assert summarize(found).effective_sample_size >= summarize(weights).effective_sample_size * (1 - 1e-9)
    np.testing.assert_allclose(tempered(weights, 0), weights.mean())
    np.testing.assert_array_equal(tempered(weights, 1), weights)


KERNEL = "from tithe.selection.engine.blas import choose_kernel; print(choose_kernel(frozenset({flags})))"
AVX512 = {"avx2", "fma", "avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512cd"}


@pytest.mark.parametrize(
    ("flags", "setting", "expected"),
    [
        (AVX512, None, "SkylakeX"),
        ({"avx2", "fma"}, None, "Haswell"),
        ({"sse2"}, None, "None"),
        (AVX512, "Zen", "None"),
    ],
    ids=["avx512", "avx2", "old", "the user's own setting"],
)
def test_the_kernel_is_the_widest_the_cpu_runs_and_the_users_setting_wins(
    flags: set[str], setting: str | None, expected: str
) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_CORETYPE"}
    if setting:
        environment["OPENBLAS_CORETYPE"] = setting
    script = KERNEL.format(flags=sorted(flags)) + "; import os; print(os.environ.get('OPENBLAS_CORETYPE'))"
    run = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.split() == [expected, setting or expected]


def test_faiss_runs_the_kernel_that_was_chosen() -> None:
    if "avx2" not in Path("/proc/cpuinfo").read_text():
        pytest.skip("no kernel to choose on this CPU")
    script = (
        "from tithe.selection.engine.blas import load_faiss, choose_kernel; load_faiss(); from threadpoolctl import threadpool_info\n"
        "print({i['architecture'] for i in threadpool_info() if 'faiss' in i['filepath'] and i['internal_api'] == 'openblas'}"
        " == {choose_kernel()})"
    )
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_CORETYPE"}
    run = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "True"
