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

from SlicerSynthReg.report.html import write_page
from SlicerSynthReg.report.page import registration_page
from SlicerSynthReg.report.record import DISCLAIMER, RegistrationReport, ReportError
from SlicerSynthReg.report.summary import Case, summary_page
from SlicerSynthReg.report.verdict import BAD, GOOD, LOOK, concern, verdicts
from SlicerSynthReg.weights.registry import Card


@pytest.fixture
def png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (2000, 400), (200, 10, 10)).save(buffer, format="PNG")
    return buffer.getvalue()


def level(report: RegistrationReport, measure: str) -> str:
    [found] = [verdict.level for verdict in verdicts(report) if verdict.measure.startswith(measure)]
    return found


class Balance(HTMLParser):
    """Every opened element is closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs) -> None:
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag


def assert_sound(page: str) -> None:
    parser = Balance()
    parser.feed(page)
    assert parser.open == []
    assert DISCLAIMER in page
    assert not re.search(r'(src|href)="(?!data:image/png;base64,|case\.html)', page), "nothing is fetched"


def test_json_there_and_back(report):
    assert RegistrationReport.from_json(report.to_json()) == report
    bare = replace(report, per_label=None, warnings=(), dice_before=None)
    assert RegistrationReport.from_json(bare.to_json()) == bare


@pytest.mark.parametrize("damage", [lambda v: v.pop("model"), lambda v: v.update(extra=1), lambda v: v.pop("warnings")])
def test_json_of_another_version_is_refused(report, damage):
    values = json.loads(report.to_json())
    damage(values)
    with pytest.raises(ReportError, match="expected one written by this version"):
        RegistrationReport.from_json(json.dumps(values))


def test_verdicts_at_their_edges(report):
    assert {verdict.level for verdict in verdicts(report)} == {GOOD}
    assert level(replace(report, folding_share=1e-6), "Folding") == LOOK
    assert level(replace(report, folding_share=2e-4), "Folding") == BAD
    assert level(replace(report, inverse_consistency_vox_mean=0.5), "Inverse") == LOOK
    assert level(replace(report, inverse_consistency_vox_mean=1.5), "Inverse") == BAD
    assert level(replace(report, jacobian_max=6.0), "Local") == LOOK
    assert level(replace(report, jacobian_min=0.1), "Local") == LOOK


def test_overlap_gets_better_upwards_and_distance_downwards(report):
    assert level(replace(report, dice_after=0.3), "Dice") == BAD
    assert level(replace(report, dice_after=0.401), "Dice") == LOOK
    assert level(replace(report, tre_before=5.0, tre_after=2.0), "Landmark") == GOOD
    assert level(replace(report, tre_before=2.0, tre_after=5.0), "Landmark") == BAD


@pytest.mark.parametrize(
    ("field", "measure"),
    [
        ("folding_share", "Folding"),
        ("jacobian_max", "Local"),
        ("inverse_consistency_vox_mean", "Inv"),
        ("dice_after", "D"),
    ],
)
def test_what_is_no_number_is_never_good(report, field, measure):
    assert level(replace(report, **{field: math.nan}), measure) == BAD


def test_one_fold_in_a_million_is_not_none(report):
    [row, *_] = verdicts(replace(report, folding_share=3e-6))
    assert row.value == "3 per million voxels"
    assert verdicts(report)[0].value == "none"


def test_the_page_holds_everything_and_fetches_nothing(report, png):
    card = Card(
        "synthmorph-brain", "synthmorph", {}, "ab" * 32, "Apache-2.0", "phantoms", "research", "no CT", 2.0, "MR", "x"
    )
    page = registration_page(report, png, card)
    assert_sound(page)
    [data] = re.findall(r"base64,([A-Za-z0-9+/=]+)", page)
    assert base64.b64decode(data) == png
    for text in ("little overlap", "0.400 → 0.700", "0.020 mm (0.010 voxels)", "2.5 s", "3.8 s", "1,234 MB", "phantoms",
                 "no CT", "Trained on synthetic images only"):  # fmt: skip
        assert text in page, text
    assert page.index("Left") < page.index("Right</td>"), "the structure that lost overlap comes first"


def test_many_structures_are_folded_away_all_the_same_there(report):
    many = {str(n): (0.5, 0.5 + n / 1000) for n in range(1, 41)}
    page = registration_page(replace(report, per_label=many))
    assert_sound(page)
    before, folded = page.split("<details>")
    assert "The other 30 structures" in folded and "<td>1</td>" in before and "<td>40</td>" in folded
    assert all(f"<td>{n}</td>" in page for n in range(1, 41))
    assert "<details>" not in registration_page(replace(report, per_label={"1": (0.5, 0.6)}))


def test_no_folder_reaches_the_page_and_names_are_escaped(report):
    private = replace(
        report,
        fixed_name="/data/DOE_JANE/fixed <1>.nii",
        moving_name="C:\\DOE_JANE\\m.nii",
        config={"initial": "/data/DOE_JANE/start.tfm"},
    )
    page = registration_page(private) + summary_page([Case("/data/DOE_JANE/case 1", private)])
    assert "DOE_JANE" not in page
    assert "fixed &lt;1&gt;.nii" in page and "<1>" not in page and "start.tfm" in page


def test_a_batch_starts_with_what_failed_and_then_the_worst(report, png):
    good, better = replace(report, dice_after=0.6), replace(report, dice_after=0.9)
    cases = [
        Case("c-better", better),
        Case("d-good", good, picture=png, page="case.html"),
        Case("e-folded", replace(better, folding_share=0.1)),
        Case("b-look", replace(better, folding_share=1e-6)),
        Case("a-nan", replace(better, inverse_consistency_vox_mean=math.nan)),
        Case("f-failed", error="no <such> file"),
    ]
    page = summary_page(cases)
    assert_sound(page)
    order = ["f-failed", "e-folded", "a-nan", "b-look", "d-good", "c-better"]
    assert sorted(order, key=page.index) == order
    assert "6 cases: 2 without objection, 1 to look at twice, 2 with a problem, 1 failed" in page
    assert "no &lt;such&gt; file" in page and page.count("✕ failed") == 1 and page.count("✕ problem") == 2
    assert 'href="a%20name%23/case.html"' in summary_page([Case("a name#", good, page="a name#/case.html")])
    [data] = re.findall(r"base64,([A-Za-z0-9+/=]+)", page)
    thumbnail = Image.open(io.BytesIO(base64.b64decode(data)))
    assert thumbnail.size == (920, 184)
    assert concern(good) > concern(better)


def test_a_page_is_written_whole(report, tmp_path):
    path = write_page(registration_page(report), tmp_path / "report.html")
    assert path.read_text(encoding="utf-8") == registration_page(report)
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
