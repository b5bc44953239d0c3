"""What FreeSurfer's labels look like in real scans: tissue of each label, brightness of each tissue by sequence.

Rough textbook orders on 0..255, jittered when drawn; they make every second training image resemble a scan, so that
the network meets anatomy early, and leave the other half to SynthMorph's arbitrary contrasts.
"""

from __future__ import annotations

import math

RIGHT_TO_LEFT = {
    41: 2, 42: 3, 43: 4, 44: 5, 46: 7, 47: 8, 49: 10, 50: 11, 51: 12, 52: 13, 53: 17, 54: 18, 58: 26, 60: 28, 62: 30,
    137: 136, 164: 163,
}  # fmt: skip
"""FreeSurfer's numbers of right-sided structures and of their left counterparts."""

WHITE, GREY, DEEP, PALE, FLUID, STEM, AIR = "white", "grey", "deep", "pale", "fluid", "stem", "air"

TISSUES = {
    0: AIR, 2: WHITE, 3: GREY, 4: FLUID, 5: FLUID, 7: WHITE, 8: GREY, 10: DEEP, 11: GREY, 12: DEEP, 13: PALE, 14: FLUID,
    15: FLUID, 16: STEM, 17: GREY, 18: GREY, 24: FLUID, 26: GREY, 28: STEM, 30: FLUID, 77: PALE, 85: WHITE,
}  # fmt: skip

SEQUENCES = {
    "T1": {AIR: 5, WHITE: 215, GREY: 140, DEEP: 175, PALE: 195, FLUID: 45, STEM: 190},
    "T2": {AIR: 5, WHITE: 85, GREY: 130, DEEP: 105, PALE: 75, FLUID: 240, STEM: 95},
    "FLAIR": {AIR: 5, WHITE: 115, GREY: 150, DEEP: 135, PALE: 110, FLUID: 35, STEM: 120},
    "PD": {AIR: 5, WHITE: 140, GREY: 185, DEEP: 165, PALE: 145, FLUID: 205, STEM: 150},
    "CT": {AIR: 2, WHITE: 118, GREY: 135, DEEP: 133, PALE: 130, FLUID: 85, STEM: 122},
}


def brightness_tables(values: tuple[int, ...]) -> tuple[tuple[float, ...], ...]:
    """For each sequence the mean by label index; NaN where a label's tissue is not known (it is drawn at random)."""
    tissues = [TISSUES.get(RIGHT_TO_LEFT.get(value, value)) for value in values]
    return tuple(
        tuple(float(table[tissue]) if tissue in table else math.nan for tissue in tissues)
        for table in SEQUENCES.values()
    )
