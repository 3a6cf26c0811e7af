"""What was asked for beyond what there is, a line each: it is cut to that, and said."""

from __future__ import annotations

import numpy as np

from tithe.selection.engine.quantities import Derived, total
from tithe.selection.options.options import Options
from tithe.selection.options.plan import DEFAULT_EPSILON
from tithe.selection.population.population import Population
from tithe.selection.sampling.registry import SAMPLERS
from tithe.selection.sizes import counted


def more_than_records(options: Options, records: int) -> list[str]:
    """Clusters and validated records of which there are more than usable records."""
    found = []
    if options.clusters is not None and options.clusters > records:
        found.append(f"--clusters {options.clusters:,}: {counted(records, 'record makes', 'records make')} no more")
    if options.validate is not None and options.validate > records:
        found.append(f"--validate {options.validate:,}: all are asked about, {counted(records, 'record')}")
    return found


def more_than_candidates(options: Options, size: int, population: Population) -> list[str]:
    """A budget, of `size` records or of tokens, that leaves nothing to choose."""
    records = population.candidates.count
    if options.tokens is not None:
        assert population.tokens is not None
        tokens = int(total(Derived(np.multiply, population.tokens, population.candidates)))
        return [_everything(options, records, tokens)] if tokens <= options.tokens else []
    return [_everything(options, records)] if size >= records else []


def _everything(options: Options, records: int, tokens: int | None = None) -> str:
    taken = counted(records, "record") + (f" of {counted(tokens, 'token')}" if tokens is not None else "")
    return f"{_budget(options)}: {SAMPLERS[options.sampler].of_everything}, {taken}"


def _budget(options: Options) -> str:
    """The budget as it was asked for."""
    for name, value in (("size", options.size), ("tokens", options.tokens)):
        if value is not None:
            return f"--{name} {value:,}"
    if options.fraction:
        return f"--fraction {max(options.fraction):g}"
    return f"--epsilon {DEFAULT_EPSILON if options.epsilon is None else options.epsilon:g}"
