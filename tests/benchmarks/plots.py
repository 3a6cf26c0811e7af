"""Plots of the tables that are best seen, as PNG."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

Table = list[dict[str, Any]]


def plot(name: str, tables: list[Table], folder: Path) -> None:
    """Draw the benchmark `name`, where there is a drawing of it, into the folder."""
    if name == "estimation" and tables:
        ways = [key for key, value in tables[0][0].items() if isinstance(value, float)]
        panels = defaultdict(list)
        for row in tables[0]:
            panels[f"{row['corpus']}, {row['encoder']}"].append(row)
        _draw(panels, "records", ways, "error relative to uniform", folder / "estimation.png")
    elif name == "regression" and tables:
        panels = defaultdict(list)
        for row in tables[0]:
            panels[row["data"]].append(row)
        ways = [key for key, value in tables[0][0].items() if isinstance(value, float)]
        _draw(panels, "size", ways, "excess risk relative to leverage scores", folder / "regression.png")


def _draw(panels: dict[str, Table], x: str, ways: list[str], label: str, path: Path) -> None:
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot

    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure, axes = pyplot.subplots(rows, columns, figsize=(4.4 * columns, 3.2 * rows), squeeze=False)
    for axis, (title, table) in zip(axes.flat, panels.items(), strict=False):
        for way in ways:
            axis.plot([str(row[x]) for row in table], [row[way] for row in table], marker="o", markersize=3, label=way)
        axis.axhline(1, color="grey", linewidth=0.8)
        axis.set_title(title, fontsize=9)
        axis.set_yscale("log")
        for ticks in (axis.yaxis.set_major_formatter, axis.yaxis.set_minor_formatter):
            ticks(lambda value, _: f"{value:.2g}")
        axis.tick_params(which="both", labelsize=7)
    for axis in list(axes.flat)[len(panels) :]:
        axis.set_visible(False)
    axes[0][0].set_ylabel(label, fontsize=8)
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="lower center", ncols=3, fontsize=8)
    figure.tight_layout(rect=(0, 0.12 if rows == 1 else 0.07, 1, 1))
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
