"""From options to the encoder that they name."""

from __future__ import annotations

from tithe.embedders.numeric import NumericEncoder
from tithe.embedders.registry import make_encoder
from tithe.selection.embedding.lookup import Encoder
from tithe.selection.losses import runs_model
from tithe.selection.options.options import Options


def encoder_of(options: Options) -> Encoder:
    """The encoder of a selection; raises EncoderError where there is none."""
    if options.task == "regression":
        return NumericEncoder(options.features, str(options.target))
    return make_encoder(
        options.encoder,
        device=options.device,
        device_shared=runs_model(options.loss),
        batch_size=options.batch_size,
    )
