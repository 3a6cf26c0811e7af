"""What a user wants to know at the end, in five lines."""

from __future__ import annotations

from tithe.selection.pipeline import Selection


def summary_lines(selection: Selection) -> list[str]:
    """The lines of the summary."""
    manifest, weights = selection.manifest, selection.weights
    options = manifest["options"]
    share = weights.count / manifest["n"]
    bad = manifest["bad_records"]
    left_out = f"; left out {bad['count']:,} bad ones, the first at {bad['first_places'][0]}" if bad["count"] else ""
    queries = manifest["loss_queries"]
    return [
        f"read      {manifest['rows']:,} records from {len(manifest['inputs'])} file(s){left_out}",
        f"clusters  {manifest['k']:,} of {manifest['d']}-dimensional embeddings ({options['encoder']}); "
        + (f"losses asked for: {queries:,}" if queries else "no losses asked for"),
        f"selected  {weights.count:,} records ({share:.2%}), as good as {weights.effective_sample_size:,.0f} "
        "of equal weight",
        f"weights   {weights.smallest:.4g} to {weights.largest:.4g}, together {weights.total:,.1f}",
        f"wrote     {options['output']} in {selection.seconds:.1f} s"
        + ("" if options["output"] == "-" else f" (and {options['output']}.rows.parquet, .manifest.json)"),
    ]
