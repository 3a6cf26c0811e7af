"""`--dry-run`: what a selection would take, from the corpus's size and a short trial."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

from tithe.embedders.base import FittedEncoder, RecordEncoder
from tithe.selection.checks import about_texts, check_inputs, check_losses, check_outputs, notices, open_inputs, tell
from tithe.selection.choose import Notify, loss_sources
from tithe.selection.clustering import cells, kmeans
from tithe.selection.clustering.trial import Trial, search_rates, try_texts, try_vectors
from tithe.selection.corpus.bad_records import BadRecords
from tithe.selection.corpus.corpus import Corpus
from tithe.selection.corpus.tokens import Counting, mean_of_some
from tithe.selection.embedding.lookup import Encoder
from tithe.selection.embedding.vector_file import BLOCK
from tithe.selection.engine.hashes import sha256
from tithe.selection.engine.stages import Progress, no_progress, peak_memory
from tithe.selection.engine.threads import workers
from tithe.selection.errors import TitheError
from tithe.selection.options.options import Options
from tithe.selection.options.plan import Plan
from tithe.selection.population.limits import more_than_records
from tithe.selection.sizes import counted, readable
from tithe.selection.storage.own_files import OwnPath
from tithe.selection.storage.places import open_binary
from tithe.selection.subset.outputs import Outputs

# Bytes a second at which vectors are read out of the work folder, and looked at once more in memory.
_KEPT_RATE, _MEMORY_RATE = 1.0e9, 3.0e9

# Seconds a record that the order, the scores, the draw and the evidence take, as measured with 10 million.
_CHOOSING = 1.5e-6

# Seconds until the first record is read.
_START = 1.2

# Bytes of a file of which the rate of hashing is taken.
_HASHED = 64 << 20


@dataclass(frozen=True)
class Forecast:
    """The plan of a selection and its rough cost."""

    plan: Plan
    files: int
    input_bytes: int
    bad_records: int
    memory: int
    """Bytes in memory at the peak."""
    disk: int
    """Bytes that the work folder grows by."""
    seconds: float
    """Without what a loss source takes."""

    def describe(self) -> dict[str, Any]:
        """The forecast for machines."""
        return {
            "records": self.plan.records,
            "bad_records": self.bad_records,
            "files": self.files,
            "input_bytes": self.input_bytes,
            "clusters": self.plan.clusters,
            "budgets": list(self.plan.sizes),
            "memory_bytes": self.memory,
            "disk_bytes": self.disk,
            "seconds": self.seconds,
        }

    def lines(self) -> list[str]:
        """The forecast for people."""
        plan = self.plan
        bad = f", {self.bad_records:,} of them bad" if self.bad_records else ""
        return [
            f"records   {plan.records:,}{bad}, in {counted(self.files, 'file')} of {readable(self.input_bytes)}",
            f"clusters  {plan.clusters:,}",
            f"budget    {counted(plan.size, 'record')} ({plan.size / plan.records:.2%})",
            f"memory    about {readable(self.memory)}",
            f"disk      about {readable(self.disk)} in the work folder",
            f"time      about {self.seconds:,.0f} s, besides what losses take",
        ]


def forecast(
    options: Options,
    encoder: Encoder,
    *,
    stdin: BinaryIO | None = None,
    progress: Progress = no_progress,
    notify: Notify = lambda message: None,
) -> Forecast:
    """Read the corpus, or as much of it as shows how fast that goes, embed a few of its records, and work out the rest.

    Nothing is taken for done that lies in the work folder. Raises what `select` would raise for the same options and
    the records read. Nothing is left behind.
    """
    outputs = Outputs.of(options.output, options.fraction, overwrite=True)
    sources = loss_sources(options)
    with TemporaryDirectory(prefix="tithe-") as folder:
        corpus = open_inputs(options, Path(folder), stdin=stdin, notify=notify)
        if options.output is not None:
            check_outputs(options, outputs, corpus)
        check_losses(options, corpus, sources)
        rule = check_inputs(options, encoder, corpus)
        tell(notify, notices(options, rule))
        bad = BadRecords(options.on_bad_record)
        with progress("read", corpus.known_rows, "records") as advance:
            if isinstance(encoder, RecordEncoder):
                keep = _vectors_to_search(options, corpus)
                trial = try_vectors(encoder, corpus, bad, normalize=options.unit_length, keep=keep, advance=advance)
            else:
                assert rule is not None
                trial = try_texts(encoder, corpus, rule, bad, seed=options.cluster_seed, advance=advance)
        tell(notify, about_texts(rule, trial.empty, trial.texts))
        if trial.records == trial.bad:
            raise TitheError(f"{options.first_input}: the input holds no usable records")
        mean = (
            None
            if options.tokens is None
            else mean_of_some(Counting(options.token_column, options.tokenizer), corpus, rule, bad)
        )
        hashing = sum(file.size for file in corpus.files) / _hashing_rate(corpus)
    plan = options.plan(trial.records, mean)
    tell(notify, more_than_records(options, plan.records))
    in_place = isinstance(encoder, RecordEncoder) and corpus.schema is not None
    number = 4 if isinstance(encoder, RecordEncoder) or options.kept_as == "float32" else 2
    kept = (
        0
        if in_place
        else trial.records * (number * trial.dimensions + (0 if isinstance(encoder, RecordEncoder) else 28))
    )
    one_pass = trial.reading.seconds if in_place else kept / _KEPT_RATE
    return Forecast(
        plan=plan,
        files=len(corpus.files),
        input_bytes=sum(file.size for file in corpus.files),
        bad_records=trial.bad,
        memory=_memory(plan, trial.dimensions),
        disk=kept + 8 * trial.records + 8 * trial.dimensions * plan.clusters,
        seconds=_START
        + hashing
        + _embedding(encoder, trial, in_place)
        + _clustering(plan, trial, one_pass, in_place)
        + _CHOOSING * trial.records
        + trial.reading.seconds,  # to find the records of the subset, and the centres' texts
    )


def _vectors_to_search(options: Options, corpus: Corpus) -> int:
    """How many vectors a trial of the search for centroids needs: none where its rate is the same for all vectors."""
    clusters = options.clusters or math.isqrt(corpus.known_rows or 0)
    return clusters + workers() * BLOCK if clusters >= cells.LARGE else 0


def _embedding(encoder: Encoder, trial: Trial, in_place: bool) -> float:
    """Seconds until all vectors can be read."""
    if isinstance(encoder, RecordEncoder):
        return trial.fitting.seconds + (0.0 if in_place else trial.reading.seconds)
    fitting = trial.reading.seconds + trial.fitting.seconds if isinstance(encoder, FittedEncoder) else 0.0
    return fitting + trial.reading.beside(trial.encoding)


def _clustering(plan: Plan, trial: Trial, one_pass: float, in_place: bool) -> float:
    """Seconds of the training and of both passes after it, of which each takes `one_pass` to read the vectors."""
    rates = search_rates(trial.vectors, plan.clusters, trial.dimensions)
    points = min(plan.records, kmeans.training_points(plan.clusters))
    sampling = one_pass if in_place else one_pass * points / plan.records
    anew, hinted, searches = kmeans.training_searches(points, plan.clusters)
    training = anew / rates.anew + hinted / rates.hinted + searches * rates.making
    looking = 4.0 * plan.records * trial.dimensions / _MEMORY_RATE
    return sampling + training + max(one_pass, plan.records / rates.anew) + max(one_pass, looking)


def _memory(plan: Plan, dimensions: int) -> int:
    """What this process has needed, libraries and encoder included, and what the selection needs besides."""
    points = min(plan.records, kmeans.training_points(plan.clusters))
    blocks = 2 * (workers() + 2) * BLOCK
    vectors = 4 * dimensions * (points + 4 * plan.clusters + blocks)
    return peak_memory() + max(vectors, 16 * plan.records + 200 * plan.size)


def _hashing_rate(corpus: Corpus) -> float:
    """Bytes a second."""
    source = corpus.files[0].source
    with open_binary(source) as file, TemporaryDirectory(prefix="tithe-") as folder:
        part, content = OwnPath(Path(folder)) / "part", file.read(_HASHED)
        part.write(content)
        start = time.perf_counter()
        sha256(part.path)
        return max(len(content), 1) / (time.perf_counter() - start)
