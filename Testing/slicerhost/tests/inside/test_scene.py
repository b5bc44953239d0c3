"""Files, subject hierarchy, parameter nodes, packages and samples: the parts of the host that have no face."""

from __future__ import annotations

import enum
import shutil
import subprocess
from pathlib import Path
from typing import Annotated, Any, Optional

import numpy as np
import pytest
import slicer
from slicer.parameterNodeWrapper import Choice, WithinRange, parameterNodeWrapper
from slicerhost import close_scene, dialogs, extensions, packaging

OBLIQUE = np.array([[-1.5, 0.4, 0.2, 11.0], [0.3, 1.8, -0.5, -7.0], [0.1, 0.4, 3.1, 5.0], [0.0, 0.0, 0.0, 1.0]])


def matrix_of(node: Any) -> np.ndarray:
    import vtk

    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


@pytest.mark.parametrize("ending", [".nrrd", ".nii", ".nii.gz", ".mha"])
def test_a_volume_comes_back_from_a_file_where_it_was(ending: str, a_volume: Any, tmp_path: Path) -> None:
    import scipy.linalg

    rotation = scipy.linalg.polar(OBLIQUE[:3, :3])[0]  # files keep spacing and directions, no shear
    affine = OBLIQUE.copy()
    affine[:3, :3] = rotation @ np.diag([-1.5, 1.9, 3.2])  # right-handed: Slicer's reader turns a left-handed one over
    assert np.linalg.det(affine) > 0
    volume = a_volume("out", (12, 9, 7), affine)
    values = slicer.util.arrayFromVolume(volume).copy()
    assert slicer.util.exportNode(volume, str(tmp_path / f"v{ending}"), {})
    close_scene()
    found = slicer.util.loadVolume(str(tmp_path / f"v{ending}"), {"name": "in"})
    assert found.GetName() == "in"
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(found), values)
    np.testing.assert_allclose(matrix_of(found), affine, atol=1e-4)


def test_a_transform_and_markups_come_back(scene: Any, tmp_path: Path) -> None:
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "t")
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(OBLIQUE))
    points = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "p")
    points.AddControlPoint(1.0, -2.0, 3.5)
    assert slicer.util.saveNode(transform, str(tmp_path / "t.h5"), {})
    assert slicer.util.saveNode(points, str(tmp_path / "p.mrk.json"), {})
    close_scene()
    back = slicer.util.loadTransform(str(tmp_path / "t.h5"))
    np.testing.assert_allclose(slicer.util.arrayFromTransformMatrix(back), OBLIQUE, atol=1e-6)
    read = slicer.util.loadMarkups(str(tmp_path / "p.mrk.json"))
    np.testing.assert_allclose(slicer.util.arrayFromMarkupsControlPoints(read), [[1.0, -2.0, 3.5]])


@pytest.mark.parametrize("ending", [".mrml", ".mrb"])
def test_a_scene_comes_back(ending: str, a_volume: Any, tmp_path: Path) -> None:
    volume = a_volume("kept")
    slicer.app.coreIOManager().addDefaultStorageNodes()
    if ending == ".mrml":
        slicer.util.saveNode(volume, str(tmp_path / "kept.nrrd"), {})
    assert slicer.util.saveScene(str(tmp_path / f"scene{ending}"), {})
    close_scene()
    slicer.util.loadScene(str(tmp_path / f"scene{ending}"), {})
    assert slicer.util.arrayFromVolume(slicer.util.getNode("kept")).max() == 500


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(RuntimeError, match="Found no file"):
        slicer.util.loadVolume("/nowhere/at/all.nrrd", {})


def test_the_subject_hierarchy_has_an_item_as_long_as_the_node_lives(a_volume: Any, scene: Any) -> None:
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    volume = a_volume("v")
    item = hierarchy.GetItemByDataNode(volume)
    assert hierarchy.GetItemName(item) == "v"
    assert not hierarchy.GetItemByDataNode(volume.GetDisplayNode())
    scene.RemoveNode(volume)
    assert hierarchy.GetItemByName("v") == 0


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@parameterNodeWrapper
class Parameters:
    share: Annotated[float, WithinRange(0, 1)] = 0.25
    count: int = 3
    on: bool = True
    colour: Colour = Colour.BLUE
    device: Annotated[str, Choice(["cpu", "gpu"])] = "gpu"
    folder: Path = Path("a/b")
    volume: Optional[slicer.vtkMRMLScalarVolumeNode] = None  # noqa: UP045 (Slicer takes no X | None)
    other: slicer.vtkMRMLModelNode


@pytest.fixture
def parameters(scene: Any) -> Any:
    return Parameters(scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode"))


def test_parameters_are_stored_as_slicer_stores_them(parameters: Any, a_volume: Any) -> None:
    node, volume = parameters.parameterNode, a_volume()
    parameters.volume = volume
    parameters.colour = Colour.RED
    stored = {name: node.GetParameter(name) for name in ("share", "count", "on", "colour", "device", "folder")}
    assert stored == {
        "share": "0.25", "count": "3", "on": "True", "colour": "RED", "device": "gpu", "folder": str(Path("a/b"))
    }  # fmt: skip
    assert node.GetNodeReference("volume_0") is volume
    assert parameters.volume is volume
    parameters.volume = None
    assert node.GetNodeReference("volume_0") is None
    assert node.GetParameter("volume_1") == "True"


def test_a_change_of_the_node_is_seen(parameters: Any) -> None:
    parameters.parameterNode.SetParameter("colour", "RED")
    assert parameters.colour is Colour.RED


@pytest.mark.parametrize(
    ("name", "value"),
    [("share", 2.0), ("share", "a"), ("count", 1.5), ("on", 1), ("device", "tpu"), ("colour", "RED"), ("volume", 3)],
)
def test_a_wrong_value_is_refused_and_the_right_one_kept(parameters: Any, name: str, value: Any) -> None:
    before = getattr(parameters, name)
    with pytest.raises((ValueError, TypeError)):
        setattr(parameters, name, value)
    assert getattr(parameters, name) == before


def test_a_type_that_slicer_cannot_store_is_refused() -> None:
    with pytest.raises(TypeError, match="Optional"):

        @parameterNodeWrapper
        class Wrong:
            count: int | None = None


def test_members_and_defaults_are_inherited_from_a_plain_class(scene: Any) -> None:
    base = type("Base", (), {"__annotations__": {"share": Annotated[float, WithinRange(0, 1)]}, "share": 0.5})

    @parameterNodeWrapper
    class Derived(base):
        count: int = 3

    found = Derived(scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode"))
    assert (list(found.allParameters), found.share, found.count) == (["share", "count"], 0.5, 3)
    with pytest.raises(ValueError):
        found.share = 1.5


def test_a_wrapper_that_derives_from_another_and_a_reserved_name_are_refused() -> None:
    for bases, attributes in (((Parameters,), {}), ((), {"default": 1}), ((), {"__annotations__": {"setValue": int}})):
        with pytest.raises(ValueError):
            parameterNodeWrapper(type("Wrong", bases, attributes))


def test_packages_are_asked_for_recorded_and_never_installed() -> None:
    packaging.lacks("numpy")
    assert not slicer.packaging.pip_check("numpy>=1")
    dialogs.answer("Cancel")
    with pytest.raises(RuntimeError, match="declined"):
        slicer.packaging.pip_ensure("numpy>=1", requester="Me")
    dialogs.answer("OK")
    with pytest.raises(subprocess.CalledProcessError):
        slicer.packaging.pip_ensure("numpy>=1")
    packaging.offers("numpy")
    slicer.util.pip_install("numpy")
    assert slicer.packaging.pip_check("numpy")
    assert packaging.requested == ["numpy>=1", "numpy"]


def test_extensions_are_installed_only_where_offered() -> None:
    manager = slicer.app.extensionsManagerModel()
    assert not manager.installExtensionFromServer("PyTorch")
    extensions.offers("PyTorch")
    assert manager.installExtensionFromServer("PyTorch")
    assert manager.isExtensionInstalled("PyTorch")
    assert extensions.requested == ["PyTorch", "PyTorch"]


def test_the_launcher_of_slicers_python_has_python_as_its_child() -> None:
    launcher = shutil.which("PythonSlicer")
    script = "import os; print(os.getppid())"
    process = subprocess.Popen([launcher, "-c", script], stdout=subprocess.PIPE, text=True)
    said, _ = process.communicate()
    assert int(said) == process.pid
