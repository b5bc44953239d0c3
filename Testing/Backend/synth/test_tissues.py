"""Every label of the training maps has its place: a tissue, a structure that the network tells apart, a score."""

from __future__ import annotations

import math

import pytest

from SlicerSynthReg.synth.tissues import (
    ANATOMY,
    BRAIN,
    RIGHT_TO_LEFT,
    SEQUENCES,
    anatomy_of,
    brightness_tables,
    scored_as,
)

OF_THE_BRAIN = (
    2, 3, 4, 5, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18, 25, 26, 28, 30, 41, 42, 43, 44, 46, 47, 49, 50, 51, 52, 53,
    54, 57, 58, 60, 62, 72, 77, 85, 136, 137, 163, 164,
)  # fmt: skip
OUTSIDE = (0, 502, 506, 507, 508, 509, 511, 512, 514, 515, 516, 530)


def structure(value: int) -> str:
    return list(ANATOMY)[anatomy_of((value,))[0]]


@pytest.mark.parametrize("right, left", RIGHT_TO_LEFT.items())
def test_left_and_right_are_one_structure_but_two_scores(right, left):
    assert structure(right) == structure(left)
    assert scored_as(right) != scored_as(left)
    assert RIGHT_TO_LEFT[scored_as(right)] == scored_as(left)


def test_what_is_in_the_brain_is_told_apart_from_what_is_not():
    assert {structure(value) for value in OF_THE_BRAIN} == set(BRAIN)
    assert {structure(value) for value in OUTSIDE} == {"outside"}
    assert structure(24) == "fluid around the brain"


def test_places_follow_the_order_of_the_values_asked_for():
    assert anatomy_of((10, 0, 49, 2)) == (list(ANATOMY).index("thalamus"), 0, 7, list(ANATOMY).index("white matter"))


def test_background_fluid_and_head_are_not_scored():
    assert {scored_as(value) for value in (*OUTSIDE, 24)} == {0}


def test_small_parts_are_scored_with_the_structure_of_their_own_side():
    assert [scored_as(value) for value in (5, 44, 25, 57, 136, 163)] == [4, 43, 2, 41, 4, 43]
    assert all(scored_as(scored_as(value)) == scored_as(value) for value in OF_THE_BRAIN)


def test_a_part_is_scored_within_the_structure_that_the_network_gives_it():
    assert all(structure(scored_as(value)) == structure(value) for value in OF_THE_BRAIN if scored_as(value))


def test_known_sequences_order_white_matter_grey_matter_and_fluid_as_scans_do():
    values = (2, 41, 3, 4, 502)
    tables = dict(zip(SEQUENCES, brightness_tables(values)))
    white, right_white, grey, fluid, unknown = tables["T1"]
    assert white == right_white > grey > fluid and math.isnan(unknown)
    assert tables["T2"][0] < tables["T2"][2] < tables["T2"][3]
