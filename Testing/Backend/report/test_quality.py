"""Quality of a cohort: measures of complete results, worst locations, and anonymous pages."""

from __future__ import annotations

import csv
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from SlicerSynthReg.cli.main import app
from SlicerSynthReg.errors import ReportError
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.write import write_image
from SlicerSynthReg.report.cohort import cohort_cases
from SlicerSynthReg.report.quality import (
    MEASURES,
    QualityRow,
    QualityTable,
    WorstLocation,
    collect_results,
    extract_measures,
)
from SlicerSynthReg.report.quality_page import quality_page, write_pdf
from SlicerSynthReg.report.record import DISCLAIMER
from SlicerSynthReg.report.worst import worst_difference, worst_jacobian, worst_location, worst_overlap
from SlicerSynthReg.spatial.grid import Grid
from Testing.Backend.report.conftest import anatomy, awkward, ball, straight

PATIENT = "MEIER_ANNA"
BY_NAME = {one.name: one for one in MEASURES}


def result(folder: Path, report: dict, **volumes: Image) -> Path:
    """Write a result folder as the service does."""
    folder.mkdir(parents=True)
    outputs = {}
    for name, volume in volumes.items():
        outputs[name] = f"{name}.nii.gz"
        write_image(volume, folder / outputs[name])
    values = {"report": report, "outputs": outputs, "files": sorted(outputs.values())}
    (folder / "report.json").write_text(json.dumps(values))
    return folder


def pages_of(pdf: bytes) -> int:
    return len(re.findall(rb"/Type /Page\b", pdf))


@pytest.fixture
def batch(tmp_path):
    """Return the folder of a batch with three complete results and an incomplete one."""
    for n, dice in enumerate((0.9, 0.7, 0.8)):
        report = {"dice_after": dice, "folding_fraction": n * 1e-6, "nested": {"mae": 10.0 + n}, "psnr_db": None}
        result(tmp_path / "out" / f"{PATIENT}_{n}", {**report, "ssim": 1})
    broken = result(tmp_path / "out" / f"{PATIENT}_3", {"dice_after": 0.1})
    (broken / "report.json").write_text(json.dumps({"report": {"dice_after": 0.1}, "files": ["gone.nii"]}))
    return tmp_path / "out"


def row(label: str, **values: float) -> QualityRow:
    return QualityRow(label, f"{PATIENT}_{label}", values)


def test_measures_are_collected_from_complete_results_only(batch):
    table = collect_results(batch)
    assert [one.label for one in table.rows] == ["Case 1", "Case 2", "Case 3"]
    assert [one.name for one in table.measures] == ["dice_after", "folding_fraction", "mae", "ssim"]
    assert table.rows[1].values == {"dice_after": 0.7, "folding_fraction": 1e-6, "mae": 11.0, "ssim": 1.0}
    assert table.rows[1].folder.name == f"{PATIENT}_1" and len(collect_results(batch / f"{PATIENT}_1").rows) == 1
    assert math.isnan(table.rows[0].value(BY_NAME["psnr_db"]))
    with pytest.raises(ReportError) as refused:
        collect_results(batch / f"{PATIENT}_3")
    assert refused.value.code == "no-results"


def test_worst_first_uses_the_direction_of_each_measure(batch):
    table = collect_results(batch)
    assert [one.label for one in table.worst_first(BY_NAME["dice_after"])] == ["Case 2", "Case 3", "Case 1"]
    assert [one.label for one in table.worst_first(BY_NAME["folding_fraction"])] == ["Case 3", "Case 2", "Case 1"]
    rows = (row("a", ssim=0.9, mae=1.0), row("b", ssim=0.5, mae=9.0), row("c", ssim=0.7, mae=2.0), row("d"))
    assert [one.label for one in QualityTable(rows).worst_first()] == ["b", "c", "a", "d"]
    assert [one.label for one in QualityTable(rows).worst_first(BY_NAME["ssim"])] == ["b", "c", "a", "d"]


def test_table_as_csv(batch, tmp_path):
    rows = collect_results(batch).rows
    located = QualityTable((replace(rows[0], location=WorstLocation((1.04, -2, 3), "folds, Jacobian -0.1")), *rows[1:]))
    path = located.write_csv(tmp_path / "quality.csv")
    assert PATIENT not in path.read_text()
    lines = list(csv.DictReader(path.open()))
    assert [line["case"] for line in lines] == ["Case 1", "Case 2", "Case 3"]
    assert (
        float(lines[2]["folding_fraction"]) == 2e-6
        and lines[0]["worst_R_mm"] == "1.0"
        and lines[1]["worst_reason"] == ""
    )
    named = list(csv.DictReader(located.write_csv(tmp_path / "named.csv", show_names=True).open()))
    assert named[1]["name"] == f"{PATIENT}_1"


def test_location_as_text():
    assert str(WorstLocation((-12.4, 30.0, -5.2), "")) == "L 12 A 30 I 5 mm"


@pytest.mark.parametrize("grid", [straight((2, 2, 2)), awkward()], ids=["straight", "awkward"])
def test_worst_difference_in_ras_mm(grid):
    reference = anatomy(grid)
    spot = np.array((14.0, -20.0, 8.0))
    extra = torch.from_numpy(40.0 * ball(grid, spot, 7)).float()[None]
    random = torch.Generator().manual_seed(1)
    noise = 30 * torch.randn(reference.data.shape, generator=random)
    image = replace(reference, data=reference.data + extra + noise)
    place = worst_difference(reference, image, unit="HU")
    assert np.linalg.norm(np.array(place.ras_mm) - spot) < 6, "not at the largest noise of a single voxel"
    loudest = np.unravel_index(int(noise.abs().argmax()), noise.shape)[1:]
    assert np.linalg.norm(grid.index_to_world(np.array([loudest]))[0] - spot) > 20
    assert place.reason.endswith(" HU")
    elsewhere = Image(torch.from_numpy(ball(grid, -spot, 12)).int()[None], grid, "labels")
    inside = worst_difference(reference, image, elsewhere)
    assert np.linalg.norm(np.array(inside.ras_mm) + spot) < 13


def test_worst_overlap_is_the_deepest_point_of_the_difference(plain_head):
    grid = plain_head.grid
    expected = Image(torch.from_numpy(ball(grid, (0, 0, 0), 20)).int()[None], grid, "labels")
    found = ball(grid, (0, 0, 0), 18) & ~ball(grid, (12, 0, 0), 6)
    place = worst_overlap(expected, Image(torch.from_numpy(found).int()[None], grid, "labels"))
    assert np.linalg.norm(np.array(place.ras_mm) - (12, 0, 0)) < 3 and "mm deep" in place.reason
    assert worst_overlap(expected, expected) is None


def test_worst_jacobian_is_the_minimum(tmp_path):
    grid = awkward()
    values = 1 + 0.1 * torch.rand(1, *grid.shape, generator=torch.Generator().manual_seed(0))
    values[0, 7, 60, 11] = -0.25
    place = worst_jacobian(Image(values, grid))
    assert place.ras_mm == pytest.approx(grid.index_to_world(np.array([[7, 60, 11]]))[0]) and "folds" in place.reason
    folder = result(tmp_path / "one", {}, jacobian=Image(values, grid))
    assert worst_location(folder).ras_mm == pytest.approx(place.ras_mm, abs=1e-3)
    assert worst_location(result(tmp_path / "two", {})) is None


def test_worst_location_of_other_results_is_the_maximum_of_their_map(tmp_path, plain_head):
    anomaly = replace(plain_head, data=torch.from_numpy(0.8 * ball(plain_head.grid, (14, -20, 8), 7)).float()[None])
    anomaly.data[0, 3, 3, 3] = 1.0
    folder = result(tmp_path / "out" / "one", {"anomaly_ml": 1.4}, healthy=plain_head, anomaly=anomaly)
    place = worst_location(folder)
    assert np.linalg.norm(np.array(place.ras_mm) - (14, -20, 8)) < 3 and place.reason.startswith(
        "anomaly, probability 0."
    )
    [case] = cohort_cases(tmp_path / "out")
    assert [(one.name, one.kind) for one in case.rows] == [("healthy", "grey"), ("anomaly", "heat")]
    assert case.quality.values == {"anomaly_ml": 1.4}


def test_dice_per_label_is_averaged():
    report = {"dice": {"1": 0.5, "2": 0.9}, "volumes_ml": {"1": 3.0}, "truth": {"MAE, HU": 7.0}, "warnings": ["x"]}
    assert extract_measures(report) == {"dice_after": pytest.approx(0.7), "mae_hu": 7.0}


@pytest.fixture
def table_of_images(tmp_path) -> Path:
    """Write a table of two cases with one reference: a large local difference, and a small one on another grid."""
    reference = anatomy(straight((4, 4, 4)))
    write_image(reference, tmp_path / "reference.nii.gz")
    spot = torch.from_numpy(4000.0 * ball(reference.grid, (14, -20, 8), 9)).float()[None]
    write_image(replace(reference, data=reference.data + spot), tmp_path / "a.nii.gz")
    write_image(anatomy(Grid((40, 40, 40), reference.grid.resampled(2.5).affine)), tmp_path / "b.nii.gz")
    lines = f"name,image,reference\n{PATIENT}_2,b.nii.gz,reference.nii.gz\n{PATIENT}_1,a.nii.gz,reference.nii.gz\n"
    (tmp_path / "cohort.csv").write_text(lines)
    return tmp_path / "cohort.csv"


def test_table_of_images_is_compared_with_the_references(table_of_images):
    first, second = cohort_cases(table_of_images, unit="HU")
    assert first.quality.name == f"{PATIENT}_1" and first.quality.label == "Case 1"
    share = ball(straight((4, 4, 4)), (14, -20, 8), 9).mean()
    assert first.quality.values["mae"] == pytest.approx(4000 * share, rel=1e-5)
    assert np.linalg.norm(np.array(first.quality.location.ras_mm) - (14, -20, 8)) < 8
    assert 0 < second.quality.values["mae"] < 10, "an image on another grid is resampled"
    assert [one.name for one in first.rows] == ["reference", "image", "image − reference"]
    assert torch.allclose(first.rows[2].volume.data, first.rows[1].volume.data - first.rows[0].volume.data)


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ("name,picture\na,b.nii\n", "table-columns"),
        ("name,image\n", "table-columns"),
        ("name,image\na,gone.nii\n", "table-row"),
        ("name,image\n,a.nii.gz\n", "table-row"),
        ("name,image\na,a.nii.gz\na,a.nii.gz\n", "table-duplicate"),
    ],
)
def test_invalid_tables_are_refused(table_of_images, lines, code):
    table_of_images.write_text(lines)
    with pytest.raises(ReportError) as refused:
        list(cohort_cases(table_of_images))
    assert refused.value.code == code


def test_render_writes_anonymous_sheets_pages_and_tables(table_of_images, tmp_path):
    out = tmp_path / "made"
    result_of_render = CliRunner().invoke(
        app, ["review", "render", str(table_of_images), "--out", str(out), "--window", "abdomen"]
    )
    assert result_of_render.exit_code == 0, result_of_render.output
    files = {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert set(files) == {"quality.csv", "quality.html", "quality.pdf", "sheets/case-1.png", "sheets/case-2.png"}
    assert not any(PATIENT.encode() in data for data in files.values())
    assert files["quality.pdf"].startswith(b"%PDF") and pages_of(files["quality.pdf"]) == 4
    page = files["quality.html"].decode()
    assert DISCLAIMER in page and page.index("Case 1</a>") < page.index("Case 2</a>"), "worst first"
    assert not re.search(r'src="(?!data:image/png;base64,)', page)
    named = CliRunner().invoke(app, ["review", "render", str(table_of_images), "--out", str(out), "--names"])
    assert named.exit_code == 0 and PATIENT in (out / "quality.html").read_text()


def test_render_of_result_folders(tmp_path, plain_head):
    jacobian = replace(plain_head, data=torch.ones_like(plain_head.data))
    jacobian.data[0, 10, 20, 30] = -1
    result(tmp_path / "out" / PATIENT, {"folding_fraction": 8e-6}, moved=plain_head, jacobian=jacobian)
    result(tmp_path / "out" / "no pictures", {"folding_fraction": 0.0})
    result_of_render = CliRunner().invoke(
        app, ["review", "render", str(tmp_path / "out"), "--out", str(tmp_path / "made")]
    )
    assert result_of_render.exit_code == 0, result_of_render.output
    page = (tmp_path / "made" / "quality.html").read_text()
    assert "folds, Jacobian -1.00" in page and "<b>8.0</b>" in page and page.count("<h2 id=") == 1
    refused = CliRunner().invoke(app, ["review", "render", str(tmp_path / "gone"), "--out", str(tmp_path / "made")])
    assert refused.exit_code == 2 and "expected" in refused.output


def test_one_worst_value_of_ten_is_bold_and_nothing_where_all_are_one():
    rows = tuple(row(f"Case {n}", ssim=0.5 + n / 100, anomaly_ml=float(n)) for n in range(10))
    page = quality_page(QualityTable(rows), {}, "Title")
    assert page.count("<b>0.") == 1 + (1 > 0) and "<b>0.500</b>" in page
    assert "<b>9.0</b>" not in page, "a volume has no better end"


def test_a_pdf_of_a_hundred_cases_has_pages_enough(tmp_path):
    rows = tuple(row(f"Case {n}", ssim=n / 100) for n in range(100))
    data = write_pdf(QualityTable(rows), [], tmp_path / "q.pdf", "Title").read_bytes()
    assert pages_of(data) == 4 + 1
