"""What stands in the way of a run, in words: found, expected, remedy; "" where nothing does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from slicer.i18n import tr as _
from SynthRegLib.checks import fault_of_image, fault_of_labels, fault_of_parent
from SynthRegLib.nodes import is_labels

from SynthContextLib.rows import Row, complete
from SynthContextLib.settings import Kind

_LOOKS = 200_000


def fault_of_examples(rows: Sequence[Row], kind: Kind) -> str:
    """Whether the checked rows are pairs of one kind."""
    used = [row for row in rows if row.use]
    if not used:
        return _("Add examples: an image, and what it shows (a segmentation, a label map, or another image).")
    for row in used:
        if row.image is None:
            return _("Found no image beside {name}, expected the scan that it was drawn on. Add it.").format(
                name=row.name
            )
        if row.answer is None:
            return _(
                "Found nothing beside {name} that shows what to do, expected a segmentation, a label map or an image. "
                "Add it, or uncheck the row."
            ).format(name=row.name)
        wrong = fault_of_image(row.image) or fault_of_parent(row.image) or _fault_of_answer(row)
        if wrong:
            return wrong
    shown = {is_labels(row.answer) for row in used}
    if len(shown) > 1:
        return _(
            "Found segmentations and images among what the examples show, expected one kind. Uncheck the rows of the "
            "other kind."
        )
    if kind is Kind.IMAGE and shown == {True}:
        return _("Found segmentations in the examples, expected images, as chosen. Choose another kind, or examples.")
    return ""


def _fault_of_answer(row: Row) -> str:
    if row.answer is row.image:
        return _("Found {name} as image and as what it shows, expected two. Choose another one.").format(name=row.name)
    wrong = fault_of_labels(row.answer) if is_labels(row.answer) else fault_of_image(row.answer)
    return wrong or fault_of_parent(row.answer)


def fault_of_targets(rows: Sequence[Row], labels: bool) -> str:
    """Whether the checked rows can be worked on. labels: whether labels are asked for."""
    used = [row for row in rows if row.use and (row.image is not None or row.answer is not None)]
    if not used:
        return _("Choose a target: the image that the examples' task is done to.")
    for row in used:
        if row.image is None:
            return _("Found the truth {name} without its target, expected both. Add the image.").format(name=row.name)
        wrong = fault_of_image(row.image) or fault_of_parent(row.image)
        if row.answer is not None and not wrong:
            wrong = _fault_of_answer(row)
            if not wrong and is_labels(row.answer) != labels:
                wrong = _("Found the truth {name}, expected the kind that the examples show. Choose another.").format(
                    name=row.answer.GetName()
                )
        if wrong:
            return wrong
    return ""


def guessed(rows: Sequence[Row]) -> Kind:
    """What the complete examples show: segmentations and label maps are labels; of images, those of a few whole
    numbers."""
    answers = [row.answer for row in complete(rows)]
    if not answers:
        return Kind.GUESS
    labels = all(is_labels(one) or _few_whole_numbers(one) for one in answers)
    return Kind.LABELS if labels else Kind.IMAGE


def _few_whole_numbers(volume) -> bool:
    import slicer

    if volume.GetImageData() is None:
        return False
    values = slicer.util.arrayFromVolume(volume)
    step = max(1, round((values.size / _LOOKS) ** (1 / 3)))
    seen = np.unique(values[::step, ::step, ::step])
    return bool(len(seen) <= 5 and seen.min() >= 0 and (seen == np.round(seen)).all())


def told_of_examples(rows: Sequence[Row], targets: Sequence[Row]) -> list[str]:
    """What the user should know, though it stops nothing."""
    known = complete(rows)
    told = []
    if len(known) == 1:
        told.append(_("One example only: a few more make the results steadier."))
    for row in targets:
        if row.use and any(row.image is one.image for one in known):
            told.append(
                _("{name} is itself among the examples: its answer will repeat that example.").format(name=row.name)
            )
    return told
