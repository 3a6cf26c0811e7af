"""All that a selection depends on, besides the encoder object and the bytes of its inputs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from tithe.selection.bad_records import Policy
from tithe.selection.corpus.batch import MAX_RECORD_SIZE
from tithe.selection.corpus.object_store import shown
from tithe.selection.corpus.storage import Place
from tithe.selection.designs.allocation import Wanted, parse_shares
from tithe.selection.errors import UsageError, first_line
from tithe.selection.frame.conditions import parse_conditions
from tithe.selection.losses import Dtype
from tithe.selection.losses.base import LARGEST_LOSS
from tithe.selection.plan import Plan, Sampler, check_size_options, make_plan
from tithe.selection.shapes import WeightsAs, WeightScale
from tithe.selection.trainers import TRAINERS, Trainer, TrainerName
from tithe.selection.work.shards import StoreDtype

CorpusFormat = Literal["parquet", "jsonl"]
Task = Literal["training", "regression"]
MethodName = Literal["sensitivity", "low-rank", "uniform", "k-center", "auto"]
EngineName = Literal["local", "ray"]

# Of the whole numbers that an option may have: more of anything no corpus has.
_LARGEST = 2**53

# Seconds that something may be waited for: systems count time to about ten times that.
_LONGEST = 1e9


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of a selection; the field names are those of the command line and of configuration files."""

    inputs: tuple[str, ...]
    output: Place | None
    """None writes JSONL to standard output, and nothing else."""
    shards: bool = False
    """Whether the output is a folder, of a file for each part of the corpus."""
    format: CorpusFormat | None = None
    text: tuple[str, ...] = ()
    template: str | None = None
    on_bad_record: Policy = "fail"
    max_record_size: int = MAX_RECORD_SIZE
    """Bytes; a larger record is a bad one."""
    task: Task = "training"
    """What the subset is for: to train on in the place of the corpus, or to fit a linear regression."""
    features: tuple[str, ...] = ()
    """Numeric fields of a regression."""
    target: str | None = None
    encoder: str = "lexical"
    device: str | None = None
    """Where neural networks run: the encoder's and the loss source's. None leaves it to them."""
    batch_size: int | None = None
    """Of a neural encoder: it may round a text differently in other company."""
    normalize: bool = True
    clusters: int | None = None
    epsilon: float | None = None
    size: int | None = None
    fraction: tuple[float, ...] = ()
    """Shares of the records; several make nested subsets."""
    tokens: int | None = None
    """Budget in tokens, in the place of records."""
    token_column: str | None = None
    """Numeric field of each record's tokens."""
    tokenizer: str | None = None
    """What counts the tokens of the texts, a name or a folder; without either they are estimated."""
    method: MethodName = "sensitivity"
    rank: int | None = None
    """Directions of `low-rank`; None: as many as hold 90% of the squared norms, at most a fourth of the clusters."""
    z: int = 2
    smoothness: float | None = None
    """λ; None works it out from the centres."""
    loss: str = "none"
    loss_timeout: float = 600.0
    """Seconds that a loss source may be silent."""
    dtype: Dtype = "auto"
    """What a model of a loss source calculates in."""
    score_subset: bool = False
    """Ask for the losses of the selected records as well, for an estimate with an interval."""
    validate: int | None = None
    """Records drawn at random whose losses are asked for as well."""
    validation_loss: str | None = None
    """Where their losses are from; None: from `loss`."""
    work_dir: Path | None = None
    """Where embeddings and clusters are kept for later runs; None: the user's cache folder."""
    store_dtype: StoreDtype | None = None
    """Numbers of the embeddings kept; None: float16 where they have unit length, else float32."""
    exclude: tuple[str, ...] = ()
    """Earlier subsets of the same corpus, whose records are left out."""
    always: tuple[str, ...] = ()
    """FIELD=VALUE of records to take with certainty."""
    never: tuple[str, ...] = ()
    """FIELD=VALUE of records to leave out."""
    dedup: bool = False
    """Of records with the same text draw one at most, which stands for all."""
    dedup_near: float | None = None
    """Of the records of a cluster with at least this cosine draw one at most, which stands for all."""
    group_by: str | None = None
    """Field whose values make groups, of each of which a fixed number of records is drawn."""
    group_min: int | None = None
    group_max: int | None = None
    group_share: tuple[str, ...] = ()
    """VALUE=SHARE,... of the budget; `other` for the rest."""
    sampler: Sampler = "pivotal"
    keep_centers: bool = False
    temper: float = 1.0
    """Exponent of the weights in the subset."""
    weights_as: WeightsAs | None = None
    """How the subset holds the weights; None: as the trainer reads them, in a column without one."""
    weight_scale: WeightScale | None = None
    """Of the weights in the subset; None: as the trainer wants them, sum without one."""
    weight_column: str = "weight"
    trainer: TrainerName | None = None
    """What will read the subset."""
    seed: int = 0
    """Of the draw."""
    cluster_seed: int = 0
    """Of the encoder's fit, the clusters and the validated records, which stay when another subset is drawn."""
    engine: EngineName = "local"
    """Where the work is done: in this process, or on a Ray cluster."""
    num_gpus: float | None = None
    """GPUs of a worker of the engine `ray` that encodes."""
    force: bool = False

    def __post_init__(self) -> None:
        self._check_numbers()
        check_size_options(
            clusters=self.clusters, epsilon=self.epsilon, size=self.size, fraction=self.fraction, tokens=self.tokens
        )
        if self.text and self.template is not None:
            raise UsageError("--text and --template both say what the text is: give one of them")
        if self.max_record_size < 1:
            raise UsageError(f"--max-record-size {self.max_record_size}: at least 1 is needed")
        if self.z not in (1, 2):
            raise UsageError(f"--z {self.z}: 1 or 2 is needed")
        if self.smoothness is not None and not 0 <= self.smoothness <= LARGEST_LOSS:
            raise UsageError(f"--lambda {self.smoothness:g}: auto, or a number from 0 to {LARGEST_LOSS:g}, is needed")
        if not 0 < self.loss_timeout <= _LONGEST:
            raise UsageError(
                f"--loss-timeout {self.loss_timeout:g}: seconds are needed, more than 0 and at most {_LONGEST:g}"
            )
        for name, seed in (("--seed", self.seed), ("--cluster-seed", self.cluster_seed)):
            if seed < 0:
                raise UsageError(f"{name} {seed}: at least 0 is needed")
        if self.validate is not None and self.validate < 2:
            raise UsageError(f"--validate {self.validate}: at least 2 is needed")
        if self.validation_loss is not None and self.validate is None:
            raise UsageError("--validation-loss means nothing without --validate")
        if self.loss == "none" and (self.score_subset or self.validate is not None):
            raise UsageError("--score-subset and --validate need losses: name their source with --loss")
        self._check_task()
        self._check_method()
        parse_conditions(self.always, self.never)
        self._check_groups()
        if len(self.fraction) > 1:
            self._check_nested()
        self._check_tokens()
        if not 0 <= self.temper <= 1:
            raise UsageError(f"--temper {self.temper}: a number from 0 to 1 is needed")
        if not self.weight_column:
            raise UsageError("--weight-column needs a name")
        if any(0xD800 <= ord(character) < 0xE000 for character in self.weight_column):
            raise UsageError(f"--weight-column {self.weight_column}: a name in UTF-8 is needed")
        self._check_shape()
        self._check_engine()

    def _check_numbers(self) -> None:
        """Refuse what no step could compute with; seeds may be as large as anybody likes."""
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, float) and not math.isfinite(value):
                raise UsageError(f"{_option(field.name)} {value}: a finite number is needed")
            if isinstance(value, int) and abs(value) > _LARGEST and "seed" not in field.name:
                raise UsageError(f"{_option(field.name)}: at most {_LARGEST} can be asked for")

    def _check_engine(self) -> None:
        if self.engine == "local":
            if self.shards:
                raise UsageError(f"-o {self.output}/: a folder of shards is written by --engine ray")
            if self.num_gpus is not None:
                raise UsageError("--num-gpus means nothing without --engine ray")
            return
        if self.num_gpus is not None and not 0 <= self.num_gpus < float("inf"):
            raise UsageError(f"--num-gpus {self.num_gpus}: a number of at least 0 is needed")

    def _check_method(self) -> None:
        name = f"--method {self.method}"
        if self.rank is not None:
            if self.method not in ("low-rank", "auto"):
                raise UsageError(f"{name}: has no use for --rank; leave it out")
            if self.rank < 1:
                raise UsageError(f"--rank {self.rank}: at least 1 is needed")
        if self.method in ("uniform", "k-center"):
            if self.smoothness is not None:
                raise UsageError(f"{name}: has no use for --lambda; leave it out")
            if self.loss != "none" and not (self.score_subset or self.validate):
                raise UsageError(f"{name}: asks for no losses; leave --loss out, or say --score-subset or --validate")
        if self.method == "k-center":
            chance = {
                "--sampler": self.sampler != "pivotal",
                "--keep-centers": self.keep_centers,
                "--score-subset": self.score_subset,
                "--always": bool(self.always),
                "--group-by": self.group_by is not None,
                "--dedup": self.dedup,
                "--dedup-near": self.dedup_near is not None,
            }
            if any(chance.values()):
                given = " and ".join(option for option, there in chance.items() if there)
                raise UsageError(f"{name}: leaves nothing to chance; leave {given} out")
        if self.method == "auto" and self.loss == "none":
            raise UsageError(f"{name}: chooses by losses; name their source with --loss")

    def _check_shape(self) -> None:
        shape = f"--weights-as {self.shape}"
        if self.reader is not None:
            self._check_trainer(self.reader)
        if self.shape == "loss-scale":
            if self.weight_scale == "sum":
                raise UsageError(f"{shape}: always has mean 1; leave --weight-scale out")
        elif self.shape != "column" and self.weight_scale is not None:
            raise UsageError(f"{shape}: writes no weights; leave --weight-scale out")
        if self.shape != "column" and self.weight_column != "weight":
            raise UsageError(f"{shape}: has no use for --weight-column; leave it out")

    def _check_trainer(self, trainer: Trainer) -> None:
        name = f"--for {trainer.name}"
        if self.weights_as is not None and self.weights_as not in trainer.shapes:
            raise UsageError(
                f"{name}: contradicts --weights-as {self.weights_as}, which it would drop, cancel or refuse; "
                f"there are {', '.join(trainer.shapes)}"
            )
        if self.shape == "column" and self.weight_scale not in (None, trainer.scale):
            raise UsageError(f"{name}: contradicts --weight-scale {self.weight_scale}; leave it out")
        if self.shape == "column" and trainer.weight_column not in (None, self.weight_column):
            raise UsageError(f"{name}: knows no --weight-column but {trainer.weight_column!r}")
        if trainer.reads is not None and self.output is not None and self.output.suffix != trainer.reads:
            raise UsageError(f"{name}: reads {trainer.reads} only; let the name of -o end so")

    def _check_groups(self) -> None:
        if (self.dedup or self.dedup_near is not None) and self.sampler != "pivotal":
            name = "--dedup" if self.dedup else "--dedup-near"
            raise UsageError(f"{name}: needs --sampler pivotal, not {self.sampler}, which knows of no copies")
        if self.dedup_near is not None and not 0 < self.dedup_near <= 1:
            raise UsageError(f"--dedup-near {self.dedup_near}: a cosine above 0 and at most 1 is needed")
        bounds = {"--group-min": self.group_min, "--group-max": self.group_max}
        given = [*(name for name, bound in bounds.items() if bound is not None)]
        if self.group_by is None:
            if given or self.group_share:
                raise UsageError(f"{[*given, '--group-share'][0]} means nothing without --group-by FIELD")
            return
        if not self.group_by:
            raise UsageError("--group-by needs the name of a field")
        if self.sampler != "pivotal":
            raise UsageError(f"--group-by: the sizes of groups are met by --sampler pivotal, not by {self.sampler}")
        for name, bound in bounds.items():
            if bound is not None and bound < 1:
                raise UsageError(f"{name} {bound}: at least 1 is needed")
        if self.group_min is not None and self.group_max is not None and self.group_min > self.group_max:
            raise UsageError(f"--group-min {self.group_min} is more than --group-max {self.group_max}")
        if self.group_share and given:
            raise UsageError(f"--group-share says how many of each group: leave {' and '.join(given)} out")
        parse_shares(self.group_share)

    def _check_nested(self) -> None:
        if self.output is None:
            raise UsageError("several of --fraction: make a file each; name them with -o FILE, not -")
        if self.method == "k-center":
            raise UsageError(f"--method {self.method}: takes one --fraction")

    def _check_tokens(self) -> None:
        sources = {"--token-column": self.token_column, "--tokenizer": self.tokenizer}
        given = [name for name, source in sources.items() if source is not None]
        if self.tokens is None:
            if given:
                raise UsageError(f"{given[0]} means nothing without --tokens N")
            return
        if len(given) > 1:
            raise UsageError(f"{' and '.join(given)} both say how many tokens a record has: give one of them")
        if self.group_by is not None:
            raise UsageError("--tokens: groups are met in numbers of records; give --size, or leave --group-by out")
        if self.sampler != "pivotal" or self.method == "k-center":
            other = f"--sampler {self.sampler}" if self.sampler != "pivotal" else f"--method {self.method}"
            raise UsageError(f"--tokens: the budget is met by --sampler pivotal, not by {other}")
        if self.shape == "resample":
            raise UsageError("--tokens: lines drawn with replacement do not add up to it; take --weights-as replicate")

    @property
    def wanted_groups(self) -> Wanted:
        """What is asked for of the groups of `--group-by`."""
        return Wanted(self.group_min, self.group_max, parse_shares(self.group_share))

    def _check_task(self) -> None:
        if self.task == "training":
            if self.features or self.target is not None:
                raise UsageError("--features and --target are for --task regression")
            return
        if not self.features or self.target is None or not all((*self.features, self.target)):
            raise UsageError("--task regression: needs --features A,B,... and --target Y")
        meaningless = {
            "--encoder": self.encoder != "features",
            "--text": bool(self.text),
            "--template": self.template is not None,
            "--method": self.method != "sensitivity",
            "--lambda": self.smoothness is not None,
            "--loss": self.loss != "none",
            "--dedup-near": self.dedup_near is not None,
        }
        for option, given in meaningless.items():
            if given:
                raise UsageError(f"--task regression: has no use for {option}; leave it out")

    @property
    def reader(self) -> Trainer | None:
        """The trainer that will read the subset, where it is named."""
        return None if self.trainer is None else TRAINERS[self.trainer]

    @property
    def shape(self) -> WeightsAs:
        """How the subset holds the weights."""
        return self.weights_as or ("column" if self.reader is None else self.reader.weights_as)

    @property
    def scale(self) -> WeightScale | None:
        """Of the weights in the subset; None where it holds none."""
        if self.shape == "loss-scale":
            return "mean"
        if self.shape != "column":
            return None
        return self.weight_scale or ("sum" if self.reader is None else self.reader.scale)

    @property
    def kept_as(self) -> StoreDtype:
        """Numbers of the embeddings kept: float16 is exact to 0.05% between 6e-5 and 65,504."""
        return self.store_dtype or ("float16" if self.unit_length else "float32")

    @property
    def first_input(self) -> str:
        """For error messages."""
        return shown(self.inputs[0])

    @property
    def scratch(self) -> Path | None:
        """The folder in which a run keeps what it has no room for in memory; None: the system's for temporary files."""
        return self.work_dir or (self.output.parent if isinstance(self.output, Path) else None)

    @property
    def unit_length(self) -> bool:
        """Whether embeddings are brought to unit length: not where they are numbers that mean something."""
        return self.normalize and self.task == "training"

    def naming(self, field: str) -> str:
        """The option that names a field which the encoder reads, for an error message."""
        if self.task == "regression":
            return f"--target {field}" if field == self.target else f"--features {field}"
        return f"--encoder {self.encoder}"

    def plan(self, records: int, tokens_a_record: float | None = None) -> Plan:
        """The sizes for a corpus of `records` records; `tokens_a_record` is their mean, needed with `--tokens`.

        A regression needs clusters for its unknowns, and no more.
        """
        clusters = self.clusters
        if clusters is None and self.task == "regression":
            clusters = max(1, min(max(50, 2 * (len(self.features) + 1)), records // 4))
        size = self.size
        if self.tokens is not None:
            assert tokens_a_record is not None
            size = max(1, round(self.tokens / max(tokens_a_record, 1.0)))
        return make_plan(
            records,
            clusters=clusters,
            epsilon=self.epsilon,
            size=size,
            fraction=self.fraction,
            sampler=self.sampler,
        )

    def recorded(self) -> dict[str, Any]:
        """For the manifest, under the names of the command line: what the selection depends on."""
        values = asdict(self)
        values["output"] = "-" if self.output is None else str(self.output)
        values["inputs"], values["exclude"] = [*map(shown, self.inputs)], [*map(shown, self.exclude)]
        values["work_dir"] = None if self.work_dir is None else str(self.work_dir)
        values["lambda"] = "auto" if self.smoothness is None else values["smoothness"]
        values["weights_as"], values["weight_scale"], values["for"] = self.shape, self.scale, self.trainer
        del values["smoothness"], values["force"], values["trainer"]
        return values

    @classmethod
    def from_recorded(
        cls, recorded: Mapping[str, Any], *, output: Place | None, work_dir: Path | None = None
    ) -> Options:
        """The inverse of `recorded`, with other places for what is written: a recorded work folder may be a stranger's.

        Raises UsageError for options of another version of tithe.
        """
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in recorded.items()
        }
        try:
            smoothness, trainer = values.pop("lambda"), values.pop("for")
            return cls(
                **{**values, "output": output, "work_dir": work_dir},
                smoothness=None if smoothness == "auto" else smoothness,
                trainer=trainer,
            )
        except (KeyError, TypeError) as error:
            raise UsageError(f"the options are those of another version of tithe ({first_line(error)})") from error


def _option(field: str) -> str:
    """The name on the command line of a field of Options."""
    return {"smoothness": "--lambda", "trainer": "--for"}.get(field, f"--{field.replace('_', '-')}")
