"""What the page says: the files of a selection worked out into words, numbers and charts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tithe.selection.review.report import extremes
from tithe.selection.review.report.charts import Scatter, StepChart, comparison, scatter, weight_histogram
from tithe.selection.review.report.cluster_map import ClusterMap, cluster_map
from tithe.selection.review.report.evidence import Estimate, Evidence, ExpectedError
from tithe.selection.review.report.files import SelectionFiles
from tithe.selection.review.report.provenance import command_line
from tithe.selection.review.report.wording import excerpt, measured, number, percent, visible
from tithe.selection.sizes import counted
from tithe.selection.subset.clusters_file import EXCERPT

# Characters of a selected record that are shown.
_RECORD = 220
# Selected records shown of a cluster.
_RECORDS_SHOWN = 3


@dataclass(frozen=True)
class Fact:
    """One of the numbers that matter."""

    label: str
    value: str
    note: str


@dataclass(frozen=True)
class Bar:
    """A labelled length."""

    label: str
    value: str
    length: float
    """Per cent of the longest."""


@dataclass(frozen=True)
class ShownRecord:
    """A selected record."""

    place: str
    weight: str
    text: str


@dataclass(frozen=True)
class HeavyRow:
    """A row of the table of the largest weights."""

    file: str
    row_in_file: str
    weight: str
    share: str
    text: str


@dataclass(frozen=True)
class ClusterCard:
    """A cluster, its centre and some of its selected records."""

    name: str
    records: str
    selected: str
    weight: str
    loss: str
    """Empty where there is none."""
    share: str
    """Σ weight / records."""
    length: float
    """The same in per cent, at most 200."""
    centre: str
    shown: list[ShownRecord]


@dataclass(frozen=True)
class HolderRow:
    """A quantile of the Hölder constants."""

    quantile: str
    constant: str
    against: str
    beyond: bool


@dataclass(frozen=True)
class Holder:
    """Hölder constants of the validated records against λ."""

    smoothness: str
    rows: list[HolderRow]
    beyond: str


@dataclass(frozen=True)
class Validated:
    """What the validation found."""

    records: str
    correlation: str
    chart: Scatter
    holder: Holder | None


@dataclass(frozen=True)
class InputRow:
    """A row of the table of inputs."""

    path: str
    rows: str
    sha256: str


@dataclass(frozen=True)
class Page:
    """All that the page shows. Text from files is made visible, but not yet escaped."""

    subset: str
    selected: str
    records: str
    sentence: str
    facts: list[Fact]
    error_bars: list[Bar]
    map: ClusterMap
    best: list[ClusterCard]
    worst: list[ClusterCard]
    empty_clusters: str
    losses: StepChart | None
    lengths: StepChart | None
    weights: StepChart
    weight_note: str
    heavy: list[HeavyRow]
    validated: Validated | None
    has_losses: bool
    command: str
    inputs: list[InputRow]
    encoder: str
    settings: list[tuple[str, str]]
    versions: str
    day: str
    """When it was made."""


def page(files: SelectionFiles) -> Page:
    """Work out the page. Of the subset's records only those that are shown are read."""
    manifest, evidence, clusters = files.manifest, files.evidence, files.clusters
    best, worst = extremes.best(clusters), extremes.worst(clusters)
    heavy = _positions(files)
    members = {int(i): _members(files, int(i)) for i in [*best, *worst]}
    texts = files.texts(np.unique(np.concatenate([heavy, *members.values()])).astype(np.int64))
    selected, records = len(files.rows["row"]), int(manifest["n"])
    has_losses = manifest["options"]["loss"] != "none"
    return Page(
        subset=visible(files.subset.name),
        selected=counted(selected, "record"),
        records=f"{records:,}",
        sentence=_sentence(evidence.error),
        facts=_facts(evidence, selected, records, has_losses),
        error_bars=_error_bars(evidence.error),
        map=cluster_map(clusters),
        best=[_card(files, int(i), members[int(i)], texts) for i in best],
        worst=[_card(files, int(i), members[int(i)], texts) for i in worst],
        empty_clusters=_empty_clusters(evidence),
        losses=None
        if evidence.losses is None
        else comparison(evidence.losses, title="Losses", x_title="proxy loss (that of the cluster's centre, adapted)"),
        lengths=None
        if evidence.lengths is None
        else comparison(evidence.lengths, title="Lengths", x_title=f"{visible(evidence.length_unit)} in a record"),
        weights=weight_histogram(files.rows["weight"]),
        weight_note=_weight_note(files.rows["weight"], records),
        heavy=[
            HeavyRow(
                visible(record.file),
                f"{record.row_in_file:,}",
                number(record.weight),
                percent(record.share),
                excerpt(texts.get(int(position), ""), _RECORD),
            )
            for record, position in zip(evidence.largest_weights, heavy, strict=True)
        ],
        validated=_validated(evidence, manifest["lambda"]),
        has_losses=has_losses,
        command=visible(command_line(manifest["options"])),
        inputs=[InputRow(visible(file["path"]), f"{file['rows']:,}", file["sha256"]) for file in manifest["inputs"]],
        encoder=_named(manifest["encoder"]),
        settings=_settings(manifest),
        versions=_named(manifest["versions"]),
        day=visible(manifest["run"]["started"].partition("T")[0]),
    )


def _sentence(error: ExpectedError) -> str:
    sentence = visible(error.sentence).strip()
    return sentence[:1].upper() + sentence[1:].rstrip(".") + "." if sentence else ""


def _facts(evidence: Evidence, selected: int, records: int, has_losses: bool) -> list[Fact]:
    coverage = evidence.coverage
    facts = [
        Fact("Selected", f"{selected:,}", f"{percent(selected / records)} of {counted(records, 'record')}"),
        Fact(
            "Effective sample size",
            f"{evidence.effective_sample_size:,.0f}",
            f"as good as that many records of equal weight; design effect {evidence.design_effect:.2f}",
        ),
        Fact(
            "Coverage",
            percent(coverage.mass),
            f"of the records lie in the {coverage.clusters_with_a_record:,} of {counted(coverage.clusters, 'cluster')} "
            f"with a selected record, and {percent(coverage.distance)} of the distance to the centres",
        ),
    ]
    facts.insert(2, _loss_fact(evidence.estimate, has_losses))
    return facts


def _loss_fact(estimate: Estimate | None, has_losses: bool) -> Fact:
    label = "Mean loss of the corpus"
    if estimate is None:
        missing = "it could not be estimated" if has_losses else "no losses were asked for; --loss says where they are"
        return Fact(label, "unknown", missing)
    source = {
        "subset": "from the losses of the selected records",
        "validation": "from the losses of the validated records",
        "centres": "from the centres' losses",
        "landmarks": "from the landmarks' losses",
    }.get(estimate.source, f"from: {visible(estimate.source)}")
    value = measured(estimate.mean_loss, estimate.standard_error)
    if estimate.low is None or estimate.high is None:
        return Fact(label, value, f"{source}; no interval: {visible(estimate.no_interval or '')}")
    low, high = (measured(end, estimate.standard_error) for end in (estimate.low, estimate.high))
    return Fact(label, value, f"{100 * estimate.confidence:g}% interval {low} to {high}; {source}")


def _error_bars(error: ExpectedError) -> list[Bar]:
    if error.design is None or error.uniform is None:
        return []
    longest = max(error.design, error.uniform) or 1.0
    return [
        Bar(label, number(value), round(100 * value / longest, 1))
        for label, value in (("this subset", error.design), ("uniform sample", error.uniform))
    ]


def _positions(files: SelectionFiles) -> npt.NDArray[np.int64]:
    """Where in the subset the records with the largest weights are."""
    wanted = np.array([record.row for record in files.evidence.largest_weights], float)
    positions = np.searchsorted(files.rows["row"], wanted)
    return np.minimum(positions, len(files.rows["row"]) - 1).astype(np.int64)


def _members(files: SelectionFiles, i: int) -> npt.NDArray[np.int64]:
    """Positions in the subset of the heaviest records of the cluster at position `i`."""
    of_it = np.flatnonzero(files.rows["cluster"] == files.clusters["cluster"][i])
    return of_it[np.argsort(-files.rows["weight"][of_it], kind="stable")[:_RECORDS_SHOWN]]


def _card(files: SelectionFiles, i: int, members: npt.NDArray[np.int64], texts: dict[int, str]) -> ClusterCard:
    records, weight, loss = (float(files.clusters[name][i]) for name in ("records", "weight", "loss"))
    share = weight / max(records, 1.0)
    return ClusterCard(
        name=f"Cluster {files.clusters['cluster'][i]:.0f}",
        records=counted(int(records), "record"),
        selected=f"{files.clusters['selected'][i]:,.0f} selected",
        weight=number(weight),
        loss="" if np.isnan(loss) else number(loss),
        share=percent(share) if share < 1 else f"{share:.1%}",
        length=round(min(100 * share, 200.0), 1),
        centre=_centre(files.excerpts[i] or ""),
        shown=[
            ShownRecord(
                f"row {files.rows['row'][position]:,.0f}",
                number(float(files.rows["weight"][position])),
                excerpt(texts.get(int(position), ""), _RECORD),
            )
            for position in members
        ],
    )


def _centre(kept: str) -> str:
    shown = excerpt(kept, EXCERPT)
    # The file may have cut the text already.
    return shown + "\u00a0…" if len(kept) == EXCERPT and not shown.endswith("…") else shown


def _empty_clusters(evidence: Evidence) -> str:
    without = evidence.coverage.clusters - evidence.coverage.clusters_with_a_record
    if without == 0:
        return "Every cluster has a selected record."
    return f"{counted(without, 'cluster')} of {evidence.coverage.clusters:,} {'has' if without == 1 else 'have'} none."


def _weight_note(weights: npt.NDArray[np.float64], records: int) -> str:
    low, high = float(weights.min()), float(weights.max())
    spread = f"from {number(low)} to {number(high)}" if high > low else f"all {number(low)}"
    return (
        f"A selected record stands for as many records of the corpus as its weight says: {spread} here, together "
        f"{number(float(weights.sum()))} for {counted(records, 'record')}."
    )


def _validated(evidence: Evidence, smoothness: Any) -> Validated | None:
    validation = evidence.validation
    if validation is None:
        return None
    return Validated(
        counted(validation.records, "record"),
        "" if validation.correlation is None else f"{validation.correlation:.2f}",
        scatter(validation.points, title="Validated losses against proxy losses"),
        _holder(validation.holder, validation.beyond_lambda, float(smoothness)) if validation.holder else None,
    )


def _holder(constants: dict[str, float], beyond: float | None, smoothness: float) -> Holder:
    rows = [
        HolderRow(
            "all of them"
            if float(quantile) == 1
            else f"{float(quantile):.3g}".replace("0.", "", 1).ljust(2, "0") + "%",
            number(constant),
            f"{number(constant / smoothness)} λ" if smoothness > 0 else "",
            constant > smoothness,
        )
        for quantile, constant in sorted(constants.items(), key=lambda item: float(item[0]))
    ]
    return Holder(number(smoothness), rows, "" if beyond is None else percent(beyond))


def _settings(manifest: dict[str, Any]) -> list[tuple[str, str]]:
    described = manifest["text"]
    settings = [
        ("Text", "none: vectors only" if described is None else described["rule"]),
        ("Clusters", f"{manifest['k']:,}"),
        ("λ", number(float(manifest["lambda"]))),
        ("z", str(manifest["z"])),
        ("Sampler", manifest["options"]["sampler"]),
        ("Seed", str(manifest["options"]["seed"])),
        ("Losses asked for", f"{manifest['loss_queries']:,}"),
    ]
    return [(name, visible(value)) for name, value in settings]


def _named(values: dict[str, Any]) -> str:
    return visible(", ".join(f"{name} {value}" for name, value in values.items()))
