"""The registry, vectors that lie ready, and a user's own encoder."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import Tithe, make_records, read_jsonl, write_jsonl
from tithe.embedders.base import RecordEncoder, TextEncoder
from tithe.embedders.column import ColumnEncoder
from tithe.embedders.errors import EncoderError, UnusableRecords
from tithe.embedders.registry import make_encoder

VECTORS = np.random.default_rng(0).standard_normal((300, 8)).astype(np.float32)


@pytest.mark.parametrize(
    "type_",
    [
        pa.list_(pa.float16()), pa.list_(pa.float32()), pa.list_(pa.float64()), pa.large_list(pa.float32()),
        pa.list_(pa.float16(), 8), pa.list_(pa.float32(), 8), pa.list_(pa.float64(), 8),
    ],
    ids=str,
)  # fmt: skip
def test_a_column_gives_its_vectors_whatever_kind_of_list_it_is(type_: pa.DataType) -> None:
    number = np.float16 if type_.value_type == pa.float16() else np.float64
    column = pa.array([row.astype(number) for row in VECTORS], type_)
    for part in (column, column[100:200]):
        start = 0 if part is column else 100
        found = ColumnEncoder("emb").lookup(np.arange(len(part)), {"emb": part})
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, VECTORS[start : start + len(part)], rtol=1e-3, atol=1e-3)


def test_unusable_vectors_are_named_one_by_one() -> None:
    encoder = ColumnEncoder("emb")
    column = pa.array([[1.0, 2.0], None, [], [1.0], [1.0, None]], pa.list_(pa.float32()))
    with pytest.raises(UnusableRecords) as error:
        encoder.lookup(np.arange(5), {"emb": column})
    assert error.value.reasons.keys() == {1, 2, 3}
    with pytest.raises(UnusableRecords) as error:
        encoder.lookup(np.arange(2), {"emb": column.take([0, 4])})
    assert error.value.reasons == {1: "'emb' holds a null"}
    with pytest.raises(UnusableRecords) as error:
        encoder.lookup(np.arange(4), {"emb": [[1, 2], [True, 2], ["a", "b"], "ab"]})
    assert error.value.reasons.keys() == {3}
    with pytest.raises(UnusableRecords) as error:
        encoder.lookup(np.arange(3), {"emb": [[1, 2], [True, 2], ["a", "b"]]})
    assert error.value.reasons.keys() == {1, 2}


@pytest.fixture
def corpora(tmp_path: Path) -> Path:
    """The same records and vectors as Parquet, as JSONL, and as JSONL with a .npy file."""
    records = make_records(300)
    with_vectors = [{**r, "emb": v.tolist()} for r, v in zip(records, VECTORS, strict=True)]
    pq.write_table(pa.Table.from_pylist(with_vectors), tmp_path / "c.parquet", row_group_size=90)
    write_jsonl(tmp_path / "c.jsonl", with_vectors)
    write_jsonl(tmp_path / "plain.jsonl", records)
    np.save(tmp_path / "e.npy", VECTORS)
    return tmp_path


def test_vectors_from_columns_and_files_select_the_same_records(tithe: Tithe, corpora: Path) -> None:
    chosen = []
    for source, encoder in (
        ("c.parquet", "column:emb"), ("c.jsonl", "column:emb"), ("plain.jsonl", "npy:e.npy"), ("c.parquet", "npy:e.npy"),
    ):  # fmt: skip
        ran = tithe("select", source, "-o", "s.jsonl", "--encoder", encoder, "--size", "30", "--force")
        assert ran.code == 0, ran.err
        chosen.append([(record["id"], record["weight"]) for record in read_jsonl(corpora / "s.jsonl")])
    assert chosen[0] == chosen[1] == chosen[2] == chosen[3]


def test_bad_vectors_are_skipped_and_rows_stay_those_of_the_corpus(tithe: Tithe, corpora: Path) -> None:
    bad = VECTORS.copy()
    bad[[3, 4, 250], 2] = [np.nan, np.inf, -np.inf]
    np.save(corpora / "bad.npy", bad)
    for source in ("plain.jsonl", "c.parquet"):
        arguments = ("--encoder", "npy:bad.npy", "--on-bad-record", "skip", "--fraction", "1", "--force")
        ran = tithe("select", source, "-o", "s.jsonl", *arguments)
        assert ran.code == 0, ran.err
        assert [r["id"] for r in read_jsonl(corpora / "s.jsonl")] == [i for i in range(300) if i not in (3, 4, 250)]
        rows = pq.read_table(corpora / "s.jsonl.rows.parquet")
        assert rows["row"].to_pylist() == [i for i in range(300) if i not in (3, 4, 250)]
        manifest = json.loads((corpora / "s.jsonl.manifest.json").read_text())
        assert (manifest["rows"], manifest["n"], manifest["bad_records"]["count"]) == (300, 297, 3)


def test_raw_vectors_keep_their_length_where_asked(tithe: Tithe, corpora: Path) -> None:
    for flag, longest in (("--normalize", 2.0), ("--no-normalize", np.inf)):
        tithe("select", "c.parquet", "-o", "s.jsonl", "--encoder", "column:emb", flag, "--clusters", "1", "--force")
        distances = pq.read_table(corpora / "s.jsonl.rows.parquet")["distance"].to_numpy()
        assert (distances.max() <= 2) == (longest == 2.0)


OWN = """
import numpy as np

class Lengths:
    def identity(self):
        return {"name": "lengths"}
    def encode(self, texts):
        return np.array([[len(text), text.count("a"), 1] for text in texts], np.float32)

made = Lengths()

def factory():
    return Lengths()

class Wrong:
    pass

class Shapeless(Lengths):
    def encode(self, texts):
        return np.zeros(3)
"""


@pytest.mark.parametrize("attribute", ["Lengths", "made", "factory"])
def test_a_users_own_encoder_from_a_module_in_the_current_folder(
    tithe: Tithe, corpus: Path, tmp_path: Path, attribute: str
) -> None:
    (tmp_path / f"own_{attribute}.py").write_text(OWN)
    ran = tithe("select", corpus, "-o", "s.jsonl", "--encoder", f"own_{attribute}:{attribute}", "--size", "20")
    assert ran.code == 0, ran.err
    manifest = json.loads((tmp_path / "s.jsonl.manifest.json").read_text())
    assert (manifest["encoder"], manifest["d"]) == ({"name": "lengths"}, 3)


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        ("Wrong", "Wrong is no encoder"),
        ("nothing", "has no 'nothing'"),
        ("Shapeless", r"the encoder returned an array of float64 of shape \(3,\) for 600 records"),
    ],
)
def test_an_encoder_that_is_none_is_refused(
    tithe: Tithe, corpus: Path, tmp_path: Path, attribute: str, message: str
) -> None:
    (tmp_path / f"bad_{attribute}.py").write_text(OWN)
    ran = tithe("select", corpus, "-o", "s.jsonl", "--encoder", f"bad_{attribute}:{attribute}")
    assert ran.code == 1
    assert re.search(message, ran.err)


def test_a_module_that_is_not_there_is_named() -> None:
    with pytest.raises(EncoderError, match="there is no module 'no_such_module'"):
        make_encoder("no_such_module:thing")


def test_an_installed_package_can_bring_an_encoder(
    tithe: Tithe, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site"
    (package / "brought-1.0.dist-info").mkdir(parents=True)
    (package / "brought-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: brought\nVersion: 1.0\n")
    (package / "brought-1.0.dist-info" / "entry_points.txt").write_text("[tithe.encoders]\nbrought = brought:make\n")
    (package / "brought.py").write_text(
        OWN + "\n\ndef make(argument):\n    assert argument == 'xyz'\n    return made\n"
    )
    monkeypatch.syspath_prepend(package)
    assert "brought" in tithe("encoders").out
    assert tithe("select", corpus, "-o", "s.jsonl", "--encoder", "brought:xyz", "--size", "9").code == 0
    ran = tithe("verify", "s.jsonl")
    assert (ran.code, "--encoder brought:xyz: is code that the manifest names; --allow-code runs it" in ran.out) == (
        1,
        True,
    )
    assert tithe("verify", "s.jsonl", "--allow-code").code == 0


def test_every_built_in_encoder_is_listed_and_refuses_what_it_has_no_use_for(tithe: Tithe) -> None:
    listed = tithe("encoders").out
    for name in ("lexical", "sentence-transformers:", "column:", "npy:", "module:attribute"):
        assert name in listed
    for spec in ("lexical:3", "column", "npy", "sentence-transformers"):
        with pytest.raises(EncoderError, match=spec.partition(":")[0]):
            make_encoder(spec)
    with pytest.raises(EncoderError, match="--device and --batch-size"):
        make_encoder("lexical", device="cuda")


def test_the_built_in_encoders_fit_the_protocols(tmp_path: Path) -> None:
    np.save(tmp_path / "e.npy", VECTORS)
    assert isinstance(make_encoder("lexical"), TextEncoder)
    assert isinstance(make_encoder("sentence-transformers:folder"), TextEncoder)
    assert isinstance(make_encoder("column:emb"), RecordEncoder)
    assert isinstance(make_encoder(f"npy:{tmp_path / 'e.npy'}"), RecordEncoder)
