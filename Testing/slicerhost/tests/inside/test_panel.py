"""The example module, opened and used, then broken in every way that a panel's test should notice."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import qt
import slicer
from slicerhost import close_scene, count_turns, dialogs, opened
from slicerhost.errors import ErrorInSlot
from slicerhost.modal import UnplannedDialog
from slicerhost.panel import Panel
from slicerhost.uiloader import UiError

EXAMPLE = Path(__file__).parent / "example" / "HostExample"


def sample() -> object:
    """Sixty voxels, 0 to 59, through Sample Data as a user gets them."""
    from slicerhost.sampledata import click_sample_button

    return click_sample_button("HostExample1")[0]


def use(panel: Panel) -> None:
    """All that the example can do, asserted by value."""
    assert panel.text("statusLabel") == "No volume is selected."
    assert not panel.is_enabled("applyButton")
    panel.select("volumeSelector", sample())
    assert panel.text("volumeSelector") == "ramp"
    panel.click("applyButton")
    assert panel.text("statusLabel") == "19 voxels"
    panel.set_value("thresholdSlider", 49.5)
    panel.click("applyButton")
    assert panel.text("statusLabel") == "10 voxels"
    assert not panel.is_visible("sideBox")
    panel.expand("advancedButton")
    panel.choose("sideBox", "Below")
    panel.click("slowBox")
    panel.click("applyButton")
    assert panel.text("statusLabel") == "Working..."
    panel.serve_turns(100)
    assert panel.text("statusLabel") == "50 voxels"
    panel.leave()
    panel.return_()
    assert panel.text("sideBox") == "Below"


def test_the_example_does_what_it_says(tmp_path: Path) -> None:
    with opened("HostExample", EXAMPLE) as panel:
        use(panel)
        panel.screenshot(tmp_path / "panel.png")
        shown = qt.QImage(str(tmp_path / "panel.png"))
        colours = {shown.pixel(x, y) for x in range(0, shown.width(), 3) for y in range(0, shown.height(), 3)}
        assert len(colours) > 8


MUTATIONS = {
    "the button is connected to a signal that it does not have": (
        "HostExample.py",
        '"clicked(bool)"',
        '"klicked(bool)"',
        ValueError,
    ),
    "the button is not connected": (
        "HostExample.py",
        "self.ui.applyButton.connect(",
        "(lambda *a: None)(",
        AssertionError,
    ),
    "a property is misspelt": (
        "HostExample.py",
        "self.ui.applyButton.enabled =",
        "self.ui.applyButton.enabeld =",
        AssertionError,
    ),
    "a property is called": ("HostExample.py", "self._parameter_node.slow:", "self.ui.slowBox.checked():", ErrorInSlot),
    "a widget of another name": ("HostExample.py", "self.ui.statusLabel", "self.ui.statusLine", AttributeError),
    "the wrong side is counted": ("HostExample.py", "is Side.ABOVE", "is Side.BELOW", AssertionError),
    "the slot raises": ("HostExample.py", "return int((above", "return int(1 / 0 + (above", ErrorInSlot),
    "the timer is never started": ("HostExample.py", "self._timer.start()", "pass", AssertionError),
    "the parameters are not bound": (
        "HostExample.py",
        "connectGui(self.ui)",
        "connectGui(type('', (), {})())",
        AssertionError,
    ),
    "the default is another": ("HostExample.py", "] = 40.0", "] = 4.0", AssertionError),
    "a numpy number goes into a property": (
        "HostExample.py",
        "self._timer.interval = 10",
        "import numpy; self._timer.interval = numpy.int64(10)",
        TypeError,
    ),
    "an Optional that Slicer cannot store": (
        "HostExample.py",
        "slow: bool = False",
        "slow: bool | None = False",
        TypeError,
    ),
    "a message box nobody planned": (
        "HostExample.py",
        "        self._step = 0\n        if",
        "        self._step = slicer.util.infoDisplay('hello') and 0\n        if",
        ErrorInSlot,
    ),
    "the scene never reaches the selector": (
        "Resources/UI/HostExample.ui",
        "<receiver>volumeSelector",
        "<receiver>slowBox",
        UiError,
    ),
    "another signal in the .ui": (
        "Resources/UI/HostExample.ui",
        "mrmlSceneChanged(vtk",
        "mrmlScenChanged(vtk",
        UiError,
    ),
    "a widget class that nobody has": (
        "Resources/UI/HostExample.ui",
        'class="ctkSliderWidget"',
        'class="ctkSlider"',
        UiError,
    ),
    "a property that the class lacks": ("Resources/UI/HostExample.ui", 'name="singleStep"', 'name="step"', UiError),
    "labelmaps only": (
        "Resources/UI/HostExample.ui",
        ">vtkMRMLLabelMapVolumeNode<",
        ">vtkMRMLScalarVolumeNode<",
        AssertionError,
    ),
    "the .ui file is missing": ("HostExample.py", "UI/HostExample.ui", "UI/Example.ui", RuntimeError),
    "cleanup raises": ("HostExample.py", "        self.removeObservers()", "        slicer.nothing", ErrorInSlot),
    "cleanup leaves observers": ("HostExample.py", "        self.removeObservers()", "        pass", AssertionError),
}


@pytest.mark.parametrize("change", MUTATIONS)
def test_a_broken_module_fails_its_test(change: str, tmp_path: Path) -> None:
    name, old, new, error = MUTATIONS[change]
    copy = Path(shutil.copytree(EXAMPLE, tmp_path / "HostExample"))
    text = (copy / name).read_text()
    assert text.count(old) >= 1
    (copy / name).write_text(text.replace(old, new))
    with (
        pytest.raises((error, LookupError) if error is AssertionError else error),
        opened("HostExample", copy) as panel,
    ):
        use(panel)


def test_a_user_cannot_click_what_is_disabled_hidden_or_absent() -> None:
    with opened("HostExample", EXAMPLE) as panel:
        with pytest.raises(AssertionError, match="disabled: Select a volume"):
            panel.click("applyButton")
        with pytest.raises(AssertionError, match="slowBox is not visible"):
            panel.click("slowBox")
        with pytest.raises(LookupError, match="Found 0 widgets named 'aplyButton'"):
            panel.click("aplyButton")


def test_a_click_under_another_widget_is_refused() -> None:
    with opened("HostExample", EXAMPLE) as panel:
        panel.select("volumeSelector", sample())
        button = panel["applyButton"]
        cover = qt.QLabel(button.parent())
        cover.setObjectName("cover")
        cover.setGeometry(button.geometry)
        cover.show()
        with pytest.raises(AssertionError, match="covered by cover"):
            panel.click("applyButton")


def test_a_node_that_the_selector_does_not_offer_cannot_be_selected(a_labelmap: Callable[..., object]) -> None:
    with opened("HostExample", EXAMPLE) as panel, pytest.raises(LookupError, match="does not offer 'labels'"):
        panel.select("volumeSelector", a_labelmap())


def test_the_scene_is_closed_while_the_example_works() -> None:
    with opened("HostExample", EXAMPLE) as panel:
        panel.select("volumeSelector", sample())
        panel.expand("advancedButton")
        panel.click("slowBox")
        panel.click("applyButton")
        close_scene()
        panel.serve_turns(40)
        assert panel.text("statusLabel") == "No volume is selected."
        assert not panel["slowBox"].checked


def test_reload_gives_a_new_panel_with_the_old_parameters() -> None:
    with opened("HostExample", EXAMPLE) as panel:
        before = panel.widget
        panel.select("volumeSelector", sample())
        panel.set_value("thresholdSlider", 49.5)
        panel.reload()
        assert panel.widget is not before
        assert panel["thresholdSlider"].value == 49.5
        panel.click("applyButton")
        assert panel.text("statusLabel") == "10 voxels"


def test_two_panels_one_after_the_other_share_nothing() -> None:
    for _ in range(2):
        with opened("HostExample", EXAMPLE) as panel:
            assert panel.text("statusLabel") == "No volume is selected."
            assert panel["thresholdSlider"].value == 40
            panel.set_value("thresholdSlider", 3)


def test_without_a_main_window_there_is_none() -> None:
    with opened("HostExample", EXAMPLE, main_window=False):
        assert slicer.util.mainWindow() is None
    with opened("HostExample", EXAMPLE):
        assert slicer.util.mainWindow() is not None


def test_a_planned_answer_presses_that_button() -> None:
    dialogs.answer("Cancel")
    dialogs.answer("OK")
    assert slicer.util.confirmOkCancelDisplay("Go on?") is False
    assert slicer.util.confirmOkCancelDisplay("Go on?", windowTitle="Sure") is True
    assert [(shown.title, shown.text) for shown in dialogs.seen][1] == ("Sure", "Go on?")
    with pytest.raises(UnplannedDialog, match="Really"):
        slicer.util.confirmYesNoDisplay("Really?")


def test_in_testing_mode_no_box_opens() -> None:
    slicer.app.setTestingEnabled(True)
    slicer.util.confirmOkCancelDisplay("Go on?")
    slicer.util.errorDisplay("It broke.")
    assert not dialogs.seen


def test_a_computation_in_one_slot_takes_one_turn_of_the_event_loop() -> None:
    """In steps of a timer, the same computation takes a turn for each step."""
    counts = {}
    for slow in (False, True):
        with opened("HostExample", EXAMPLE) as panel:
            panel.select("volumeSelector", sample())
            panel.expand("advancedButton")
            if slow:
                panel.click("slowBox")
            panel["applyButton"].click()
            with count_turns() as turns:
                panel.wait_until(lambda panel=panel: panel.text("statusLabel") == "19 voxels")
            counts[slow] = turns.count
    assert counts[False] == 0
    assert counts[True] >= 20  # HostExample.STEPS


def test_the_modules_own_test_runs() -> None:
    with opened("HostExample", EXAMPLE):
        slicer.selfTests["HostExample"]()
