"""Tables of FreeSurfer labels: tissue of each label, intensity of each tissue by sequence, structures of the networks.

Intensities are rough textbook orders on 0..255, jittered when drawn. A fraction of the training images follows them, so
that it resembles scans; the others have SynthMorph's arbitrary contrasts.
"""

from __future__ import annotations

import math

RIGHT_TO_LEFT = {
    41: 2, 42: 3, 43: 4, 44: 5, 46: 7, 47: 8, 49: 10, 50: 11, 51: 12, 52: 13, 53: 17, 54: 18, 57: 25, 58: 26, 60: 28,
    62: 30, 163: 136, 164: 137,
}  # fmt: skip
"""FreeSurfer number of each right-sided structure -> number of its left counterpart."""

WHITE, GREY, DEEP, PALE, FLUID, STEM, AIR = "white", "grey", "deep", "pale", "fluid", "stem", "air"
LESION, SKIN, MUSCLE, BONE, MARROW = "lesion", "skin and fat", "muscle", "bone", "marrow"

TISSUES = {
    0: AIR, 2: WHITE, 3: GREY, 4: FLUID, 5: FLUID, 7: WHITE, 8: GREY, 10: DEEP, 11: GREY, 12: DEEP, 13: PALE, 14: FLUID,
    15: FLUID, 16: STEM, 17: GREY, 18: GREY, 24: FLUID, 25: LESION, 26: GREY, 28: STEM, 30: FLUID, 72: FLUID, 77: PALE,
    85: WHITE, 136: GREY, 137: GREY, 507: MUSCLE, 511: SKIN, 515: BONE, 516: MARROW,
}  # fmt: skip
"""FreeSurfer number -> tissue; 136, 137 lie in the ventricles (choroid plexus), 500 and above outside the brain."""

SEQUENCES = {
    "T1": {AIR: 5, WHITE: 215, GREY: 140, DEEP: 175, PALE: 195, FLUID: 45, STEM: 190, LESION: 150, SKIN: 225,
           MUSCLE: 105, BONE: 25, MARROW: 140},
    "T2": {AIR: 5, WHITE: 85, GREY: 130, DEEP: 105, PALE: 75, FLUID: 240, STEM: 95, LESION: 170, SKIN: 150,
           MUSCLE: 55, BONE: 15, MARROW: 90},
    "FLAIR": {AIR: 5, WHITE: 115, GREY: 150, DEEP: 135, PALE: 110, FLUID: 35, STEM: 120, LESION: 215, SKIN: 150,
              MUSCLE: 85, BONE: 20, MARROW: 80},
    "PD": {AIR: 5, WHITE: 140, GREY: 185, DEEP: 165, PALE: 145, FLUID: 205, STEM: 150, LESION: 200, SKIN: 160,
           MUSCLE: 110, BONE: 20, MARROW: 95},
    "CT": {AIR: 2, WHITE: 118, GREY: 135, DEEP: 133, PALE: 130, FLUID: 85, STEM: 122, LESION: 105, SKIN: 60,
           MUSCLE: 140, BONE: 250, MARROW: 190},
}  # fmt: skip

STRUCTURES: dict[str, tuple[int, ...]] = {
    "outside": (0,),
    "fluid around the brain": (24,),
    "white matter": (2, 25, 30, 77),
    "cortex": (3,),
    "ventricles": (4, 5, 14, 15, 72, 136, 137),
    "cerebellar white matter": (7,),
    "cerebellar cortex": (8,),
    "thalamus": (10,),
    "caudate": (11, 26),
    "putamen": (12,),
    "pallidum": (13,),
    "brain stem": (16, 28, 85),
    "hippocampus": (17,),
    "amygdala": (18,),
}
"""Structures that the brain network segments -> their FreeSurfer numbers, left with right; "outside" has all others."""

BRAIN_STRUCTURES = tuple(name for name in STRUCTURES if name not in ("outside", "fluid around the brain"))


def structure_indices(values: tuple[int, ...]) -> tuple[int, ...]:
    """Return for each label value the index of its structure in `STRUCTURES`; 0 (outside) if it is in none."""
    structure = {value: n for n, members in enumerate(STRUCTURES.values()) for value in members}
    return tuple(structure.get(RIGHT_TO_LEFT.get(value, value), 0) for value in values)


SCORING_LABELS = {
    5: 4, 44: 43, 136: 4, 163: 43, 137: 4, 164: 43, 25: 2, 57: 41, 30: 2, 62: 41, 77: 0, 72: 0, 85: 0,
}  # fmt: skip
"""Labels too small or too vague to be scored alone -> label that they are scored with; 0: not scored."""


def scoring_label(value: int) -> int:
    """Return the FreeSurfer number under which overlap of label `value` is scored, left and right apart; 0: not scored
    (background, fluid around the brain, or outside the brain, 500 and above)."""
    return SCORING_LABELS.get(value, value if value != 24 and value < 500 else 0)


def sequence_intensity_tables(values: tuple[int, ...]) -> tuple[tuple[float, ...], ...]:
    """Return for each sequence the mean by label index; NaN where the tissue is not known (it is drawn at random)."""
    tissues = [TISSUES.get(RIGHT_TO_LEFT.get(value, value)) for value in values]
    return tuple(
        tuple(float(table[tissue]) if tissue in table else math.nan for tissue in tissues)
        for table in SEQUENCES.values()
    )
