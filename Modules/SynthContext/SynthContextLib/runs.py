"""What the panel and scripts run: stages for the worker, put together from rows, settings and models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable

from slicer.i18n import tr as _

from SlicerSynthReg.request import RequestError
from SynthContextLib import answers, examplefolder, tuning
from SynthContextLib.answering import Stage
from SynthContextLib.answers import Answer
from SynthContextLib.examplefolder import ExampleFolder
from SynthContextLib.faults import fault_of_examples, fault_of_targets, guessed
from SynthContextLib.rows import Row, complete
from SynthContextLib.settings import FINE_TUNED, Kind, Settings, Tuning, card_of

_PREPARING, _ASKING = 0.1, 1.0


def fault_of_run(examples: Sequence[Row], targets: Sequence[Row], settings: Settings) -> str:
    """What stands in the way of applying; "" where nothing does."""
    card = card_of(settings.model)
    if card is None:
        named = _(" named {name}").format(name=settings.model) if settings.model else ""
        return _(
            "Found no model{named}, expected a network that does tasks by examples or one that was fine-tuned. "
            "Fine-tune one, or choose another."
        ).format(named=named)
    if card.method == FINE_TUNED:
        return fault_of_targets(targets, labels=True)
    labels = _kind(examples, settings.kind) is not Kind.IMAGE
    return fault_of_examples(examples, settings.kind) or fault_of_targets(targets, labels)


def _kind(examples: Sequence[Row], kind: Kind) -> Kind:
    return guessed(examples) if kind is Kind.GUESS else kind


def applying(
    examples: Sequence[Row],
    targets: Sequence[Row],
    settings: Settings,
    folder: ExampleFolder,
    done: Callable[[Answer], None] = lambda answer: None,
) -> list[Stage]:
    """Examples, then the checked targets one after another. Raises RequestError."""
    wrong = fault_of_run(examples, targets, settings)
    if wrong:
        raise RequestError(wrong)
    card = card_of(settings.model)
    used = [row for row in targets if row.use]
    many = len(used) > 1

    def stage(row: Row, make: Callable[[list[Any]], Any]) -> Stage:
        return Stage(make, _ASKING, row.name if many else "", done)

    if card.method == FINE_TUNED:
        return [stage(row, lambda values, row=row: answers.from_model(row, card, settings)) for row in used]
    pairs = complete(examples)
    chosen = replace(settings, model=card.name, kind=_kind(examples, settings.kind))
    first = preparing(pairs, folder)
    return [
        first,
        *(
            stage(row, lambda values, row=row: answers.from_examples(row, folder.current(pairs), chosen))
            for row in used
        ),
    ]


def preparing(pairs: Sequence[Row], folder: ExampleFolder) -> Stage:
    return Stage(
        lambda values: None if folder.current(pairs) is not None else folder.work(pairs), _PREPARING, _("examples")
    )


def fault_of_tuning(examples: Sequence[Row], chosen: Tuning) -> str:
    """What stands in the way of fine-tuning; "" where nothing does."""
    wrong = fault_of_examples(examples, Kind.GUESS)
    if wrong:
        return wrong
    if guessed(examples) is not Kind.LABELS:
        return _("Found images as what the examples show, expected segmentations: only these can be learned here.")
    if not chosen.name.strip():
        return _("Found no name for the new model, expected one. Type it.")
    return ""


def fine_tuning(examples: Sequence[Row], chosen: Tuning, folder: ExampleFolder) -> list[Stage]:
    """Examples, then the training; the last value is a Tuned. Raises RequestError."""
    wrong = fault_of_tuning(examples, chosen)
    if wrong:
        raise RequestError(wrong)
    pairs = complete(examples)
    return [
        preparing(pairs, folder),
        Stage(lambda values: tuning.tuning(folder.current(pairs), chosen), _ASKING),
    ]


def saving(examples: Sequence[Row], folder: Path) -> list[Stage]:
    """The checked examples to `folder`. Raises RequestError."""
    wrong = fault_of_examples(examples, Kind.GUESS)
    if wrong:
        raise RequestError(wrong)
    pairs = complete(examples)
    return [Stage(lambda values: examplefolder.saving(pairs, folder), _ASKING)]
