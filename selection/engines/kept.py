"""Arrays that are left in folders which all machines share."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy.typing as npt

from tithe.selection.errors import TitheError
from tithe.selection.own_files import OwnPath
from tithe.selection.work.arrays import map_array, save_array
from tithe.selection.work.folder import writing

OPEN = 64
"""Parts whose arrays a process keeps mapped."""


def keep(folder: OwnPath, name: str, values: npt.NDArray[Any]) -> None:
    """Leave an array in a folder. Who does it again, since a machine was lost, disturbs no reader."""
    with writing(folder):
        folder.make_all()
        unfinished = folder / f"{name}.{secrets.token_hex(4)}.partial"
        save_array(unfinished, values)
        unfinished.replace(folder / f"{name}.npy")


def kept(folder: OwnPath, name: str) -> npt.NDArray[Any]:
    """An array that was left in a folder; mapped. Raises TitheError where it is not to be found."""
    return mapped(folder / f"{name}.npy")


@contextmanager
def found_by_all(path: OwnPath) -> Iterator[None]:
    """Say what to do where a file cannot be read that another worker wrote."""
    try:
        yield
    except OSError as error:
        raise TitheError(
            f"{path.parent}: is not to be found by every worker; --work-dir must name a folder that all of "
            f"them share ({error.strerror})"
        ) from error


@lru_cache(4 * OPEN)
def mapped(path: OwnPath) -> npt.NDArray[Any]:
    """An array in a .npy file; a process keeps some of them mapped. Raises TitheError as `kept` does."""
    with found_by_all(path):
        return map_array(path)
