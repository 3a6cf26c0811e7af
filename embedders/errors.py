"""What can go wrong with an encoder, apart from bugs. Light to import: the command line catches these."""

from __future__ import annotations

from collections.abc import Mapping


class EncoderError(Exception):
    """The encoder cannot be had or cannot do its work; the message says why and what to do."""


class UnusableRecords(Exception):
    """Some records of a batch have no usable vector.

    `reasons` maps positions in the batch to a reason each; the caller decides whether to stop or to go on
    without them.
    """

    def __init__(self, reasons: Mapping[int, str]) -> None:
        super().__init__(f"records without a usable embedding: {len(reasons)}")
        self.reasons = dict(reasons)
