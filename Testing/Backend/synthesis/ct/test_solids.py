"""Distances against geometry, and painted shares against volumes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from SlicerSynthReg.synthesis.ct.canvas import NATIVE, Canvas, tissue_palette
from SlicerSynthReg.synthesis.ct.solids import BlendedUnion, Ellipsoid, Tube, smooth_minimum, spline_tube
from SlicerSynthReg.synthesis.ct.tissue import TISSUES

NATIVE_HU = tuple(tissue.hu for tissue in TISSUES.values())


def a_canvas(shape=(40, 40, 16), step=(1.0, 1.0, 3.0), through=None) -> Canvas:
    lines = tuple((torch.arange(n) - (n - 1) / 2) * s for n, s in zip(shape, step))
    points = torch.stack(torch.meshgrid(*lines, indexing="ij"))
    return Canvas(points, lines, 0.0, tissue_palette(NATIVE_HU, {}), step[0], step[2] if through is None else through)


def points_on(ellipsoid: Ellipsoid, generator: torch.Generator) -> torch.Tensor:
    unit = torch.nn.functional.normalize(torch.randn((3, 200), generator=generator), dim=0).double().numpy()
    turn = Rotation.from_euler("xyz", ellipsoid.turn, degrees=True).as_matrix()
    return torch.from_numpy(
        turn @ (unit * np.array(ellipsoid.radii)[:, None]) + np.array(ellipsoid.center)[:, None]
    ).float()


def test_a_turned_ellipsoid_is_zero_on_its_surface_and_lies_in_its_box(seeded):
    ellipsoid = Ellipsoid((3.0, -7.0, 11.0), (5.0, 9.0, 20.0), (20.0, -35.0, 70.0))
    surface = points_on(ellipsoid, seeded(0))
    assert ellipsoid.distance(surface).abs().max() < 1e-3
    low, high = ellipsoid.box()
    assert (surface.numpy() >= low[:, None] - 1e-3).all() and (surface.numpy() <= high[:, None] + 1e-3).all()
    reached = np.array([surface.numpy().min(1), surface.numpy().max(1)])
    assert np.abs(reached - [low, high]).max() < 1.5  # the box is tight, not the longest radius all round


def test_a_sphere_and_a_tube_are_exact_everywhere(seeded):
    at = torch.randn((3, 100), generator=seeded(1)) * 20
    sphere = Ellipsoid((1.0, 2.0, 3.0), (4.0, 4.0, 4.0))
    center = torch.tensor([[1.0], [2.0], [3.0]])
    assert torch.allclose(sphere.distance(at), (at - center).norm(dim=0) - 4, atol=1e-3)
    rod = Tube(((0.0, 0.0, -10.0), (0.0, 0.0, 10.0)), (3.0, 3.0))
    beyond = (at[2].abs() - 10).clamp_min(0)
    assert torch.allclose(rod.distance(at), (at[0] ** 2 + at[1] ** 2 + beyond**2).sqrt() - 3, atol=1e-4)


def test_a_long_tube_is_the_nearest_of_its_pieces_on_the_canvas_too():
    tube = spline_tube([(-15, -15, -18), (0, 10, 0), (15, -5, 18)], [2.0, 3.0, 1.5], 5)
    canvas = a_canvas()
    box = canvas.bounding_slices(*tube.box())
    near = tube.distance(canvas.points[(slice(None), *box)])
    assert torch.equal((canvas.distance(tube, box) < 1), near < 1)
    assert torch.allclose(canvas.distance(tube, box)[near < 1], near[near < 1])


def test_a_curve_passes_through_its_controls():
    controls = [(0, 0, 0), (10, 5, 0), (20, 0, 8)]
    tube = spline_tube(controls, [1, 2, 3], 4)
    for point, radius in zip(controls, (1, 2, 3)):
        at = [n for n, p in enumerate(tube.points) if np.allclose(p, point)]
        assert len(at) == 1 and tube.radii[at[0]] == pytest.approx(radius)


def test_carving_takes_away_and_joining_rounds_only_where_both_are_near():
    ball = Ellipsoid((0.0, 0.0, 0.0), (10.0, 10.0, 10.0))
    bite = Ellipsoid((10.0, 0.0, 0.0), (5.0, 5.0, 5.0))
    inside_bite, far_side = torch.tensor([[9.0], [0], [0]]), torch.tensor([[-9.0], [0], [0]])
    carved = BlendedUnion((ball,), (bite,), 2.0)
    assert carved.distance(inside_bite) > 3 and carved.distance(far_side) == ball.distance(far_side)
    a, b = torch.tensor([0.0, 0.0, 1.0]), torch.tensor([5.0, 0.0, 0.0])
    assert torch.allclose(smooth_minimum(a, b, 4.0), torch.tensor([0.0, -1.0, -0.5625]))


@pytest.mark.parametrize("step", [(1.0, 1.0, 1.0), (1.0, 1.0, 3.0)])
def test_a_painted_sphere_has_its_volume_wherever_its_center_falls(step):
    """Counting voxel centres instead of shares jumps with the centre by several percent."""
    volumes, counted = [], []
    for center in ((0.0, 0.0, 0.0), (0.37, -0.21, 1.3), (0.5, 0.5, 0.75)):
        canvas = a_canvas(step=step, shape=(40, 40, 40 if step[2] == 1 else 16))
        canvas.paint_solid(Ellipsoid(center, (8.0, 8.0, 8.0)), "muscle")
        share = (canvas.layer(NATIVE) + 1000) / (TISSUES["muscle"].hu + 1000)
        volumes.append(float(share.sum()) * math.prod(step))
        counted.append(float((share > 0.5).sum()) * math.prod(step))
    assert volumes == pytest.approx([4 / 3 * math.pi * 8**3] * 3, rel=0.02)
    assert np.ptp(volumes) < 0.006 * volumes[0] < np.ptp(counted)


def test_a_thick_slice_across_a_level_face_shows_the_share_and_a_thin_one_does_not():
    for through, expected in ((3.0, 0.5 + 0.6 / 3.0), (1.0, 1.0)):
        canvas = a_canvas(through=through)
        at = float(canvas.points[2, 0, 0, 8])
        canvas.paint(canvas.points[2] - (at + 0.6), canvas.everywhere, "muscle")
        share = (canvas.layer(NATIVE)[5, 5, 8] + 1000) / (TISSUES["muscle"].hu + 1000)
        assert float(share) == pytest.approx(expected, abs=1e-4)


def test_what_is_painted_later_lies_on_top_and_labels_are_kept_set_or_cleared():
    canvas = a_canvas()
    ball = Ellipsoid((0.0, 0.0, 0.0), (8.0, 8.0, 12.0))
    canvas.paint_solid(ball, "liver", 5)
    canvas.paint_solid(ball, "portal vein", None, grow=-4.0)
    assert canvas.labels[20, 20, 8] == 5 and canvas.layer(NATIVE)[20, 20, 8] == TISSUES["portal vein"].hu
    canvas.paint_solid(ball, "fat", 0, grow=-4.0)
    assert canvas.labels[20, 20, 8] == 0 and canvas.labels[14, 20, 8] == 5


def test_nothing_outside_its_limits_is_painted():
    canvas = a_canvas()
    canvas.paint_solid(Ellipsoid((0.0, 0.0, 0.0), (9.0, 9.0, 9.0)), "liver", 5, within=canvas.points[0] + 1.0)
    assert (canvas.points[0][canvas.labels == 5] < -0.5).all() and (canvas.labels == 5).sum() > 100
    assert canvas.bounding_slices(np.array([100.0, 0, 0]), np.array([120.0, 1, 1])) is None
