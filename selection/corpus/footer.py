"""The footer of a Parquet file: what it says, and whether it can be true.

Arrow believes most of what a footer says, and what pyarrow shows of one ends the process where it does not fit
together: no exception, an abort. So it is read here first.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

import numpy as np
import numpy.typing as npt

from tithe.selection.corpus.inputs import InputFile
from tithe.selection.errors import TitheError
from tithe.selection.storage.places import open_binary

# Readers recurse over nested types; nothing that is data goes deeper.
DEEPEST = 100

# Thrift's own limit for structs in structs.
_DEEPEST_STRUCT = 64

_MAGIC = b"PAR1"
_FRAME = 8  # bytes after the footer: its length, the magic
_PAGE_HEADERS = (1 << 10, 1 << 16, 1 << 24)  # bytes of a page's header, at most: mostly, or by much; Arrow's limit

# Numbers that Parquet's definition gives to fields and values.
_REPEATED = 2
_BYTE_ARRAY = 6
_DICTIONARY = 2


@dataclass(frozen=True)
class Footer:
    """The rows and sizes of a Parquet file's parts."""

    group_rows: npt.NDArray[np.int64]
    """Rows of each row group, shape (groups,)."""
    sizes: npt.NDArray[np.int64]
    """Bytes of each leaf column in each row group before compression, shape (groups, leaves)."""
    shared: npt.NDArray[np.bool_]
    """Whether strings that repeat are stored there once, so that the size says nothing of the rows."""
    strings: npt.NDArray[np.int64]
    """Where in the file the first page begins that holds strings, 0 where there are none; shape (groups, leaves)."""

    @property
    def rows(self) -> int:
        """Rows of the file."""
        return int(self.group_rows.sum())


@functools.lru_cache(maxsize=1024)
def read_footer(file: InputFile) -> Footer:
    """The footer of a file; raises TitheError where there is none, or where it contradicts itself or the file."""
    try:
        with open_binary(file.readable) as source:
            size = source.seek(0, 2)
            source.seek(max(0, size - _FRAME))
            frame = source.read(_FRAME)
            if size < len(_MAGIC) + _FRAME or frame[4:] not in (_MAGIC, b"PARE"):
                raise _Damaged("there is no footer at its end" if size else "it is empty")
            if frame[4:] != _MAGIC:
                raise TitheError(f"{file.path}: is encrypted, which cannot be read")
            length = int.from_bytes(frame[:4], "little")
            end = size - _FRAME - length
            if end < len(_MAGIC):
                raise _Damaged("the footer is longer than the file")
            source.seek(end)
            return _checked(_Reader(source.read(length)).struct(_FILE), end)
    except _Damaged as error:
        raise TitheError(f"{file.path}: is no Parquet file, or is truncated or damaged ({error})") from error
    except MemoryError as error:
        raise TitheError(f"{file.path}: its footer needs more memory than there is") from error
    except OSError as error:
        raise TitheError(f"{file.path}: cannot be read ({error.strerror})") from error


class Source(Protocol):
    """A file that can be read anywhere."""

    def seek(self, position: int, /) -> int: ...

    def read(self, count: int, /) -> bytes: ...


def read_dictionary_size(source: Source, start: int) -> tuple[int, int]:
    """Bytes and number of the strings of which each is stored once, if a page at `start` holds such, else 0 and 0.

    Raises OSError where there is no page.
    """
    for size in _PAGE_HEADERS:
        source.seek(start)
        try:
            page = _Reader(source.read(size)).struct(_PAGE)
            if page.get(1) != _DICTIONARY:
                return 0, 0
            return _count(page.get(2), "bytes"), _count(page.get(7, {}).get(1), "strings")
        except _Damaged:  # or longer
            continue
    raise OSError(f"the page at byte {start} is not readable")


class _Damaged(Exception):
    """What is wrong with a footer."""


def _checked(footer: dict[int, Any], end: int) -> Footer:
    repeated = list(_leaves(footer.get(2, [])))
    groups = footer.get(4, [])
    group_rows = [_count(group.get(3), "rows") for group in groups]
    if sum(group_rows) != _count(footer.get(3), "rows"):
        raise _Damaged(f"its row groups hold {sum(group_rows)} rows, its footer says {footer.get(3)}")
    if not repeated and sum(group_rows):
        raise _Damaged("it has rows, but no columns")
    sizes = np.zeros((len(groups), len(repeated)), np.int64)
    shared = np.zeros((len(groups), len(repeated)), bool)
    strings = np.zeros((len(groups), len(repeated)), np.int64)
    for i, (group, rows) in enumerate(zip(groups, group_rows, strict=True)):
        chunks = group.get(1, [])
        if len(chunks) != len(repeated):
            raise _Damaged(f"row group {i} has {len(chunks)} columns, the schema {len(repeated)}")
        for j, chunk in enumerate(chunks):
            column = chunk.get(3)
            if column is None:
                raise _Damaged(f"column {j} of row group {i} is not described: encrypted?")
            values = _count(column.get(5), "values")
            if values < rows or (values > rows and not repeated[j]):
                raise _Damaged(f"column {j} of row group {i} has {values} values for {rows} rows")
            start = _start(column, end, rows)
            sizes[i, j] = _count(column.get(6), "bytes")
            if column.get(1) == _BYTE_ARRAY:
                shared[i, j], strings[i, j] = 11 in column, start
    return Footer(np.array(group_rows, np.int64), sizes, shared, strings)


def _leaves(elements: list[dict[int, Any]]) -> Iterator[bool]:
    """For each leaf column of a schema, whether a row may hold more or fewer values of it than one."""
    if not elements:
        raise _Damaged("it has no schema")
    # Of each group that is not complete yet: the children to come, whether it repeats.
    groups = [[_count(elements[0].get(5, 0), "columns"), False]]
    for element in elements[1:]:
        while groups and not groups[-1][0]:
            groups.pop()
        if not groups:
            raise _Damaged("its schema holds more than one tree")
        groups[-1][0] -= 1
        try:
            str(element.get(4, b""), "utf-8")
        except UnicodeDecodeError as error:
            raise _Damaged(f"the name of a column is no UTF-8: {element[4][:100]!r}") from error
        repeats = groups[-1][1] or element.get(3) == _REPEATED
        children = _count(element.get(5, 0), "columns")
        if 1 in element and not children:
            yield repeats
            continue
        groups.append([children, repeats])
        if len(groups) > DEEPEST:
            raise _Damaged(f"its schema is nested more than {DEEPEST} levels deep")
    if any(children for children, _ in groups):
        raise _Damaged("its schema lacks columns")


def _start(column: dict[int, Any], end: int, rows: int) -> int:
    """Where the pages of a column begin, 0 of no rows; raises _Damaged where they do not lie before the footer."""
    start, dictionary = column.get(9), column.get(11, 0)
    if isinstance(start, int) and 0 < dictionary < start:
        start = dictionary
    size = _count(column.get(7), "bytes")
    if not rows:
        return 0
    if not (isinstance(start, int) and len(_MAGIC) <= start <= end - size):
        raise _Damaged("a column lies outside the file")
    return start


def _count(number: int | None, what: str) -> int:
    if number is None or not 0 <= number < 2**62:
        raise _Damaged(f"its footer says there are {number} {what}")
    return number


_Wanted = dict[int, Any]
"""The fields of a struct that are to be read: `int`, `bytes`, a dictionary for a struct, a list."""

_SCHEMA: _Wanted = {1: int, 3: int, 4: bytes, 5: int}
_COLUMN: _Wanted = dict.fromkeys((1, 5, 6, 7, 9, 11), int)
_GROUP: _Wanted = {1: [{3: _COLUMN}], 3: int}
_FILE: _Wanted = {2: [_SCHEMA], 3: int, 4: [_GROUP]}
_PAGE: _Wanted = {1: int, 2: int, 7: {1: int}}


class _Reader:
    """Thrift's compact protocol, as far as it is needed to find some fields among all."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def struct(self, wanted: _Wanted) -> dict[int, Any]:
        """The fields wanted of the struct that comes next, by their numbers; of two with one number the last."""
        found = {}
        for number, kind in self._fields():
            if number not in wanted:
                self._skip(kind, 0)
                continue
            found[number] = self._value(kind, wanted[number])
        return found

    def _value(self, kind: int, wanted: Any) -> Any:
        if wanted is int and kind in (_I16, _I32, _I64):
            return self._integer()
        if wanted is bytes and kind == _BINARY:
            return self._binary()
        if isinstance(wanted, dict) and kind == _STRUCT:
            return self.struct(wanted)
        if isinstance(wanted, list) and kind == _LIST:
            inner, count = self._list()
            return [self._value(inner, wanted[0]) for _ in range(count)]
        return self._fail()

    def _fields(self) -> Iterator[tuple[int, int]]:
        """The number and type of each field; its value must be read or passed over before the next is asked for."""
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._integer()
            yield number, head & 15

    def _skip(self, kind: int, depth: int) -> None:
        if depth > _DEEPEST_STRUCT:
            self._fail()
        if kind in (_I16, _I32, _I64):
            self._varint()
        elif kind in _SIZES:
            self._pass(_SIZES[kind])
        elif kind == _BINARY:
            self._pass(self._varint())
        elif kind == _STRUCT:
            for _, inner in self._fields():
                self._skip(inner, depth + 1)
        elif kind in (_LIST, _SET):
            inner, count = self._list()
            if inner in (_TRUE, _FALSE):
                self._pass(count)  # a byte each in a list, none in a struct
                return
            for _ in range(count):
                self._skip(inner, depth + 1)
        elif kind == _MAP:
            if count := self._varint():
                kinds = self._byte()
                for _ in range(count):
                    self._skip(kinds >> 4, depth + 1)
                    self._skip(kinds & 15, depth + 1)
        else:
            self._fail()

    def _list(self) -> tuple[int, int]:
        head = self._byte()
        count = head >> 4
        if count == 15:
            count = self._varint()
        if count > len(self._content) - self._at:  # an item is a byte at least
            self._fail()
        return head & 15, count

    def _binary(self) -> bytes:
        size = self._varint()
        start = self._at
        self._pass(size)
        return self._content[start : self._at]

    def _pass(self, size: int) -> None:
        self._at += size
        if self._at > len(self._content):
            self._fail()

    def _byte(self) -> int:
        try:
            byte = self._content[self._at]
        except IndexError:
            self._fail()
        self._at += 1
        return byte

    def _integer(self) -> int:
        raw = self._varint()
        return (raw >> 1) ^ -(raw & 1)

    def _varint(self) -> int:
        byte = self._byte()
        found, shift = byte & 127, 7
        while byte > 127:
            byte = self._byte()
            found |= (byte & 127) << shift
            shift += 7
            if shift > 70:
                self._fail()
        return found

    def _fail(self) -> NoReturn:
        raise _Damaged("its footer is not readable")


_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT, _UUID = range(1, 14)
_SIZES = {_TRUE: 0, _FALSE: 0, _BYTE: 1, _DOUBLE: 8, _UUID: 16}
