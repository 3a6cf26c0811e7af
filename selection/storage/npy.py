"""Arrays in files of our own."""

from __future__ import annotations

from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from tithe.selection.storage.own_files import OwnPath


def save_array(path: OwnPath, array: npt.NDArray[Any]) -> None:
    """Write a new .npy file. Raises OSError."""
    array = np.ascontiguousarray(array)
    # np.save hides the reason when it cannot write.
    with path.create() as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
        file.write(array.data)


def load_array(path: OwnPath) -> npt.NDArray[Any]:
    """The array of a .npy file."""
    with path.open() as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def map_array(path: OwnPath) -> npt.NDArray[Any]:
    """The array of a .npy file, mapped into memory."""
    # Not np.load: it opens the file by its name, through any link.
    with path.open() as file:
        shape, dtype = _header(file)
        return np.memmap(file, dtype, "r", offset=file.tell(), shape=shape)


def map_numbers(path: OwnPath, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """The numbers of a file that holds nothing else, mapped into memory."""
    with path.open() as file:
        return np.memmap(file, dtype, "r") if file.read(1) else np.empty(0, dtype)


def _header(file: BinaryIO) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """What `save_array` wrote before the numbers; raises ValueError for anything else."""
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("is no array that tithe wrote")
    shape, columns_first, dtype = np.lib.format.read_array_header_1_0(file)
    if columns_first or dtype.hasobject:
        raise ValueError("is no array that tithe wrote")
    return shape, dtype
