"""What several tests need: corpora made by code, and the command line in this process."""

from __future__ import annotations

import io
import json
import random
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.schemas import check_manifests, check_output
from tests.stores import Bucket, serving
from tithe.cli.main import main

# How long an example takes says nothing on a busy machine.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

WORDS = (  # noqa: SIM905 (three for each topic)
    "orbit galaxy comet butter garlic oven tenant lease court violin chord fugue rudder anchor tide "
    "tuple lambda module squat plank cardio hive queen nectar gambit rook endgame"
).split()


def make_records(count: int, seed: int = 0) -> list[dict]:
    """Records of ten topics of three words each, of different length."""
    rng = random.Random(seed)
    records = []
    for i in range(count):
        topic = min(int(rng.expovariate(0.4)), 8)
        words = WORDS[3 * topic : 3 * topic + 3]
        text = " ".join(rng.choices([*words, "the", "and", "of"], k=rng.randint(4, 40)))
        records.append({"id": i, "text": text, "loss": round(0.5 + topic + rng.random(), 3), "topic": topic})
    return records


def write_jsonl(path: Path, records: list[dict]) -> Path:
    """Write records as JSON Lines."""
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def read_jsonl(path: Path) -> list[dict]:
    """Read JSON Lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache folder, another one for each test."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder / "tithe"


@pytest.fixture(autouse=True)
def modules_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A module that one test wrote is not what another test imports by the same name."""
    path = list(sys.path)
    yield
    sys.path[:] = path
    made = str(tmp_path_factory.getbasetemp())
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(made):
            del sys.modules[name]


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """Where an S3 server listens."""
    with serving() as endpoint:
        yield endpoint


@pytest.fixture
def bucket(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """An empty bucket of a real S3 server, another one for each test; the environment has its endpoint and a key."""
    for name, value in (("ACCESS_KEY_ID", "key"), ("SECRET_ACCESS_KEY", "hush"), ("ENDPOINT_URL", s3_endpoint)):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    made = Bucket(s3_endpoint, f"bucket-{uuid.uuid4()}")
    made.make()
    return made


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A corpus of 600 records, `corpus.jsonl` in the test's folder."""
    return write_jsonl(tmp_path / "corpus.jsonl", make_records(600))


@dataclass
class Ran:
    """How a run of the command line ended."""

    code: int
    out: str
    err: str


Tithe = Callable[..., Ran]


@pytest.fixture
def tithe(capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Tithe:
    """Runs `tithe ARGUMENTS` in this process, in the test's folder. What it writes for machines fits the schemas."""
    monkeypatch.chdir(tmp_path)
    checked: set[tuple[str, int]] = set()

    def run(*arguments: object, stdin: bytes = b"") -> Ran:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capfdbinary.readouterr()
        with pytest.raises(SystemExit) as exit_:
            main([str(argument) for argument in arguments])
        out, err = capfdbinary.readouterr()
        assert isinstance(exit_.value.code, int)
        if arguments and arguments[0] == "select":
            check_manifests(tmp_path, checked)
        if "--json" in arguments and out:
            check_output(out)
        return Ran(exit_.value.code, out.decode(), err.decode())

    return run
