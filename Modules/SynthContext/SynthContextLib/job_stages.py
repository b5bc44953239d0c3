"""Stages of the worker's jobs from rows, parameters and models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable

from slicer.i18n import tr as _

from SlicerSynthReg.errors import RequestError
from SlicerSynthReg.parameters.examples import FineTuneParameters, InContextParameters
from SynthContextLib import example_folder, finetuning_job, prediction
from SynthContextLib.example_folder import ExampleFolder
from SynthContextLib.input_checks import examples_validation_error, guessed_output_kind, targets_validation_error
from SynthContextLib.models import AUTO, FINE_TUNED, IMAGE, LABELS, card_of
from SynthContextLib.pair_rows import Row, complete
from SynthContextLib.prediction import Prediction
from SynthContextLib.staged_job import Stage

_PREPARING, _ASKING = 0.1, 1.0


def prediction_validation_error(examples: Sequence[Row], targets: Sequence[Row], settings: InContextParameters) -> str:
    """Return why Apply cannot start, or ""."""
    card = card_of(settings.model)
    if card is None:
        if not settings.model:
            return _("Found no model, expected an in-context or a fine-tuned network. Install one, or fine-tune one.")
        return _(
            "Found no model {name}, expected an in-context or a fine-tuned network. Choose or fine-tune another."
        ).format(name=settings.model)
    if card.method == FINE_TUNED:
        return targets_validation_error(targets, labels=True)
    labels = _kind(examples, settings.output_kind) != IMAGE
    return examples_validation_error(examples, settings.output_kind) or targets_validation_error(targets, labels)


def _kind(examples: Sequence[Row], kind: str) -> str:
    return guessed_output_kind(examples) if kind == AUTO else kind


def prediction_stages(
    examples: Sequence[Row],
    targets: Sequence[Row],
    settings: InContextParameters,
    folder: ExampleFolder,
    done: Callable[[Prediction], None] = lambda answer: None,
) -> list[Stage]:
    """Return the stages: examples, then the checked targets. Raises RequestError."""
    wrong = prediction_validation_error(examples, targets, settings)
    if wrong:
        raise RequestError(wrong)
    card = card_of(settings.model)
    used = [row for row in targets if row.use]
    many = len(used) > 1

    def stage(row: Row, make: Callable[[list[Any]], Any]) -> Stage:
        return Stage(make, _ASKING, row.name if many else "", done)

    if card.method == FINE_TUNED:
        return [stage(row, lambda values, row=row: prediction.from_model(row, card, settings)) for row in used]
    pairs = complete(examples)
    chosen = replace(settings, model=card.name, output_kind=_kind(examples, settings.output_kind))
    first = example_stage(pairs, folder)
    return [
        first,
        *(
            stage(row, lambda values, row=row: prediction.from_examples(row, folder.current(pairs), chosen))
            for row in used
        ),
    ]


def example_stage(pairs: Sequence[Row], folder: ExampleFolder) -> Stage:
    return Stage(
        lambda values: None if folder.current(pairs) is not None else folder.work(pairs), _PREPARING, _("examples")
    )


def finetuning_validation_error(examples: Sequence[Row], chosen: FineTuneParameters) -> str:
    """Return why fine-tuning cannot start, or ""."""
    wrong = examples_validation_error(examples, AUTO)
    if wrong:
        return wrong
    if guessed_output_kind(examples) != LABELS:
        return _("Found examples with images, expected segmentations. Use other examples for fine-tuning.")
    if not chosen.model_name.strip():
        return _("Found no name for the new model, expected one. Enter a name.")
    return ""


def finetuning_stages(examples: Sequence[Row], chosen: FineTuneParameters, folder: ExampleFolder) -> list[Stage]:
    """Return the stages: examples, then the training; the last value is a FineTunedModel. Raises RequestError."""
    wrong = finetuning_validation_error(examples, chosen)
    if wrong:
        raise RequestError(wrong)
    pairs = complete(examples)
    return [
        example_stage(pairs, folder),
        Stage(lambda values: finetuning_job.finetuning_job(folder.current(pairs), chosen), _ASKING),
    ]


def saving_stages(examples: Sequence[Row], folder: Path) -> list[Stage]:
    """Return the stage that writes the checked examples to `folder`. Raises RequestError."""
    wrong = examples_validation_error(examples, AUTO)
    if wrong:
        raise RequestError(wrong)
    pairs = complete(examples)
    return [Stage(lambda values: example_folder.saving(pairs, folder), _ASKING)]
