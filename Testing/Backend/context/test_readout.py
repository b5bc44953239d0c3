from __future__ import annotations

import dataclasses

import pytest
import torch

from SlicerSynthReg.methods.neuralizer.examples import answer_volume, fitted
from SlicerSynthReg.methods.neuralizer.model import Neuralizer, NeuralizerConfig
from SlicerSynthReg.methods.neuralizer.readout import ReadoutConfig, drawn_pixels, fit_readout
from SlicerSynthReg.methods.neuralizer.slices import AskConfig, Example

pytestmark = pytest.mark.usefixtures("inference")
TRUSTING = ReadoutConfig(priors=(1e-6,))
AXIAL = 2


@pytest.fixture
def inference():
    with torch.inference_mode():
        yield


def pixels(count: int, known: int = 5) -> torch.Tensor:
    return torch.randn(count, known, generator=torch.Generator().manual_seed(1)) * 3 + 2


def everywhere(columns: torch.Tensor) -> torch.Tensor:
    return torch.ones(len(columns))


def nothing(columns: torch.Tensor) -> torch.Tensor:
    """The answer as trained."""
    return torch.zeros(len(columns))


def of_one(columns: torch.Tensor) -> torch.Tensor:
    return torch.zeros(len(columns), dtype=torch.long)


def off(lacking: torch.Tensor, columns: torch.Tensor, config: ReadoutConfig) -> float:
    """Share of what was lacking (its variance) that is lacking still, in pixels that were not fitted to."""
    half = len(columns) // 2
    readout = fit_readout(
        columns[:half],
        nothing(columns[:half]),
        lacking[:half],
        everywhere(columns[:half]),
        of_one(columns[:half]),
        config,
    )
    found = readout.of(torch.zeros(1, half, 1), columns[half:, None])[0, :, 0]
    return float((found - lacking[half:]).var() / lacking[half:].var())


def test_a_linear_lack_is_mended_exactly():
    columns = pixels(4000)
    lacking = columns @ torch.tensor([1.0, -2.0, 0.0, 0.5, 0.0]) + 7
    assert off(lacking, columns, TRUSTING) < 1e-4


def test_a_bent_lack_needs_bends():
    columns = pixels(4000)
    lacking = (columns[:, 0] - 2) * (columns[:, 1] - 2)
    straight = ReadoutConfig(priors=(1e-6,), bends=0)
    assert off(lacking, columns, straight) > 0.9
    assert off(lacking, columns, TRUSTING) < 0.2


def test_a_strong_prior_leaves_the_answer_but_for_its_mean():
    columns = pixels(1000)
    readout = fit_readout(
        columns, nothing(columns), columns[:, 0], everywhere(columns), of_one(columns), ReadoutConfig(priors=(1e9,))
    )
    found = readout.of(torch.full((1, 1000, 1), 0.25), columns[:, None])
    assert torch.allclose(found, 0.25 + columns[:, 0].mean(), atol=1e-4)


def test_more_examples_outweigh_the_prior():
    columns = pixels(1000)
    config = ReadoutConfig(priors=(1.0,), bends=0)
    few, many = (
        fit_readout(columns, nothing(columns), columns[:, 0], everywhere(columns), torch.arange(1000) % n, config)
        for n in (1, 32)
    )
    assert 0.45 < float(few.weights[1] / few.spread[0]) < 0.55, "as much as the prior: one half"
    assert 0.95 < float(many.weights[1] / many.spread[0]) < 0.99, "32 of 33"


def test_examples_that_foretell_nothing_of_each_other_are_not_followed():
    """In each of four examples something else lacks: what fits one fails the others."""
    columns, example = pixels(4000, known=8), torch.arange(4000) % 4
    lacking = columns[torch.arange(4000), example] - 2
    followed = fit_readout(columns, nothing(columns), lacking, everywhere(columns), of_one(columns), ReadoutConfig())
    assert float(followed.weights.abs().max()) > 0.05
    told_apart = fit_readout(
        columns, nothing(columns), lacking * (1 - 2 * (example % 2)), everywhere(columns), example, ReadoutConfig()
    )
    assert not told_apart.weights.any()


def test_examples_that_foretell_each_other_are_followed_closely():
    columns, example = pixels(4000), torch.arange(4000) % 4
    lacking = columns @ torch.tensor([1.0, -2.0, 0.0, 0.5, 0.0])
    readout = fit_readout(columns, nothing(columns), lacking, everywhere(columns), example, ReadoutConfig(bends=0))
    assert torch.allclose(readout.weights[1:] / readout.spread, torch.tensor([1.0, -2, 0, 0.5, 0]), atol=0.02)


def test_a_pixel_that_stands_for_two_is_as_two_pixels():
    columns, lacking = pixels(60), torch.randn(60, generator=torch.Generator().manual_seed(3))
    stands_for = everywhere(columns)
    stands_for[:20] = 2
    twice = fit_readout(columns, nothing(columns), lacking, stands_for, of_one(columns), ReadoutConfig())
    together = torch.cat([columns, columns[:20]]), torch.zeros(80), torch.cat([lacking, lacking[:20]])
    known = fit_readout(*together, torch.ones(80), torch.zeros(80, dtype=torch.long), ReadoutConfig())
    found = [one.of(torch.zeros(1, 60, 1), columns[:, None]) for one in (twice, known)]
    assert torch.allclose(*found, atol=1e-3)
    once = fit_readout(columns, nothing(columns), lacking, everywhere(columns), of_one(columns), ReadoutConfig())
    assert not torch.allclose(once.of(torch.zeros(1, 60, 1), columns[:, None]), found[0], atol=0.02)


def test_a_mask_is_drawn_from_where_examples_left_out_agree_best():
    """Answers that are right but for their height, which reaches 0.4 only; what else is known tells nothing."""
    example = torch.arange(3000) % 3
    y = (torch.rand(3000, generator=torch.Generator().manual_seed(0)) < 0.05).float()
    answer = 0.4 * y + 0.1 * torch.rand(3000, generator=torch.Generator().manual_seed(1))
    held = ReadoutConfig(priors=(1e9,), bends=0)
    readout = fit_readout(pixels(3000), answer, y, torch.ones(3000), example, held)
    found = readout.of(answer.view(1, -1, 1), pixels(3000)[:, None])[0, :, 0]
    assert readout.half < 0.45 and torch.equal(found > 0.5, y > 0)
    bare = dataclasses.replace(readout, half=0.25)
    assert torch.allclose(bare.halved(torch.tensor([0.0, 0.25, 0.625, 1.0])), torch.tensor([0.0, 0.5, 0.75, 1.0]))


def test_images_have_no_half(an_averaging_network):
    known = [Example(x, 0.9 - 0.7 * x) for x in volumes(4)]
    assert fitted(an_averaging_network, known, ASKED, mirrored=True)[0].half == 0.5


def test_half_of_the_pixels_of_masks_are_near_them_and_stand_for_all():
    y = torch.zeros(2, 40, 50)
    y[0, 5:8, 5:8] = 1
    y[1, 30, 40] = 1
    drawn, stands_for = drawn_pixels(y, 60, 2, torch.Generator().manual_seed(0))
    near = torch.zeros(40, 50, dtype=torch.bool)
    near[3:10, 3:10] = near[28:33, 38:43] = True
    assert int(near.flatten()[drawn].sum()) == 60 and len(drawn) == 120
    assert stands_for.sum() == pytest.approx(2000)
    assert stands_for[near.flatten()[drawn]].sum() == pytest.approx(int(near.sum()))
    assert len(drawn.unique()) == 120


def test_pixels_of_images_are_drawn_from_alike():
    y = torch.rand(2, 40, 50)
    drawn, stands_for = drawn_pixels(y, 100, 2, torch.Generator().manual_seed(0))
    assert len(drawn) == 100 and torch.allclose(stands_for, torch.tensor(20.0))


def volumes(count: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 1, 12, 16, 3, generator=torch.Generator().manual_seed(seed))


ASKED = AskConfig(planes=(AXIAL,), size=1, readout=ReadoutConfig())


def test_what_a_network_does_not_know_the_examples_teach_it(an_averaging_network):
    images = volumes(5)
    known = [Example(x, 0.9 - 0.7 * x) for x in images[1:]]
    plain = answer_volume(an_averaging_network, images[0], known, AskConfig(planes=(AXIAL,), size=1))
    taught = answer_volume(an_averaging_network, images[0], known, ASKED)
    truth = 0.9 - 0.7 * images[0]
    assert float((plain - truth).abs().mean()) > 0.1
    assert float((taught - truth).abs().mean()) < 0.02


def test_no_example_tells_about_itself(an_averaging_network):
    """Answers that no image foretells: others' say nothing of one's own, so that the best answer is their mean value.
    Had an example told about itself, its answer would look foretold, and the mean of the answers would stand."""
    known = [Example(x, y) for x, y in zip(volumes(6), volumes(6, seed=9))]
    taught = answer_volume(an_averaging_network, volumes(1, seed=5)[0], known, ASKED)
    plain = answer_volume(an_averaging_network, volumes(1, seed=5)[0], known, AskConfig(planes=(AXIAL,), size=1))
    assert float(taught.var()) < 0.4 * float(plain.var())


def test_a_single_image_is_asked_about_by_its_mirror_image_where_it_has_one(an_averaging_network):
    x = volumes(1)[0]
    alone = [Example(x, 1 - x)]
    assert fitted(an_averaging_network, alone, ASKED, mirrored=False) == {}
    assert set(fitted(an_averaging_network, alone, ASKED, mirrored=True)) == {0}
    mask = [Example(x, (x > 0.5).float())]
    assert fitted(an_averaging_network, mask, ASKED, mirrored=True) == {}, "it may lie on one side"
    sagittal = AskConfig(planes=(0,), size=1, readout=ReadoutConfig())
    as_trained = AskConfig(planes=(0,), size=1)
    same = [answer_volume(an_averaging_network, x, alone, how) for how in (sagittal, as_trained)]
    assert torch.equal(*same)


def test_each_class_is_fitted_as_if_alone():
    torch.manual_seed(0)
    network = Neuralizer(NeuralizerConfig(width=4, stages=2, one_way=True)).eval()
    known = [Example(x, torch.stack([x[0] > 0.7, x[0] < 0.2, x[0] > 2]).float()) for x in volumes(3)]
    together = answer_volume(network, known[0].x, known, ASKED)
    second = answer_volume(network, known[0].x, [Example(e.x, e.y[1:2]) for e in known], ASKED)
    assert torch.allclose(together[1], second[0], atol=1e-4)
    assert not together[2].any(), "what no example shows is not asked for"


def test_a_network_of_the_papers_form_answers_as_it_was_trained():
    torch.manual_seed(0)
    network = Neuralizer(NeuralizerConfig(width=4, stages=2)).eval()
    known = [Example(x, 1 - x) for x in volumes(3)]
    answers = [answer_volume(network, known[0].x, known, how) for how in (ASKED, AskConfig((AXIAL,), size=1))]
    assert torch.equal(*answers)


@pytest.mark.parametrize("shape", [(8, 12), (7, 9)])
def test_columns_come_with_the_answer_at_every_size(shape):
    torch.manual_seed(0)
    network = Neuralizer(NeuralizerConfig(width=4, stages=3, one_way=True)).eval()
    x, context = torch.rand(2, 3, *shape), torch.rand(2, 3, 4, *shape)
    encoded = network.encode(context)
    answer, columns = network.columns(x, encoded)
    assert torch.allclose(answer, network.answer(x, encoded), atol=1e-6)
    alone = network.columns(x[1:], encoded.rows(1, 2))[1]
    assert columns.shape == (2, *shape, 7 * 4 + 27)
    assert torch.allclose(columns[1:], alone, atol=1e-5)
    assert torch.equal(columns[..., -27 + 4], x[:, 0]), "the middle of the first image's surroundings"
