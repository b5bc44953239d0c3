"""The slice views: what is drawn, where, and what the mouse does, by pixels and regions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from slicerhost import views

CENTRE = (6.0, -4.0, 5.0)


@pytest.fixture
def shown(a_volume: Any) -> Any:
    """The ball, in all views, centred on it."""
    volume = a_volume("ball")
    volume.GetDisplayNode().SetAutoWindowLevel(False)
    volume.GetDisplayNode().SetWindowLevel(500, 250)
    slicer.util.setSliceViewerLayers(background=volume, foreground=None, label=None, fit=True)
    slicer.vtkMRMLSliceNode.JumpAllSlices(slicer.mrmlScene, *CENTRE, slicer.vtkMRMLSliceNode.DefaultJumpSlice)
    return volume


def grey(name: str, ras: tuple[float, float, float]) -> int:
    x, y = views.pixel_of(name, ras)
    return int(views.pixels(name)[y, x].mean())


@pytest.mark.parametrize("name", ["Red", "Yellow", "Green"])
def test_each_view_shows_the_ball_where_it_is(name: str, shown: Any) -> None:
    assert grey(name, CENTRE) == pytest.approx(102, abs=2)
    outside = {"Red": (40.0, -4.0, 5.0), "Yellow": (6.0, 30.0, 5.0), "Green": (40.0, -4.0, 5.0)}[name]
    assert grey(name, outside) == 0


def test_the_patients_left_is_on_the_right_of_the_red_view(shown: Any) -> None:
    # the small bright ball lies towards +R, the patient's right: left in an axial view
    x_bright, _ = views.pixel_of("Red", (14.0, -4.0, 5.0))
    x_centre, _ = views.pixel_of("Red", CENTRE)
    assert x_bright < x_centre
    assert grey("Red", (14.0, -4.0, 5.0)) == 255


def test_the_image_in_front_is_blended(shown: Any, a_volume: Any) -> None:
    front = a_volume("front", shift_mm=(0.0, 20.0, 0.0))
    front.GetDisplayNode().SetAutoWindowLevel(False)
    front.GetDisplayNode().SetWindowLevel(500, 250)
    slicer.util.setSliceViewerLayers(foreground=front, foregroundOpacity=0.5)
    assert grey("Red", (6.0, -20.0, 5.0)) == pytest.approx(51, abs=3), "behind only"
    assert grey("Red", (6.0, 10.0, 5.0)) == pytest.approx(102, abs=3), "both"


def test_a_segmentation_is_outlined(shown: Any, a_labelmap: Any, scene: Any) -> None:
    plain = views.pixels("Red")
    segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "s")
    segmentation.CreateDefaultDisplayNodes()
    slicer.modules.segmentations.logic().ImportLabelmapToSegmentationNode(a_labelmap(), segmentation)
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(shown)
    segmentation.GetDisplayNode().SetOpacity2DFill(0.0)
    changed = (views.pixels("Red") != plain).any(-1)
    x, y = views.pixel_of("Red", CENTRE)
    edge_x, edge_y = views.pixel_of("Red", (6.0, -4.0 + 22.0, 5.0))
    assert not changed[y - 5 : y + 5, x - 5 : x + 5].any()
    assert changed[edge_y - 12 : edge_y + 12, edge_x].any()


def test_a_warped_grid_is_drawn_over_its_region(shown: Any, scene: Any) -> None:
    plain = views.pixels("Red")
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "t")
    transform.CreateDefaultDisplayNodes()
    display = transform.GetDisplayNode()
    display.SetAndObserveRegionNode(shown)
    display.SetVisibility(True)
    display.SetVisibility2D(True)
    display.SetVisualizationMode(slicer.vtkMRMLTransformDisplayNode.VIS_MODE_GRID)
    assert (views.pixels("Red") != plain).any(-1).mean() > 0.01


def test_the_wheel_moves_the_slice(shown: Any) -> None:
    node = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceNode()
    before = node.GetSliceOffset()
    views.wheel("Red", 3)
    assert node.GetSliceOffset() == pytest.approx(before + 6.0)
    views.wheel("Red", -3)
    assert node.GetSliceOffset() == pytest.approx(before)


def test_shift_and_mouse_move_the_crosshair(shown: Any) -> None:
    point = (10.0, 12.0, 5.0)
    views.move("Red", *views.pixel_of("Red", point), shift=True)
    crosshair = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
    np.testing.assert_allclose(crosshair.GetCrosshairRAS(), point, atol=0.5)


def test_a_layout_makes_its_views(shown: Any) -> None:
    manager = slicer.app.layoutManager()
    manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView)
    assert list(manager.sliceViewNames()) == ["Red"]
    manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    assert sorted(manager.sliceViewNames()) == ["Green", "Red", "Yellow"]


def test_views_are_written_side_by_side(shown: Any, tmp_path: Path) -> None:
    sheet = views.screenshot(tmp_path / "views.png")
    assert sheet.shape == (400, 1208, 3)
    assert (tmp_path / "views.png").stat().st_size > 1000


def test_an_unknown_view_is_named() -> None:
    with pytest.raises(LookupError, match="Found no slice view 'Purple'"):
        views.pixels("Purple")
