"""What a user wants to know at the end, in a few lines."""

from __future__ import annotations

from typing import Any

from tithe.selection.errors import printable
from tithe.selection.pipeline import Selection

# Groups that have a line each.
_GROUPS_SHOWN = 12


def summary_lines(selection: Selection) -> list[str]:
    """The lines of the summary."""
    manifest, weights = selection.manifest, selection.weights
    options = manifest["options"]
    share = weights.count / manifest["n"]
    bad = manifest["bad_records"]
    left_out = f"; left out {bad['count']:,} bad ones, the first at {bad['first_places'][0]}" if bad["count"] else ""
    absent = [
        *([f"{manifest['excluded']:,} are in earlier subsets"] if manifest["excluded"] else []),
        *([f"{manifest['never']:,} are left out by --never"] if manifest["never"] else []),
    ]
    if absent:
        left_out += f"; {' and '.join(absent)}, the weights stand for the rest"
    if manifest["duplicates"]:
        left_out += f"; {manifest['duplicates']:,} have the text of another, which stands for them"
    certain = f", {manifest['always']:,} of them by --always" if manifest["always"] else ""
    queries = manifest["loss_queries"]
    return [
        f"read      {manifest['rows']:,} records from {len(manifest['inputs'])} file(s){left_out}",
        f"clusters  {manifest['k']:,} of {manifest['d']}-dimensional embeddings ({options['encoder']}); "
        + (f"losses asked for: {queries:,}" if queries else "no losses asked for"),
        f"selected  {weights.count:,} records ({share:.2%}){certain}, as good as "
        f"{weights.effective_sample_size:,.0f} of equal weight",
        f"weights   {weights.smallest:.4g} to {weights.largest:.4g}, together {weights.total:,.1f}",
        *_group_lines(manifest["groups"]),
        *_evidence_lines(manifest),
        f"wrote     {options['output']} in {selection.seconds:.1f} s"
        + ("" if options["output"] == "-" else " (beside it .rows.parquet, .clusters.parquet, .manifest.json)"),
    ]


def _group_lines(groups: dict[str, Any] | None) -> list[str]:
    if groups is None:
        return []
    found = groups["values"]
    selected = [group["selected"] for group in found]
    head = f"groups    {len(found):,} by {groups['field']}, of {min(selected):,} to {max(selected):,} records"
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
        f"covered   {coverage['clusters_with_a_record']:,} of {coverage['clusters']:,} clusters, "
        f"with {coverage['mass']:.1%} of the records"
    ]
    estimate = evidence["estimate"]
    if estimate is not None:
        interval = (
            f"by the {estimate['from']} alone; --score-subset gives an interval"
            if estimate["low"] is None
            else f"({estimate['low']:.4g} to {estimate['high']:.4g} with 95% confidence)"
        )
        lines.append(f"mean loss {estimate['mean_loss']:.4g} {interval}")
    if not manifest["method"]["by_chance"]:
        lines.append("worth     nothing was left to chance, so the subset stands for nothing but itself")
    if evidence["error"] is not None:
        lines.append(f"worth     {evidence['error']['sentence']}")
    return lines
