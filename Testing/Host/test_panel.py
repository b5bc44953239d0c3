"""The example module, opened and used: what the host promises of panels."""

from __future__ import annotations

from pathlib import Path

import pytest
from slicerhost import opened

EXAMPLE = Path(__file__).parent / "example" / "HostExample"


@pytest.fixture
def ramp():
    import HostExample

    return HostExample.make_sample


def test_a_panel_opens_without_input_and_says_what_is_missing() -> None:
    with opened("HostExample", EXAMPLE) as panel:
        assert panel.text("statusLabel") == "No volume is selected."
        assert not panel.is_enabled("applyButton")
        with pytest.raises(AssertionError, match="disabled: Select a volume"):
            panel.click("applyButton")


def test_a_click_counts_what_the_panel_says(tmp_path: Path) -> None:
    with opened("HostExample", EXAMPLE) as panel:
        import HostExample

        panel.select("volumeSelector", HostExample.make_sample())
        panel.set_value("thresholdSlider", 49.5)
        panel.click("applyButton")
        assert panel.text("statusLabel") == "10 voxels"
        panel.expand("advancedButton")
        panel.choose("sideBox", "Below")
        panel.click("applyButton")
        assert panel.text("statusLabel") == "50 voxels"
        panel.screenshot(tmp_path / "panel.png")
        assert (tmp_path / "panel.png").stat().st_size > 2000
