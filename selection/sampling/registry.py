"""`--sampler`: how records are drawn; a line for each, whose words follow one another in the help."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tithe.embedders.entries import Entry, Registry

if TYPE_CHECKING:
    from tithe.selection.sampling.sampler import Sampler

SAMPLERS: Registry[type[Sampler]] = Registry(
    Entry("pivotal", "tithe.selection.sampling.pivotal:Pivotal", "distinct records spread over the clusters"),
    Entry("simple", "tithe.selection.sampling.pivotal:Simple", "distinct records"),
    Entry("iid", "tithe.selection.sampling.independent:Independent", "independent draws (Algorithm 1 as printed)"),
)


def samplers_that_spread() -> str:
    """Those that meet the sizes of groups and a budget of tokens, for an error message."""
    return " or ".join(name for name, sampler in SAMPLERS.items() if sampler.spreads)
