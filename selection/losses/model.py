"""`model:NAME_OR_FOLDER`: losses by a language model that runs here."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tithe.embedders.reading import check_regular_below
from tithe.selection.corpus.corpus import Corpus
from tithe.selection.corpus.dialogue import dialogue
from tithe.selection.corpus.text import BadText, choose_rule
from tithe.selection.errors import TitheError, UsageError
from tithe.selection.losses.base import Facts, LossRequest, LossSource, checked_loss, records_at
from tithe.selection.losses.tokens import DialogueTokenizer, Example

# Bytes of the logits of a batch, as float32, and tokens of a batch, padding included: on the CPU; elsewhere.
_CPU_BUDGET, _ACCELERATOR_BUDGET = (256 << 20, 8192), (1 << 30, 32768)

# Logits that are float32 at a time.
_CHUNK = 1 << 24

# Tokenizers say something like 10^30 where they know no limit.
_SANE_LIMIT = 1 << 24


class ModelLoss(LossSource):
    """The mean loss in nats of a record's completion given its prompt: see DialogueTokenizer.

    The model is loaded by the library transformers, from a folder or, where the network allows, from the hub. No code
    that it brings along is run: of weights, only safetensors are read. The configuration and the tokenizer are loaded
    at once, so that what is wrong with them is found before the long work; the weights only for the time of `losses`.

    Raises TitheError for a model that cannot be had, and UsageError for a device that is not there.
    """

    reads = "model"
    FACTS: ClassVar[Facts] = {
        "model": {"description": "model: its name or folder.", "type": "string"},
        "architecture": {"description": "model: its class.", "type": "string"},
        "sha256": {
            "description": "model: of the names and bytes of its weights.",
            "type": "string",
            "pattern": "^[0-9a-f]{64}$",
        },
        "dtype": {"description": "model: numbers it calculated with.", "type": "string"},
        "device": {"description": "model: where it ran.", "type": "string"},
        "max_tokens": {"description": "model: tokens that it takes.", "type": ["integer", "null"]},
        "tokens_scored": {
            "description": "model: tokens of all records whose loss counted.",
            "type": "integer",
            "minimum": 0,
        },
        "records_cut": {"description": "model: records too long for it.", "type": "integer", "minimum": 0},
    }

    def __init__(self, model: str, request: LossRequest) -> None:
        self._name = model
        self._request = request
        self._path = _checked_path(model)
        for library in ("torch", "transformers"):
            if importlib.util.find_spec(library) is None:
                raise TitheError(f"--loss model:{model}: needs the extra: pip install 'tithe[model]'")
        self.asked = 0
        self._found: dict[str, Any] = {}
        with _quiet():
            self._device = _device(request.device)
            self._config, self._tokenizer = self._settings()
        self._limit = _limit(self._config, self._tokenizer)

    @classmethod
    def make(cls, argument: str, request: LossRequest) -> ModelLoss:
        return cls(argument, request)

    def losses(self, corpus: Corpus, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Raises TitheError where the model cannot be loaded or run."""
        self.asked += len(rows)
        if len(rows) == 0:
            return np.zeros(0)
        with _quiet():
            examples, places, cut = self._examples(corpus, rows)
            model = self._model(examples)
            self._found = {
                "architecture": type(model).__name__,
                "sha256": _digest(model),
                "dtype": str(model.dtype).removeprefix("torch."),
                "device": str(model.device),
                "max_tokens": self._limit,
                "tokens_scored": int(sum(example.scored.sum() for example in examples)),
                "records_cut": cut,
            }
            with self._failing("cannot be run"):
                found = mean_losses(model, examples, pad=_pad(self._tokenizer))
        what = f"the loss by model:{self._name}"
        return np.array([checked_loss(float(loss), what, place) for loss, place in zip(found, places, strict=True)])

    def describe(self) -> dict[str, Any]:
        """`sha256` is of the names and the bytes of the weights, as they were used."""
        return {"source": "model", "model": self._name, **self._found}

    def _examples(self, corpus: Corpus, rows: npt.NDArray[np.int64]) -> tuple[list[Example], list[str], int]:
        """The records as token ids, their places, and how many of them were cut to what the model takes."""
        tokenizer = DialogueTokenizer(self._tokenizer, encoder_decoder=bool(self._config.is_encoder_decoder))
        rule = choose_rule(corpus, fields=self._request.text, template=self._request.template)
        examples, places, cut = [], [], 0
        for record, place in records_at(corpus, rows, rule.fields):
            try:
                whole = tokenizer.example(dialogue(rule, record))
            except BadText as error:
                raise TitheError(f"{place}: --loss model:{self._name}: {error}") from error
            example = whole if self._limit is None else tokenizer.shortened(whole, self._limit)
            cut += example is not whole
            examples.append(example)
            places.append(place)
        return examples, places, cut

    def _settings(self) -> tuple[Any, Any]:
        from transformers import AutoConfig, AutoTokenizer

        with self._failing("cannot be loaded"):
            config = AutoConfig.from_pretrained(self._path, **self._origin())
            tokenizer = AutoTokenizer.from_pretrained(self._path, **self._origin())
        return config, tokenizer

    def _model(self, examples: Sequence[Example]) -> Any:
        """The model, with its weights, where it runs."""
        import torch
        from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

        dtype = getattr(torch, self._request.dtype) if self._request.dtype != "auto" else _best_dtype(self._device)
        auto = AutoModelForSeq2SeqLM if self._config.is_encoder_decoder else AutoModelForCausalLM
        with self._failing("cannot be loaded"):
            loaded: Any = auto.from_pretrained(
                self._path, dtype=dtype, use_safetensors=True, output_loading_info=True, **self._origin()
            )
            model, info = loaded
            model = model.to(self._device).eval()
        missing = sorted(info["missing_keys"])
        if missing:  # the library would go on with random numbers
            raise TitheError(
                f"--loss model:{self._name}: its weights lack {missing[0]} (and {len(missing) - 1} more): "
                "is it a language model?"
            )
        known = model.get_input_embeddings().weight.shape[0]
        highest = max(int(max(example.tokens.max(), example.source.max(initial=0))) for example in examples)
        if highest >= known:
            raise TitheError(
                f"--loss model:{self._name}: its tokenizer gives token {highest}, but the model knows {known} tokens"
            )
        return model

    def _origin(self) -> dict[str, Any]:
        return {"trust_remote_code": False, "local_files_only": Path(self._path).is_dir()}

    @contextmanager
    def _failing(self, how: str) -> Iterator[None]:
        """What a library raises about the user's model becomes a TitheError of one line."""
        try:
            yield
        except TitheError:
            raise
        except Exception as error:  # they raise nearly anything: OSError, SafetensorError, plain Exception
            reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise TitheError(f"--loss model:{self._name}: {how} ({reason})") from error


def mean_losses(model: Any, examples: Sequence[Example], *, pad: int) -> npt.NDArray[np.float64]:
    """The mean loss in nats over the scored tokens of each example, shape (len(examples),)."""
    import torch

    budget, tokens = _CPU_BUDGET if model.device.type == "cpu" else _ACCELERATOR_BUDGET
    vocabulary = model.config.get_text_config(decoder=True).vocab_size
    sizes = np.array([(len(example.source), len(example.tokens)) for example in examples])
    found = np.empty(len(examples))
    with torch.inference_mode():
        for batch in batches(sizes, min(tokens, budget // (4 * vocabulary))):
            found[batch] = _batch_losses(model, [examples[i] for i in batch], pad)
    return found


def batches(sizes: npt.NDArray[np.int64], tokens: int) -> Iterator[npt.NDArray[np.int64]]:
    """Positions of examples of like length, longest first, of at most `tokens` tokens with padding; one at least.

    `sizes` holds the tokens on the encoder's and the decoder's side, shape (n, 2).
    """
    order = np.lexsort((np.arange(len(sizes)), -sizes[:, 0], -sizes[:, 1]))
    start = 0
    while start < len(order):
        end = start + 1
        widest = sizes[order[start]]
        while end < len(order):
            widest = np.maximum(widest, sizes[order[end]])
            if (end + 1 - start) * widest.sum() > tokens:
                break
            end += 1
        yield order[start:end]
        start = end


def _batch_losses(model: Any, examples: Sequence[Example], pad: int) -> list[float]:
    import torch

    tokens, mask = _padded([example.tokens for example in examples], pad)
    scored, _ = _padded([example.scored for example in examples], 0)
    positions = np.flatnonzero(scored.any(axis=0))  # of the scored tokens of any example
    device = model.device
    if model.config.is_encoder_decoder:
        source, source_mask = _padded([example.source for example in examples], pad)
        labels = torch.from_numpy(np.where(mask, tokens, -100)).to(device)
        output = model(
            input_ids=torch.from_numpy(source).to(device),
            attention_mask=torch.from_numpy(source_mask).to(device),
            decoder_input_ids=model.prepare_decoder_input_ids_from_labels(labels=labels),
            use_cache=False,
        )
        logits = output.logits[:, torch.from_numpy(positions).to(device)]
    else:
        keep = torch.from_numpy(positions - 1).to(device)  # each token is predicted one step before
        selects = "logits_to_keep" in inspect.signature(model.forward).parameters
        output = model(
            input_ids=torch.from_numpy(tokens).to(device),
            attention_mask=torch.from_numpy(mask).to(device),
            use_cache=False,
            **({"logits_to_keep": keep} if selects else {}),
        )
        logits = output.logits if selects else output.logits[:, keep]
    found = []
    for row, targets, wanted in zip(logits, tokens[:, positions], scored[:, positions].astype(bool), strict=True):
        at = torch.from_numpy(np.flatnonzero(wanted)).to(device)
        found.append(_mean_loss(row[at], torch.from_numpy(targets[wanted]).to(device)))
    return found


def _mean_loss(logits: Any, targets: Any) -> float:
    """Mean cross entropy in nats of `targets`, shape (n,), under `logits`, shape (n, vocabulary) and of any dtype."""
    import torch

    rows = max(1, _CHUNK // logits.shape[1])
    total = 0.0
    for part, wanted in zip(logits.split(rows), targets.split(rows), strict=True):
        total += float(torch.nn.functional.cross_entropy(part.float(), wanted, reduction="sum"))
    return total / len(targets)


def _padded(
    rows: Sequence[npt.NDArray[np.int64] | npt.NDArray[np.bool_]], fill: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows of one length, filled up on the right, and 1 where they were not, both of shape (len(rows), longest)."""
    padded = np.full((len(rows), max(map(len, rows))), fill, np.int64)
    mask = np.zeros_like(padded)
    for i, row in enumerate(rows):
        padded[i, : len(row)] = row
        mask[i, : len(row)] = 1
    return padded, mask


def _checked_path(model: str) -> str:
    """A folder's path, or a name of the hub as it is; raises TitheError for a folder that holds no model."""
    folder = Path(model).expanduser()
    if not folder.is_dir():
        if model.startswith((".", "/", "~")) or model.count("/") > 1:
            raise TitheError(f"--loss model:{model}: no such folder")
        return model
    try:
        check_regular_below(folder)
    except OSError as error:
        raise TitheError(f"--loss model:{model}: {error.filename}: {error.strerror}") from error
    if not (folder / "config.json").is_file():
        raise TitheError(f"--loss model:{model}: the folder holds no config.json, so no model")
    if not any(folder.glob("*.safetensors")):
        raise TitheError(
            f"--loss model:{model}: the folder holds no .safetensors; other weights can run code and are not read"
        )
    return str(folder)


def _limit(config: Any, tokenizer: Any) -> int | None:
    """Tokens that the model takes, on each side; None where nothing says so."""
    text = config.get_text_config(decoder=True)
    said = [getattr(text, name, None) for name in ("max_position_embeddings", "n_positions")]
    said.append(tokenizer.model_max_length)
    return min((limit for limit in said if isinstance(limit, int) and 2 <= limit < _SANE_LIMIT), default=None)


def _pad(tokenizer: Any) -> int:
    """A token id to fill up with: any will do, since nothing looks at it."""
    return tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0


def _device(name: str | None) -> Any:
    """The device of that name, or the best; raises UsageError where it is not there."""
    import torch

    if name is None:
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UsageError(f"--device {name}: cannot be used here ({reason})") from error
    return device


def _best_dtype(device: Any) -> Any:
    import torch

    fast = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if fast else torch.float32


def _digest(model: Any) -> str:
    """SHA-256 of the names and the bytes of the weights."""
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(dtype=torch.uint8).numpy().data)
    return digest.hexdigest()


@contextmanager
def _quiet() -> Iterator[None]:
    """No warnings and no progress bars of the libraries: what matters in them is checked here."""
    # Or transformers would ask a service on the hub to convert weights that are no safetensors.
    os.environ["DISABLE_SAFETENSORS_CONVERSION"] = "1"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from huggingface_hub.utils import logging as hub
        from transformers.utils import logging

        logging.disable_progress_bar()
        before = logging.get_verbosity(), hub.get_verbosity()
        logging.set_verbosity_error()
        hub.set_verbosity_error()
        try:
            yield
        finally:
            logging.set_verbosity(before[0])
            hub.set_verbosity(before[1])
