"""Nothing that Slicer shows or keeps while a case is read says whose it is or what it is: every string is searched."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
import slicer
import vtk
from PySide6 import QtCore, QtWidgets
from slicerhost import views

from Testing.Host.synthreview.studies import PATIENT, WHAT, answer, begin, truth_of, write_study

TEXTS = ("text", "plainText", "windowTitle", "toolTip", "statusTip", "whatsThis", "title", "placeholderText", "html")


def strings_of_widgets():
    for widget in [*QtWidgets.QApplication.allWidgets(), slicer.app]:
        yield widget.objectName
        for name in TEXTS:
            value = widget.property(name)
            if isinstance(value, str):
                yield value
        if isinstance(widget, QtWidgets.QComboBox):
            yield from (widget.itemText(n) for n in range(widget.count))
        if isinstance(widget, QtWidgets.QTableWidget):
            cells = (widget.item(r, c) for r in range(widget.rowCount) for c in range(widget.columnCount))
            yield from (cell.text() for cell in cells if cell is not None)
    for action in slicer.util.mainWindow().findChildren(QtCore.QObject):
        yield str(action.property("text"))


def strings_of_the_scene():
    """Every node as MRML prints and writes it, storage nodes included, and every name in the subject hierarchy."""
    scene = slicer.mrmlScene
    scene.SetSaveToXMLString(True)
    scene.Commit()
    yield scene.GetSceneXMLString()
    yield str(scene.GetURL())
    for n in range(scene.GetNumberOfNodes()):
        yield str(scene.GetNthNode(n))
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    children = vtk.vtkIdList()
    hierarchy.GetItemChildren(hierarchy.GetSceneItemID(), children, True)
    for n in range(children.GetNumberOfIds()):
        item = children.GetId(n)
        yield hierarchy.GetItemName(item)
        yield from (hierarchy.GetItemAttribute(item, name) for name in hierarchy.GetItemAttributeNames(item))


def strings_in_the_views():
    for thing in gc.get_objects():
        if isinstance(thing, (vtk.vtkTextActor, vtk.vtkTextMapper)):
            yield str(thing.GetInput())
        if isinstance(thing, vtk.vtkCornerAnnotation):
            yield from (str(thing.GetText(n)) for n in range(8))


def strings_of_the_settings():
    settings = slicer.app.userSettings()
    yield from (f"{key} {settings.value(key)}" for key in settings.allKeys())


def found_in(sources, secrets) -> list[str]:
    """The secrets that occur, with what is around them."""
    found = []
    for text in sources:
        for secret in secrets:
            place = str(text).lower().find(secret.lower())
            if place >= 0:
                found.append(f"{secret}: ...{str(text)[max(0, place - 60) : place + 60]}...")
    return found


def everything():
    yield from strings_of_widgets()
    yield from strings_of_the_scene()
    yield from strings_in_the_views()
    yield from strings_of_the_settings()


@pytest.mark.parametrize("kind", ["pairs", "singles"])
def test_no_string_tells_whose_a_case_is_or_what_it_is(panel, tmp_path, kind):
    study = write_study(tmp_path / "study", questions=(WHAT,), **{kind: 3})
    begin(panel, study, "Anna")
    said = {"what": {"real", "generated"}, "which": {"generated"}}  # in the questions themselves, and nowhere else
    for _ in range(3):
        item = panel.widget._reading._reading.current
        files = {Path(image.file).stem for image in item.images}
        tokens = {item.case.token, *(image.token for image in item.images)}
        secrets = {PATIENT, "study/images", ".nii", *files, *tokens}
        for name in ("Red", "Yellow", "Green"):
            views.pixels(name)
        assert not found_in(everything(), secrets)
        assert not found_in(strings_of_the_scene(), {"real_", "generated"}), said
        assert len(truth_of(study, item)) in (1, 2)
        answer(panel, study, "Anna", item)
    assert not found_in(everything(), {PATIENT, ".nii"}), "afterwards neither"


def test_the_search_finds_what_is_not_hidden(panel, tmp_path):
    """A volume loaded as anyone loads it: its name, its storage node and the combo boxes give it away."""
    study = write_study(tmp_path / "study", singles=1)
    image = study.path(study.parts[0].cases[0].images[0])
    slicer.util.loadVolume(str(image))
    found = found_in(everything(), {PATIENT})
    assert len(found) >= 3
    assert found_in(strings_of_widgets(), {PATIENT}) and found_in(strings_of_the_scene(), {PATIENT})


def test_the_data_probe_is_hidden_while_reading_and_comes_back(panel, tmp_path):
    window = slicer.util.mainWindow()
    window.show()
    probe = slicer.util.findChild(window, "DataProbeCollapsibleWidget")
    study = write_study(tmp_path / "study", singles=1)
    assert probe.visible
    begin(panel, study, "Anna")
    assert not probe.visible
    panel.click("leaveButton")
    assert probe.visible


def test_the_key_stays_closed_until_all_have_finished(panel, tmp_path):
    study = write_study(tmp_path / "study", singles=2)
    begin(panel, study, "Anna")
    answer(panel, study, "Anna", panel.widget._reading._reading.current)
    panel.click("leaveButton")
    panel.click("unblindButton")
    panel.wait_until(lambda: "not finished" in panel.text("readingNote"))
    assert not panel.is_visible("resultsText") and not panel["resultsText"].toPlainText()
    panel["reasonEdit"].text = "Anna has left"
    panel.click("unblindButton")
    panel.wait_until(lambda: panel.is_enabled("unblindButton"))
    assert panel.text("readingNote") == "" and panel.is_visible("resultsText")
    assert "Anna had not finished" in panel.text("resultsText")
    panel.click("startButton")
    panel.click("what_real")
    panel.choose("what_confidence", "2")
    panel.click("nextCaseButton")
    assert "unblinded" in panel.text("answerNote"), "no answers after that"
