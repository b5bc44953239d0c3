from __future__ import annotations

import dataclasses

import pytest
import torch

from SlicerSynthReg.in_context.inference import fit_ridge_heads, predict_volume
from SlicerSynthReg.in_context.neuralizer import Neuralizer, NeuralizerConfig
from SlicerSynthReg.in_context.ridge_head import PixelSample, RidgeHeadConfig, fit_ridge_head, sample_pixels
from SlicerSynthReg.in_context.slices import Example, InferenceConfig

pytestmark = pytest.mark.usefixtures("inference")
UNREGULARISED = RidgeHeadConfig(penalties=(1e-6,))
AXIAL = 2


@pytest.fixture
def inference():
    with torch.inference_mode():
        yield


def pixels(count: int, features: int = 5) -> torch.Tensor:
    return torch.randn(count, features, generator=torch.Generator().manual_seed(1)) * 3 + 2


def sample(
    features: torch.Tensor,
    target: torch.Tensor,
    prediction: torch.Tensor | None = None,
    weight: torch.Tensor | None = None,
    example: torch.Tensor | None = None,
) -> PixelSample:
    """Return pixels of one example with weight 1 and a prediction of 0, unless given."""
    count = len(features)
    return PixelSample(
        features,
        torch.zeros(count) if prediction is None else prediction,
        target,
        torch.ones(count) if weight is None else weight,
        torch.zeros(count, dtype=torch.long) if example is None else example,
    )


def unexplained(target: torch.Tensor, features: torch.Tensor, config: RidgeHeadConfig) -> float:
    """Return the unexplained share of the variance in held-out pixels."""
    half = len(features) // 2
    head = fit_ridge_head(sample(features[:half], target[:half]), config)
    prediction = head.predict(torch.zeros(1, half, 1), features[half:, None])[0, :, 0]
    return float((prediction - target[half:]).var() / target[half:].var())


def test_a_linear_residual_is_fitted_exactly():
    features = pixels(4000)
    target = features @ torch.tensor([1.0, -2.0, 0.0, 0.5, 0.0]) + 7
    assert unexplained(target, features, UNREGULARISED) < 1e-4


def test_a_nonlinear_residual_needs_random_features():
    features = pixels(4000)
    target = (features[:, 0] - 2) * (features[:, 1] - 2)
    linear = RidgeHeadConfig(penalties=(1e-6,), random_features=0)
    assert unexplained(target, features, linear) > 0.9
    assert unexplained(target, features, UNREGULARISED) < 0.2


def test_a_large_penalty_corrects_the_mean_only():
    features = pixels(1000)
    head = fit_ridge_head(sample(features, features[:, 0]), RidgeHeadConfig(penalties=(1e9,)))
    prediction = head.predict(torch.full((1, 1000, 1), 0.25), features[:, None])
    assert torch.allclose(prediction, 0.25 + features[:, 0].mean(), atol=1e-4)


def test_more_examples_outweigh_the_penalty():
    features = pixels(1000)
    config = RidgeHeadConfig(penalties=(1.0,), random_features=0)
    few, many = (
        fit_ridge_head(sample(features, features[:, 0], example=torch.arange(1000) % n), config) for n in (1, 32)
    )
    assert 0.45 < float(few.weights[1] / few.sd[0]) < 0.55, "as much as the penalty: one half"
    assert 0.95 < float(many.weights[1] / many.sd[0]) < 0.99, "32 of 33"


def test_examples_that_do_not_predict_each_other_give_zero_weights():
    """The residual of each of four examples depends on another feature, or has another sign."""
    features, example = pixels(4000, features=8), torch.arange(4000) % 4
    target = features[torch.arange(4000), example] - 2
    pooled = fit_ridge_head(sample(features, target), RidgeHeadConfig())
    assert float(pooled.weights.abs().max()) > 0.05
    contradicting = target * (1 - 2 * (example % 2))
    assert not fit_ridge_head(sample(features, contradicting, example=example), RidgeHeadConfig()).weights.any()


def test_examples_that_predict_each_other_are_fitted_closely():
    features, example = pixels(4000), torch.arange(4000) % 4
    target = features @ torch.tensor([1.0, -2.0, 0.0, 0.5, 0.0])
    head = fit_ridge_head(sample(features, target, example=example), RidgeHeadConfig(random_features=0))
    assert torch.allclose(head.weights[1:] / head.sd, torch.tensor([1.0, -2, 0, 0.5, 0]), atol=0.02)


def test_a_pixel_of_weight_two_equals_two_pixels():
    features, target = pixels(60), torch.randn(60, generator=torch.Generator().manual_seed(3))
    weight = torch.ones(60)
    weight[:20] = 2
    twice = fit_ridge_head(sample(features, target, weight=weight), RidgeHeadConfig())
    repeated = sample(torch.cat([features, features[:20]]), torch.cat([target, target[:20]]))
    expected = fit_ridge_head(repeated, RidgeHeadConfig())
    predictions = [head.predict(torch.zeros(1, 60, 1), features[:, None]) for head in (twice, expected)]
    assert torch.allclose(*predictions, atol=1e-3)
    once = fit_ridge_head(sample(features, target), RidgeHeadConfig())
    assert not torch.allclose(once.predict(torch.zeros(1, 60, 1), features[:, None]), predictions[0], atol=0.02)


def test_the_threshold_of_masks_maximises_the_dice_of_held_out_examples():
    """Predictions are right up to their height, which is 0.4 at most; the features carry no information."""
    example = torch.arange(3000) % 3
    y = (torch.rand(3000, generator=torch.Generator().manual_seed(0)) < 0.05).float()
    prediction = 0.4 * y + 0.1 * torch.rand(3000, generator=torch.Generator().manual_seed(1))
    config = RidgeHeadConfig(penalties=(1e9,), random_features=0)
    head = fit_ridge_head(sample(pixels(3000), y, prediction, example=example), config)
    corrected = head.predict(prediction.view(1, -1, 1), pixels(3000)[:, None])[0, :, 0]
    assert head.threshold < 0.45 and torch.equal(corrected > 0.5, y > 0)
    quarter = dataclasses.replace(head, threshold=0.25)
    expected = torch.tensor([0.0, 0.5, 0.75, 1.0])
    assert torch.allclose(quarter.recalibrate(torch.tensor([0.0, 0.25, 0.625, 1.0])), expected)


def test_images_keep_the_threshold(an_averaging_network):
    known = [Example(x, 0.9 - 0.7 * x) for x in volumes(4)]
    assert fit_ridge_heads(an_averaging_network, known, CONFIG, mirror=True)[0].threshold == 0.5


def test_half_of_the_sampled_pixels_are_near_masks():
    y = torch.zeros(2, 40, 50)
    y[0, 5:8, 5:8] = 1
    y[1, 30, 40] = 1
    index, weight = sample_pixels(y, 60, 2, torch.Generator().manual_seed(0))
    near = torch.zeros(40, 50, dtype=torch.bool)
    near[3:10, 3:10] = near[28:33, 38:43] = True
    assert int(near.flatten()[index].sum()) == 60 and len(index) == 120
    assert weight.sum() == pytest.approx(2000)
    assert weight[near.flatten()[index]].sum() == pytest.approx(int(near.sum()))
    assert len(index.unique()) == 120


def test_pixels_of_images_are_sampled_uniformly():
    y = torch.rand(2, 40, 50)
    index, weight = sample_pixels(y, 100, 2, torch.Generator().manual_seed(0))
    assert len(index) == 100 and torch.allclose(weight, torch.tensor(20.0))


def volumes(count: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 1, 12, 16, 3, generator=torch.Generator().manual_seed(seed))


CONFIG = InferenceConfig(planes=(AXIAL,), support_size=1, ridge_head=RidgeHeadConfig())


def test_the_head_learns_a_task_that_the_network_does_not_solve(an_averaging_network):
    images = volumes(5)
    known = [Example(x, 0.9 - 0.7 * x) for x in images[1:]]
    plain = predict_volume(an_averaging_network, images[0], known, InferenceConfig(planes=(AXIAL,), support_size=1))
    taught = predict_volume(an_averaging_network, images[0], known, CONFIG)
    truth = 0.9 - 0.7 * images[0]
    assert float((plain - truth).abs().mean()) > 0.1
    assert float((taught - truth).abs().mean()) < 0.02


def test_no_example_is_predicted_from_itself(an_averaging_network):
    """Outputs are independent of all images, so that the mean value is the best prediction. If an example were part of
    its own support set, the mean of the outputs would look predictive and would be kept."""
    known = [Example(x, y) for x, y in zip(volumes(6), volumes(6, seed=9))]
    taught = predict_volume(an_averaging_network, volumes(1, seed=5)[0], known, CONFIG)
    plain = predict_volume(
        an_averaging_network, volumes(1, seed=5)[0], known, InferenceConfig(planes=(AXIAL,), support_size=1)
    )
    assert float(taught.var()) < 0.4 * float(plain.var())


def test_a_single_image_is_predicted_from_its_mirror_image(an_averaging_network):
    x = volumes(1)[0]
    alone = [Example(x, 1 - x)]
    assert fit_ridge_heads(an_averaging_network, alone, CONFIG, mirror=False) == {}
    assert set(fit_ridge_heads(an_averaging_network, alone, CONFIG, mirror=True)) == {0}
    mask = [Example(x, (x > 0.5).float())]
    assert fit_ridge_heads(an_averaging_network, mask, CONFIG, mirror=True) == {}, "a mask may lie on one side"
    sagittal = InferenceConfig(planes=(0,), support_size=1, ridge_head=RidgeHeadConfig())
    trained_head = InferenceConfig(planes=(0,), support_size=1)
    same = [predict_volume(an_averaging_network, x, alone, how) for how in (sagittal, trained_head)]
    assert torch.equal(*same)


def test_each_class_has_its_own_head():
    torch.manual_seed(0)
    network = Neuralizer(NeuralizerConfig(width=4, stages=2, one_way=True)).eval()
    known = [Example(x, torch.stack([x[0] > 0.7, x[0] < 0.2, x[0] > 2]).float()) for x in volumes(3)]
    together = predict_volume(network, known[0].x, known, CONFIG)
    second = predict_volume(network, known[0].x, [Example(e.x, e.y[1:2]) for e in known], CONFIG)
    assert torch.allclose(together[1], second[0], atol=1e-4)
    assert not together[2].any(), "no example shows this class"


def test_the_papers_network_ignores_the_ridge_head():
    torch.manual_seed(0)
    network = Neuralizer(NeuralizerConfig(width=4, stages=2)).eval()
    known = [Example(x, 1 - x) for x in volumes(3)]
    predictions = [
        predict_volume(network, known[0].x, known, how) for how in (CONFIG, InferenceConfig((AXIAL,), support_size=1))
    ]
    assert torch.equal(*predictions)


@pytest.mark.parametrize("shape", [(8, 12), (7, 9)])
def test_pixel_features_come_with_the_prediction_at_every_size(shape):
    torch.manual_seed(0)
    network = Neuralizer(NeuralizerConfig(width=4, stages=3, one_way=True)).eval()
    x, support = torch.rand(2, 3, *shape), torch.rand(2, 3, 4, *shape)
    encoded = network.encode(support)
    prediction, features = network.pixel_features(x, encoded)
    assert torch.allclose(prediction, network.predict(x, encoded), atol=1e-6)
    alone = network.pixel_features(x[1:], encoded.rows(1, 2))[1]
    assert features.shape == (2, *shape, 7 * 4 + 27)
    assert torch.allclose(features[1:], alone, atol=1e-5)
    assert torch.equal(features[..., -27 + 4], x[:, 0]), "the centre of the first image's neighbourhood"
