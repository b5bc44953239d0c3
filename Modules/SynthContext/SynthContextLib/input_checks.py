"""Validation of rows; messages say found, expected, remedy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from slicer.i18n import tr as _
from SynthRegLib.node_checks import image_validation_error, labels_validation_error, parent_validation_error
from SynthRegLib.nodes import is_labels

from SynthContextLib.models import AUTO, IMAGE, LABELS
from SynthContextLib.pair_rows import Row, complete

_MODES = 200_000


def examples_validation_error(rows: Sequence[Row], kind: str) -> str:
    """Return why the checked rows are no examples of one kind, or ""."""
    used = [row for row in rows if row.use]
    if not used:
        return _("Add examples: an image with its segmentation, label map or paired image.")
    for row in used:
        if row.image is None:
            return _("Found no image for {name}, expected the image that it segments. Add it.").format(name=row.name)
        if row.answer is None:
            return _(
                "Found no output for {name}, expected a segmentation, a label map or an image. Add it, or uncheck "
                "the row."
            ).format(name=row.name)
        wrong = image_validation_error(row.image) or parent_validation_error(row.image) or _output_validation_error(row)
        if wrong:
            return wrong
    shown = {is_labels(row.answer) for row in used}
    if len(shown) > 1:
        return _(
            "Found examples with segmentations and with images, expected one kind. Uncheck the rows of the other kind."
        )
    if kind == IMAGE and shown == {True}:
        return _("Found segmentations in the examples, expected images. Choose another task or other examples.")
    return ""


def _output_validation_error(row: Row) -> str:
    if row.answer is row.image:
        return _("Found {name} as image and as output, expected two nodes. Choose another output.").format(
            name=row.name
        )
    wrong = labels_validation_error(row.answer) if is_labels(row.answer) else image_validation_error(row.answer)
    return wrong or parent_validation_error(row.answer)


def targets_validation_error(rows: Sequence[Row], labels: bool) -> str:
    """Return why the checked rows are no targets, or "". labels: whether labels are predicted."""
    used = [row for row in rows if row.use and (row.image is not None or row.answer is not None)]
    if not used:
        return _("Choose a target image.")
    for row in used:
        if row.image is None:
            return _("Found the reference {name} without its target, expected both. Add the target image.").format(
                name=row.name
            )
        wrong = image_validation_error(row.image) or parent_validation_error(row.image)
        if row.answer is not None and not wrong:
            wrong = _output_validation_error(row)
            if not wrong and is_labels(row.answer) != labels:
                wrong = _(
                    "Found the reference {name}, expected the kind of node of the examples' outputs. Choose "
                    "another reference."
                ).format(name=row.answer.GetName())
        if wrong:
            return wrong
    return ""


def guessed_output_kind(rows: Sequence[Row]) -> str:
    """Return the kind of the complete examples' outputs: segmentations, label maps and volumes of few integers are
    labels."""
    answers = [row.answer for row in complete(rows)]
    if not answers:
        return AUTO
    labels = all(is_labels(one) or _few_whole_numbers(one) for one in answers)
    return LABELS if labels else IMAGE


def _few_whole_numbers(volume) -> bool:
    import slicer

    if volume.GetImageData() is None:
        return False
    values = slicer.util.arrayFromVolume(volume)
    step = max(1, round((values.size / _MODES) ** (1 / 3)))
    seen = np.unique(values[::step, ::step, ::step])
    return bool(len(seen) <= 5 and seen.min() >= 0 and (seen == np.round(seen)).all())


def example_notes(rows: Sequence[Row], targets: Sequence[Row]) -> list[str]:
    """Return notes that do not prevent a run."""
    known = complete(rows)
    notes = []
    if len(known) == 1:
        notes.append(_("Only one example: predictions are more stable with several."))
    for row in targets:
        if row.use and any(row.image is one.image for one in known):
            notes.append(
                _("{name} is also an example: the prediction will be biased towards it.").format(name=row.name)
            )
    return notes
