"""`--validate`: losses of records drawn at random, against what the proxies said of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tithe.selection.arrays import Floats
from tithe.selection.population.candidates import Candidates

QUANTILES = (0.5, 0.9, 0.99, 1.0)

# Pairs of proxy and loss that the manifest keeps for the report.
_POINTS = 1000


@dataclass(frozen=True)
class Validation:
    """A simple random sample of V records whose losses are known."""

    positions: npt.NDArray[np.int64]
    """Shape (V,), ascending."""
    losses: Floats
    proxies: Floats
    spreads: Floats
    """v = distance^z of each record to its centre, shape (V,)."""

    def among(self, candidates: Candidates) -> Validation:
        """The candidates among them: again a simple random sample, of all candidates."""
        kept = candidates[self.positions]
        return Validation(self.positions[kept], self.losses[kept], self.proxies[kept], self.spreads[kept])

    @property
    def correlation(self) -> float | None:
        """Of ℓ̂ with ℓ (Pearson); None where either is constant."""
        if len(self.losses) < 2 or np.ptp(self.losses) == 0 or np.ptp(self.proxies) == 0:
            return None
        return float(np.corrcoef(self.proxies, self.losses)[0, 1])

    def describe(self, smoothness: float) -> dict[str, Any]:
        """For the manifest; `smoothness` is λ, beyond which |ℓ - ℓ̂| > λ v."""
        errors = np.abs(self.losses - self.proxies)
        apart = self.spreads > 0  # a centre has no distance to itself
        ratios = errors[apart] / self.spreads[apart]
        quantiles = np.quantile(ratios, QUANTILES) if len(ratios) else []
        points = np.linspace(0, len(self.losses) - 1, min(_POINTS, len(self.losses))).astype(np.int64)
        return {
            "records": len(self.losses),
            "correlation": self.correlation,
            "holder": {str(q): float(value) for q, value in zip(QUANTILES, quantiles, strict=False)},
            "beyond_lambda": float((errors > smoothness * self.spreads).mean()),
            "points": np.stack([self.proxies[points], self.losses[points]], axis=1).tolist(),
        }
