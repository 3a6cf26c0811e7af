"""The map of the clusters: where each lies, how large it is, its loss, and how much of it was selected."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import KDTree

from tithe.selection.review.report.files import Columns
from tithe.selection.review.report.wording import number
from tithe.selection.sizes import counted

Numbers = npt.NDArray[np.float64]

SHOWN = 2000
"""Circles at most: the largest clusters."""
LEVELS = 9
"""Colours of the scale of losses."""

WIDTH, HEIGHT = 1000.0, 560.0
_MARGIN = 8.0
# Of the map's area, that of all circles; and the largest radius.
_FILLED = 0.26
_LARGEST = 46.0
_ROUNDS = 120


@dataclass(frozen=True)
class Circle:
    """A cluster on the map."""

    x: float
    y: float
    radius: float
    level: int | None
    """Of the scale of losses, from 0; None without a loss."""
    missed: bool
    """No record of it was selected."""
    ring: float
    """Per cent of the ring around it that are drawn: the share selected, against `full_ring`."""
    ring_radius: float
    ring_width: float
    title: str


@dataclass(frozen=True)
class ClusterMap:
    """All circles, the largest first, and what the legend says."""

    width: float
    height: float
    circles: list[Circle]
    clusters: int
    """All there are, shown or not."""
    largest: str
    full_ring: str
    """The share for which the ring is closed."""
    losses: tuple[str, str] | None
    """Labels of the ends of the scale of losses."""


def cluster_map(clusters: Columns) -> ClusterMap:
    """The map of the SHOWN largest clusters."""
    order = np.argsort(-clusters["records"], kind="stable")[:SHOWN]
    shown = {name: values[order] for name, values in clusters.items()}
    records, selected, losses = shown["records"], shown["selected"], shown["loss"]
    radii = circle_radii(records)
    # The ring lies outside the circle, so that it hides no colour.
    widths = np.clip(0.22 * radii, 1.4, 3.5)
    x, y = spread(shown["x"], shown["y"], radii + 1.5 * widths)
    shares = selected / np.maximum(records, 1)
    full = _full_share(shares)
    rings = 100 * np.minimum(shares / full, 1)
    levels, ends = loss_levels(losses)
    circles = [
        Circle(
            round(float(x[i]), 1),
            round(float(y[i]), 1),
            round(float(radii[i]), 1),
            None if math.isnan(losses[i]) else int(levels[i]),
            bool(selected[i] == 0),
            round(float(rings[i]), 1),
            round(float(radii[i] + 0.75 * widths[i]), 1),
            round(float(widths[i]), 1),
            _title(shown, i),
        )
        for i in range(len(order))
    ]
    return ClusterMap(
        WIDTH, HEIGHT, circles, len(clusters["records"]), counted(int(records[0]), "record"), f"{100 * full:g}%", ends
    )


def circle_radii(records: Numbers) -> Numbers:
    """Radii of circles whose areas are in proportion to `records`, in units of the map."""
    roots = np.sqrt(np.maximum(records, 0))
    total = float((roots**2).sum()) or 1.0
    unit = math.sqrt(_FILLED * WIDTH * HEIGHT / (math.pi * total))
    return roots * min(unit, _LARGEST / max(float(roots.max()), 1.0))


def loss_levels(losses: Numbers) -> tuple[npt.NDArray[np.int64], tuple[str, str] | None]:
    """The colour of each loss (NaN gets 0), and the labels of the scale's ends; None where there are no losses.

    The scale runs from the 2nd to the 98th percentile: one outlier must not take all colours.
    """
    known = losses[np.isfinite(losses)]
    if len(known) == 0:
        return np.zeros(len(losses), np.int64), None
    low, high = np.quantile(known, [0.02, 0.98])
    span = high / LEVELS - low / LEVELS
    with np.errstate(over="ignore"):
        levels = np.nan_to_num((losses - low) / span if span > 0 else np.zeros(len(losses)), nan=0.0)
    ends = (
        ("≤\u00a0" if known.min() < low else "") + number(float(low)),
        ("≥\u00a0" if known.max() > high else "") + number(float(high)),
    )
    return np.clip(levels, 0, LEVELS - 1).astype(np.int64), ends


def spread(x: Numbers, y: Numbers, radii: Numbers) -> tuple[Numbers, Numbers]:
    """Places on the map for circles at x and y (any unit): stretched to fill it, then pushed apart.

    Circles that overlap move away from one another, the smaller the further, until they no longer do or time is up.
    """
    low = np.minimum(_MARGIN + radii, WIDTH / 2)[:, None]
    high = np.array([[WIDTH, HEIGHT]]) - low
    stretched = np.column_stack([_stretched(x, radii, WIDTH), HEIGHT - _stretched(y, radii, HEIGHT)])
    places = np.clip(stretched, low, high)
    areas = np.maximum(radii, 0.1) ** 2
    # Circles at one place are sent off in different directions.
    angles = np.arange(len(x)) * 2.399963
    directions = np.column_stack([np.cos(angles), np.sin(angles)])
    for _ in range(_ROUNDS):
        pairs = np.asarray(KDTree(places).query_pairs(2 * float(radii.max()), output_type="ndarray"), np.int64)
        one, other = pairs[:, 0], pairs[:, 1]
        apart = places[other] - places[one]
        distance = np.hypot(apart[:, 0], apart[:, 1])
        overlap = radii[one] + radii[other] - distance
        touching = overlap > 0.05
        if not touching.any():
            break
        one, other, apart = one[touching], other[touching], apart[touching]
        distance, overlap = distance[touching], overlap[touching]
        same = distance < 1e-6
        unit = np.where(same[:, None], directions[other], apart / np.maximum(distance, 1e-6)[:, None])
        push = 0.7 * overlap / (areas[one] + areas[other])
        np.add.at(places, one, -unit * (push * areas[other])[:, None])
        np.add.at(places, other, unit * (push * areas[one])[:, None])
        places = np.clip(places, low, high)
    return places[:, 0], places[:, 1]


def _stretched(values: Numbers, radii: Numbers, length: float) -> Numbers:
    margin = _MARGIN + float(np.median(radii))
    low, high = float(values.min()), float(values.max())
    if not high > low:
        return np.full(len(values), length / 2)
    share = (values / 2 - low / 2) / (high / 2 - low / 2)
    return margin + share * (length - 2 * margin)


def _full_share(shares: Numbers) -> float:
    """A round share that almost all clusters stay below, so that rings can be told apart where little is selected."""
    wanted = float(np.quantile(shares, 0.95)) if len(shares) else 1.0
    return next((full for full in (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5) if wanted <= full), 1.0)


def _title(clusters: Columns, i: int) -> str:
    loss = clusters["loss"][i]
    return (
        f"Cluster {clusters['cluster'][i]:.0f}: {counted(int(clusters['records'][i]), 'record')}, "
        f"{clusters['selected'][i]:,.0f} selected" + ("" if math.isnan(loss) else f", loss {number(float(loss))}")
    )
