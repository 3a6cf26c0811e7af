"""What a run does with its inputs before anything is embedded: makes them readable for all, and hashes them."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Sequence

from tithe.embedders.reading import open_regular
from tithe.selection.corpus.corpus import Corpus
from tithe.selection.corpus.inputs import InputFile, with_spooled
from tithe.selection.corpus.partitions import by_full_path
from tithe.selection.embedding import partition_work
from tithe.selection.embedding.work_folder import WorkFolder
from tithe.selection.engine.executor import Executor
from tithe.selection.engine.hashes import sha256_of_all
from tithe.selection.engine.stages import Stages
from tithe.selection.storage.own_files import OwnPath
from tithe.selection.storage.writing import writing


def within_reach(corpus: Corpus, work: WorkFolder, executor: Executor) -> Corpus:
    """The corpus as all who work on it can read it: what had to be unpacked goes where workers elsewhere see it."""
    if not executor.remote or all(file.spooled is None for file in corpus.files):
        return corpus
    return Corpus([_moved(file, work.scratch) for file in corpus.files])


def digests(files: Sequence[InputFile], stages: Stages, executor: Executor) -> list[str]:
    """The SHA-256 of the input files. Raises TitheError where one cannot be read."""
    with stages("hash", sum(file.size for file in files), "bytes") as advance:
        if not executor.remote:
            return sha256_of_all([file.source for file in files], advance)
        sizes = iter([file.size for file in files])
        calls = ((by_full_path(file).source,) for file in files)
        return list(executor.map(partition_work.hashed, calls, advance, lambda digest: next(sizes)))


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
