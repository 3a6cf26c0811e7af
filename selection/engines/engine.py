"""The protocol of an engine: who hashes, embeds and clusters the corpus. All else is the same for every engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tithe.selection.corpus import Corpus, InputFile, TextRule
from tithe.selection.corpus.storage import absolute
from tithe.selection.embedded import Encoder
from tithe.selection.engines.executor import Executor
from tithe.selection.engines.ground import lay_in_parts
from tithe.selection.engines.part_work import hashed
from tithe.selection.engines.parts import PART_BYTES
from tithe.selection.errors import UsageError
from tithe.selection.groundwork import Groundwork, lay
from tithe.selection.manifest import sha256_of_all
from tithe.selection.options import Options
from tithe.selection.stages import Advance, Stages
from tithe.selection.work.folder import WorkFolder


class Engine(Protocol):
    """Does what takes long. It may keep what is known of each record where it likes; see `per_record.Home`."""

    def digests(self, files: Sequence[InputFile], advance: Advance) -> list[str]:
        """The SHA-256 of the input files; tells `advance` how many bytes were read."""
        ...

    def lay(
        self,
        options: Options,
        corpus: Corpus,
        rule: TextRule | None,
        encoder: Encoder,
        work: WorkFolder,
        digests: Sequence[str],
        stages: Stages,
    ) -> tuple[Corpus, Groundwork]:
        """See `groundwork.lay`; the corpus comes back, to take records from."""
        ...


class Local:
    """Everything in this process."""

    def digests(self, files: Sequence[InputFile], advance: Advance) -> list[str]:
        """See Engine."""
        return sha256_of_all([file.source for file in files], advance)

    def lay(
        self,
        options: Options,
        corpus: Corpus,
        rule: TextRule | None,
        encoder: Encoder,
        work: WorkFolder,
        digests: Sequence[str],
        stages: Stages,
    ) -> tuple[Corpus, Groundwork]:
        """See Engine."""
        return corpus, lay(options, corpus, rule, encoder, work, digests, stages)


class InParts:
    """Part by part, by an executor."""

    def __init__(self, executor: Executor, part_bytes: int = PART_BYTES) -> None:
        self._executor = executor
        self._part_bytes = part_bytes

    def digests(self, files: Sequence[InputFile], advance: Advance) -> list[str]:
        """See Engine. Raises UsageError for files that not every worker can read as they are."""
        for file in files:
            if file.spooled is not None:
                raise UsageError(f"{file.path}: --engine ray does not read compressed Parquet yet; unpack it")
        found = []
        for file, digest in zip(
            files, self._executor.map(hashed, ((absolute(file.path),) for file in files)), strict=True
        ):
            found.append(digest)
            advance(file.size)
        return found

    def lay(
        self,
        options: Options,
        corpus: Corpus,
        rule: TextRule | None,
        encoder: Encoder,
        work: WorkFolder,
        digests: Sequence[str],
        stages: Stages,
    ) -> tuple[Corpus, Groundwork]:
        """See Engine."""
        return lay_in_parts(options, corpus, rule, encoder, work, digests, stages, self._executor, self._part_bytes)
