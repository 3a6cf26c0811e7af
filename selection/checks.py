"""Whether options, corpus and encoder go together: all that can be told before the long work."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

from tithe.embedders.base import RecordEncoder
from tithe.selection.choose import LossSources
from tithe.selection.corpus.corpus import Corpus, check_field, open_corpus
from tithe.selection.corpus.text import TextRule, choose_rule
from tithe.selection.corpus.tokens import check_countable, describe_counting
from tithe.selection.embedding.lookup import Encoder
from tithe.selection.errors import UsageError
from tithe.selection.losses import runs_model
from tithe.selection.options.options import Options
from tithe.selection.population.record_fields import check_record_fields
from tithe.selection.subset.outputs import Outputs, check_apart
from tithe.selection.subset.writer import check_writable


def open_inputs(
    options: Options, spool: Path, *, stdin: BinaryIO | None = None, notify: Callable[[str], object] = lambda line: None
) -> Corpus:
    """The corpus that the options name; what must be unpacked goes into the folder `spool`. Raises as `open_corpus`."""
    return open_corpus(
        options.inputs,
        format=options.format,
        max_record_size=options.max_record_size,
        spool=spool,
        stdin=stdin,
        notify=notify,
    )


def tell(notify: Callable[[str], object], lines: Iterable[str]) -> None:
    """Tell the user each of the lines."""
    for line in lines:
        notify(line)


def check_outputs(options: Options, outputs: Outputs, corpus: Corpus) -> None:
    """Raise UsageError where an output would overwrite an input, or cannot hold the corpus's records."""
    check_apart(outputs.targets(), corpus.files, options.inputs)
    check_writable(corpus, outputs.format, options.weight_column, options.shape)


def check_losses(options: Options, corpus: Corpus, sources: LossSources) -> None:
    """Raise UsageError where the losses are to be read from a field that is not there."""
    check_field(corpus, sources.centres.field, f"--loss {options.loss}")
    check_field(corpus, sources.validation.field, f"--validation-loss {options.validation_loss}")


def check_inputs(options: Options, encoder: Encoder, corpus: Corpus) -> TextRule | None:
    """What makes a record's text, or None where no text is read.

    Raises UsageError for a field that is not there, and for options that the encoder or the corpus rules out.
    """
    check_record_fields(options, corpus)
    rule = find_text_rule(options, encoder, corpus)
    if options.dedup and rule is None:
        raise UsageError(f"--dedup: compares texts, and --encoder {options.encoder} reads none")
    check_countable(options, corpus, rule)
    return rule


def about_texts(rule: TextRule | None, empty: int, texts: int) -> list[str]:
    """What the user should know of the texts that were read, a line each."""
    if rule is None or not empty:
        return []
    return [f"text: {empty:,} of {texts:,} are empty by {rule.name}; --text or --template reads others"]


def notices(options: Options, rule: TextRule | None) -> list[str]:
    """What the user should know of what was found, a line each."""
    found = []
    if rule is not None:
        found.append(f"text: {rule.name}")
    if options.tokens is not None:
        found.append(f"tokens: {describe_counting(options)}")
    if options.reader is not None:
        found.append(options.reader.notice(options.shape))
    return found


def find_text_rule(options: Options, encoder: Encoder, corpus: Corpus) -> TextRule | None:
    """How a record becomes a text; None where the encoder reads no text."""
    if isinstance(encoder, RecordEncoder):
        if runs_model(options.loss):
            choose_rule(corpus, fields=options.text, template=options.template)  # it will; better to fail now
        elif options.text or options.template is not None:
            raise UsageError(f"--encoder {options.encoder} reads no text: leave --text and --template out")
        if options.store_dtype is not None:
            raise UsageError(f"--encoder {options.encoder}: its vectors are not kept: leave --store-dtype out")
        for field in encoder.fields:
            check_field(corpus, field, options.naming(field))
        return None
    return choose_rule(corpus, fields=options.text, template=options.template)
