"""`column`: a number beside the fields of each record."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tithe.selection.arrays import Floats
from tithe.selection.corpus.batch import Batch
from tithe.selection.corpus.corpus import Corpus
from tithe.selection.errors import UsageError
from tithe.selection.subset.weight_shapes.base import CannotHold, WeightShape, described

if TYPE_CHECKING:
    from tithe.selection.options.options import Options


class Column(WeightShape):
    """JSON gets the weight before the last brace, and keeps its own text otherwise; Arrow a column at the end."""

    weighs = True
    can_be_read_back = True

    def check(self, options: Options) -> None:
        trainer = options.reader
        if trainer is None:
            return
        if options.weight_scale not in (None, trainer.scale):
            raise UsageError(f"--for {trainer.name}: contradicts --weight-scale {options.weight_scale}; leave it out")
        if trainer.weight_column not in (None, options.weight_column):
            raise UsageError(f"--for {trainer.name}: knows no --weight-column but {trainer.weight_column!r}")

    def scale(self, wanted: str) -> str:
        return wanted

    def column(self, name: str) -> str:
        return name

    def check_corpus(self, corpus: Corpus, column: str) -> None:
        if column in corpus.field_names():
            raise UsageError(f"{corpus.files[0].path}: {_taken(column)}")

    def line(self, line: bytes, record: dict[str, Any], weight: float, column: str) -> bytes:
        self.to_infer(record, weight, column)
        begun = line[:-1].rstrip()
        comma = b"" if begun == b"{" else b", "
        return begun + comma + f"{json.dumps(column, ensure_ascii=False)}: {json.dumps(weight)}}}".encode()

    def to_infer(self, record: dict[str, Any], weight: float, column: str) -> dict[str, Any]:
        if column in record:
            raise CannotHold(_taken(column))
        return record

    def schema(self, schema: pa.Schema, column: str, *, inferred: bool) -> pa.Schema:
        schema = schema.append(pa.field(column, pa.float64(), nullable=False))

        def add(features: dict[str, Any]) -> None:
            features[column] = {"dtype": "float64", "_type": "Value"}

        return described(schema, add) or schema

    def values(self, batch: Batch, name: str, weights: Floats, column: str) -> Any:
        return pa.array(weights) if name == column else batch.column(name)

    def weight_in(self, record: dict[str, Any], column: str) -> Any:
        return record.get(column)


def _taken(column: str) -> str:
    return f"has a field {column!r} already; choose another --weight-column"
