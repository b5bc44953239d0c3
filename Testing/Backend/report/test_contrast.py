from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from SlicerSynthReg.contrast.evaluation import HUChange, NetworkUse, OrganHU, PhaseCheck
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.report.contrast import ContrastReport, contrast_page, contrast_picture, verdicts
from SlicerSynthReg.report.record import RunRecord
from SlicerSynthReg.report.verdict import GOOD, REVIEW
from SlicerSynthReg.spatial.grid import Grid
from SlicerSynthReg.weights.registry import Card

SOUND = ContrastReport(
    image_name="scan.nii.gz",
    target_phase="native",
    phase=PhaseCheck("contrast", "native"),
    change=HUChange(12.3, {"fat": 1.2, "air outside": 0.1}, cycle_hu=4.5),
    network=NetworkUse(nfe=2, pixels=(200, 240), slices=80),
    run=RunRecord("mfm-abdomen", {"solver": "heun"}, {"reading": 1.0, "converting": 20.5}),
)
SAID = {"training_data": "phantoms", "intended_use": "research", "limits": "Arterial phase only.", "modalities": "CT"}
CARD = Card("mfm-abdomen", "MFM", {}, "ab12", "Apache-2.0", spacing_mm=1.5, trained_with="a test", **SAID)


def levels(report: ContrastReport) -> dict[str, str]:
    return {row.measure: row.level for row in verdicts(report)}


def test_unenhanced_tissue_and_the_cycle_error_are_judged():
    assert set(levels(SOUND).values()) == {GOOD}
    odd = levels(dataclasses.replace(SOUND, change=HUChange(12.3, {"fat": 9.0, "air outside": 0.1}, 22.0)))
    assert odd["Median change in fat"] == REVIEW and odd["Cycle error"] == REVIEW
    assert odd["Median change in air outside"] == GOOD
    assert "Cycle error" not in levels(dataclasses.replace(SOUND, change=HUChange(12.3, {})))


def test_the_page_says_that_it_is_synthetic_and_what_the_model_has_not_seen():
    organs = (OrganHU("aorta", 312.0, 41.0, 900), OrganHU("liver <x>", 70.0, 55.0, 9000))
    page = contrast_page(dataclasses.replace(SOUND, organs=organs, warnings=("Look & see.",)), b"png", CARD)
    for words in (
        "Synthetic native CT",
        "Not a scan of the patient",
        "trained on phantoms and not validated on patients",
        "Arterial phase only.",
        "Look &amp; see.",
        "liver &lt;x&gt;",
        "−271",
        "80 slices of 200 x 240 pixels, 2 evaluations (NFE) per slice",
        "not for diagnosis",
    ):
        assert words in page, words
    patients = contrast_page(SOUND, b"png", dataclasses.replace(CARD, synthetic_training_only=False))
    assert "trained on phantoms" not in patients and "Reference" not in page


def test_the_true_image_has_a_column_where_there_is_one():
    organs = (OrganHU("aorta", 312.0, 48.0, 900, reference=41.0), OrganHU("spleen", 110.0, 50.0, 900))
    page = contrast_page(dataclasses.replace(SOUND, organs=organs, reference={"MAE, HU": 5.4}), b"png", CARD)
    assert "<th>Reference</th>" in page and "<td>41</td>" in page and "5.4" in page


@pytest.fixture
def a_scan_and_its_native() -> tuple[Image, Image]:
    """A body with a bright vessel at one place of it, gone in the second; 4 mm voxels stored L, P, S."""
    hu = torch.full((1, 40, 30, 20), -1000.0)
    hu[:, 5:35, 5:25] = 30
    native = hu.clone()
    hu[:, 10:14, 18:22, 12] = 330
    grid = Grid((40, 30, 20), np.diag([-4.0, -4.0, 4.0, 1.0]))
    return Image(hu, grid, name="scan"), Image(native, grid)


def shown(figure) -> dict[tuple[int, int], np.ndarray]:
    """(row, column) -> pixels, in the order in which they were drawn."""
    images = [axes.images[0] for axes in figure.axes]
    columns = len({image.get_cmap().name + str(image.get_clim()) for image in images}) + 1
    return {divmod(n, columns): np.asarray(image.get_array()) for n, image in enumerate(images)}


def test_the_picture_cuts_through_the_change_and_shows_it_on_its_own_scale(a_scan_and_its_native):
    scan, native = a_scan_and_its_native
    cycle = Image(torch.full_like(scan.data, 7.0), scan.grid)
    figure = contrast_picture(scan, native, "native", cycle)
    pixels = shown(figure)
    assert len(pixels) == 12
    for row in range(3):  # the vessel is in all three planes, and is all that differs
        assert pixels[row, 0].max() > 300 and pixels[row, 1].max() < 40
        assert pixels[row, 2].min() == pytest.approx(-300, abs=15) and pixels[row, 2].max() == pytest.approx(0, abs=1)
        assert np.allclose(pixels[row, 3], 7)
    bright = np.argwhere(pixels[0, 0] > 200).mean(0) / pixels[0, 0].shape
    assert bright[0] > 0.5 and bright[1] < 0.5  # behind, and on the patient's right, which is the viewer's left
    assert any("SYNTHETIC" in text.get_text() for text in figure.texts)


def test_one_slice_is_shown_in_its_plane_alone(a_scan_and_its_native):
    scan, native = (
        Image(one.data[..., 12:13], Grid((40, 30, 1), one.grid.affine), name="scan") for one in a_scan_and_its_native
    )
    assert len(contrast_picture(scan, native, "native").axes) == 3
