from __future__ import annotations

import math

import pytest
import torch

from SlicerSynthReg.in_context.inference import predict_volume, through_plane_roughness
from SlicerSynthReg.in_context.neuralizer import Neuralizer, NeuralizerConfig
from SlicerSynthReg.in_context.slices import (
    Example,
    InferenceConfig,
    fill_support,
    slice_input,
    stack_examples,
    support_set,
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
def test_each_slice_is_predicted_from_the_same_slice_of_the_examples(an_averaging_network, axis):
    known = examples(3)
    config = InferenceConfig(planes=(axis,), support_size=3)
    prediction = predict_volume(an_averaging_network, known[0].x, known, config)
    assert torch.allclose(prediction, torch.stack([e.y for e in known]).mean(0), atol=1e-5)


def test_neighbouring_slices_of_an_example_join_the_support_set(an_averaging_network):
    known = examples(2)
    prediction = predict_volume(
        an_averaging_network, known[0].x, known, InferenceConfig(planes=(0,), support_size=1, support_slices=1)
    )
    y = torch.stack([e.y for e in known]).mean(0)
    assert torch.allclose(prediction[:, 2], y[:, 1:4].mean(1), atol=1e-5)
    assert torch.allclose(prediction[:, 0], y[:, 0:2].mean(1), atol=1e-5)


def test_slice_step_skips_thin_slices(an_averaging_network):
    known = examples(2)
    y = torch.stack([e.y for e in known]).mean(0)
    for reach, third in ((1, y[:, 2:5:2].mean(1)), (0, y[:, 2])):
        config = InferenceConfig(planes=(0,), support_size=1, support_slices=reach, slice_step=2)
        prediction = predict_volume(an_averaging_network, known[0].x, known, config)
        assert torch.allclose(prediction[:, 2], y[:, 2], atol=1e-5)
        assert torch.allclose(prediction[:, 3], third, atol=1e-5)
        assert torch.allclose(prediction[:, 5], y[:, 4], atol=1e-5), "the last has none above it"


@pytest.mark.parametrize("one_way", [False, True])
def test_a_batch_of_classes_equals_each_class_alone(one_way):
    torch.manual_seed(0)
    network = Neuralizer(NeuralizerConfig(width=4, stages=2, one_way=one_way)).eval()
    known = examples(2, classes=3)
    config = InferenceConfig(planes=(0,), support_size=2)
    with torch.no_grad():
        together = predict_volume(network, known[1].x, known, config)
        single = predict_volume(network, known[1].x, [Example(e.x, e.y[2:3]) for e in known], config)
    assert torch.allclose(together[2], single[0], atol=1e-5)


@pytest.mark.parametrize(("size", "step", "encodings"), [(4, 1, 6), (7, 1, 6), (2, 2, 3)])
def test_cached_encodings_equal_the_encoding_of_the_whole_support_set(size, step, encodings, monkeypatch):
    """A size of 7 includes jittered copies; the first and last slice have fewer neighbours."""
    torch.manual_seed(0)
    network = Neuralizer(NeuralizerConfig(width=4, stages=2, one_way=True)).eval()
    encoded, encode = [], network.encode

    def counting(support, chunk_size):
        encoded.append(tuple(support.shape[:2]))
        return encode(support, chunk_size)

    monkeypatch.setattr(network, "encode", counting)
    known = examples(2)
    config = InferenceConfig(planes=(0,), support_size=size, support_slices=1, slice_step=step)
    with torch.no_grad():
        prediction = predict_volume(network, known[1].x, known, config)
        for n in range(6):
            support = stack_examples(*support_set(known, n, config), [0, 1])
            x = slice_input(known[1].x, n, config)[None].expand(2, -1, -1, -1)
            plain = network.predict(x, encode(support))
            assert torch.allclose(prediction[:, n], plain[:, 0].clamp(0, 1), atol=1e-5)
    assert encoded.count((2, 2)) == encodings, "each slice once, for two classes and two examples"


def test_a_class_without_example_in_a_slice_is_zero_there():
    torch.manual_seed(0)
    network = Neuralizer(NeuralizerConfig(width=4, stages=2)).eval()
    torch.nn.init.ones_(network.head.bias)
    known = examples(2)
    for example in known:
        example.y[1, 3] = 0
    with torch.no_grad():
        prediction = predict_volume(network, known[0].x, known, InferenceConfig(planes=(0,), support_size=2))
    assert float(prediction[1, 3].abs().max()) == 0 and float(prediction[0, 3].max()) > 0


def test_a_small_support_set_is_filled_up_with_jittered_copies():
    known = examples(2)
    x, y = support_set(known, 2, InferenceConfig(planes=(0,), support_size=7))
    assert x.shape == (7, 3, 10, 12) and y.shape == (7, 2, 10, 12)
    assert torch.equal(x[:2, 0], torch.stack([e.x[0, 2] for e in known]))
    again = support_set(known, 2, InferenceConfig(planes=(0,), support_size=7))[0]
    assert torch.equal(x, again) and not torch.equal(x[2], x[3])


def test_input_and_output_of_a_copy_share_the_jitter():
    x = torch.rand(1, 3, 20, 20)
    far = InferenceConfig(support_size=5, jitter_degrees=20, jitter_pixels=4)
    filled, outputs = fill_support(x, x[:, :1], far, torch.Generator().manual_seed(1))
    assert torch.equal(filled[:, :1], outputs) and not torch.allclose(filled[1], filled[0], atol=0.05)


def test_adjacent_slices_are_the_channels_of_a_single_image():
    x = torch.arange(5.0).view(1, 5, 1, 1).expand(1, 5, 4, 4)
    config = InferenceConfig(adjacent_slices=True)
    assert slice_input(x, 2, config)[:, 0, 0].tolist() == [1, 2, 3]
    assert slice_input(x, 0, config)[:, 0, 0].tolist() == [0, 0, 1]
    assert slice_input(x, 2, InferenceConfig())[:, 0, 0].tolist() == [2, 0, 0]


def test_inconsistent_slices_are_rough_and_a_ball_is_not():
    i, j, k = torch.meshgrid(*[torch.arange(24) - 11.5] * 3, indexing="ij")
    ball = i**2 + j**2 + k**2 < 64
    assert through_plane_roughness(ball, 2) == pytest.approx(1.0)
    flickering = ball & ((k + 0.5).long() % 2 == 0)
    assert through_plane_roughness(flickering, 2) > 3 and math.isnan(through_plane_roughness(torch.zeros_like(ball), 2))
