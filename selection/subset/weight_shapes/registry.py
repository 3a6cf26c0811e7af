"""`--weights-as`: how the subset holds the weights; a line for each, whose words follow one another in the help."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tithe.embedders.entries import Entry, Registry

if TYPE_CHECKING:
    from tithe.selection.subset.weight_shapes.base import WeightShape

WEIGHT_SHAPES: Registry[type[WeightShape]] = Registry(
    Entry("column", "tithe.selection.subset.weight_shapes.column:Column", "in a column"),
    Entry("loss-scale", "tithe.selection.subset.loss_scale:LossScale", "in the assistant's messages"),
    Entry(
        "replicate",
        "tithe.selection.subset.weight_shapes.copies:Replicate",
        "none, but records repeated in proportion, rounded at random",
    ),
    Entry("resample", "tithe.selection.subset.weight_shapes.copies:Resample", "the same, drawn with replacement"),
    Entry("none", "tithe.selection.subset.weight_shapes.absent:Absent", "none"),
)
