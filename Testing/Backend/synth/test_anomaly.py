from __future__ import annotations

import dataclasses
import json

import pytest
import torch

from SlicerSynthReg.synth import draw
from SlicerSynthReg.synth.pathology.anomaly import (
    AnomalyConfig,
    AnomalyDraw,
    draw_anomaly,
    make_anomalies,
    transport_of,
)

N = 24


def a_ball(share: float) -> torch.Tensor:
    at = torch.linspace(-1, 1, N)
    return at[:, None, None] ** 2 + at[:, None] ** 2 + at**2 < share**2


@pytest.fixture
def a_brain() -> torch.Tensor:
    return a_ball(0.9)[None]


@pytest.fixture
def a_lesion() -> torch.Tensor:
    lesion = torch.zeros(9, 8, 7)
    lesion[2:7, 2:6, 2:5] = 1
    return lesion


def drawn(seed: int, **more) -> AnomalyDraw:
    return draw_anomaly(AnomalyConfig(**more), torch.Generator().manual_seed(seed))


def test_a_draw_rebuilds_from_json_and_makes_the_same_anomaly(a_brain, a_lesion):
    record = drawn(4, masks=1.0)
    again = draw.from_json(AnomalyDraw, json.loads(json.dumps(draw.to_json(record))))
    assert again == record
    assert torch.equal(*(make_anomalies([r], a_brain, 6.0, (a_lesion,)) for r in (record, again)))


def test_the_potentials_are_drawn_apart():
    """Seeds by the clock, as in the paper's public code, could make the flow's three potentials one."""
    assert all(len(set(drawn(n).seeds)) == 5 for n in range(50))


def test_at_time_zero_a_perlin_shape_covers_what_its_percentile_leaves(a_brain):
    record = dataclasses.replace(drawn(1, masks=0.0), percentile=92.0, time=0.0)
    found = make_anomalies([record], a_brain, 6.0)
    assert set(found.unique().tolist()) == {0.0, 1.0}
    assert float(found.sum() / a_brain.sum()) == pytest.approx(0.08, abs=0.01)
    assert not found[~a_brain].any()


def test_at_time_zero_a_mask_is_the_lesion_put_into_the_domain(a_brain, a_lesion):
    record = dataclasses.replace(drawn(3, masks=1.0), time=0.0)
    found = make_anomalies([record], a_brain, 6.0, (a_lesion,))
    scale = abs(torch.linalg.det(torch.tensor(record.placing.matrix)[:, :3]))
    assert 0 < float(found.sum()) <= 1.25 * float(a_lesion.sum() / scale)
    assert not found[~a_brain].any()
    assert not torch.equal(found, make_anomalies([record], a_brain, 6.0))  # without masks it is another shape


def test_it_moves_and_stays_inside(a_brain):
    record = dataclasses.replace(drawn(5, masks=0.0), speed_mm=6.0, diffusion_mm2=2.0)
    start, end = (make_anomalies([dataclasses.replace(record, time=t)], a_brain, 2.0) for t in (0.0, 0.9))
    assert float((end - start).abs().max()) > 0.3
    assert float(end.sum()) == pytest.approx(float(start.sum()), rel=2e-3)
    assert not end[~a_brain].any() and float(end.min()) >= 0 and float(end.max()) <= 1


def test_flow_and_diffusion_have_the_drawn_means_whatever_the_voxel(a_brain):
    for spacing in (2.0, 4.0):
        record = dataclasses.replace(drawn(6), speed_mm=5.0, diffusion_mm2=3.0)
        transport = transport_of([record], a_brain, spacing)
        assert float(transport.diffusion[a_brain].mean()) * spacing**2 == pytest.approx(3.0, rel=1e-3)
        along_one_axis = transport.velocity[0][:, 1:-1][a_brain[:, 1:] & a_brain[:, :-1]]
        assert 0.25 < float(along_one_axis.abs().mean()) * spacing / 5.0 < 0.75


def test_a_row_is_the_same_alone(a_brain, a_lesion):
    records = [drawn(7, masks=1.0), drawn(8, masks=0.0)]
    both = make_anomalies(records, a_brain.repeat(2, 1, 1, 1), 6.0, (a_lesion,))
    for row, record in enumerate(records):
        assert torch.allclose(make_anomalies([record], a_brain, 6.0, (a_lesion,))[0], both[row], atol=5e-3)


def test_an_empty_domain_has_no_anomaly():
    assert not make_anomalies([drawn(9)], torch.zeros(1, N, N, N, dtype=torch.bool), 4.0).any()
