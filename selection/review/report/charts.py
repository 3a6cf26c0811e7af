"""Geometry of charts: scales, ticks, outlines. All coordinates are per cent of the plot, y downwards as in SVG."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from tithe.selection.review.report.evidence import Histogram
from tithe.selection.review.report.wording import number

Numbers = npt.NDArray[np.float64]
Bend = Literal["linear", "log", "log1p"]

# A logarithmic axis pays from this ratio of the largest to the smallest value on.
_LOG_RATIO = 30.0
_WEIGHT_BINS = 40
# Room above the highest point.
_HEADROOM = 1.06


@dataclass(frozen=True)
class Tick:
    """A labelled place on an axis."""

    at: float
    """Per cent from the left, or from the bottom."""
    label: str


@dataclass(frozen=True)
class Scale:
    """Maps values to per cent of an axis; values beyond its ends come to lie on them."""

    low: float
    high: float
    bend: Bend = "linear"

    @classmethod
    def over(cls, low: float, high: float, bend: Bend = "linear") -> Scale:
        """A scale from `low` to `high`, widened where they are all but the same."""
        if not high / 2 - low / 2 > 1e-9 * max(abs(low), abs(high)):
            room = abs(low) / 2 or 0.5
            low, high = low - room, high + room
            if bend != "linear" and low <= 0:
                bend = "linear"
        scale = cls(low, high, bend)
        ends = scale._bent(np.array([low, high]))
        # Where all is all but 0, logarithms tell nothing apart.
        return scale if ends[1] > ends[0] else cls(low, high)

    def __call__(self, values: npt.ArrayLike) -> Numbers:
        """Per cent of the axis, of the values' shape."""
        low, high = self._bent(np.array([self.low, self.high]))
        # Halved, since the difference of two huge numbers need not be a number.
        share = (self._bent(np.asarray(values, float)) / 2 - low / 2) / (high / 2 - low / 2)
        return 100 * np.clip(share, 0, 1)

    def ticks(self, wanted: int = 5) -> list[Tick]:
        """Ticks at round numbers, about as many as wanted."""
        values = _decades(self.low, self.high, self.bend, wanted) if self.bend != "linear" else []
        step = 0.0
        if len(values) < 2:
            values = _round_values(self.low, self.high, wanted)
            step = float(min(np.diff(values)))
        return [Tick(round(float(at), 2), _label(v, step)) for v, at in zip(values, self(values), strict=True)]

    def _bent(self, values: Numbers) -> Numbers:
        if self.bend == "log":
            return np.log(np.maximum(values, 1e-300))
        return np.log1p(np.maximum(values, 0)) if self.bend == "log1p" else values


@dataclass(frozen=True)
class Series:
    """One outline of a step chart."""

    name: str
    path: str


@dataclass(frozen=True)
class StepChart:
    """One or two histograms over one axis."""

    title: str
    x_title: str
    y_title: str
    series: tuple[Series, ...]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    """Empty where the bins are of unequal width: only areas can be compared then."""


@dataclass(frozen=True)
class Scatter:
    """Points over two axes with the same scale; on the diagonal both values agree."""

    title: str
    points: list[tuple[float, float]]
    ticks: list[Tick]


def comparison(histogram: Histogram, *, title: str, x_title: str) -> StepChart:
    """The corpus and the weighted subset, each as shares of its own total."""
    edges = histogram.edges
    scale = _fitting_scale(edges)
    widths = np.maximum(np.diff(scale(edges)), 1e-9)
    equal = widths.max() < 1.2 * widths.min()
    # Area, not height, stands for the share: bins of one width make no difference between the two.
    relative = np.ones_like(widths) if equal else widths.mean() / widths
    heights = [_shares(counts) * relative for counts in (histogram.corpus, histogram.subset)]
    # A bin without width would tower over all others.
    roof = max(float(heights[0].max()), float(np.quantile(np.concatenate(heights), 0.98)))
    roof = max(roof, float(heights[1].max())) if equal else roof
    vertical = Scale(0.0, _HEADROOM * (roof or 1.0))
    names = ("corpus", "subset")
    return StepChart(
        title,
        x_title + ("" if scale.bend == "linear" else ", logarithmic"),
        "share of records" if equal else "density of records",
        tuple(
            Series(name, outline(scale(edges), vertical(height))) for name, height in zip(names, heights, strict=True)
        ),
        scale.ticks(),
        _percent_ticks(vertical) if equal else [],
    )


def weight_histogram(weights: Numbers) -> StepChart:
    """How many records have which weight."""
    low, high = float(weights.min()), float(weights.max())
    bend: Bend = "log" if low > 0 and high / low > _LOG_RATIO else "linear"
    scale = Scale.over(low, high, bend)
    edges = np.linspace(0, 100, min(_WEIGHT_BINS, 4 + math.isqrt(len(weights)) * 2) + 1)
    counts, _ = np.histogram(scale(weights), edges)
    vertical = Scale(0.0, _HEADROOM * float(counts.max()))
    return StepChart(
        "Weights of the selected records",
        "weight" + ("" if scale.bend == "linear" else ", logarithmic"),
        "records",
        (Series("subset", outline(edges, vertical(counts))),),
        scale.ticks(),
        [tick for tick in vertical.ticks(4) if "." not in tick.label],
    )


def scatter(points: Numbers, *, title: str) -> Scatter:
    """Points (shape (p, 2)) over one scale for both axes."""
    low, high = (float(points.min()), float(points.max())) if len(points) else (0.0, 1.0)
    scale = Scale.over(min(low, 0.0), high + 0.03 * abs(high))
    placed = scale(points).round(2)
    return Scatter(title, [(x, round(100 - y, 2)) for x, y in placed.tolist()], scale.ticks())


def outline(edges: Numbers, heights: Numbers) -> str:
    """An SVG path around the bars of a histogram: edges (shape (m + 1,)) and heights (shape (m,)) in per cent."""
    path = [f"M{edges[0]:.2f} 100"]
    for right, height in zip(edges[1:].tolist(), heights.tolist(), strict=True):
        path.append(f"V{100 - height:.2f}H{right:.2f}")
    return "".join(path) + "V100"


def _shares(counts: Numbers) -> Numbers:
    total = counts.sum()
    return counts / total if total > 0 else np.zeros_like(counts)


def _fitting_scale(edges: Numbers) -> Scale:
    """The scale over which the bins are of the most equal width."""
    bends: list[Bend] = ["linear"]
    if edges[0] > 0:
        bends.append("log")
    if edges[0] >= 0 and edges[-1] > _LOG_RATIO:
        bends.append("log1p")
    scales = [Scale.over(float(edges[0]), float(edges[-1]), bend) for bend in bends]
    return min(scales, key=lambda scale: round(float(np.std(np.diff(scale(edges)))), 6))


def _round_values(low: float, high: float, wanted: int) -> list[float]:
    rough = (high / wanted) - (low / wanted)
    unit = 10.0 ** math.floor(math.log10(rough)) if rough > 1e-300 else 0.0
    if not unit:
        return [low, high]
    step = next(factor * unit for factor in (1, 2, 5, 10) if factor * unit >= rough * 0.99)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    values = sorted({i * step for i in range(first, min(last, first + 4 * wanted) + 1)})
    return values if len(values) > 1 else [low, high]


def _decades(low: float, high: float, bend: Bend, wanted: int) -> list[float]:
    bottom = max(low, 1.0) if bend == "log1p" else low
    exponents = range(math.floor(math.log10(bottom)), math.ceil(math.log10(high)) + 1)
    start = [0.0] if bend == "log1p" and low <= 0 else []
    for digits in ((1, 2, 5), (1, 3), (1,)):
        values = [digit * 10.0**exponent for exponent in exponents for digit in digits]
        values = start + [value for value in values if bottom <= value <= high]
        if len(values) <= wanted + 2:
            return values
    return values[:: math.ceil(len(values) / wanted)]


def _percent_ticks(scale: Scale) -> list[Tick]:
    ticks = Scale(100 * scale.low, 100 * scale.high).ticks(4)
    return [Tick(tick.at, tick.label + "%") for tick in ticks]


def _label(value: float, step: float) -> str:
    """A tick's label. `step` is the distance to the next one, 0 where ticks are decades."""
    if abs(value) < step / 1e6:
        return "0"
    if 1e-6 <= abs(value) < 1e9:
        for unit, letter in ((1e6, "M"), (1e3, "k")):
            if abs(value) >= max(unit, 1e4) and (not step or step >= unit / 10):
                return (f"{value / unit:.{_decimals(step / unit)}f}" if step else f"{value / unit:.4g}") + letter
        if step >= 1e-6:
            return f"{value:,.{_decimals(step)}f}"
    return number(value)


def _decimals(step: float) -> int:
    """As many as tell neighbours apart, so that all labels have the same."""
    return max(0, -math.floor(math.log10(step) + 1e-9))
