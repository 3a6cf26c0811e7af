"""Which options go together. What each may be by itself is declared with it."""

from __future__ import annotations

from tithe.selection.errors import UsageError
from tithe.selection.options.conditions import field_and_value
from tithe.selection.options.options import Options, flag_of
from tithe.selection.options.plan import check_size_options
from tithe.selection.options.shares import parse_shares
from tithe.selection.options.trainers import Trainer
from tithe.selection.sampling.registry import SAMPLERS, samplers_that_spread
from tithe.selection.scoring.registry import method_of
from tithe.selection.subset.weight_shapes.registry import WEIGHT_SHAPES

# Seconds that something may be waited for: systems count time to about ten times that.
_LONGEST = 1e9


def check_together(options: Options) -> None:
    """Raise UsageError where options contradict each other, or one means nothing without another."""
    check_size_options(
        clusters=options.clusters,
        epsilon=options.epsilon,
        size=options.size,
        fraction=options.fraction,
        tokens=options.tokens,
    )
    if options.text and options.template is not None:
        raise UsageError("--text and --template both say what the text is: give one of them")
    _check_losses(options)
    _check_task(options)
    method_of(options).check(options)
    for option, conditions in (("--always", options.always), ("--never", options.never)):
        for condition in conditions:
            field_and_value(option, condition)
    _check_duplicates(options)
    _check_groups(options)
    if len(options.fraction) > 1 and options.output is None:
        raise UsageError("several of --fraction: make a file each; name them with -o FILE, not -")
    _check_tokens(options)
    _check_weights(options)
    _check_engine(options)


def _given(options: Options, *fields: str) -> str:
    """Those of some options that are given, for a message; empty where none is."""
    return " and ".join(flag_of(field) for field in fields if options.is_given(field))


def _check_losses(options: Options) -> None:
    if not 0 < options.loss_timeout <= _LONGEST:
        raise UsageError(
            f"--loss-timeout {options.loss_timeout:g}: seconds are needed, more than 0 and at most {_LONGEST:g}"
        )
    if options.validation_loss is not None and options.validate is None:
        raise UsageError("--validation-loss means nothing without --validate")
    if options.loss == "none" and (options.score_subset or options.validate is not None):
        raise UsageError("--score-subset and --validate need losses: name their source with --loss")


def _check_task(options: Options) -> None:
    if options.task == "training":
        if options.features or options.target is not None:
            raise UsageError("--features and --target are for --task regression")
        return
    if not options.features or options.target is None or not all((*options.features, options.target)):
        raise UsageError("--task regression: needs --features A,B,... and --target Y")
    if options.encoder != "features":
        raise UsageError("--task regression: has no use for --encoder; leave it out")
    for field in ("text", "template", "method", "smoothness", "loss", "dedup_near"):
        if options.is_given(field):
            raise UsageError(f"--task regression: has no use for {flag_of(field)}; leave it out")


def _check_duplicates(options: Options) -> None:
    if (options.dedup or options.dedup_near is not None) and not SAMPLERS[options.sampler].spreads:
        name = "--dedup" if options.dedup else "--dedup-near"
        raise UsageError(
            f"{name}: needs --sampler {samplers_that_spread()}, not {options.sampler}, which knows of no copies"
        )
    if options.dedup_near is not None and not 0 < options.dedup_near <= 1:
        raise UsageError(f"--dedup-near {options.dedup_near}: a cosine above 0 and at most 1 is needed")


def _check_groups(options: Options) -> None:
    bounds = _given(options, "group_min", "group_max")
    if options.group_by is None:
        if bounds or options.group_share:
            raise UsageError(f"{(bounds or '--group-share').split()[0]} means nothing without --group-by FIELD")
        return
    if not options.group_by:
        raise UsageError("--group-by needs the name of a field")
    if not SAMPLERS[options.sampler].spreads:
        raise UsageError(
            f"--group-by: the sizes of groups are met by --sampler {samplers_that_spread()}, not by {options.sampler}"
        )
    if options.group_min is not None and options.group_max is not None and options.group_min > options.group_max:
        raise UsageError(f"--group-min {options.group_min} is more than --group-max {options.group_max}")
    if options.group_share and bounds:
        raise UsageError(f"--group-share says how many of each group: leave {bounds} out")
    parse_shares(options.group_share)


def _check_tokens(options: Options) -> None:
    sources = _given(options, "token_column", "tokenizer")
    if options.tokens is None:
        if sources:
            raise UsageError(f"{sources.split()[0]} means nothing without --tokens N")
        return
    if " and " in sources:
        raise UsageError(f"{sources} both say how many tokens a record has: give one of them")
    if options.group_by is not None:
        raise UsageError("--tokens: groups are met in numbers of records; give --size, or leave --group-by out")
    if not SAMPLERS[options.sampler].spreads:
        raise UsageError(
            f"--tokens: the budget is met by --sampler {samplers_that_spread()}, not by --sampler {options.sampler}"
        )


def _check_weights(options: Options) -> None:
    if not options.weight_column:
        raise UsageError("--weight-column needs a name")
    if any(0xD800 <= ord(character) < 0xE000 for character in options.weight_column):
        raise UsageError(f"--weight-column {options.weight_column}: a name in UTF-8 is needed")
    if options.reader is not None:
        _check_trainer(options, options.reader)
    WEIGHT_SHAPES[options.shape]().check(options)


def _check_trainer(options: Options, trainer: Trainer) -> None:
    name = f"--for {trainer.name}"
    if options.weights_as is not None and options.weights_as not in trainer.shapes:
        raise UsageError(
            f"{name}: contradicts --weights-as {options.weights_as}, which it would drop, cancel or refuse; "
            f"there are {', '.join(trainer.shapes)}"
        )
    if trainer.reads is not None and options.output is not None and options.output.suffix != trainer.reads:
        raise UsageError(f"{name}: reads {trainer.reads} only; let the name of -o end so")


def _check_engine(options: Options) -> None:
    if options.engine == "local":
        if options.shards:
            raise UsageError(f"-o {options.output}/: a folder of shards is written by --engine ray")
        if options.num_gpus is not None:
            raise UsageError("--num-gpus means nothing without --engine ray")
        return
