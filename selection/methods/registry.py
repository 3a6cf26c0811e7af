"""From `--method NAME` to a method."""

from __future__ import annotations

from collections.abc import Callable

from tithe.selection.groundwork import Groundwork
from tithe.selection.methods.auto import Auto
from tithe.selection.methods.base import Method
from tithe.selection.methods.k_center import KCenter
from tithe.selection.methods.low_rank import LowRank
from tithe.selection.methods.regression import Regression
from tithe.selection.methods.sensitivity import Sensitivity
from tithe.selection.methods.uniform import Uniform
from tithe.selection.options import MethodName, Options

METHODS: dict[MethodName, Callable[[Options, Groundwork], Method]] = {
    "sensitivity": Sensitivity,
    "low-rank": LowRank,
    "uniform": Uniform,
    "k-center": KCenter,
    "auto": Auto,
}


def make_method(options: Options, ground: Groundwork) -> Method:
    """The method that the options name; a regression has its own."""
    if options.task == "regression":
        return Regression(options, ground)
    return METHODS[options.method](options, ground)
