"""From a converted volume to a derived DICOM series, and the difference to SynthReview."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
import slicer
from slicerhost import count_turns, opened

from Testing.Host.synthcontrast.dicom_series import loaded_from, write_series
from Testing.Host.synthcontrast.scans import a_ct, ct_values
from Testing.Host.synthregister.clicking import TURNS, apply, folders, is_idle


@pytest.fixture
def converted(panel):
    """The panel after a conversion without the way back."""

    def convert(scan):
        panel.select("imageSelector", scan)
        panel.widget._parameterNode.cycle = False
        apply(panel)
        panel.wait_until(lambda: is_idle(panel))
        panel.expand("exportCollapsibleButton")
        return slicer.util.getNode("*synthetic native CT")

    return convert


def export(panel) -> None:
    panel.click("exportButton")
    panel.wait_until(lambda: is_idle(panel))


def test_the_series_behind_a_scan_is_found_in_the_database(panel, converted, tmp_path, monkeypatch):
    scan, files = a_ct(), write_series(ct_values(), tmp_path / "study")
    write_series(ct_values(3), tmp_path / "study" / "other")  # the folder holds another series beside it
    loaded_from(scan, files, monkeypatch)
    made = converted(scan)
    assert made.GetAttribute("DICOM.instanceUIDs") is None
    assert not panel.is_visible("sourceDirectory") and not panel.is_enabled("exportButton")
    (tmp_path / "out").mkdir()
    panel["exportDirectory"].currentPath = str(tmp_path / "out")
    panel.settle()
    before = folders()
    with count_turns() as turns:
        export(panel)
    assert turns.count >= TURNS
    assert panel.text("statusLabel").startswith("Exported 14 slices"), panel.text("statusLabel")
    written = sorted((tmp_path / "out" / "synthetic-native-CT" / "dicom").glob("*.dcm"))
    slices = [pydicom.dcmread(path) for path in written]
    values = slicer.util.arrayFromVolume(made)
    for k, one in enumerate(slices):
        assert one.ImageType[0] == "DERIVED" and one.SeriesDescription.startswith("SYNTHETIC native CT by tiny")
        assert one.SourceImageSequence[0].ReferencedSOPInstanceUID == list(files)[k]
        assert one.SOPInstanceUID not in files and "not for diagnosis" in one.DerivationDescription
        hu = one.pixel_array * float(one.RescaleSlope) + float(one.RescaleIntercept)
        np.testing.assert_allclose(hu, values[k].clip(-1024, 3071), atol=0.51)
    assert folders() == before, "what was written on the way is gone"
    export(panel)
    assert (tmp_path / "out" / "synthetic-native-CT-2").is_dir(), "nothing is written over"


def test_without_a_database_the_folder_is_asked_for(panel, converted, tmp_path):
    write_series(ct_values(), tmp_path / "study")
    converted(a_ct())
    assert panel.is_visible("sourceDirectory") and "choose its folder" in panel.text("exportLabel")
    panel["exportDirectory"].currentPath = str(tmp_path)
    panel.settle()
    assert not panel.is_enabled("exportButton")
    panel["sourceDirectory"].currentPath = str(tmp_path / "study")
    panel.settle()
    export(panel)
    assert panel.text("statusLabel").startswith("Exported 14 slices"), panel.text("statusLabel")


def test_another_series_is_refused_and_nothing_is_written(panel, converted, tmp_path):
    write_series(ct_values()[:, :, :9], tmp_path / "study")
    converted(a_ct())
    panel["sourceDirectory"].currentPath = str(tmp_path / "study")
    panel["exportDirectory"].currentPath = str(tmp_path)
    panel.settle()
    export(panel)
    assert "does not lie on the slices of the source series" in panel.text("statusLabel")
    assert [path.name for path in Path(tmp_path).iterdir()] == ["study"]


def test_the_difference_is_one_click_away_in_hu(panel, converted):
    with opened("SynthReview", main_window=False):
        scan = a_ct()
        made = converted(scan)
        panel.click("reviewButton")
        parameters = slicer.util.getModuleLogic("SynthReview").getParameterNode()
        assert (parameters.first, parameters.second) == (scan, made)
        assert (parameters.mode.name, parameters.units.name) == ("DIFFERENCE", "VALUES")
        assert scan.GetDisplayNode().GetWindow() == 350.0 and made.GetDisplayNode().GetLevel() == 40.0
