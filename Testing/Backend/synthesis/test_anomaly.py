from __future__ import annotations

import dataclasses
import json

import pytest
import torch

from SlicerSynthReg.synthesis import draw
from SlicerSynthReg.synthesis.pathology.anomaly import (
    AnomalyConfig,
    AnomalyDraw,
    draw_anomaly,
    make_anomalies,
    random_transport,
)

N = 24


def ball(radius: float) -> torch.Tensor:
    at = torch.linspace(-1, 1, N)
    return at[:, None, None] ** 2 + at[:, None] ** 2 + at**2 < radius**2


@pytest.fixture
def brain() -> torch.Tensor:
    return ball(0.9)[None]


@pytest.fixture
def lesion() -> torch.Tensor:
    mask = torch.zeros(9, 8, 7)
    mask[2:7, 2:6, 2:5] = 1
    return mask


def drawn(seed: int, **more) -> AnomalyDraw:
    return draw_anomaly(AnomalyConfig(**more), torch.Generator().manual_seed(seed))


def test_draw_from_json_gives_the_same_anomaly(brain, lesion):
    record = drawn(4, mask_probability=1.0)
    again = draw.from_json(AnomalyDraw, json.loads(json.dumps(draw.to_json(record))))
    assert again == record
    assert torch.equal(*(make_anomalies([r], brain, 6.0, (lesion,)) for r in (record, again)))


def test_potentials_have_different_seeds():
    """Seeds from the clock, as in the paper's public code, could make the three potentials equal."""
    assert all(len(set(drawn(n).seeds)) == 5 for n in range(50))


def test_initial_perlin_shape_covers_the_share_above_the_percentile(brain):
    record = dataclasses.replace(drawn(1, mask_probability=0.0), percentile=92.0, time=0.0)
    found = make_anomalies([record], brain, 6.0)
    assert set(found.unique().tolist()) == {0.0, 1.0}
    assert float(found.sum() / brain.sum()) == pytest.approx(0.08, abs=0.01)
    assert not found[~brain].any()


def test_initial_mask_is_the_lesion_in_its_pose(brain, lesion):
    record = dataclasses.replace(drawn(3, mask_probability=1.0), time=0.0)
    found = make_anomalies([record], brain, 6.0, (lesion,))
    scale = abs(torch.linalg.det(torch.tensor(record.pose.matrix)[:, :3]))
    assert 0 < float(found.sum()) <= 1.25 * float(lesion.sum() / scale)
    assert not found[~brain].any()
    assert not torch.equal(found, make_anomalies([record], brain, 6.0))  # Perlin noise without masks


def test_transport_moves_the_profile_and_conserves_mass_in_the_domain(brain):
    record = dataclasses.replace(drawn(5, mask_probability=0.0), speed_mm=6.0, diffusion_mm2=2.0)
    start, end = (make_anomalies([dataclasses.replace(record, time=t)], brain, 2.0) for t in (0.0, 0.9))
    assert float((end - start).abs().max()) > 0.3
    assert float(end.sum()) == pytest.approx(float(start.sum()), rel=2e-3)
    assert not end[~brain].any() and float(end.min()) >= 0 and float(end.max()) <= 1


def test_speed_and_diffusion_have_the_drawn_means_at_any_spacing(brain):
    for spacing in (2.0, 4.0):
        record = dataclasses.replace(drawn(6), speed_mm=5.0, diffusion_mm2=3.0)
        transport = random_transport([record], brain, spacing)
        assert float(transport.diffusion[brain].mean()) * spacing**2 == pytest.approx(3.0, rel=1e-3)
        along_one_axis = transport.velocity[0][:, 1:-1][brain[:, 1:] & brain[:, :-1]]
        assert 0.25 < float(along_one_axis.abs().mean()) * spacing / 5.0 < 0.75


def test_batch_element_equals_the_single_anomaly(brain, lesion):
    records = [drawn(7, mask_probability=1.0), drawn(8, mask_probability=0.0)]
    both = make_anomalies(records, brain.repeat(2, 1, 1, 1), 6.0, (lesion,))
    for row, record in enumerate(records):
        assert torch.allclose(make_anomalies([record], brain, 6.0, (lesion,))[0], both[row], atol=5e-3)


def test_empty_domain_has_no_anomaly():
    assert not make_anomalies([drawn(9)], torch.zeros(1, N, N, N, dtype=torch.bool), 4.0).any()
