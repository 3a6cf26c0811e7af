"""`sentence-transformers:NAME_OR_FOLDER`: a neural encoder."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from tithe.embedders.base import Reads, Request, Vectors
from tithe.embedders.errors import EncoderError
from tithe.embedders.reading import check_regular_below


class SentenceTransformersEncoder:
    """A model of the library sentence-transformers, from a folder or, where the network allows, from the hub.

    No code that a model brings along is run. The model is loaded at the first use.
    """

    reads: ClassVar[Reads] = "model"

    def __init__(self, model: str, *, device: str | None = None, batch_size: int = 32) -> None:
        self._name = model
        self._device = device
        self._batch_size = batch_size
        self._loaded: Any = None

    @classmethod
    def make(cls, request: Request) -> SentenceTransformersEncoder:
        if not request.argument:
            raise EncoderError("--encoder sentence-transformers: needs a model, as in sentence-transformers:FOLDER")
        return cls(request.argument, device=request.device, batch_size=request.batch_size or 32)

    def identity(self) -> Mapping[str, Any]:
        """The hash covers the weights and the layers' settings, wherever they came from."""
        model = self._model()
        digest = hashlib.sha256(repr(model).encode())
        for name, tensor in sorted(model.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(dtype=_bytes_type()).numpy().data)
        return {
            "name": "sentence-transformers",
            "model": self._name,
            "max_tokens": model.max_seq_length,
            "device": str(model.device),
            "batch_size": self._batch_size,
            "sha256": digest.hexdigest(),
        }

    def encode(self, texts: Sequence[str]) -> Vectors:
        vectors = self._model().encode(
            list(texts), batch_size=self._batch_size, convert_to_numpy=True, show_progress_bar=False
        )
        return np.asarray(vectors, np.float32)

    def _model(self) -> Any:
        if self._loaded is None:
            if Path(self._name).is_dir():
                try:
                    check_regular_below(Path(self._name))
                except OSError as error:
                    raise self._unloadable(f"{error.filename}: {error.strerror}") from error
            try:
                from sentence_transformers import SentenceTransformer
            except ImportError as error:
                raise EncoderError(
                    "--encoder sentence-transformers needs an extra: pip install 'tithe[sentence-transformers]'"
                ) from error
            _silence()
            try:
                self._loaded = SentenceTransformer(self._name, device=self._device, trust_remote_code=False)
            except (OSError, ValueError, RuntimeError) as error:
                reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
                raise self._unloadable(reason) from error
        return self._loaded

    def _unloadable(self, reason: str) -> EncoderError:
        return EncoderError(f"--encoder sentence-transformers:{self._name}: cannot be loaded ({reason})")


def _silence() -> None:
    """No progress bars of the libraries' own: they appear in log files, too."""
    from transformers.utils import logging

    logging.disable_progress_bar()


def _bytes_type() -> Any:
    import torch

    return torch.uint8
