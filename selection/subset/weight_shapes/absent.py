"""`none`: no weights; the rows file has them."""

from __future__ import annotations

from tithe.selection.subset.weight_shapes.base import WeightShape


class Absent(WeightShape):
    """Each selected record once, as it came in."""
