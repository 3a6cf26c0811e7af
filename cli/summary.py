"""What a user wants to know at the end, in a few lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tithe.selection.errors import printable
from tithe.selection.pipeline import Selection
from tithe.selection.sizes import counted
from tithe.selection.storage.atomic import beside
from tithe.selection.subset.weight_shapes.registry import WEIGHT_SHAPES

# Groups that have a line each.
_GROUPS_SHOWN = 12


def summary_lines(selections: Sequence[Selection]) -> list[str]:
    """The lines of the summary: what all subsets share, then each of them."""
    manifest = selections[0].manifest
    options, queries = manifest["options"], manifest["loss_queries"]
    records, files = counted(manifest["rows"], "record"), counted(len(manifest["inputs"]), "file")
    return [
        f"read      {records} from {files}{_left_out(manifest)}",
        f"clusters  {manifest['k']:,} of {manifest['d']}-dimensional embeddings ({options['encoder']}); "
        + (f"losses asked for: {queries:,}" if queries else "no losses asked for"),
        *(line for selection in selections for line in _subset_lines(selection)),
    ]


def summary(selections: Sequence[Selection]) -> dict[str, Any]:
    """The same for machines; all else is in the manifests."""
    manifest = selections[0].manifest
    return {
        "records_read": manifest["rows"],
        "records_used": manifest["n"],
        "bad_records": manifest["bad_records"]["count"],
        "clusters": manifest["k"],
        "loss_queries": manifest["loss_queries"],
        "subsets": [
            {
                "path": str(selection.path),
                "manifest": str(selection.path and beside(selection.path, ".manifest.json")),
                "records": selection.manifest["weights"]["count"],
                "lines": selection.manifest["subset"]["lines"],
                "weight": selection.manifest["weights"]["total"],
                "effective_sample_size": selection.weights.effective_sample_size,
                "estimate": selection.manifest["evidence"]["estimate"],
                "error": selection.manifest["evidence"]["error"],
                "coverage": selection.manifest["evidence"]["coverage"],
                "seconds": selection.seconds,
            }
            for selection in selections
        ],
    }


def _left_out(manifest: dict[str, Any]) -> str:
    bad = manifest["bad_records"]
    left_out = (
        f"; left out {counted(bad['count'], 'bad one')}, the first at {bad['first_places'][0]}" if bad["count"] else ""
    )
    absent = [
        *([f"{counted(manifest['excluded'], 'is', 'are')} in earlier subsets"] if manifest["excluded"] else []),
        *([f"{counted(manifest['never'], 'is', 'are')} left out by --never"] if manifest["never"] else []),
    ]
    if absent:
        left_out += f"; {' and '.join(absent)}, the weights stand for the rest"
    if manifest["duplicates"]:
        alike = counted(
            manifest["duplicates"], "is like another, which stands for it", "are like another, which stands for them"
        )
        left_out += f"; {alike}"
    return left_out


def _subset_lines(selection: Selection) -> list[str]:
    manifest, weights = selection.manifest, selection.weights
    certain = f", {manifest['always']:,} of them by --always" if manifest["always"] else ""
    name = selection.path
    return [
        f"selected  {counted(weights.count, 'record')} ({weights.count / manifest['n']:.2%}){certain}, as good as "
        f"{weights.effective_sample_size:,.0f} of equal weight",
        *_weight_lines(manifest),
        *_token_lines(manifest["tokens"]),
        *_group_lines(manifest["groups"]),
        *_evidence_lines(manifest),
        f"wrote     {name or '-'} in {selection.seconds:.1f} s"
        + ("" if name is None else " (beside it .rows.parquet, .clusters.parquet, .manifest.json)"),
    ]


def _weight_lines(manifest: dict[str, Any]) -> list[str]:
    weights, subset = manifest["weights"], manifest["subset"]
    shape = WEIGHT_SHAPES[subset["weights_as"]]
    if not shape.weighs and not shape.repeats_records:
        return ["weights   left out of the subset; the rows file has them"]
    if not shape.weighs:
        lines, records = counted(subset["lines"], "line"), counted(subset["records"], "record")
        return [
            f"weights   none: {lines} of {records}, each up to {counted(subset['most_copies'], 'time')}, "
            f"as good as {subset['effective_sample_size']:,.0f} different ones"
        ]
    sum_or_mean = "mean 1" if subset["weight_scale"] == "mean" else f"together {weights['total']:,.1f}"
    return [f"weights   {weights['smallest']:.4g} to {weights['largest']:.4g}, {sum_or_mean}{shape.place}"]


def _token_lines(tokens: dict[str, Any] | None) -> list[str]:
    if tokens is None:
        return []
    return [f"tokens    {tokens['lines']:,} for a budget of {tokens['budget']:,} ({tokens['counted']})"]


def _group_lines(groups: dict[str, Any] | None) -> list[str]:
    if groups is None:
        return []
    found = groups["values"]
    selected = [group["selected"] for group in found]
    head = f"groups    {len(found):,} by {groups['field']}, of {min(selected):,} to {counted(max(selected), 'record')}"
    if len(found) > _GROUPS_SHOWN:
        return [head]
    names = [f"(no {groups['field']})" if group["value"] is None else printable(group["value"]) for group in found]
    width = min(max(map(len, names)), 40)
    return [
        head,
        *(
            f"          {name:{width}} {group['selected']:>9,} of {group['records']:,}, weight {group['weight']:,.1f}"
            for name, group in zip(names, found, strict=True)
        ),
    ]


def _evidence_lines(manifest: dict[str, Any]) -> list[str]:
    evidence = manifest["evidence"]
    coverage = evidence["coverage"]
    lines = [
        f"covered   {coverage['clusters_with_a_record']:,} of {counted(coverage['clusters'], 'cluster')}, "
        f"with {coverage['mass']:.1%} of the records"
    ]
    estimate = evidence["estimate"]
    if estimate is not None:
        interval = (
            f"(no interval: {estimate['no_interval']})"
            if estimate["low"] is None
            else f"({estimate['low']:.4g} to {estimate['high']:.4g} with 95% confidence)"
        )
        lines.append(f"mean loss {estimate['mean_loss']:.4g} {interval}")
    if not manifest["method"]["by_chance"]:
        lines.append("worth     nothing was left to chance, so the subset stands for nothing but itself")
    if evidence["error"] is not None:
        lines.append(f"worth     {evidence['error']['sentence']}")
    return lines
