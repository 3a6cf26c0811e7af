"""What an option is, declared once: the command line, the rules for its value and the manifest follow from that."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

from tithe.selection.errors import UsageError

# Of the whole numbers that an option may have: more of anything no corpus has.
LARGEST = 2**53

Written = Literal["size", "folder", "numbers", "names"]

_JSON_TYPES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean", "Path": "string"}


@dataclass(frozen=True, kw_only=True)
class Declared:
    """What is said of an option besides its name, its type and its default, which are those of the field."""

    help: str
    default_words: str | None = None
    """What the help calls the default, where that is worked out."""
    metavar: str | None = None
    name: str | None = None
    """On the command line and in manifests, where the field has another."""
    written: Written | None = None
    """How the value is written, where its type does not say so: a size in bytes, a folder, numbers or names between
    commas."""
    one_of: Collection[Any] = ()
    """All values that it may have."""
    least: float | None = None
    most: float | None = None
    absent: str | None = None
    """The word for None, which otherwise means that the option was not given."""
    centers: bool = False
    """Whether `tithe centers` has it, too: what embeddings, clusters and the records to score depend on."""
    on_command_line: bool = True
    """Whether an option of its own sets it there."""
    recorded: bool = True
    """Whether the manifest has it: not what changes no subset."""


def option(default: Any, help: str, **more: Any) -> Any:
    """A field of Options; see Declared."""
    return dataclasses.field(default=default, metadata={"option": Declared(help=help, **more)})


@dataclass(frozen=True)
class Option:
    """A field of Options with what is declared of it."""

    field: str
    type: str
    """As annotated: `int | None`, `tuple[str, ...]`."""
    default: Any
    declared: Declared

    @property
    def key(self) -> str:
        """Its name in manifests."""
        return self.declared.name or self.field

    @property
    def flag(self) -> str:
        """Its name on the command line."""
        return f"--{self.key.replace('_', '-')}"

    @property
    def item(self) -> str:
        """The type of its value, or of each of several."""
        return self.type.removeprefix("tuple[").partition(",")[0].partition(" |")[0]

    @property
    def several(self) -> bool:
        """Whether it has several values."""
        return self.type.startswith("tuple[")

    @property
    def may_be_none(self) -> bool:
        return self.type.endswith("| None")

    def check(self, value: Any) -> None:
        """Raise UsageError for a value that it cannot have; seeds may be as large as anybody likes."""
        declared = self.declared
        if isinstance(value, float) and not math.isfinite(value):
            raise UsageError(f"{self.flag} {value}: a finite number is needed")
        if isinstance(value, int) and abs(value) > LARGEST and not self._is_seed:
            raise UsageError(f"{self.flag}: at most {LARGEST} can be asked for")
        if value is None:
            return
        if declared.one_of and value not in declared.one_of:
            raise UsageError(f"{self.flag} {value}: {' or '.join(map(str, declared.one_of))} is needed")
        low, high = declared.least, declared.most
        if (low is not None and value < low) or (high is not None and value > high):
            needed = f"a number from {low:g} to {high:g}" if high is not None else f"at least {low:g}"
            either = f"{declared.absent}, or " if declared.absent else ""
            comma = "," if declared.absent else ""
            raise UsageError(f"{self.flag} {value:g}: {either}{needed}{comma} is needed")

    @property
    def _is_seed(self) -> bool:
        return self.field.endswith("seed")

    def json_schema(self) -> dict[str, Any]:
        """Of its value in manifests."""
        declared = self.declared
        null = f" Null: {declared.default_words}." if self.may_be_none and declared.default_words else ""
        found: dict[str, Any] = {"description": declared.help + ("" if declared.absent else null)}
        kind = _JSON_TYPES.get(self.item, "string")
        if self.several:
            return {**found, "type": "array", "items": {"type": kind}}
        if declared.absent is not None:
            return {**found, "anyOf": [{"const": declared.absent}, {"type": kind}]}
        if declared.one_of:
            return {**found, "enum": [*declared.one_of, *([None] if self.may_be_none else [])]}
        found["type"] = [kind, "null"] if self.may_be_none else kind
        found.update({key: bound for key, bound in self._bounds() if bound is not None})
        return {**found, "format": "bigint"} if self._is_seed else found

    def _bounds(self) -> list[tuple[str, float | None]]:
        return [("minimum", self.declared.least), ("maximum", self.declared.most)]


def options_of(class_: Any) -> list[Option]:
    """All options that a dataclass declares, in their order."""
    return [
        Option(field.name, str(field.type), field.default, field.metadata["option"])
        for field in dataclasses.fields(class_)
    ]
