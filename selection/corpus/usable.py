"""The texts of the records that can be used."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tithe.selection.arrays import Rows
from tithe.selection.corpus.bad_records import BadRecords
from tithe.selection.corpus.batch import BadRecord
from tithe.selection.corpus.corpus import Corpus
from tithe.selection.corpus.text import BadText, TextRule
from tithe.selection.engine.stages import Advance


def usable_texts(corpus: Corpus, rule: TextRule, bad: BadRecords, advance: Advance) -> Iterator[tuple[Rows, list[str]]]:
    """The rows and texts of the usable records, batch by batch."""
    for batch in corpus.batches(rule.fields):
        rows: list[int] = []
        texts: list[str] = []
        for i, record in enumerate(batch.records()):
            try:
                if isinstance(record, BadRecord):
                    raise BadText(record.reason)
                texts.append(rule.text(record))
                rows.append(int(batch.rows[i]))
            except BadText as error:
                bad.report(int(batch.rows[i]), batch.place(i), str(error))
        yield np.array(rows, np.int64), texts
        advance(len(batch))
