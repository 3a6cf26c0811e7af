"""What a user wants to know at the end, in five lines."""

from __future__ import annotations

from tithe.selection.pipeline import Selection


def summary_lines(selection: Selection) -> list[str]:
    """The lines of the summary."""
    manifest, weights = selection.manifest, selection.weights
    options = manifest["options"]
    share = weights.count / manifest["n"]
    left_out = manifest["bad_records"]["count"]
    queries = manifest["loss_queries"]
    return [
        f"read      {manifest['rows']:,} records from {len(manifest['inputs'])} file(s)"
        + (f"; left out {left_out:,} bad ones, the first at {manifest['bad_records']['first_places'][0]}" if left_out else ""),
        f"clusters  {manifest['k']:,} of {manifest['d']}-dimensional embeddings ({options['encoder']}); "
        + (f"losses asked for: {queries:,}" if queries else "no losses asked for"),
        f"selected  {weights.count:,} records ({share:.2%}), as good as {weights.effective_sample_size:,.0f} "
        "of equal weight",
        f"weights   {weights.smallest:.4g} to {weights.largest:.4g}, together {weights.total:,.1f}",
        f"wrote     {options['output']} in {selection.seconds:.1f} s"
        + ("" if options["output"] == "-" else f" (and {options['output']}.rows.parquet, .manifest.json)"),
    ]
