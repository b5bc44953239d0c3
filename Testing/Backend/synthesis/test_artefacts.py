from __future__ import annotations

import pytest
import torch

from SlicerSynthReg.synthesis.artefacts import ArtefactConfig, ArtefactDraw, apply_artefacts, draw_artefacts

WHOLE = ((0.0, 1.0), (0.0, 1.0), (0.0, 1.0))


def applied(image: torch.Tensor, slices: tuple[int, int] | None = None, keep=WHOLE) -> torch.Tensor:
    return apply_artefacts(image, [ArtefactDraw(slices, keep)])


@pytest.fixture
def an_image(seeded) -> torch.Tensor:
    return torch.rand((1, 1, 12, 8, 16), generator=seeded(0)) + 0.5


def test_no_artefact_changes_nothing(an_image):
    assert torch.equal(applied(an_image), an_image)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_thick_slices_are_means_then_interpolated_along_their_axis_only(axis, an_image):
    thick = applied(an_image, (axis, 4)).movedim(2 + axis, 2)
    sharp = an_image.movedim(2 + axis, 2)
    mean = sharp.unfold(2, 4, 4).mean(-1)
    before_the_first_centre = mean[:, :, :1].expand(-1, -1, 2, -1, -1)
    assert torch.allclose(thick[:, :, :2], before_the_first_centre, atol=1e-6)
    steps = thick.diff(dim=2)[:, :, 2:5]
    assert torch.allclose(steps[:, :, :2], steps[:, :, 1:3], atol=1e-6)  # between two centres: a line
    assert torch.allclose(steps[:, :, 0], (mean[:, :, 1] - mean[:, :, 0]) / 4, atol=1e-6)
    assert torch.allclose(thick.unfold(2, 4, 4).mean(-1).mean(), mean.mean(), atol=1e-2)


def test_a_truncated_last_slice_is_the_mean_of_its_voxels():
    image = torch.ones(1, 1, 10, 2, 2)
    assert torch.allclose(applied(image, (0, 4)), image)  # padded with zeros, the end would darken


@pytest.mark.parametrize(("count", "thickness"), [(64, 3), (10, 4), (11, 2)])
def test_thick_slices_are_not_shifted_by_a_truncated_last_slice(count, thickness):
    """A ramp is its own slice mean: three slices stretched over ten voxels would lead it astray, by 2 voxels in 64."""
    ramp = torch.arange(float(count)).view(1, 1, count, 1, 1).expand(1, 1, count, 2, 2)
    thick = applied(ramp, (0, thickness))
    first, last = thickness // 2, (count // thickness - 1) * thickness + (thickness - 1) // 2
    assert torch.allclose(thick[:, :, first : last + 1], ramp[:, :, first : last + 1], atol=1e-4)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_truncated_field_of_view_is_zero_at_its_faces_only(axis, an_image):
    keep = list(WHOLE)
    keep[axis] = (0.25, 0.5)
    seen = applied(an_image, keep=tuple(keep))
    n = an_image.shape[2 + axis]
    kept = slice(n // 4, n // 2)
    assert torch.equal(seen.movedim(2 + axis, 0)[kept], an_image.movedim(2 + axis, 0)[kept])
    left = seen.movedim(2 + axis, 0).clone()
    left[kept] = 0
    assert left.abs().max() == 0 and an_image.min() > 0


def test_the_image_is_zero_outside_the_field_of_view_with_thick_slices_too(an_image):
    seen = applied(an_image, (0, 3), ((0.5, 1.0), (0.0, 1.0), (0.0, 1.0)))
    assert seen[:, :, :6].abs().max() == 0 and seen[:, :, 6:].min() > 0.4


def test_the_input_image_is_not_changed(an_image):
    before = an_image.clone()
    applied(an_image, (1, 2), ((0.3, 0.7),) * 3)
    assert torch.equal(an_image, before)


def test_each_element_has_its_own_artefact(an_image):
    draws = [ArtefactDraw((2, 3), WHOLE), ArtefactDraw(None, ((0.2, 1.0),) * 3)]
    together = apply_artefacts(an_image.expand(2, -1, -1, -1, -1), draws)
    for n in range(2):
        assert torch.equal(together[n : n + 1], apply_artefacts(an_image, draws[n : n + 1]))


def test_draws_follow_their_probabilities_and_bounds(seeded):
    generator = seeded(0)
    draws = [draw_artefacts(ArtefactConfig(), generator) for _ in range(400)]
    slices = [d.slices for d in draws if d.slices]
    cut = [d.keep for d in draws if d.keep != WHOLE]
    assert len(slices) / 400 == pytest.approx(0.25, abs=0.07) and len(cut) / 400 == pytest.approx(0.25, abs=0.07)
    assert {axis for axis, _ in slices} == {0, 1, 2} and {thickness for _, thickness in slices} == {2, 3, 4}
    assert all(0 <= low <= 0.3 and 0.7 <= high <= 1 for keep in cut for low, high in keep)
