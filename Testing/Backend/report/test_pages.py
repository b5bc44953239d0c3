from __future__ import annotations

import base64
import io
import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from PIL import Image

from SlicerSynthReg.errors import ReportError
from SlicerSynthReg.report.html import write_page
from SlicerSynthReg.report.page import registration_page
from SlicerSynthReg.report.record import DISCLAIMER, LandmarkError, RegistrationReport
from SlicerSynthReg.report.summary import THUMBNAIL_WIDTH, Case, summary_page
from SlicerSynthReg.report.verdict import BAD, GOOD, REVIEW, review_priority, verdicts
from SlicerSynthReg.weights.registry import Card


@pytest.fixture
def png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (2000, 400), (200, 10, 10)).save(buffer, format="PNG")
    return buffer.getvalue()


def changed(report: RegistrationReport, **fields) -> RegistrationReport:
    """Return `report` with fields of its parts replaced."""
    for name, value in fields.items():
        part = next(one for one in ("transform_quality", "overlap", "run") if hasattr(getattr(report, one), name))
        report = replace(report, **{part: replace(getattr(report, part), **{name: value})})
    return report


def level(report: RegistrationReport, measure: str) -> str:
    [found] = [verdict.level for verdict in verdicts(report) if verdict.measure.startswith(measure)]
    return found


class TagBalance(HTMLParser):
    """Checks that every opened element is closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs) -> None:
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag


def assert_well_formed(page: str) -> None:
    parser = TagBalance()
    parser.feed(page)
    assert parser.open == []
    assert DISCLAIMER in page
    assert not re.search(r'(src|href)="(?!data:image/png;base64,|case\.html)', page), "nothing is fetched"


def test_json_round_trip(report):
    assert RegistrationReport.from_json(report.to_json()) == report
    bare = replace(report, overlap=None, warnings=())
    assert RegistrationReport.from_json(bare.to_json()) == bare


@pytest.mark.parametrize(
    "damage", [lambda v: v["run"].pop("model"), lambda v: v.update(extra=1), lambda v: v.pop("warnings")]
)
def test_json_of_another_version_is_refused(report, damage):
    values = json.loads(report.to_json())
    damage(values)
    with pytest.raises(ReportError) as refused:
        RegistrationReport.from_json(json.dumps(values))
    assert refused.value.code == "report-unreadable"


def test_verdict_thresholds(report):
    assert {verdict.level for verdict in verdicts(report)} == {GOOD}
    assert level(changed(report, folding_fraction=1e-6), "Folding") == REVIEW
    assert level(changed(report, folding_fraction=2e-4), "Folding") == BAD
    assert level(changed(report, inverse_consistency_vox_mean=0.5), "Inverse") == REVIEW
    assert level(changed(report, inverse_consistency_vox_mean=1.5), "Inverse") == BAD
    assert level(changed(report, jacobian_max=6.0), "Local") == REVIEW
    assert level(changed(report, jacobian_min=0.1), "Local") == REVIEW


def test_overlap_improves_upwards_and_landmark_error_downwards(report):
    assert level(changed(report, dice_after=0.3), "Dice") == BAD
    assert level(changed(report, dice_after=0.401), "Dice") == REVIEW
    assert level(replace(report, landmarks=LandmarkError(5.0, 2.0)), "Landmark") == GOOD
    assert level(replace(report, landmarks=LandmarkError(2.0, 5.0)), "Landmark") == BAD


@pytest.mark.parametrize(
    ("field", "measure"),
    [
        ("folding_fraction", "Folding"),
        ("jacobian_max", "Local"),
        ("inverse_consistency_vox_mean", "Inv"),
        ("dice_after", "D"),
    ],
)
def test_nan_is_never_good(report, field, measure):
    assert level(changed(report, **{field: math.nan}), measure) == BAD


def test_single_folds_are_counted(report):
    [row, *_] = verdicts(changed(report, folding_fraction=3e-6))
    assert row.value == "3 per million voxels"
    assert verdicts(report)[0].value == "none"


def test_page_is_complete_and_self_contained(report, png):
    card = Card(
        "synthmorph-brain", "synthmorph", {}, "ab" * 32, "Apache-2.0", "phantoms", "research", "no CT", 2.0, "MR", "x"
    )
    page = registration_page(report, png, card)
    assert_well_formed(page)
    [data] = re.findall(r"base64,([A-Za-z0-9+/=]+)", page)
    assert base64.b64decode(data) == png
    for text in ("little overlap", "0.400 → 0.700", "0.020 mm (0.010 voxels)", "2.5 s", "3.8 s", "1,234 MB", "phantoms",
                 "no CT", "Trained on synthetic images only"):  # fmt: skip
        assert text in page, text
    assert page.index("Left") < page.index("Right</td>"), "the structure that lost overlap comes first"


def test_many_structures_are_collapsed(report):
    many = {str(n): (0.5, 0.5 + n / 1000) for n in range(1, 41)}
    page = registration_page(changed(report, per_label=many))
    assert_well_formed(page)
    before, folded = page.split("<details>")
    assert "The other 30 structures" in folded and "<td>1</td>" in before and "<td>40</td>" in folded
    assert all(f"<td>{n}</td>" in page for n in range(1, 41))
    assert "<details>" not in registration_page(changed(report, per_label={"1": (0.5, 0.6)}))


def test_folders_are_removed_and_names_escaped(report):
    private = replace(
        changed(report, parameters={"initial": "/data/DOE_JANE/start.tfm"}),
        fixed_name="/data/DOE_JANE/fixed <1>.nii",
        moving_name="C:\\DOE_JANE\\m.nii",
    )
    page = registration_page(private) + summary_page([Case("/data/DOE_JANE/case 1", private)])
    assert "DOE_JANE" not in page
    assert "fixed &lt;1&gt;.nii" in page and "<1>" not in page and "start.tfm" in page


def test_summary_lists_failed_and_worst_cases_first(report, png):
    good, better = changed(report, dice_after=0.6), changed(report, dice_after=0.9)
    cases = [
        Case("c-better", better),
        Case("d-good", good, picture=png, page="case.html"),
        Case("e-folded", changed(better, folding_fraction=0.1)),
        Case("b-look", changed(better, folding_fraction=1e-6)),
        Case("a-nan", changed(better, inverse_consistency_vox_mean=math.nan)),
        Case("f-failed", error="no <such> file"),
    ]
    page = summary_page(cases)
    assert_well_formed(page)
    order = ["f-failed", "e-folded", "a-nan", "b-look", "d-good", "c-better"]
    assert sorted(order, key=page.index) == order
    assert "6 cases: 2 good, 1 to review, 2 with a problem, 1 failed" in page
    assert "no &lt;such&gt; file" in page and page.count("✕ failed") == 1 and page.count("✕ problem") == 2
    assert 'href="a%20name%23/case.html"' in summary_page([Case("a name#", good, page="a name#/case.html")])
    [data] = re.findall(r"base64,([A-Za-z0-9+/=]+)", page)
    thumbnail = Image.open(io.BytesIO(base64.b64decode(data)))
    assert thumbnail.size == (THUMBNAIL_WIDTH, THUMBNAIL_WIDTH // 5)
    assert review_priority(good) > review_priority(better)


def test_page_is_written_atomically(report, tmp_path):
    path = write_page(registration_page(report), tmp_path / "report.html")
    assert path.read_text(encoding="utf-8") == registration_page(report)
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
