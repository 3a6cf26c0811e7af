"""Reads a file in all the ways in which a selection does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from random import Random

import numpy as np
import pytest

from tests.selection.corpus.fuzz.cases import Case, row_files
from tithe.selection.corpus import compression, parquet
from tithe.selection.corpus.bad_records import BadRecords
from tithe.selection.corpus.batch import Batch
from tithe.selection.corpus.corpus import Corpus, open_corpus
from tithe.selection.corpus.footer import read_footer
from tithe.selection.corpus.inputs import Format
from tithe.selection.corpus.text import TextRule, choose_rule, rule_from_fields
from tithe.selection.corpus.usable import usable_texts
from tithe.selection.errors import TitheError
from tithe.selection.losses.file import FileLoss
from tithe.selection.population.exclusion import excluded_rows
from tithe.selection.storage.own_files import OwnPath
from tithe.selection.subset.writer import check_writable, write_subset

READ, BAD_RECORDS, REFUSED = "read", "read, but for bad records", "refused in one line"
UNCLEAR, INCONSISTENT = "UNCLEAR MESSAGE", "INCONSISTENT"


class Finding(Exception):
    """What should not happen, beside exceptions that are none of ours; the first argument names the kind."""


def read(case: Case, folder: Path) -> str:
    """How reading ends; raises Finding, and whatever the readers raise that they should not.

    The folder is for the files that this takes; it is left empty.
    """
    rng = Random(case.content)
    read_footer.cache_clear()  # of an earlier file of this name
    with pytest.MonkeyPatch.context() as patch:
        if rng.random() < 0.3:
            small = len(case.content) < 20_000 and case.name.endswith("l")  # a compressed line may be a long one
            patch.setattr(compression, "CHUNK", rng.choice((1, 2, 7, 64)) if small else 4096)
        if rng.random() < 0.9:
            patch.setattr(parquet, "_BUFFER", 4096)  # as much less work
        (folder / case.name).write_bytes(case.content)
        try:
            return _Reading(case, folder, rng).outcome()
        finally:
            for path in folder.iterdir():
                path.unlink()


class _Reading:
    def __init__(self, case: Case, folder: Path, rng: Random) -> None:
        self._case = case
        self._folder = folder
        self._rng = rng
        self._outcomes = {READ}
        self._path = str(folder / case.name)
        self._read: dict[int, str] | None = None

    def outcome(self) -> str:
        steps = {"losses from a file": self._losses, "an earlier subset": self._exclusion}
        steps.get(self._case.kind, self._corpus)()
        return next(outcome for outcome in (REFUSED, BAD_RECORDS, READ) if outcome in self._outcomes)

    def _try(self, step: Callable[[], object], *, may_refuse: bool = False) -> bool:
        """Take a step; an error the user can mend is an outcome, if its message is what it should be."""
        try:
            step()
        except TitheError as error:
            message = str(error)
            if (
                self._case.name.partition(".rows")[0].partition(".manifest")[0] not in message
                or not message.isprintable()
                or len(message) > 10_000
            ):
                raise Finding(UNCLEAR, repr(message[:300])) from error
            if not may_refuse:
                self._outcomes.add(REFUSED)
            return False
        return True

    def _losses(self) -> None:
        (self._folder / "plain.jsonl").write_bytes(b'{"text": "a"}\n' * 3)
        corpus = open_corpus([str(self._folder / "plain.jsonl")], spool=self._folder)
        self._try(lambda: FileLoss(self._path).losses(corpus, np.array([0, 2])))

    def _exclusion(self) -> None:
        rows, manifest = self._folder / "s.parquet.rows.parquet", self._folder / "s.parquet.manifest.json"
        if not rows.exists():
            rows.write_bytes(row_files()[0])
        if not manifest.exists():
            manifest.write_text('{"inputs": [{"sha256": "0"}]}')
        self._try(lambda: excluded_rows([str(self._folder / "s.parquet")], ["0"]))

    def _corpus(self) -> None:
        corpora: list[Corpus] = []
        if not self._try(lambda: corpora.append(open_corpus([self._path], spool=self._folder))):
            return
        (corpus,) = corpora
        rule = self._rule(corpus)
        # Not each time all: there are many cases. And in any order: what one pass remembers, no other may need.
        steps = [
            (0.6, lambda: self._texts(corpus, rule)),
            (0.8, lambda: self._everything(corpus)),
            (0.25, lambda: self._counted(corpus)),
            (0.15, lambda: self._named(corpus)),
        ]
        self._rng.shuffle(steps)
        for often, step in [*steps, (0.7, lambda: self._taken(corpus))]:
            if self._rng.random() < often:
                self._try(step)
        if self._rng.random() < 0.4:
            # Not every good file can become the other format.
            self._try(lambda: self._written(corpus, self._rng.choice(("parquet", "jsonl"))), may_refuse=True)

    def _rule(self, corpus: Corpus) -> TextRule:
        found: list[TextRule] = []
        if not self._try(lambda: found.append(choose_rule(corpus))):
            names: list[str] = []
            self._try(lambda: names.extend(corpus.field_names()))
            field = self._rng.choice(names or ["text"])
            self._try(lambda: found.append(choose_rule(corpus, fields=[field])))
        return found[0] if found else rule_from_fields(["text"])

    def _texts(self, corpus: Corpus, rule: TextRule) -> None:
        bad = BadRecords("skip")
        for rows, texts in usable_texts(corpus, rule, bad, lambda count: None):
            if len(rows) != len(texts):
                raise Finding(INCONSISTENT, "rows and texts")
            for text in texts:
                text.encode()
        if len(bad):
            self._outcomes.add(BAD_RECORDS)

    def _everything(self, corpus: Corpus) -> None:
        names = corpus.field_names()[:20]
        read: dict[int, str] = {}
        for batch in corpus.batches(None):
            records = batch.records()
            if not len(records) == len(batch) == len(batch.rows):
                raise Finding(INCONSISTENT, "records of a batch")
            for i in batch.invalid():
                batch.place(i)
                self._outcomes.add(BAD_RECORDS)
            batch.place(len(batch) - 1)
            for name in names:
                if len(batch.column(name)) != len(batch):
                    raise Finding(INCONSISTENT, f"column {name!r}")
            read.update(_by_row([batch]))
        self._read = read

    def _counted(self, corpus: Corpus) -> None:
        counts = {sum(len(batch) for batch in corpus.batches(fields)) for fields in ((), ("text",), None)}
        if counts != {corpus.row_count()} or sum(corpus.file_rows()) != corpus.row_count():
            raise Finding(INCONSISTENT, f"counts {counts}, {corpus.row_count()}")

    def _named(self, corpus: Corpus) -> None:
        names = corpus.field_names()
        for name in self._rng.sample(names, min(3, len(names))):
            for batch in corpus.batches((name,)):
                batch.records()
                batch.column(name)

    def _some(self, corpus: Corpus) -> np.ndarray:
        count = corpus.row_count()
        return np.array(sorted({self._rng.randrange(count) for _ in range(4)} if count else ()), np.int64)

    def _taken(self, corpus: Corpus) -> None:
        rows = self._some(corpus)
        taken = list(_by_row(corpus.take(rows, None)))
        if [row for row, _ in taken] != rows.tolist():
            raise Finding(INCONSISTENT, f"asked for {rows.tolist()}, got {[row for row, _ in taken]}")
        if self._read is not None and any(record != self._read[row] for row, record in taken):
            raise Finding(INCONSISTENT, "take and batches differ")
        for row in rows.tolist():
            corpus.place(row)
        numbers, _ = corpus.locate(rows)
        if numbers.any():
            raise Finding(INCONSISTENT, "rows of no file")

    def _written(self, corpus: Corpus, format: Format) -> None:
        check_writable(corpus, format, "weight")
        rows = self._some(corpus)
        out = self._folder / f"out.{format}"
        out.unlink(missing_ok=True)
        write_subset(
            corpus,
            rows,
            np.ones(len(rows)),
            path=OwnPath.of(out),
            format=format,
            compression=None,
            weight_column="weight",
        )
        again = open_corpus([str(out)], spool=self._folder)
        if again.row_count() != len(rows):
            raise Finding(INCONSISTENT, f"{len(rows)} rows written as {format}, {again.row_count()} read")


def _by_row(batches: Iterable[Batch]) -> Iterator[tuple[int, str]]:
    """Row numbers with the records, as text: NaN is equal to nothing."""
    for batch in batches:
        yield from zip(batch.rows.tolist(), map(repr, batch.records()), strict=True)
