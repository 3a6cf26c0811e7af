"""`tithe verify`: whether a selection is still what its manifest says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tithe.embedders.base import FittedEncoder
from tithe.embedders.errors import EncoderError
from tithe.selection.embedding.lookup import Encoder
from tithe.selection.engine.stages import Progress, no_progress
from tithe.selection.options.options import Options
from tithe.selection.review.files import check_inputs, check_outputs
from tithe.selection.review.findings import Finding, State, drifted, unknown, worst
from tithe.selection.review.invariants import check_weights
from tithe.selection.review.local_copy import open_record
from tithe.selection.review.reach import Reach
from tithe.selection.review.record import Broken, Record
from tithe.selection.storage.places import Place
from tithe.selection.subset.manifest import versions

PARTS = ("manifest", "inputs", "encoder", "options", "outputs", "weights")

MakeEncoder = Callable[[Options], Encoder]

# Vectors depend on it by rounding alone, and a machine that verifies need not have the one that embedded.
_NOT_COMPARED = frozenset({"device"})


@dataclass(frozen=True)
class Verification:
    """What holds of a selection."""

    findings: tuple[Finding, ...]
    versions: dict[str, tuple[str | None, str | None]] = field(default_factory=dict)
    """Libraries whose version is no longer that of the selection: then and now. They change no subset that is there."""
    examined: bool = True
    """Whether there was more than the manifest to look at: not where that is broken."""

    @property
    def state(self) -> State:
        """All in all."""
        return worst(self.findings)

    def state_of(self, part: str) -> State:
        """Of one of PARTS."""
        if not self.examined and part != "manifest":
            return "unknown"
        return worst(finding for finding in self.findings if finding.part == part)


def verify(
    manifest: Place, reach: Reach, make_encoder: MakeEncoder, *, progress: Progress = no_progress
) -> Verification:
    """Check a manifest, what it vouches for, and what it was made of.

    Args:
        manifest: where it is.
        reach: what of all that it names may be read.
        make_encoder: from options to the encoder; raises EncoderError where it cannot, or must not, be made.
        progress: shows how far the files are read.

    Raises TitheError where the manifest cannot be read, is of another version, or none of tithe select.
    """
    try:
        with open_record(manifest, reach) as record:
            return _verified(record, make_encoder, progress)
    except Broken as error:
        return Verification((drifted("manifest", str(error)),), examined=False)


def _verified(record: Record, make_encoder: MakeEncoder, progress: Progress) -> Verification:
    with record.in_its_folder():
        total = sum(file["size"] for key in ("inputs", "outputs") for file in record.manifest[key])
        with progress("verify", total, "bytes") as advance:
            findings = [*check_inputs(record, advance), *check_outputs(record, advance)]
        findings += _check_encoder_and_options(record, make_encoder)
    if worst(finding for finding in findings if finding.part == "outputs") == "holds":
        findings += check_weights(record)
    else:
        findings.append(unknown("weights", "they are not looked at: the outputs are not what they were"))
    return Verification(tuple(findings), changed_versions(record))


def changed_versions(record: Record) -> dict[str, tuple[str | None, str | None]]:
    """What is not of the version that the manifest records: then and now."""
    then, now = record.manifest["versions"], versions()
    return {name: (then.get(name), now.get(name)) for name in {**then, **now} if then.get(name) != now.get(name)}


def recorded_options(record: Record, *, output: Place | None = None, work_dir: Path | None = None) -> Options:
    """The options of a selection, to be used in its folder."""
    return Options.from_recorded(record.options, output=output or record.subset, work_dir=work_dir)


def _check_encoder_and_options(record: Record, make_encoder: MakeEncoder) -> Iterator[Finding]:
    options = recorded_options(record)
    manifest = record.manifest
    tokens = manifest["tokens"] and manifest["tokens"]["mean"]
    plan = options.plan(manifest["rows"], tokens).limited_to(manifest["n"])
    if (plan.clusters, plan.epsilon) != (manifest["k_requested"], manifest["epsilon"]):
        yield drifted("options", f"they ask for {plan.clusters} clusters now, and for {manifest['k_requested']} then")
    try:
        encoder = make_encoder(options)
        now = encoder.recipe() if isinstance(encoder, FittedEncoder) else encoder.identity()
    except (EncoderError, OSError) as error:
        yield unknown("encoder", str(error))
        return
    then = manifest["encoder"]
    differing = [name for name in now if name not in _NOT_COMPARED and now[name] != then.get(name)]
    if differing:
        yield drifted("encoder", f"{options.encoder}: differs in {', '.join(differing)}")
