"""`tithe replay`: a selection made again from what its manifest records."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

from tithe.selection.choose import Notify
from tithe.selection.engine.executor import Executor
from tithe.selection.engine.stages import Progress, no_progress
from tithe.selection.errors import UsageError, printable
from tithe.selection.options.options import Options
from tithe.selection.pipeline import select
from tithe.selection.review.files import check_inputs
from tithe.selection.review.findings import Finding, drifted
from tithe.selection.review.named import check_reach
from tithe.selection.review.record import STDIN, Record
from tithe.selection.review.verify import MakeEncoder, changed_versions, recorded_options
from tithe.selection.storage.places import Place, absolute, place_of
from tithe.selection.subset.outputs import Outputs

_NOTHING = {"size": -1, "sha256": ""}

ExecutorOf = Callable[[Options], AbstractContextManager[Executor | None]]


@dataclass(frozen=True)
class Replay:
    """How a selection came out the second time."""

    same: dict[str, bool]
    """Of each output, by the name that the manifest has for it, whether the bytes are the same; empty where nothing
    was selected."""
    findings: tuple[Finding, ...]
    """What was not as the manifest says, and may be why."""
    versions: dict[str, tuple[str | None, str | None]]
    """Libraries whose version is not that of the manifest: then and now."""

    @property
    def identical(self) -> bool:
        """Whether it is the same selection, byte for byte."""
        return bool(self.same) and all(self.same.values())


def replay(
    record: Record,
    make_encoder: MakeEncoder,
    output: Place | None,
    *,
    executor_of: ExecutorOf = lambda options: nullcontext(),
    work_dir: Path | None = None,
    overwrite: bool = False,
    stdin: BinaryIO | None = None,
    progress: Progress = no_progress,
    notify: Notify = lambda message: None,
) -> Replay:
    """Select again, in the folder of the first time, and compare the bytes.

    Args:
        record: what was recorded.
        make_encoder: from options to the encoder.
        output: where the subset goes; None writes it nowhere for good.
        executor_of: from options to where the work is done.
        work_dir: where embeddings and clusters are kept; None: in the user's cache folder.
        overwrite: whether outputs may be overwritten that exist.
        stdin: read for the input `-`.
        progress: shows how far each stage is.
        notify: told what was found out, a line each.

    Where the inputs are no longer what they were nothing is selected. Raises what `select` raises.
    """
    number = _check_name(record, output)
    target = None if output is None else absolute(output)
    work_dir = None if work_dir is None else work_dir.absolute()
    versions = changed_versions(record)
    with record.in_its_folder(), _output(record, target) as path:
        check_reach(record, models=True)
        total = sum(file["size"] for file in record.manifest["inputs"])
        with progress("verify", total, "bytes") as advance:
            findings = [found for found in check_inputs(record, advance) if found.state == "drifted"]
        if findings:
            return Replay({}, tuple(findings), versions)
        options = replace(recorded_options(record, output=path, work_dir=work_dir), force=overwrite)
        encoder = make_encoder(options)
        with executor_of(options) as executor:
            made = select(options, encoder, executor=executor, stdin=stdin, progress=progress, notify=notify)
        again = Outputs.named(path, options.fraction, shards=options.shards)
        written = again.vouched_for(number)
    recorded = record.manifest["outputs"]
    same = {
        old["path"]: (old["size"], old["sha256"]) == (new["size"], new["sha256"])
        for old, new in zip(recorded, written if len(written) == len(recorded) else repeat(_NOTHING), strict=False)
    }
    return Replay(same, tuple(_differences(record.manifest, made[number].manifest)), versions)


def _check_name(record: Record, output: Place | None) -> int:
    """Which of the subsets of a run is meant, the largest first. Raises UsageError for a name of another format."""
    recorded = place_of(record.options["output"])
    before = Outputs.named(recorded, record.options["fraction"], shards=record.options["shards"])
    if output is not None:
        now = Outputs.named(output, shards=record.options["shards"])
        if (now.format, now.compression) != (before.format, before.compression):
            raise UsageError(f"-o {output}: must end as {recorded.name} does; another format has other bytes")
    nested = record.manifest["nested"]
    return 0 if nested is None else [path.name for path in before.subsets].index(nested["subset"])


@contextmanager
def _output(record: Record, target: Place | None) -> Iterator[Place]:
    if target is not None:
        yield target
        return
    with TemporaryDirectory(prefix="tithe-") as folder:
        yield Path(folder) / place_of(record.options["output"]).name


def _differences(then: dict[str, Any], now: dict[str, Any]) -> Iterator[Finding]:
    """What the selection rests on that is not as it was."""
    for before, after in zip(then["inputs"], now["inputs"], strict=False):
        if before["path"] == STDIN and before["sha256"] != after["sha256"]:
            yield drifted("inputs", "-: standard input is not what it was")
    if then["encoder"] != now["encoder"]:
        names = [name for name in now["encoder"] if now["encoder"][name] != then["encoder"].get(name)]
        yield drifted("encoder", f"{then['options']['encoder']}: differs in {', '.join(names)}")
    kernels = [printable(str(blas["kernel"])) for blas in (then["blas"], now["blas"])]
    if kernels[0] != kernels[1]:
        yield drifted("blas", f"OpenBLAS's kernel was {kernels[0]}, is {kernels[1]}: it rounds differently")
    if then["loss"] != now["loss"]:
        names = [name for name in now["loss"] if now["loss"][name] != then["loss"].get(name)]
        yield drifted("losses", f"{then['options']['loss']}: differs in {', '.join(names)}")
