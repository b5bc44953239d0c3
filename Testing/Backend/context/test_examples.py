from __future__ import annotations

import math

import pytest
import torch

from SlicerSynthReg.methods.neuralizer.examples import answer_volume, roughness
from SlicerSynthReg.methods.neuralizer.model import Neuralizer, NeuralizerConfig
from SlicerSynthReg.methods.neuralizer.slices import (
    AskConfig,
    Example,
    bootstrapped,
    pairs_of,
    slice_context,
    slice_input,
)


def examples(count: int, classes: int = 2) -> list[Example]:
    generator = torch.Generator().manual_seed(0)
    return [
        Example(
            torch.rand(1, 6, 10, 12, generator=generator),
            (torch.rand(classes, 6, 10, 12, generator=generator) > 0.6).float(),
        )
        for _ in range(count)
    ]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_every_slice_of_any_plane_is_asked_with_the_same_slice_of_the_examples(an_averaging_network, axis):
    known = examples(3)
    config = AskConfig(planes=(axis,), size=3)
    answer = answer_volume(an_averaging_network, known[0].x, known, config)
    assert torch.allclose(answer, torch.stack([e.y for e in known]).mean(0), atol=1e-5)


def test_neighbouring_slices_of_an_example_are_examples_too(an_averaging_network):
    known = examples(2)
    answer = answer_volume(an_averaging_network, known[0].x, known, AskConfig(planes=(0,), size=1, spread=1))
    y = torch.stack([e.y for e in known]).mean(0)
    assert torch.allclose(answer[:, 2], y[:, 1:4].mean(1), atol=1e-5)
    assert torch.allclose(answer[:, 0], y[:, 0:2].mean(1), atol=1e-5)


def test_of_thin_slices_every_other_one_is_an_example(an_averaging_network):
    known = examples(2)
    y = torch.stack([e.y for e in known]).mean(0)
    for spread, third in ((1, y[:, 2:5:2].mean(1)), (0, y[:, 2])):
        config = AskConfig(planes=(0,), size=1, spread=spread, apart=2)
        answer = answer_volume(an_averaging_network, known[0].x, known, config)
        assert torch.allclose(answer[:, 2], y[:, 2], atol=1e-5)
        assert torch.allclose(answer[:, 3], third, atol=1e-5)
        assert torch.allclose(answer[:, 5], y[:, 4], atol=1e-5), "the last has none above it"


@pytest.mark.parametrize("one_way", [False, True])
def test_classes_in_one_batch_are_answered_as_each_alone(one_way):
    torch.manual_seed(0)
    network = Neuralizer(NeuralizerConfig(width=4, stages=2, one_way=one_way)).eval()
    known = examples(2, classes=3)
    config = AskConfig(planes=(0,), size=2)
    with torch.no_grad():
        together = answer_volume(network, known[1].x, known, config)
        alone = answer_volume(network, known[1].x, [Example(e.x, e.y[2:3]) for e in known], config)
    assert torch.allclose(together[2], alone[0], atol=1e-5)


@pytest.mark.parametrize(("size", "apart", "encodings"), [(4, 1, 6), (7, 1, 6), (2, 2, 3)])
def test_examples_encoded_slice_by_slice_are_those_of_the_whole_context(size, apart, encodings, monkeypatch):
    """size: 7 has moved copies among them, and the first and last slice have fewer neighbours."""
    torch.manual_seed(0)
    network = Neuralizer(NeuralizerConfig(width=4, stages=2, one_way=True)).eval()
    encoded, encode = [], network.encode

    def counting(context, at_once):
        encoded.append(tuple(context.shape[:2]))
        return encode(context, at_once)

    monkeypatch.setattr(network, "encode", counting)
    known = examples(2)
    config = AskConfig(planes=(0,), size=size, spread=1, apart=apart)
    with torch.no_grad():
        answer = answer_volume(network, known[1].x, known, config)
        for n in range(6):
            context = pairs_of(*slice_context(known, n, config), [0, 1])
            plain = network.answer(slice_input(known[1].x, n, config)[None].expand(2, -1, -1, -1), encode(context))
            assert torch.allclose(answer[:, n], plain[:, 0].clamp(0, 1), atol=1e-5)
    assert encoded.count((2, 2)) == encodings, "each slice once, for two classes and two examples"


def test_a_class_that_no_example_shows_in_a_slice_is_not_found_there():
    torch.manual_seed(0)
    network = Neuralizer(NeuralizerConfig(width=4, stages=2)).eval()
    torch.nn.init.ones_(network.head.bias)
    known = examples(2)
    for example in known:
        example.y[1, 3] = 0
    with torch.no_grad():
        answer = answer_volume(network, known[0].x, known, AskConfig(planes=(0,), size=2))
    assert float(answer[1, 3].abs().max()) == 0 and float(answer[0, 3].max()) > 0


def test_a_context_is_filled_up_with_moved_copies_of_itself():
    known = examples(2)
    x, y = slice_context(known, 2, AskConfig(planes=(0,), size=7))
    assert x.shape == (7, 3, 10, 12) and y.shape == (7, 2, 10, 12)
    assert torch.equal(x[:2, 0], torch.stack([e.x[0, 2] for e in known]))
    again = slice_context(known, 2, AskConfig(planes=(0,), size=7))[0]
    assert torch.equal(x, again) and not torch.equal(x[2], x[3])


def test_what_is_copied_moves_with_its_answer():
    x = torch.rand(1, 3, 20, 20)
    far = AskConfig(size=5, move_degrees=20, move_pixels=4)
    moved, answers = bootstrapped(x, x[:, :1], far, torch.Generator().manual_seed(1))
    assert torch.equal(moved[:, :1], answers) and not torch.allclose(moved[1], moved[0], atol=0.05)


def test_one_image_may_be_shown_with_the_slices_about_it():
    x = torch.arange(5.0).view(1, 5, 1, 1).expand(1, 5, 4, 4)
    config = AskConfig(neighbours=True)
    assert slice_input(x, 2, config)[:, 0, 0].tolist() == [1, 2, 3]
    assert slice_input(x, 0, config)[:, 0, 0].tolist() == [0, 0, 1]
    assert slice_input(x, 2, AskConfig())[:, 0, 0].tolist() == [2, 0, 0]


def test_flicker_from_slice_to_slice_is_rough_and_a_ball_is_not():
    i, j, k = torch.meshgrid(*[torch.arange(24) - 11.5] * 3, indexing="ij")
    ball = i**2 + j**2 + k**2 < 64
    assert roughness(ball, 2) == pytest.approx(1.0)
    flickering = ball & ((k + 0.5).long() % 2 == 0)
    assert roughness(flickering, 2) > 3 and math.isnan(roughness(torch.zeros_like(ball), 2))
