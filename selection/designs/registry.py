"""`--sampler`: how records are drawn; a line for each, whose words follow one another in the help."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tithe.embedders.entries import Entry, Registry

if TYPE_CHECKING:
    from tithe.selection.designs.sampler import Sampler

SAMPLERS: Registry[type[Sampler]] = Registry(
    Entry("pivotal", "tithe.selection.designs.pivotal:Pivotal", "distinct records spread over the clusters"),
    Entry("simple", "tithe.selection.designs.pivotal:Simple", "distinct records"),
    Entry("iid", "tithe.selection.designs.independent:Independent", "independent draws (Algorithm 1 as printed)"),
)


def samplers_that_spread() -> str:
    """Those that meet the sizes of groups and a budget of tokens, for an error message."""
    return " or ".join(name for name, sampler in SAMPLERS.items() if sampler.spreads)
