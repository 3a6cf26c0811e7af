"""`--dry-run`: what a selection would take, from the corpus's size and a short trial."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

import numpy as np

from tithe.embedders.base import FittedEncoder, MeasuredEncoder, RecordEncoder
from tithe.selection import clustering
from tithe.selection.bad_records import BadRecords
from tithe.selection.corpus import Corpus, TextRule, open_corpus
from tithe.selection.embedding import LookedUpEmbeddings, measure, usable_texts
from tithe.selection.errors import TitheError
from tithe.selection.groundwork import Encoder, check_field, find_text_rule
from tithe.selection.nearest import search_all
from tithe.selection.options import Options
from tithe.selection.outputs import Outputs
from tithe.selection.pipeline import Notify, loss_source
from tithe.selection.plan import Plan
from tithe.selection.reservoir import Reservoir
from tithe.selection.stages import Progress, no_progress
from tithe.selection.subset import check_writable

# Records that the trial embeds, and learns from.
_TRIAL, _TRIAL_FIT = 512, 4096

# Libraries and buffers, before the first record is read.
_BASE_MEMORY = 350 << 20


@dataclass(frozen=True)
class Forecast:
    """The plan of a selection and its rough cost."""

    plan: Plan
    files: int
    input_bytes: int
    bad_records: int
    dimensions: int
    memory: int
    """Bytes in memory at the peak."""
    disk: int
    """Bytes on disk beside the output while the run lasts."""
    seconds: float

    def lines(self) -> list[str]:
        """The forecast for people."""
        plan = self.plan
        bad = f", {self.bad_records:,} of them bad" if self.bad_records else ""
        return [
            f"records   {plan.records:,}{bad}, in {self.files} file(s) of {_size(self.input_bytes)}",
            f"clusters  {plan.clusters:,}",
            f"budget    {plan.size:,} records ({plan.size / plan.records:.2%})",
            f"memory    about {_size(self.memory)}",
            f"disk      about {_size(self.disk)} beside the output while it runs",
            f"time      about {self.seconds:,.0f} s",
        ]


def forecast(
    options: Options,
    encoder: Encoder,
    *,
    stdin: BinaryIO | None = None,
    progress: Progress = no_progress,
    notify: Notify = lambda message: None,
) -> Forecast:
    """Read the corpus once, embed a few of its records, and work out what the whole would take.

    Raises what `select` would raise for the same options and records. Nothing is left behind.
    """
    outputs = Outputs.of(options.output, overwrite=True)
    losses = loss_source(options, options.loss)
    start = time.perf_counter()
    with TemporaryDirectory(prefix="tithe-") as folder:
        corpus = open_corpus(options.inputs, format=options.format, spool=Path(folder), stdin=stdin)
        if options.output is not None:
            outputs.check_apart_from(corpus.files, options.inputs)
            check_writable(corpus, outputs.format, options.weight_column)
        check_field(corpus, losses.field, f"--loss {options.loss}")
        rule = find_text_rule(options, encoder, corpus)
        if rule is not None:
            notify(f"text: {rule.name}")
        bad = BadRecords(options.on_bad_record)
        dimensions, embedding_rate = _trial(options, encoder, corpus, rule, bad, progress)
        records = corpus.row_count()
        files = len(corpus.files)
        input_bytes = sum(file.size for file in corpus.files)
        in_place = isinstance(encoder, RecordEncoder) and corpus.schema is not None
    if records == len(bad):
        raise TitheError(f"{options.inputs[0]}: the input holds no usable records")
    reading = time.perf_counter() - start
    plan = options.plan(records)
    points = min(records, clustering.training_points(plan.clusters))
    searched = records + clustering.training_visits(points, plan.clusters)
    search_rate = _search_rate(plan.clusters, dimensions)
    passes = 3 if in_place else 2
    return Forecast(
        plan=plan,
        files=files,
        input_bytes=input_bytes,
        bad_records=len(bad),
        dimensions=dimensions,
        memory=_BASE_MEMORY + 4 * dimensions * (points + 4 * plan.clusters + 8 * clustering.BLOCK) + 48 * records,
        disk=0 if in_place else 4 * dimensions * records,
        seconds=passes * reading + records / embedding_rate + searched / search_rate,
    )


def _trial(
    options: Options,
    encoder: Encoder,
    corpus: Corpus,
    rule: TextRule | None,
    bad: BadRecords,
    progress: Progress,
) -> tuple[int, float]:
    """Dimensions, and records embedded a second, from a few records of the whole corpus."""
    if isinstance(encoder, RecordEncoder):
        if isinstance(encoder, MeasuredEncoder):
            measure(encoder, corpus, bad, lambda count: None)
        dimensions, records, start = 0, 0, time.perf_counter()
        with progress("read", corpus.known_rows, "records") as advance:
            for block in LookedUpEmbeddings(corpus, encoder, bad, normalize=options.unit_length).blocks():
                dimensions = block.shape[1]
                records += len(block)
                advance(len(block))
        return max(dimensions, 1), max(records, 1) / (time.perf_counter() - start)
    assert rule is not None
    sample: Reservoir[str] = Reservoir(_TRIAL_FIT, np.random.default_rng(options.seed))
    with progress("read", corpus.known_rows, "records") as advance:
        for _, texts in usable_texts(corpus, rule, bad, advance):
            sample.extend(texts)
    if not sample.items:
        return 1, 1.0
    if isinstance(encoder, FittedEncoder):
        encoder.fit(sample.items, seed=options.seed)
    texts = sample.items[:_TRIAL]
    encoder.encode(texts[:8])  # loads what is loaded at the first use
    start = time.perf_counter()
    vectors = encoder.encode(texts)
    return vectors.shape[1], len(texts) / (time.perf_counter() - start)


def _search_rate(k: int, dimensions: int) -> float:
    """Records a second against k centroids, measured."""
    rng = np.random.default_rng(0)
    centroids = rng.standard_normal((k, dimensions), dtype=np.float32)
    block = centroids[rng.integers(k, size=4096)] + np.float32(0.5) * rng.standard_normal(
        (4096, dimensions), dtype=np.float32
    )
    search = clustering.final_search(centroids, block)
    search_all(block[:64], search)
    start = time.perf_counter()
    search_all(block, search)
    return len(block) / (time.perf_counter() - start)


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
