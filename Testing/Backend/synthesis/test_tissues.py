"""Every label of the training maps has its place: a tissue, a structure that the network tells apart, a score."""

from __future__ import annotations

import math

import pytest

from SlicerSynthReg.synthesis.tissues import (
    BRAIN_STRUCTURES,
    RIGHT_TO_LEFT,
    SEQUENCES,
    STRUCTURES,
    scoring_label,
    sequence_intensity_tables,
    structure_indices,
)

OF_THE_BRAIN = (
    2, 3, 4, 5, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18, 25, 26, 28, 30, 41, 42, 43, 44, 46, 47, 49, 50, 51, 52, 53,
    54, 57, 58, 60, 62, 72, 77, 85, 136, 137, 163, 164,
)  # fmt: skip
OUTSIDE = (0, 502, 506, 507, 508, 509, 511, 512, 514, 515, 516, 530)


def structure(value: int) -> str:
    return list(STRUCTURES)[structure_indices((value,))[0]]


@pytest.mark.parametrize("right, left", RIGHT_TO_LEFT.items())
def test_left_and_right_are_one_structure_but_scored_separately(right, left):
    assert structure(right) == structure(left)
    assert scoring_label(right) != scoring_label(left)
    assert RIGHT_TO_LEFT[scoring_label(right)] == scoring_label(left)


def test_brain_labels_have_structures_and_others_are_outside():
    assert {structure(value) for value in OF_THE_BRAIN} == set(BRAIN_STRUCTURES)
    assert {structure(value) for value in OUTSIDE} == {"outside"}
    assert structure(24) == "fluid around the brain"


def test_structure_indices_follow_the_order_of_the_values():
    assert structure_indices((10, 0, 49, 2)) == (
        list(STRUCTURES).index("thalamus"),
        0,
        7,
        list(STRUCTURES).index("white matter"),
    )


def test_background_fluid_and_head_are_not_scored():
    assert {scoring_label(value) for value in (*OUTSIDE, 24)} == {0}


def test_small_labels_are_scored_with_a_structure_of_their_side():
    assert [scoring_label(value) for value in (5, 44, 25, 57, 136, 163)] == [4, 43, 2, 41, 4, 43]
    assert all(scoring_label(scoring_label(value)) == scoring_label(value) for value in OF_THE_BRAIN)


def test_a_small_label_is_scored_within_its_structure():
    assert all(structure(scoring_label(value)) == structure(value) for value in OF_THE_BRAIN if scoring_label(value))


def test_sequence_tables_order_white_matter_grey_matter_and_fluid_as_in_scans():
    values = (2, 41, 3, 4, 502)
    tables = dict(zip(SEQUENCES, sequence_intensity_tables(values)))
    white, right_white, grey, fluid, unknown = tables["T1"]
    assert white == right_white > grey > fluid and math.isnan(unknown)
    assert tables["T2"][0] < tables["T2"][2] < tables["T2"][3]
