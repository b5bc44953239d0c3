"""Pairs that do not fit, by the backend's own registration: told in plain words, or made good, and never passed over in
silence."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import vtk
from SynthRegLib.registration_inputs import RegistrationNodes
from SynthRegLib.registration_job import register
from SynthRegLib.scene_worker import nodes_spec
from SynthRegLib.settings import Preset, Settings

from SlicerSynthReg.errors import RequestError
from SlicerSynthReg.parameters.registration import RegisterParameters
from SlicerSynthReg.service.run import run
from SlicerSynthReg.tasks.registry import TASKS
from Testing.Slicer.scenes import label_map

SHAPE = (44, 40, 36)
PLAIN = np.array([[3.0, 0, 0, -64.5], [0, 3.0, 0, -58.5], [0, 0, 3.0, -52.5], [0, 0, 0, 1]])
ANY = Settings(Preset.ANY_ANATOMY)


def body(mirrored: bool = False) -> np.ndarray:
    """(I, J, K) a limb of several parts that tell left from right."""
    index = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1).reshape(-1, 3)
    points = (index @ PLAIN[:3, :3].T + PLAIN[:3, 3]) * ([-1, 1, 1] if mirrored else [1, 1, 1])
    values = np.zeros(len(points))
    for center, radii, value in (
        ((0, 0, 0), (50, 44, 40), 300),
        ((-22, 8, 6), (14, 20, 18), 500),
        ((20, -12, -10), (18, 10, 14), -200),
        ((-10, -22, 16), (9, 12, 8), 300),
        ((28, 18, 12), (8, 8, 16), 450),
    ):
        radius = np.sqrt((((points - center) / np.array(radii)) ** 2).sum(1))
        values += value * 0.5 * (1 - np.tanh((radius - 1) / 0.12))
    return values.reshape(SHAPE)


def scan(name: str, values: np.ndarray, affine: np.ndarray = PLAIN):
    return slicer.util.addVolumeFromArray(np.ascontiguousarray(values.T).astype(np.int16), affine, name)


def door(request, progress):
    return run(request, progress, {**TASKS, "register_nodes": nodes_spec("register")})


def landed(found, point) -> np.ndarray:
    """Where the registration sends a point of the fixed image."""
    return np.array(found.forward.GetTransformFromParent().TransformPoint(point))


@pytest.mark.slow
def test_images_that_lie_apart_are_brought_together():
    away = PLAIN.copy()
    away[:3, 3] += (500.0, -300.0, 200.0)
    found = register(RegistrationNodes(scan("fixed", body()), scan("moving", body(), away)), ANY, door)
    for place in ((0.0, 0.0, 0.0), (-22.0, 8.0, 6.0)):
        np.testing.assert_allclose(landed(found, place), np.array(place) + (500, -300, 200), atol=3)
    assert slicer.util.arrayFromVolume(found.moved).max() > 300


def test_a_mirrored_image_is_told_and_not_exchanged():
    found = register(RegistrationNodes(scan("fixed", body()), scan("moving", body(mirrored=True))), ANY, door)
    assert any("left and right exchanged" in text for text in found.warnings)
    step = [landed(found, (10.0 * one).tolist()) - landed(found, (0.0, 0.0, 0.0)) for one in np.eye(3)]
    assert np.linalg.det(np.stack(step, -1)) > 0


def masked(where: tuple, preset: Preset) -> str:
    marked = np.zeros(SHAPE, int)
    marked[where] = 1
    nodes = RegistrationNodes(
        scan("fixed", body()), scan("moving", body()), fixed_mask=label_map("mask", PLAIN, marked)
    )
    with pytest.raises(RequestError) as caught:
        register(nodes, Settings(preset), door)
    assert "expected" in str(caught.value) and len(slicer.util.getNodesByClass("vtkMRMLGridTransformNode")) == 0
    return str(caught.value)


@pytest.mark.parametrize("preset", [Preset.ANY_ANATOMY, Preset.FAST])
def test_a_mask_that_leaves_nothing_is_told(preset):
    air = (slice(0, 5), slice(0, 5), slice(0, 36))
    assert "fixed mask that holds nothing but air" in masked(air, preset) or "leaves nothing of" in masked(air, preset)


def test_landmarks_in_a_line_are_told():
    lists = [slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name) for name in ("here", "there")]
    for node in lists:
        for at in (-20.0, 0.0, 25.0, 30.0):
            node.AddControlPoint(vtk.vtkVector3d(at, at / 2, 3.0))
    nodes = RegistrationNodes(
        scan("fixed", body()), scan("moving", body()), fixed_landmarks=lists[0], moving_landmarks=lists[1]
    )
    with pytest.raises(RequestError, match="Found fixed landmarks in a line .* expected a triangle at least. Place"):
        register(nodes, Settings(Preset.ANY_ANATOMY, RegisterParameters(landmark_start=True)), door)


@pytest.mark.parametrize(
    ("preset", "warning"),
    [(Preset.CT, "not Hounsfield units"), (Preset.MR_CT, "neither image has Hounsfield units")],
)
def test_a_preset_of_another_modality_is_told_in_the_result(preset, warning, monkeypatch):
    from SlicerSynthReg.registration import dispatch
    from SlicerSynthReg.registration.brain_pipeline import PipelineResult
    from SlicerSynthReg.spatial.transform import Affine

    done = PipelineResult(Affine(), {}, 0.0, 0.0)
    monkeypatch.setattr(dispatch, "register_generic", lambda *args, **more: done)
    found = register(RegistrationNodes(scan("fixed", body()), scan("moving", body())), Settings(preset), door)
    assert any(warning in text for text in found.warnings)
    assert warning in found.moved.GetAttribute("SynthReg.Summary")
