"""The draw of `--tokens` part by part: neighbours settle it among themselves, wherever they lie.

The records are dealt out by ranges of the order of the clusters, and in each range neighbours settle who is drawn, as
`designs.tokens` says; the few of each range that are left do so here. Every step keeps the expected probabilities, and
both sums: so it does not matter who settles with whom, and what was proved there holds whatever the parts.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tithe.selection.designs.tokens import Settling, all_settled, settled_nearby
from tithe.selection.engines.dealing import Deal, dealt_out
from tithe.selection.engines.scattered import Place, ScatteredHome
from tithe.selection.per_record import PerRecord, Positions


def balanced_in_ranges(
    home: ScatteredHome,
    keys: PerRecord,
    bounds: npt.NDArray[np.int64],
    masses: PerRecord,
    tokens: PerRecord,
    rng: np.random.Generator,
) -> Positions:
    """The positions of records drawn as by `tokens.draw_balanced`, in any order; see Deal for keys and bounds."""
    shared = home.share(dealt_out(home, keys, bounds, masses, tokens))
    # The first range goes on with the numbers of the run, and so does what is left: one part draws as one process.
    generators = [rng, *rng.spawn(len(home.starts) - 1)]
    calls = ((number, (shared, generator)) for number, generator in enumerate(generators))
    found = list(home.over_parts(_settle, calls))
    return all_settled(Settling.together([settled for settled, _ in found]), found[0][1])


def _settle(place: Place, deal: Deal, rng: np.random.Generator) -> tuple[Settling, np.random.Generator]:
    rows = deal.taken(place)
    return settled_nearby(rows["0"], rows["1"], rng).at(rows["position"]), rng
