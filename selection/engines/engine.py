"""The protocol of an engine: who hashes, embeds and clusters the corpus. All else is the same for every engine."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Sequence
from typing import Protocol

from tithe.embedders.reading import open_regular
from tithe.selection.corpus import Corpus, InputFile, TextRule
from tithe.selection.corpus.inputs import with_spooled
from tithe.selection.embedded import Encoder
from tithe.selection.engines.executor import Executor
from tithe.selection.engines.ground import lay_in_parts
from tithe.selection.engines.marking import read_marks_in_parts
from tithe.selection.engines.part_work import hashed
from tithe.selection.engines.parts import PART_BYTES, by_full_path
from tithe.selection.frame.marks import MarksBefore, read_marks
from tithe.selection.groundwork import Groundwork, lay
from tithe.selection.manifest import sha256_of_all
from tithe.selection.options import Options
from tithe.selection.own_files import OwnPath
from tithe.selection.stages import Advance, Stages
from tithe.selection.work.folder import WorkFolder, writing


class Engine(Protocol):
    """Does what takes long. It may keep what is known of each record where it likes; see `per_record.Home`."""

    def within_reach(self, corpus: Corpus, work: WorkFolder) -> Corpus:
        """The corpus as all who work on it can read it."""
        ...

    def digests(self, files: Sequence[InputFile], advance: Advance) -> list[str]:
        """The SHA-256 of the input files; tells `advance` how many bytes were read."""
        ...

    def marks(self, options: Options, corpus: Corpus, work: WorkFolder, stages: Stages) -> MarksBefore:
        """See `marks.read_marks`."""
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

    def within_reach(self, corpus: Corpus, work: WorkFolder) -> Corpus:
        """See Engine."""
        return corpus

    def digests(self, files: Sequence[InputFile], advance: Advance) -> list[str]:
        """See Engine."""
        return sha256_of_all([file.source for file in files], advance)

    def marks(self, options: Options, corpus: Corpus, work: WorkFolder, stages: Stages) -> MarksBefore:
        """See Engine."""
        return read_marks(options, corpus, stages)

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

    def within_reach(self, corpus: Corpus, work: WorkFolder) -> Corpus:
        """See Engine. What had to be unpacked goes where all workers see it."""
        if all(file.spooled is None for file in corpus.files):
            return corpus
        return Corpus([_moved(file, work.scratch) for file in corpus.files])

    def digests(self, files: Sequence[InputFile], advance: Advance) -> list[str]:
        """See Engine."""
        found = []
        calls = ((by_full_path(file).source,) for file in files)
        for file, digest in zip(files, self._executor.map(hashed, calls), strict=True):
            found.append(digest)
            advance(file.size)
        return found

    def marks(self, options: Options, corpus: Corpus, work: WorkFolder, stages: Stages) -> MarksBefore:
        """See Engine."""
        return read_marks_in_parts(options, corpus, work, stages, self._executor, self._part_bytes)

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


def _moved(file: InputFile, folder: OwnPath) -> InputFile:
    if file.spooled is None:
        return file
    with writing(folder):
        moved = folder / file.spooled.name
        try:
            OwnPath.of(file.spooled).replace(moved)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            with open_regular(file.spooled) as source, moved.create() as out:
                shutil.copyfileobj(source, out)
        return with_spooled(file, moved.path)
