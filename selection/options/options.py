"""All that a selection depends on, besides the encoder object and the bytes of its inputs.

An option is declared here, once, and read by the step that needs it; how it is written on the command line and in the
manifest follows (see `declared`). Its rules with other options are in `option_rules`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tithe.selection.corpus.formats import INPUT_FORMATS
from tithe.selection.errors import UsageError
from tithe.selection.losses.registry import LOSSES
from tithe.selection.options.declared import Option, option, options_of
from tithe.selection.options.plan import Plan, make_plan
from tithe.selection.options.trainers import TRAINERS, Trainer
from tithe.selection.sampling.registry import SAMPLERS
from tithe.selection.scoring.registry import METHODS
from tithe.selection.sizes import MAX_RECORD_SIZE
from tithe.selection.subset.weight_shapes.registry import WEIGHT_SHAPES

if TYPE_CHECKING:  # what loads numpy: the help of the command line reads this file
    from tithe.selection.options.choices import Dtype, Policy, StoreDtype
    from tithe.selection.options.shares import Wanted
    from tithe.selection.storage.places import Place

# Numbers in which losses are: squares of larger ones overflow.
_LARGEST_LOSS = 1e30


def _listed(words: Mapping[str, str]) -> str:
    return "; ".join(words.values())


def _sentence(words: Mapping[str, str]) -> str:
    listed = _listed(words)
    return f"{listed[:1].upper()}{listed[1:]}."


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of a selection; the field names are those of the command line and of configuration files."""

    inputs: tuple[str, ...] = option((), "The INPUTs as given: files, folders, globs, or -.", on_command_line=False)
    output: Place | None = option(None, "The file of -o, or -.", on_command_line=False)
    """None writes JSONL to standard output, and nothing else."""
    shards: bool = option(False, "Whether the output is a folder of shards.", on_command_line=False)
    """A file for each partition of the corpus."""

    # What the corpus is.
    format: str | None = option(
        None, "Format of the inputs.", default_words="by suffix", one_of=INPUT_FORMATS, centers=True
    )
    text: tuple[str, ...] = option((), "Field of the text; repeatable, dotted paths.", metavar="FIELD", centers=True)
    template: str | None = option(
        None, "The text by a template: '{instruction}\\n{output}'.", metavar="TEXT", centers=True
    )
    on_bad_record: Policy = option("fail", "Unusable records.", one_of=("fail", "skip"), centers=True)
    max_record_size: int = option(
        MAX_RECORD_SIZE, "A record of more bytes, unpacked, is unusable.", metavar="SIZE", default_words="64MiB",
        written="size", least=1, centers=True,
    )  # fmt: skip

    # What the subset is for.
    task: str = option(
        "training", "What the subset is for: to train on, or to fit a linear regression.",
        one_of=("training", "regression"),
    )  # fmt: skip
    features: tuple[str, ...] = option(
        (), "Numeric fields of a regression; repeatable.", metavar="A,B,...", written="names"
    )
    target: str | None = option(None, "Numeric field that a regression predicts.", metavar="FIELD")

    # Embeddings.
    encoder: str = option(
        "lexical", "See 'tithe encoders' for what there is.", default_words="lexical", metavar="SPEC", centers=True
    )
    device: str | None = option(
        None, "Device of neural encoders and of model: losses.", default_words="cuda, then mps, then cpu",
        metavar="NAME", centers=True,
    )  # fmt: skip
    batch_size: int | None = option(None, "Batch size of a neural encoder.", metavar="N", least=1, centers=True)
    """It may round a text differently in other company."""
    normalize: bool = option(True, "Bring embeddings to unit length.", default_words="yes", centers=True)

    # How records are judged, and the clusters.
    method: str = option(
        "sensitivity", f"How records are judged: {_listed(METHODS.words)}.", one_of=METHODS, centers=True
    )
    rank: int | None = option(
        None, "Directions of low-rank.", default_words="those of 90% of the norms", metavar="R", least=1, centers=True
    )
    """At most a fourth of the clusters, unless it is given."""
    clusters: int | None = option(
        None, "Clusters.", default_words="√records, at most half the budget", metavar="K", centers=True
    )
    epsilon: float | None = option(None, "Budget K + ⌈1/E²⌉ records.", default_words="0.05", metavar="E", centers=True)
    size: int | None = option(None, "Budget: this many records.", metavar="N", centers=True)
    fraction: tuple[float, ...] = option(
        (), "Budget: this share of the records; of several, nested subsets FILE-F.", metavar="F,...",
        written="numbers", centers=True,
    )  # fmt: skip
    tokens: int | None = option(None, "Budget: records of this many tokens together.", metavar="N", centers=True)
    token_column: str | None = option(
        None, "Tokens of each record.", default_words="estimated by characters", metavar="FIELD", centers=True
    )
    tokenizer: str | None = option(
        None, "Count tokens with this, of the hub or in a folder.", metavar="NAME", centers=True
    )
    cluster_seed: int = option(
        0, "Seed of the encoder's fit, the clusters and the records of --validate.", metavar="N", least=0,
        centers=True,
    )  # fmt: skip
    """These stay when another subset is drawn."""
    work_dir: Path | None = option(
        None, "Embeddings and clusters are kept here, and found again.", default_words="the user's cache folder",
        metavar="DIR", written="folder", centers=True,
    )  # fmt: skip
    store_dtype: StoreDtype | None = option(
        None, "Numbers of the embeddings kept.", default_words="float16, with --no-normalize float32",
        one_of=("float16", "float32"), centers=True,
    )  # fmt: skip
    z: int = option(2, "Power of the distance in the scores.", metavar="1|2", one_of=(1, 2))
    smoothness: float | None = option(
        None, "Change of loss per unit of distance^z.", default_words="auto", metavar="L|auto", name="lambda",
        absent="auto", least=0, most=_LARGEST_LOSS,
    )  # fmt: skip

    # Losses.
    loss: str = option(
        "none", f"Losses of the centres: {', '.join(LOSSES.words.values())}, or module:attribute.", metavar="SPEC"
    )
    loss_timeout: float = option(600.0, "Seconds for which an exec:COMMAND may be silent.", metavar="S")
    dtype: Dtype = option(
        "auto",
        "Numbers that model: losses are calculated with; auto is bfloat16 on CUDA devices that have it, else float32.",
        one_of=("auto", "float32", "bfloat16", "float16"),
    )
    score_subset: bool = option(False, "Ask for the losses of the subset too: an estimate with interval.")
    validate: int | None = option(
        None, "Ask for the losses of V random records too: a forecast.", metavar="V", least=2, centers=True
    )
    validation_loss: str | None = option(None, "Where these come from.", default_words="as --loss", metavar="SPEC")

    # The draw.
    sampler: str = option("pivotal", _sentence(SAMPLERS.words), one_of=SAMPLERS)
    keep_centers: bool = option(False, "Take the K centres with certainty, within the budget.")
    temper: float = option(
        1.0, "Raise the weights to this power, with the same sum: 0 makes them equal.", metavar="T", least=0, most=1
    )

    # The weights in the subset.
    trainer: str | None = option(
        None, f"What reads the subset: {', '.join(TRAINERS)}. Sets the next two, and says what it does with weights.",
        name="for", metavar="TRAINER", one_of=TRAINERS,
    )  # fmt: skip
    weights_as: str | None = option(
        None, f"Weights: {_listed(WEIGHT_SHAPES.words)}.", default_words="column", one_of=WEIGHT_SHAPES
    )
    """Recorded as it is used: as the trainer reads them, where none is given."""
    weight_scale: str | None = option(
        None, "Sum of the weights: the number of records; or mean 1.", default_words="sum", one_of=("sum", "mean")
    )
    """Recorded as it is used."""
    weight_column: str = option("weight", "Name of the added column.", metavar="NAME")
    seed: int = option(0, "Seed of the draw.", metavar="N", least=0)

    # Who can be drawn.
    exclude: tuple[str, ...] = option((), "Leave out what an earlier subset took; repeatable.", metavar="SUBSET")
    never: tuple[str, ...] = option((), "Leave out the records with this; repeatable.", metavar="FIELD=VALUE")
    always: tuple[str, ...] = option(
        (), "Take the records with this with certainty, within the budget; repeatable.", metavar="FIELD=VALUE"
    )
    dedup: bool = option(False, "Of records of equal text draw one at most, to stand for all.")
    dedup_near: float | None = option(
        None, "Of records of a cluster whose cosine is T or more draw one at most, to stand for all.", metavar="T"
    )
    group_by: str | None = option(None, "Draw a fixed number of records for each value of this field.", metavar="FIELD")
    group_min: int | None = option(None, "At least so many of each group.", metavar="N", least=1)
    group_max: int | None = option(None, "At most so many of each group.", metavar="N", least=1)
    group_share: tuple[str, ...] = option(
        (), "Shares of the budget, such as web=0.3,other=0.7.", default_words="as the scores", metavar="VALUE=S,..."
    )

    # Where the work is done.
    engine: str = option(
        "local", "Where the work is done: in this process; on the Ray cluster of RAY_ADDRESS, or one on this machine "
        "(extra: ray).", one_of=("local", "ray"), centers=True,
    )  # fmt: skip
    num_gpus: float | None = option(
        None, "GPUs of each worker of ray that encodes, such as 0.5.", metavar="G", least=0, centers=True
    )
    force: bool = option(False, "Overwrite outputs that exist.", on_command_line=False, recorded=False)

    def __post_init__(self) -> None:
        for one in OPTIONS:
            one.check(getattr(self, one.field))
        from tithe.selection.options.rules import check_together  # late: it loads what the options name

        check_together(cast(Any, self))  # to pyright, the class of the editable install is another

    def is_given(self, field: str) -> bool:
        """Whether an option is not what it is when nobody says anything."""
        return getattr(self, field) != _BY_FIELD[field].default

    @property
    def wanted_groups(self) -> Wanted:
        """What is asked for of the groups of `--group-by`."""
        from tithe.selection.options.shares import Wanted, parse_shares

        return Wanted(self.group_min, self.group_max, parse_shares(self.group_share))

    @property
    def reader(self) -> Trainer | None:
        """The trainer that will read the subset, where it is named."""
        return None if self.trainer is None else TRAINERS[self.trainer]

    @property
    def shape(self) -> str:
        """How the subset holds the weights: a name of WEIGHT_SHAPES."""
        return self.weights_as or ("column" if self.reader is None else self.reader.weights_as)

    @property
    def scale(self) -> str | None:
        """Of the weights in the subset, sum or mean; None where it holds none."""
        wanted = self.weight_scale or ("sum" if self.reader is None else self.reader.scale)
        return WEIGHT_SHAPES[self.shape]().scale(wanted)

    @property
    def kept_as(self) -> StoreDtype:
        """Numbers of the embeddings kept: float16 is exact to 0.05% between 6e-5 and 65,504."""
        return self.store_dtype or ("float16" if self.unit_length else "float32")

    @property
    def first_input(self) -> str:
        """For error messages."""
        from tithe.selection.storage.object_store import shown

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
        from tithe.selection.storage.object_store import shown

        values = {one.key: _plain(one, getattr(self, one.field)) for one in OPTIONS if one.declared.recorded}
        values["output"] = "-" if self.output is None else str(self.output)
        values["inputs"], values["exclude"] = [*map(shown, self.inputs)], [*map(shown, self.exclude)]
        return {**values, "weights_as": self.shape, "weight_scale": self.scale}

    @classmethod
    def from_recorded(
        cls, recorded: Mapping[str, Any], *, output: Place | None, work_dir: Path | None = None
    ) -> Options:
        """The inverse of `recorded`, with other places for what is written: a recorded work folder may be a stranger's.

        Raises UsageError for options of another version of tithe.
        """
        known = {one.key: one for one in OPTIONS if one.declared.recorded}
        strange = [*(recorded.keys() ^ known.keys())]
        if strange:
            raise UsageError(f"the options are those of another version of tithe ({', '.join(sorted(strange))})")
        values = {known[key].field: _given(known[key], value) for key, value in recorded.items()}
        return cls(**{**values, "output": output, "work_dir": work_dir})


OPTIONS: list[Option] = options_of(Options)

_BY_FIELD = {one.field: one for one in OPTIONS}


def flag_of(field: str) -> str:
    """The name on the command line of a field of Options."""
    return _BY_FIELD[field].flag


def _plain(one: Option, value: Any) -> Any:
    """A value as JSON has it."""
    return one.declared.absent if value is None else str(value) if isinstance(value, Path) else value


def _given(one: Option, value: Any) -> Any:
    """A value out of JSON."""
    return None if value == one.declared.absent else tuple(value) if isinstance(value, list) else value
