"""Where the losses of the centres come from: one file a source, one line each in the registry."""

from __future__ import annotations

from tithe.selection.losses.registry import make_loss_source, runs_model

__all__ = ["make_loss_source", "runs_model"]
