"""Examples in memory that cannot be used."""

from __future__ import annotations

import pytest
import torch

from SlicerSynthReg import topological_change
from SlicerSynthReg.api.examples import as_examples
from SlicerSynthReg.io.image import Image
from Testing.Backend.refusals import refused


@pytest.fixture
def an_image(a_grid_of, a_ramp_on) -> Image:
    grid = a_grid_of((6, 5, 4))
    return Image(a_ramp_on(grid), grid)


def test_examples_that_are_no_pairs_are_refused(an_image):
    labels = Image((an_image.data > 5).int(), an_image.grid, "labels")
    pair = (an_image, labels)
    for source in (None, 3, {"case": pair}, [an_image, labels], pair, [(an_image, an_image, labels)]):
        with refused("examples-type"):
            as_examples(source)
    with refused("examples-inputs"):
        as_examples([((), labels)])
    with refused("nonfinite", suggests="replace_nonfinite"):
        as_examples([(an_image, Image(an_image.data * torch.nan, an_image.grid))])
    assert as_examples([pair, ((an_image,), labels)]).inputs == 1


def test_controls_that_are_no_list_are_refused(an_image):
    for controls in (an_image, "controls.nii.gz"):
        with refused("controls-type"):
            topological_change(an_image, an_image, controls=controls)
