"""What cannot be registered: each message says what was found, what was expected and what to do, and nothing half-made
stays in the scene or on the disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import slicer
import vtk
from SynthRegLib.node_job import run_steps
from SynthRegLib.registration_inputs import RegistrationNodes, inputs_validation_error, missing_inputs
from SynthRegLib.registration_job import register, registration_job
from SynthRegLib.registration_results import add_nodes, load_results
from SynthRegLib.scene_worker import nodes_spec
from SynthRegLib.settings import Settings

from SlicerSynthReg.errors import RequestError
from SlicerSynthReg.parameters.registration import RegisterParameters
from SlicerSynthReg.service.run import run
from SlicerSynthReg.tasks.registry import TASKS
from Testing.Slicer.answers import known_map
from Testing.Slicer.known import running
from Testing.Slicer.scenes import PLAIN, linear_parent, skewed, volume

AS_THEY_ARE = Settings()


@pytest.fixture
def fixed():
    return volume("fixed", PLAIN, 1)


@pytest.fixture
def moving():
    return volume("moving", skewed(), 2)


def by_the_backend(request, progress):
    """The true registration, up to the point where it refuses."""
    return run(request, progress, {**TASKS, "register_nodes": nodes_spec("register")})


def trace() -> tuple[set[str], set[Path]]:
    every = [slicer.mrmlScene.GetNthNode(n).GetID() for n in range(slicer.mrmlScene.GetNumberOfNodes())]
    return set(every), set(Path(slicer.app.temporaryPath).glob("SynthReg-*"))


def refused(nodes: RegistrationNodes, settings: Settings = AS_THEY_ARE, door=by_the_backend) -> str:
    before = trace()
    with pytest.raises(RequestError) as caught:
        register(nodes, settings, door)
    assert trace() == before
    return str(caught.value)


def test_no_volume(fixed):
    assert "Choose the fixed image" in refused(RegistrationNodes())
    assert "Choose the moving image" in refused(RegistrationNodes(fixed=fixed))
    assert "Choose the fixed image" in refused(RegistrationNodes(moving=fixed))
    assert missing_inputs(RegistrationNodes(fixed, fixed)) == ""


def test_the_same_volume_twice(fixed):
    assert refused(RegistrationNodes(fixed, fixed)).startswith("Found fixed as fixed and as moving image, expected two")


def empty_volume():
    return slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")


def colour_volume():
    node = slicer.util.addVolumeFromArray(np.zeros((5, 6, 7, 3), np.uint8), PLAIN, "photo", "vtkMRMLVectorVolumeNode")
    assert node.GetImageData().GetNumberOfScalarComponents() == 3
    return node


def label_map():
    return slicer.util.addVolumeFromArray(np.ones((5, 6, 7), np.uint8), PLAIN, "labels", "vtkMRMLLabelMapVolumeNode")


def sequence():
    return slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "heart beats")


def single_slice():
    return slicer.util.addVolumeFromArray(np.arange(42, dtype=np.int16).reshape(1, 6, 7), PLAIN, "slice")


def flattened():
    node = volume("flat", PLAIN, 3)
    parent = linear_parent(scale=0.0)
    node.SetAndObserveTransformNodeID(parent.GetID())
    return node


BAD = [
    (empty_volume, "Found no voxels in empty, expected"),
    (colour_volume, "Found 3 values per voxel in photo"),
    (label_map, "Found the label map labels as an image, expected a scan"),
    (sequence, "Found the sequence heart beats, expected one volume"),
    (single_slice, "Found a single slice in slice"),
    (flattened, "Found that the parent transform of flat is singular"),
]


@pytest.mark.parametrize(("make", "said"), BAD)
@pytest.mark.parametrize("role", ["fixed", "moving"])
def test_what_is_no_scan(make, said, role, fixed):
    other = "moving" if role == "fixed" else "fixed"
    text = refused(RegistrationNodes(**{role: make(), other: fixed}))
    assert text.startswith(said)
    assert "expected" in text and text.count(".") >= 2, "found, expected, and what to do"


def test_a_constant_image_is_refused_by_the_backend(fixed):
    blank = slicer.util.addVolumeFromArray(np.full((20, 21, 22), 7, np.int16), PLAIN, "blank")
    assert "constant image" in refused(RegistrationNodes(fixed, blank))


def test_an_image_with_nan_is_refused_by_the_backend(fixed):
    values = np.random.default_rng(0).random((20, 21, 22)).astype(np.float32)
    values[3, 4, 5] = np.nan
    broken = slicer.util.addVolumeFromArray(values, PLAIN, "broken")
    assert "NaN" in refused(RegistrationNodes(fixed, broken))


def test_masks_and_labels_must_hold_something(fixed, moving):
    nothing = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "parts")
    assert refused(RegistrationNodes(fixed, moving, fixed_mask=nothing)).startswith("Found no segments in parts")
    zeros = slicer.util.addVolumeFromArray(
        np.zeros((38, 42, 48), np.uint8), PLAIN, "zeros", "vtkMRMLLabelMapVolumeNode"
    )
    assert "empty fixed mask" in refused(RegistrationNodes(fixed, moving, fixed_mask=zeros))
    assert ", as labels, expected" in refused(RegistrationNodes(fixed, moving, moving_labels=fixed))


def test_landmarks_must_be_pairs(fixed, moving):
    lists = [slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name) for name in "ab"]
    lists[0].AddControlPoint(vtk.vtkVector3d(1, 2, 3))
    one = RegistrationNodes(fixed, moving, fixed_landmarks=lists[0])
    assert refused(one).startswith("Found landmarks of one image only")
    both = RegistrationNodes(fixed, moving, fixed_landmarks=lists[0], moving_landmarks=lists[1])
    assert refused(both).startswith("Found 1 fixed and 0 moving landmarks")
    lists[1].AddControlPoint(vtk.vtkVector3d(1, 2, 3))
    assert inputs_validation_error(both) == ""


def test_a_graphics_card_that_cannot_be_used_is_not_ignored(fixed, moving):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a card that can be used")
    text = refused(RegistrationNodes(fixed, moving), Settings(options=RegisterParameters(device="cuda")))
    assert text.startswith("Found") and "expected a card" in text and "auto" in text


def test_no_memory_is_said_plainly(fixed, moving):
    def no_memory(fixed, moving, **more):
        raise RuntimeError("CUDA out of memory. Tried to allocate 20 GiB")

    tasks = {"register_nodes": nodes_spec("register", no_memory)}
    text = refused(RegistrationNodes(fixed, moving), door=lambda request, progress: run(request, progress, tasks))
    assert text.startswith("Found too little memory") and "preset fast" in text


def test_an_error_while_placing_takes_back_what_was_placed(fixed, moving, monkeypatch):
    from SynthRegLib import registration_results

    before = trace()
    monkeypatch.setitem(registration_results._MAKERS, "inverse", lambda *given: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        register(RegistrationNodes(fixed, moving), Settings(), running(known_map()))
    assert trace() == before


def test_stopping_between_two_nodes_takes_back_the_first(fixed, moving):
    before = trace()[0]
    nodes = RegistrationNodes(fixed, moving)
    work = registration_job(nodes, Settings())
    result = running(known_map())(run_steps(work.prepare()), lambda share, text: None)
    steps = add_nodes(nodes, load_results(result, ("moved", "forward", "inverse")))
    next(steps)
    next(steps)
    assert len(trace()[0] - before) >= 2
    steps.close()
    assert trace()[0] == before
