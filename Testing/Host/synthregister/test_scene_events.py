"""The panel follows the scene: loaded or closed while the module is shown, before and after a reload."""

from __future__ import annotations

import slicer
from slicerhost import close_scene


def test_a_loaded_scene_fills_the_selectors_of_the_open_panel(panel, pair, tmp_path):
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    close_scene()
    panel.settle()
    assert panel["fixedSelector"].currentNode() is None
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    panel.settle()
    assert (panel.text("fixedSelector"), panel.text("movingSelector")) == ("fixed", "moving")
    assert panel.is_enabled("applyButton")


def test_after_reload_a_closed_scene_leaves_a_working_panel(panel, pair, a_volume):
    panel.reload()
    assert (panel.text("fixedSelector"), panel.text("movingSelector")) == ("fixed", "moving")
    close_scene()
    panel.settle()
    assert not panel.is_enabled("applyButton")
    assert "hoose" in panel.text("statusLabel")
    panel.select("fixedSelector", a_volume("another fixed"))
    panel.select("movingSelector", a_volume("another moving"))
    assert panel.is_enabled("applyButton")


def test_a_scene_that_is_loaded_while_another_module_is_shown_is_bound_on_return(panel, pair, tmp_path):
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    panel.leave()
    close_scene()
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    panel.return_()
    assert (panel.text("fixedSelector"), panel.text("movingSelector")) == ("fixed", "moving")
