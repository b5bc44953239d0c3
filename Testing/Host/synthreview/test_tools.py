"""Beside the modes: parents, transform grid and volume change, windows, probe, keys, and leaving nothing behind."""

from __future__ import annotations

import numpy as np
import pytest
import qt
import slicer
from PySide6 import QtCore, QtTest
from slicerhost import close_scene, views

from Testing.Host.synthreview.looking import GREY_A, GREY_B, colour, grey
from Testing.Slicer.scenes import grid_parent, segmentation


def press(panel, key, modifier=QtCore.Qt.NoModifier):
    window = slicer.util.mainWindow()
    window.show()
    window.activateWindow()
    assert QtTest.QTest.qWaitForWindowActive(window)
    QtTest.QTest.keyClick(window, key, modifier)
    panel.settle()


def stretched(factor, name="stretch"):
    """A transform that makes what lies below it `factor` times as long along R."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", name)
    node.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(np.diag([factor, 1.0, 1.0, 1.0])))
    return node


def test_parents_of_either_kind_move_what_is_seen(panel, pair, a_block):
    small = a_block("small B", 300, (2.0, 2.0, 2.0), (40.0, 40.0, 40.0))
    panel.select("secondSelector", small)
    panel.choose("modeBox", "Split (wipe)")
    panel.set_value("positionSlider", 0.0)
    assert grey("Red", (40.0, 0.0, 0.0)) == 0
    shift = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "shift")
    matrix = np.eye(4)
    matrix[0, 3] = 40.0
    shift.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    small.SetAndObserveTransformNodeID(shift.GetID())
    assert grey("Red", (40.0, 0.0, 0.0)) == GREY_B and grey("Red", (0.0, 0.0, 0.0)) == 0
    small.SetAndObserveTransformNodeID(grid_parent(3, True).GetID())
    assert grey("Red", (0.0, 0.0, 0.0)) == GREY_B and grey("Red", (40.0, 0.0, 0.0)) == 0


def test_the_transform_is_seen_as_a_grid_and_left_as_it_was(panel, pair, shot):
    transform = grid_parent(3, True)
    assert not panel.is_enabled("gridCheckBox")
    panel.select("transformSelector", transform)
    plain = views.pixels("Red")
    panel.click("gridCheckBox")
    shot("grid")
    assert (views.pixels("Red") != plain).any(-1).mean() > 0.02
    panel.click("gridCheckBox")
    assert (views.pixels("Red") == plain).all()


@pytest.mark.parametrize(("factor", "channel", "other"), [(1 / 1.8, 0, 2), (1 / 0.3, 2, 0)])
def test_volume_change_is_red_where_more_is_taken_and_blue_where_less(panel, pair, factor, channel, other):
    """Stretched to 1 / f of its length, each point is taken from f times the volume."""
    panel.set_value("opacitySlider", 0.0)
    panel.select("transformSelector", stretched(factor))
    panel.click("jacobianCheckBox")
    seen = colour("Red", (0.0, 0.0, 0.0))
    assert seen[channel] > 120 and seen[channel] > seen[other] + 60


def test_no_volume_change_leaves_the_image_as_it_is_and_folding_is_magenta(panel, pair, shot):
    panel.set_value("opacitySlider", 0.0)
    panel.select("transformSelector", stretched(1.0, "nothing"))
    panel.click("jacobianCheckBox")
    assert abs(colour("Red", (0.0, 0.0, 0.0)) - GREY_A).max() < 4
    panel.select("transformSelector", stretched(-1.0, "mirror"))
    shot("folded")
    assert colour("Red", (0.0, 0.0, 0.0)).tolist() == [255, 0, 255]


def test_the_presets_set_both_windows(panel, pair):
    for text, window in {"CT stroke": (40, 40), "CT liver": (150, 30), "CT mediastinum": (350, 50)}.items():
        panel.choose("presetBox", text)
        for image in pair:
            display = image.GetDisplayNode()
            assert (display.GetWindow(), display.GetLevel()) == window
    offered = [panel["presetBox"].itemText(n) for n in range(panel["presetBox"].count)]
    assert offered[1:] == ["CT brain", "CT stroke", "CT mediastinum", "CT lung", "CT liver", "CT abdomen", "CT bone"]


def test_one_window_follows_the_other_until_told_not_to(panel, pair):
    first, second = (image.GetDisplayNode() for image in pair)
    panel.click("linkWindowsCheckBox")
    second.SetWindowLevel(80, 35)
    assert (first.GetWindow(), first.GetLevel()) == (80, 35)
    panel.click("linkWindowsCheckBox")
    first.SetWindowLevel(1000, 300)
    assert (second.GetWindow(), second.GetLevel()) == (80, 35)
    panel.click("linkWindowsCheckBox")
    assert (second.GetWindow(), second.GetLevel()) == (1000, 300)


def test_the_probe_says_what_lies_under_the_mouse(panel, pair):
    labels = np.zeros((50, 50, 24), int)
    labels[20:30, 20:30, 8:16] = 4
    labels[40:48, 40:48, 8:16] = 9
    affine = slicer.util.arrayFromVTKMatrix(_ijk_to_ras(pair[0]))
    panel.select("labelsSelector", segmentation("organs", labels, affine))
    panel.select("transformSelector", stretched(0.5))
    array = slicer.util.arrayFromVolume(pair[0])
    array[:] = np.arange(array.shape[2]) * 4  # 1 each mm along R
    slicer.util.arrayFromVolumeModified(pair[0])
    views.move("Red", *views.pixel_of("Red", (6.0, 2.0, 0.0)))
    panel.settle()
    table = panel["probeTable"]
    rows = {table.verticalHeaderItem(n).text(): table.item(n, 0).text() for n in range(table.rowCount)}
    assert rows["Place"].startswith("6.") and "R," in rows["Place"]
    assert float(rows["A"]) == pytest.approx(98 + 6.0, abs=1.0)
    assert float(rows["B"]) == 300
    assert float(rows["B - A"]) == pytest.approx(300 - float(rows["A"]), abs=0.2)
    assert rows["Label"] == "left"
    assert float(rows["Displacement"].split()[0]) == pytest.approx(6.0, abs=0.5), "taken from twice as far"
    assert rows["Volume change"] == "2.000"


def _ijk_to_ras(volume):
    import vtk

    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    return matrix


def test_keys_choose_modes_and_move(panel, pair, a_block):
    third = a_block("C", 200)
    for key, text in {"3": "Split (wipe)", "4": "Checkerboard", "5": "Difference", "6": "Contour of B on A"}.items():
        press(panel, key)
        assert panel.text("modeBox") == text
    press(panel, "3")
    press(panel, QtCore.Qt.Key_BracketRight)
    assert panel["positionSlider"].value == pytest.approx(0.55)
    for shown in (GREY_B, GREY_A):  # A lies left of the line, until space shows B alone
        press(panel, QtCore.Qt.Key_Space)
        assert grey("Red", (40.0, 0.0, 0.0)) == shown
    press(panel, "1")
    press(panel, "N")
    assert panel["secondSelector"].currentNode() is third
    press(panel, "N")
    assert panel["secondSelector"].currentNode() is pair[1]
    panel.leave()
    press(panel, "4")
    panel.return_()
    assert panel.text("modeBox") == "Opacity", "keys of a module that is left do nothing"


def test_opening_the_module_leaves_what_is_shown(a_block):
    from slicerhost import opened

    slicer.util.setSliceViewerLayers(background=a_block("mine", 100), fit=True)
    with opened("SynthReview"):
        assert grey("Red", (0.0, 0.0, 0.0)) == GREY_A


def test_it_opens_without_a_main_window():
    from slicerhost import opened

    with opened("SynthReview", main_window=False) as panel:
        assert panel.text("statusLabel") == "Choose two images: A and B."


def test_another_module_hands_over_its_images(panel, a_block):
    from SynthRegLib.review import Mode, show

    first, second = a_block("fixed", 100), a_block("moved", 300)
    transform = grid_parent(3, True)
    show(first, second, transform, mode=Mode.WIPE)
    panel.settle()
    assert panel["firstSelector"].currentNode() is first and panel["secondSelector"].currentNode() is second
    assert panel["transformSelector"].currentNode() is transform
    assert (grey("Red", (20, 0, 0)), grey("Red", (-20, 0, 0))) == (GREY_A, GREY_B)


def test_leaving_takes_everything_of_ours_out_of_the_views(panel, pair):
    renderer = slicer.app.layoutManager().view("Red").renderer
    before = renderer.GetViewProps().GetNumberOfItems()
    panel.choose("modeBox", "Split (wipe)")
    assert renderer.GetViewProps().GetNumberOfItems() > before
    panel.leave()
    assert renderer.GetViewProps().GetNumberOfItems() == before
    panel.return_()
    assert (grey("Red", (20, 0, 0)), grey("Red", (-20, 0, 0))) == (GREY_A, GREY_B)


@pytest.mark.parametrize("mode", ["Opacity", "Split (wipe)", "Checkerboard", "Difference", "Contour of B on A"])
def test_a_deleted_image_and_a_closed_scene_are_survived(panel, pair, mode):
    panel.choose("modeBox", mode)
    views.pixels("Red")
    slicer.mrmlScene.RemoveNode(pair[1])
    panel.settle()
    assert grey("Red", (0, 0, 0)) == GREY_A
    assert "hoose" in panel.text("statusLabel")
    close_scene()
    panel.settle()
    assert views.pixels("Red").max() == 0


def test_choices_are_kept_in_the_scene(panel, pair):
    panel.choose("modeBox", "Checkerboard")
    panel.set_value("blockSlider", 42.0)
    panel.reload()
    assert panel.text("modeBox") == "Checkerboard" and panel["blockSlider"].value == 42.0
    assert panel["firstSelector"].currentNode() is pair[0]


def test_a_loaded_scene_shows_its_comparison_in_the_open_panel(panel, pair, tmp_path):
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    close_scene()
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    panel.settle()
    assert panel["firstSelector"].currentNode() is not None
    assert panel.text("statusLabel") == ""


def test_it_opens_without_torch(panel):
    import sys

    assert "torch" not in sys.modules
    assert "Not for diagnosis" in panel.text("noticeLabel")
    assert isinstance(panel["probeTable"], qt.QTableWidget)
