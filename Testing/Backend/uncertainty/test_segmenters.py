from __future__ import annotations

import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from SlicerSynthReg.metrics.uncertainty import argmax_masks, generalised_energy_distance, sample_diversity
from SlicerSynthReg.networks.unet import UNetConfig
from SlicerSynthReg.uncertainty.segmenters import (
    KINDS,
    DropoutUNet,
    ProbabilisticConfig,
    ProbabilisticUNet,
    build_segmenter,
    gaussian_kl,
    sample_annotator,
)

NET = UNetConfig(1, 2, (4, 8))


def a_config(kind: str) -> ProbabilisticConfig:
    return ProbabilisticConfig(kind, NET, members=2, dropout=0.5, latent=3)


def seeded(n: int) -> torch.Generator:
    return torch.Generator().manual_seed(n)


def a_case() -> tuple[torch.Tensor, torch.Tensor]:
    """Return an image of a bright cube, annotated small by one annotator and large by the other."""
    image = 0.1 * torch.randn(1, 1, 12, 12, 12, generator=seeded(0))
    image[:, :, 4:8, 4:8, 4:8] += 1
    small, large = torch.zeros(2, 12, 12, 12).long()
    small[4:8, 4:8, 4:8] = 1
    large[3:9, 3:9, 3:9] = 1
    return image, torch.stack([small, large])[None]


@pytest.mark.parametrize("kind", KINDS)
def test_samples_are_probabilities_and_follow_the_seed(kind):
    torch.manual_seed(0)
    model = build_segmenter(a_config(kind)).eval()
    image = torch.rand(2, 1, 9, 12, 10)
    with torch.no_grad():
        samples = model.samples(image, 4, seeded(1))
        again = model.samples(image, 4, seeded(1))
    assert samples.shape[1:] == (2, 2, 9, 12, 10) and len(samples) == {"unet": 1, "ensemble": 2}.get(kind, 4)
    assert torch.allclose(samples.sum(2), torch.ones_like(samples[:, :, 0]), atol=1e-5)
    assert torch.equal(samples, again)
    if kind != "unet":
        assert not torch.allclose(samples[0], samples[1], atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_every_model_learns_from_several_annotators(kind):
    torch.manual_seed(0)
    model = build_segmenter(a_config(kind))
    image, annotations = a_case()
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    losses = []
    for step in range(20):
        loss = model.loss(image, annotations, seeded(step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])


def test_ensemble_members_learn_from_their_own_annotators():
    torch.manual_seed(0)
    model = build_segmenter(a_config("ensemble"))
    image, annotations = a_case()
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for step in range(40):
        optimizer.zero_grad()
        model.loss(image, annotations, seeded(step)).backward()
        optimizer.step()
    with torch.no_grad():
        masks = [member(image).argmax(1)[0] for member in model.members]
        sampled = argmax_masks(model.samples(image, 16, seeded(0))[:, 0])
    first, second = (int(mask.sum()) for mask in masks)
    assert abs(first - 64) < 30 and abs(second - 216) < 60
    assert sample_diversity(sampled) > 0.2
    assert generalised_energy_distance(annotations[0], sampled) < generalised_energy_distance(
        annotations[0], annotations[0, :1]
    )


def test_dropout_keeps_the_mean_of_a_feature_and_drops_whole_maps():
    model = DropoutUNet(a_config("dropout"))
    dropped = torch.stack([model._dropped(torch.ones(1, 4, 2, 2, 2), seeded(n)) for n in range(400)])
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert bool((dropped == dropped[..., :1, :1, :1]).all()) and abs(float(dropped.mean()) - 1) < 0.1


def test_the_kl_divergence_of_gaussians_equals_torchs():
    mean, log_variance, other, other_log = torch.randn(4, 5, 3, generator=seeded(2))
    p = Independent(Normal(mean, (0.5 * log_variance).exp()), 1)
    q = Independent(Normal(other, (0.5 * other_log).exp()), 1)
    assert torch.allclose(gaussian_kl(mean, log_variance, other, other_log), kl_divergence(p, q), atol=1e-4)


def test_only_the_latent_varies_the_mask():
    torch.manual_seed(0)
    model = ProbabilisticUNet(a_config("probabilistic")).eval()
    image = torch.rand(1, 1, 8, 8, 8)
    with torch.no_grad():
        model.prior.head.weight.zero_()
        model.prior.head.bias.copy_(torch.tensor([0.0, 0, 0, -30, -30, -30]))
        fixed = model.samples(image, 3, seeded(0))
        model.prior.head.bias.copy_(torch.tensor([0.0, 0, 0, 2, 2, 2]))
        free = model.samples(image, 3, seeded(0))
    assert 0 < 20 * float((fixed[0] - fixed[1]).abs().max()) < float((free[0] - free[1]).abs().max())


def test_an_annotator_is_sampled_for_each_element():
    annotations = torch.arange(3).view(1, 3, 1, 1, 1).repeat(60, 1, 2, 2, 2)
    picked = sample_annotator(annotations, seeded(0))
    assert picked.shape == (60, 2, 2, 2) and set(picked[:, 0, 0, 0].tolist()) == {0, 1, 2}


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="Found kind 'bayes', expected one of unet, ensemble"):
        ProbabilisticConfig("bayes")
