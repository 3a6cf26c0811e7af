"""What options may be, where more than one step reads them."""

from __future__ import annotations

from typing import Literal

Policy = Literal["fail", "skip"]


StoreDtype = Literal["float32", "float16"]


Dtype = Literal["auto", "float32", "bfloat16", "float16"]

# Between these, and for 0, all steps compute without overflow, in float32 where they do; what is smaller tells nothing.
LARGEST_LOSS, SMALLEST_LOSS = 1e30, 1e-30


WeightsAs = str
"""A name of WEIGHT_SHAPES."""
