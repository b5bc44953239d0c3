"""The table of many results: sorted, drawn, exported, and from a row to the worst place in the views."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import qt
import slicer
from slicerhost import dialogs

from SlicerSynthReg.io.manifest import MANIFEST

WORST = (12, 5, 9)


@pytest.fixture
def results(tmp_path):
    """Three finished registrations; in the second one space folds at one voxel."""
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = (-20.0, -10.0, 5.0)
    folder = tmp_path / "results"
    for n, (dice, least) in enumerate(((0.91, 0.6), (0.72, -0.4), (0.85, 0.5))):
        place = folder / f"patient{n}"
        place.mkdir(parents=True)
        jacobian = np.ones((20, 20, 20), np.float32)
        jacobian[WORST] = least
        for name, values in (("moved", np.full((20, 20, 20), 100, np.int16)), ("jacobian", jacobian)):
            nibabel.save(nibabel.Nifti1Image(values, affine), place / f"{name}.nii")
        seal = {
            "outputs": {"moved": "moved.nii", "jacobian": "jacobian.nii"},
            "files": ["moved.nii", "jacobian.nii"],
            "report": {"dice_after": dice, "jacobian_min": least, "tre_after": 1.5 + n},
        }
        (place / MANIFEST).write_text(json.dumps(seal))
    return folder, affine @ [*WORST, 1.0]


def column(panel, n: int) -> list[str]:
    table = panel["qualityTable"]
    return [table.item(row, n).text() for row in range(table.rowCount)]


@pytest.fixture
def gathered(panel, results):
    panel.expand("qualityCollapsibleButton")
    panel["qualityDirectory"].directory = str(results[0])
    panel.click("gatherButton")
    return panel


def test_a_folder_without_results_is_said(panel, tmp_path):
    panel.expand("qualityCollapsibleButton")
    panel["qualityDirectory"].directory = str(tmp_path)
    panel.click("gatherButton")
    assert panel.text("qualityNote").startswith("Found no finished result")
    assert not panel.is_enabled("csvButton") and not panel.is_enabled("qualityReportButton")


def test_the_worst_comes_first_and_a_heading_sorts_by_numbers(gathered, tmp_path):
    table = gathered["qualityTable"]
    headers = [table.horizontalHeaderItem(n).text() for n in range(table.columnCount)]
    assert headers == ["Case", "Dice", "Landmark distance (mm)", "Jacobian, minimum"]
    assert column(gathered, 0)[0] == "Case 2" and sorted(column(gathered, 0)) == ["Case 1", "Case 2", "Case 3"]
    table.sortItems(1, qt.Qt.DescendingOrder)
    assert column(gathered, 0) == ["Case 1", "Case 3", "Case 2"]
    table.sortItems(3, qt.Qt.AscendingOrder)
    assert [float(text) for text in column(gathered, 3)] == [-0.4, 0.5, 0.6]
    gathered.wait_until(lambda: gathered.is_visible("plotPicture"), "the plot")
    gathered.screenshot(tmp_path / "quality.png")


def test_the_table_is_exported_without_names(gathered, tmp_path):
    dialogs.choose_path(tmp_path / "table.csv")
    gathered.click("csvButton")
    text = (tmp_path / "table.csv").read_text()
    assert text.startswith("case,dice_after,tre_after,jacobian_min") and "Case 2,0.72" in text
    assert "patient" not in text


def test_a_double_click_jumps_to_the_worst_place(gathered, results):
    table = gathered["qualityTable"]
    table.cellDoubleClicked.emit(column(gathered, 0).index("Case 2"), 0)
    gathered.wait_until(lambda: "Jacobian" in gathered.text("qualityNote"), "the place")
    assert gathered.text("qualityNote").startswith("Case 2,") and "folds" in gathered.text("qualityNote")
    assert gathered["firstSelector"].currentNode().GetName() == "Case 2"
    for axis, name in ((2, "Red"), (0, "Yellow"), (1, "Green")):
        node = slicer.app.layoutManager().sliceWidget(name).mrmlSliceNode()
        assert node.GetSliceToRAS().GetElement(axis, 3) == pytest.approx(results[1][axis], abs=0.01)


def test_a_report_with_pictures_is_written_and_opened(gathered, results, monkeypatch):
    asked = []
    monkeypatch.setattr(qt.QDesktopServices, "openUrl", lambda url: asked.append(url.toLocalFile()))
    gathered.wait_until(lambda: gathered.is_enabled("qualityReportButton"))
    gathered.click("qualityReportButton")
    gathered.wait_until(lambda: asked, "the report")
    assert "Case 2" in Path(asked[0]).read_text(encoding="utf-8")
    assert (results[0] / "quality-report" / "quality.pdf").stat().st_size > 1000
