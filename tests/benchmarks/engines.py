"""The engine ray beside one process: made vectors of 256 dimensions in Parquet, k = 1,000, on this machine.

Seconds of the whole process, with the start of Ray's own cluster; the peak of the process that draws; and how many bytes
go through Ray for each record: all arguments and results of calls as they are pickled, and what calls share once for each
machine. They are counted with one million, in one process that does the calls one after the other.
"""

from __future__ import annotations

import importlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.common import TITHE, Table, cost
from tests.benchmarks.precomputed import K, has_room, write_corpus
from tithe.embedders.registry import make_encoder
from tithe.selection.engine.executor import InProcess, nothing
from tithe.selection.engine.stages import Advance
from tithe.selection.options.options import Options
from tithe.selection.pipeline import select

SIZES = (1_000_000, 10_000_000)


def run(sizes: tuple[int, ...] = SIZES) -> list[Table]:
    """Two tables: a row for each size and engine; bytes for each record."""
    Path("build").mkdir(exist_ok=True)
    rows: Table = []
    through: Table = []
    with tempfile.TemporaryDirectory(dir="build") as name:
        folder = Path(name)
        for n in sizes:
            if not has_room(folder, n):
                continue
            corpus = folder / "c.parquet"
            write_corpus(corpus, n)
            rows += _engines(corpus, n)
            if n == sizes[0]:
                through.append(_through_ray(corpus, n))
    return [rows, through]


def run_quick() -> list[Table]:
    """The smaller size alone."""
    return run(SIZES[:1])


def _engines(corpus: Path, n: int) -> Table:
    rows: Table = []
    local = 0.0
    for engine in ("local", "ray"):
        subset, work = corpus.with_name("s.parquet"), corpus.with_name("work")
        options = ["--encoder", "column:emb", "--clusters", str(K), "--work-dir", str(work), "--engine", engine]
        seconds = cost([*TITHE, "select", str(corpus), "-o", str(subset), "--force", "--quiet", *options]).seconds
        shutil.rmtree(work)
        run = json.loads(Path(f"{subset}.manifest.json").read_text())["run"]
        local = local or seconds
        peak = max(stage["peak_memory_mib"] for stage in run["stages"])
        rows.append({"vectors": n, "engine": engine, "seconds": seconds, "ratio": seconds / local, "driver, MiB": peak})
        stages = {stage["stage"]: stage["seconds"] for stage in run["stages"]}
        print(rows[-1], stages, flush=True)
    return rows


def _through_ray(corpus: Path, n: int) -> dict[str, object]:
    counted = Counted()
    options = Options(
        inputs=(str(corpus),),
        output=corpus.with_name("p.parquet"),
        encoder="column:emb",
        clusters=K,
        work_dir=corpus.with_name("work"),
        engine="ray",
        force=True,
    )
    select(options, make_encoder(options.encoder), executor=counted)
    shutil.rmtree(corpus.with_name("work"))
    return {
        "vectors": n,
        "calls": counted.calls,
        "arguments and results, bytes a record": counted.moved / n,
        "shared, bytes a record and machine": counted.shared / n,
    }


@dataclass(frozen=True)
class _Shared:
    value: Any


class Counted(InProcess):
    """In this process, while the bytes are counted that would go through Ray."""

    remote = True

    def __init__(self) -> None:
        super().__init__()
        self.calls = self.moved = self.shared = 0

    def share(self, value: Any) -> Any:
        self.shared += _size(value)
        return _Shared(value)

    def map(
        self,
        function: Callable[..., Any],
        calls: Iterable[tuple[Any, ...]],
        advance: Advance = nothing,
        worth: Callable[[Any], int] = lambda result: 0,
    ) -> Iterator[Any]:
        for arguments in calls:
            own = [argument for argument in arguments if not isinstance(argument, _Shared)]
            given = [argument.value if isinstance(argument, _Shared) else argument for argument in arguments]
            found = function(*given, advance=nothing)
            self.calls += 1
            self.moved += _size((function, own)) + _size(found)
            advance(worth(found))
            yield found


def _size(value: Any) -> int:
    cloudpickle: Any = importlib.import_module("ray.cloudpickle")
    return len(cloudpickle.dumps(value))
