"""`tithe explain`: why a record was selected, or was not.

The steps of the selection are gone again up to the draw: what the work folder keeps of them is found there. Losses
of the centres are those in the clusters file where it would take a model, or code, to ask for them again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt

from tithe.selection.arrays import Floats
from tithe.selection.checks import find_text_rule, open_inputs
from tithe.selection.choose import Notify, loss_source
from tithe.selection.clustering.clustered_corpus import ClusteredCorpus, cluster_corpus
from tithe.selection.corpus.corpus import Corpus
from tithe.selection.corpus.text import TextRule
from tithe.selection.embedding.work_folder import open_work_folder
from tithe.selection.engine.columns import columns_in
from tithe.selection.engine.executor import InProcess
from tithe.selection.engine.quantities import Quantity, positions_where
from tithe.selection.engine.stages import Progress, Stages, no_progress
from tithe.selection.errors import TitheError, UsageError
from tithe.selection.losses.registry import reads
from tithe.selection.options.options import Options
from tithe.selection.population.conditions import NEVER
from tithe.selection.population.exclusion import excluded_rows
from tithe.selection.population.near_duplicates import unit
from tithe.selection.population.population import Population, define_population
from tithe.selection.population.record_fields import RecordFields, read_record_fields
from tithe.selection.review.files import check_inputs, require_tables
from tithe.selection.review.named import check_reach
from tithe.selection.review.record import STDIN, Record
from tithe.selection.review.tables import read_clusters, read_rows
from tithe.selection.review.verify import MakeEncoder, recorded_options
from tithe.selection.sampling.make import Drawing, make_design
from tithe.selection.scoring.base import Method, Scoring
from tithe.selection.scoring.registry import make_method, method_of
from tithe.selection.subset.clusters_file import EXCERPT

NEIGHBOURS = 5
"""Selected records that are named, the nearest first."""


# Selected records whose vectors are held at a time.
_BLOCK = 4096

# Scores are kept in single precision.
_COARSE = 1e-5


@dataclass(frozen=True)
class Neighbour:
    """A selected record."""

    row: int
    place: str
    distance: float
    """Of the embeddings."""
    weight: float
    text: str | None
    """Its beginning; None where the encoder read no text."""


@dataclass(frozen=True)
class Standing:
    """Of a usable record, what decided."""

    cluster: int
    records: int
    """Of the cluster."""
    selected: int
    """Of the cluster."""
    distance: float
    """To the centre."""
    is_centre: bool
    centre_row: int
    centre_text: str | None
    score: float | None
    """None where the losses that it rests on are not at hand."""
    relative_score: float | None
    """The score over the mean score of the candidates."""
    probability: float | None
    """Of being selected; None where there is no chance, or it is not known."""
    about: bool
    """Whether the probability is known but for a factor near 1: that of a smaller nested subset hangs on what else is
    in the larger one."""
    weight: float | None
    """The unbiased weight; None where the record was not selected."""
    neighbours: tuple[Neighbour, ...]


@dataclass(frozen=True)
class Explanation:
    """Why a record was selected, or was not."""

    row: int
    place: str
    text: str | None
    selected: bool
    reason: str
    """In one sentence."""
    standing: Standing | None
    """None for a record that could not be used."""


def explain(
    record: Record,
    row: int,
    make_encoder: MakeEncoder,
    *,
    work_dir: Path | None = None,
    progress: Progress = no_progress,
    notify: Notify = lambda message: None,
) -> Explanation:
    """Explain what became of the record at the overall row `row`.

    Args:
        record: what was recorded of the selection.
        row: from 0, over all inputs, as in the rows file.
        make_encoder: from options to the encoder.
        work_dir: where embeddings and clusters are kept; None: in the user's cache folder.
        progress: shows how far each stage is.
        notify: told what was found, a line each.

    Raises UsageError for a row that the corpus does not have, TitheError where the inputs or outputs are no longer
    those of the selection.
    """
    if not 0 <= row < record.manifest["rows"]:
        raise UsageError(f"--row {row}: the corpus has the rows 0 to {record.manifest['rows'] - 1}")
    work_dir = None if work_dir is None else work_dir.absolute()
    with record.in_its_folder(), TemporaryDirectory(prefix="tithe-") as name, columns_in(Path(name)):
        folder, stages = Path(name), Stages(progress)
        check_reach(record, models=False)
        _check(record, progress)
        options = recorded_options(record, work_dir=work_dir)
        corpus = open_inputs(options, folder)
        encoder = make_encoder(options)
        rule = find_text_rule(options, encoder, corpus)
        digests = [file["sha256"] for file in record.manifest["inputs"]]
        executor = InProcess()
        record_fields = read_record_fields(options, corpus, stages, executor)
        with open_work_folder(options.work_dir, spare=folder, notify=notify) as work:
            _, clustered = cluster_corpus(options, corpus, rule, encoder, work, digests, stages, executor)
            excluded, record_fields = excluded_rows(options.exclude, digests), record_fields.of(clustered)
            population = define_population(options, clustered, excluded, record_fields, stages)
            with stages("explain", None):
                return _Case(record, options, corpus, rule, clustered, population, record_fields, excluded).explanation(
                    row
                )


def _check(record: Record, progress: Progress) -> None:
    if any(file["path"] == STDIN for file in record.manifest["inputs"]):
        raise TitheError(f"{record.path}: the corpus came from standard input, and is gone: nothing can be explained")
    require_tables(record)
    total = sum(file["size"] for file in record.manifest["inputs"])
    with progress("verify", total, "bytes") as advance:
        for finding in check_inputs(record, advance):
            raise TitheError(f"{finding.detail}; nothing can be explained: run tithe select again")


class _Case:
    """A selection, gone again up to the draw."""

    def __init__(
        self,
        record: Record,
        options: Options,
        corpus: Corpus,
        rule: TextRule | None,
        clustered: ClusteredCorpus,
        population: Population,
        record_fields: RecordFields,
        excluded: npt.NDArray[np.int64],
    ) -> None:
        self._manifest = record.manifest
        self._options, self._corpus, self._rule = options, corpus, rule
        self._ground, self._frame, self._marks, self._excluded = clustered, population, record_fields, excluded
        self._rows, self._clusters = read_rows(record), read_clusters(record)
        self._selected = self._rows["row"].to_numpy()
        self._positions = clustered.bad.positions(self._selected)

    def explanation(self, row: int) -> Explanation:
        if row in self._ground.bad:
            place = self._corpus.place(row)
            known = [reason for reason in self._ground.bad.places if reason.startswith(f"{place}: ")]
            why = f": {known[0].removeprefix(f'{place}: ')}" if known else ""
            return Explanation(row, place, None, False, f"it could not be used{why}", None)
        at = int(self._ground.bad.positions(np.array([row]))[0])
        line = self._line(row)
        standing = self._standing(at, row, line)
        selected = line is not None
        reason = self._why_selected(at, standing) if selected else self._why_not(at, row, standing)
        return Explanation(row, self._corpus.place(row), self._texts([row])[0], selected, reason, standing)

    def _line(self, row: int) -> int | None:
        """Where in the rows file the record is."""
        at = int(np.searchsorted(self._selected, row))
        return at if at < len(self._selected) and self._selected[at] == row else None

    def _standing(self, at: int, row: int, line: int | None) -> Standing:
        clusters = self._ground.clusters
        label = int(clusters.labels[at])
        of_cluster = {name: self._clusters[name][label].as_py() for name in self._clusters.column_names}
        score, mean, probability = self._scored(at)
        weight = None
        if line is not None:
            score, probability, weight = (
                self._rows[name][line].as_py() for name in ("score", "inclusion_probability", "weight")
            )
        if not self._manifest["method"]["by_chance"]:
            probability = None
        nested = self._manifest["nested"] or {"within": None}
        return Standing(
            cluster=label,
            records=of_cluster["records"],
            selected=of_cluster["selected"],
            distance=float(np.sqrt(np.float64(clusters.squared_distances[at]))),
            is_centre=of_cluster["centre_row"] == row,
            centre_row=of_cluster["centre_row"],
            centre_text=of_cluster["excerpt"],
            score=score,
            relative_score=score / mean if score is not None and mean else None,
            probability=probability,
            about=line is None and probability is not None and nested["within"] is not None,
            weight=weight,
            neighbours=self._neighbours(at),
        )

    def _scored(self, at: int) -> tuple[float | None, float | None, float | None]:
        """Score of a record, mean score of the candidates, and probability; None where they are not known."""
        method = make_method(self._options, self._ground)
        losses = self._losses(method)
        if losses is None:
            return None, None, None
        scoring, population = method.score(losses, self._frame.candidates), self._frame
        if population.copies is not None:
            scoring = scoring.times(population.copies)
        if not self._fits(scoring):
            return None, None, None
        order = self._ground.order if scoring.order is None else scoring.order
        position = np.array([at])
        # Of several fractions, a smaller subset's probabilities are these but for a factor: see designs/nested.py.
        drawing = Drawing(self._options.sampler, self._options.seed)
        design = make_design(drawing, population, scoring.scores.values, order, self._manifest["budget"])
        mean = scoring.scores.unit * float(scoring.scores.values.sum(dtype=np.float64)) / population.candidates.count
        return float(scoring.scores.at(position)[0]), mean, float(design.inclusion(position)[0])

    def _fits(self, scoring: Scoring) -> bool:
        """Whether the selected records have the scores that were recorded: other versions may round otherwise."""
        recorded = self._rows["score"].to_numpy()
        return np.allclose(scoring.scores.at(self._positions), recorded, rtol=_COARSE, atol=0)

    def _losses(self, method: Method) -> Floats | None:
        """Losses of the probes; None where only a model or code could tell."""
        rows = self._ground.rows(method.probes)
        spec = self._options.loss
        if reads(spec) not in ("code", "model"):
            ascending = np.argsort(rows)
            found = np.empty(len(rows))
            found[ascending] = loss_source(self._options, spec).losses(self._corpus, rows[ascending])
            return found
        known = dict(zip(self._clusters["centre_row"].to_pylist(), self._clusters["loss"].to_pylist(), strict=True))
        losses = [known.get(row) for row in rows.tolist()]
        return None if None in losses else np.array(losses, np.float64)

    def _neighbours(self, at: int) -> tuple[Neighbour, ...]:
        vector = self._ground.vectors(np.array([at]))[0].astype(np.float64)
        squares = np.concatenate(
            [
                np.square(self._ground.vectors(self._positions[start : start + _BLOCK]) - vector).sum(axis=1)
                for start in range(0, len(self._positions), _BLOCK)
            ]
        )
        squares[self._positions == at] = np.inf
        nearest = [i for i in np.argsort(squares, kind="stable")[:NEIGHBOURS].tolist() if np.isfinite(squares[i])]
        rows = [int(self._selected[i]) for i in nearest]
        return tuple(
            Neighbour(row, self._corpus.place(row), float(np.sqrt(squares[i])), self._rows["weight"][i].as_py(), text)
            for i, row, text in zip(nearest, rows, self._texts(rows), strict=True)
        )

    def _texts(self, rows: list[int]) -> list[str | None]:
        if self._rule is None or not rows:
            return [None] * len(rows)
        ascending = np.array(sorted(rows))
        found: dict[int, str] = {}
        for batch in self._corpus.take(ascending, self._rule.fields):
            for row, one in zip(batch.rows.tolist(), batch.records(), strict=True):
                assert isinstance(one, dict), "a usable record"
                found[row] = self._rule.text(one)[:EXCERPT]
        return [found[row] for row in rows]

    def _why_selected(self, at: int, standing: Standing) -> str:
        if at in self._frame.always:
            return "by --always"
        if at in self._frame.centres:
            return "by --keep-centers: it is the centre of its cluster"
        if not self._manifest["method"]["by_chance"]:
            return f"by --method {self._options.method}, without chance"
        return "its score makes it certain" if standing.probability == 1 else "it was drawn"

    def _why_not(self, at: int, row: int, standing: Standing) -> str:
        if row in self._excluded:
            return "it is in an earlier subset, by --exclude"
        if self._marks.flags is not None and self._marks.flags[at] & NEVER:
            return "by --never"
        if self._too_long(at):
            return f"it has more than {self._frame.longest:,} tokens, half of what --tokens leaves to chance"
        if self._frame.copies is not None and self._frame.copies[at] == 0:
            return self._stand_in(at, self._frame.copies)
        if not self._manifest["method"]["by_chance"]:
            return f"by --method {self._options.method}, without chance: {method_of(self._options).why_not}"
        if standing.probability is None:
            return "others were drawn; its probability is not known"
        return "it was left to chance, and others were drawn"

    def _too_long(self, at: int) -> bool:
        tokens, longest = self._frame.tokens, self._frame.longest
        return tokens is not None and longest is not None and tokens[at] > longest

    def _stand_in(self, at: int, copies: Quantity) -> str:
        clustered = self._ground
        if self._options.dedup:
            texts = clustered.texts
            same = positions_where(lambda text, count: (text == texts[at]) & (count > 0), texts, copies)
            if len(same):
                return f"by --dedup: row {clustered.rows(same)[0]} has the same text, and stands for it"
        label = clustered.clusters.labels[at]
        stay = positions_where(lambda of, count: (of == label) & (count > 0), clustered.clusters.labels, copies)
        vector, *_ = unit(clustered.vectors(np.array([at])))
        likeness = np.concatenate(
            [unit(clustered.vectors(stay[start : start + _BLOCK])) @ vector for start in range(0, len(stay), _BLOCK)]
        )
        best = int(likeness.argmax())
        row = clustered.rows(stay[best : best + 1])[0]
        return (
            f"by --dedup-near: others of its cluster are nearly the same, the most alike row {row} (cosine "
            f"{likeness[best]:.3f}), and one of them stands for it"
        )
