"""The arrays that the steps hand on to one another."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Column = npt.NDArray[Any]
"""A number for each usable record, shape (n,); may be mapped from disk."""

Floats = npt.NDArray[np.float64]

Weights = npt.NDArray[np.float64]

Vectors = npt.NDArray[np.float32]
"""Embeddings, shape (m, d)."""

Rows = npt.NDArray[np.int64]
"""Records by their number among all of the corpus, from 0."""

Positions = npt.NDArray[np.int64]
"""Records by their number among the usable ones, from 0."""

Labels = npt.NDArray[np.int32]
"""The cluster of each record."""

Codes = npt.NDArray[np.uint16]
"""The group of each record."""

Counts = npt.NDArray[np.int64]

Copies = npt.NDArray[np.uint32]
"""How many records each one stands for."""

Tokens = npt.NDArray[np.uint32]
"""Tokens of each record."""
