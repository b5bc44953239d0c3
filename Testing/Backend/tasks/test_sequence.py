"""A trunk that breathes, frame by frame, by a known amount."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from SlicerSynthReg.request import Cancelled, Request, RequestError
from SlicerSynthReg.run import run
from SlicerSynthReg.space.transform import Affine
from SlicerSynthReg.tasks import sequence
from SlicerSynthReg.tasks.alignment import Alignment
from SlicerSynthReg.tasks.sequence_parameters import reference_frame
from SlicerSynthReg.volume.landmarks import Landmarks, write_landmarks
from SlicerSynthReg.volume.read import read_volume
from SlicerSynthReg.volume.transforms import read_transform
from SlicerSynthReg.volume.volume import Volume
from SlicerSynthReg.volume.write import write_volume
from Testing.Backend.tasks.trunk import BODY_GRID, ORGANS, hounsfield

DOME, WIDTH_MM = np.array([0.0, 0.0, -10.0]), 70.0
BREATH_MM = (0.0, 9.0, 18.0)
QUICK = {"anatomy": "ct", "model": "none", "preset": "fast"}
PLACES = np.array([center for center, _, _ in ORGANS[:4]], dtype=float)


def breathed(points: np.ndarray, mm: float) -> np.ndarray:
    """Where the trunk shows, at full exhalation, what lies at `points` when its dome has sunk by `mm`."""
    near = np.exp(-((points - DOME) ** 2).sum(1) / (2 * WIDTH_MM**2))
    return points + np.outer(near, (0.0, 0.0, mm))


@pytest.fixture
def frames() -> list[Volume]:
    index = np.stack(np.meshgrid(*map(np.arange, BODY_GRID.shape), indexing="ij"), -1).reshape(-1, 3)
    points = BODY_GRID.index_to_world(index)
    shown = [hounsfield(breathed(points, mm)).reshape(1, *BODY_GRID.shape) for mm in BREATH_MM]
    return [Volume(torch.from_numpy(one).float(), BODY_GRID) for one in shown]


@pytest.fixture
def written(frames, tmp_path):
    """The frames as one 4-D file."""
    path = tmp_path / "breath.nii.gz"
    write_volume(Volume(torch.cat([one.data for one in frames]), BODY_GRID), path)
    return path


@pytest.fixture
def folder(frames, tmp_path):
    """The frames as files, numbered without leading zeros; the third comes after the tenth by its letters."""
    home = tmp_path / "phases"
    home.mkdir()
    for n, one in zip((2, 9, 10), frames):
        write_volume(one, home / f"phase{n}.nii.gz")
    return home


@pytest.fixture
def known(monkeypatch):
    """The registration finds a shift of 2 mm for every frame."""

    def aligned(parameters, reference, frame, device, tell) -> Alignment:
        tell(0.5, "computing")
        shift = np.eye(4)
        shift[0, 3] = 2.0
        return Alignment(Affine(shift), shift, None, {}, 0.5, 0.6)

    monkeypatch.setattr(sequence, "_aligned", aligned)


def registered(inputs: dict, out: Path, progress=lambda share, text: None, **more):
    paths = {name: str(path) for name, path in inputs.items()}
    return run(Request("sequence", paths, str(out), {**QUICK, **more}), progress)


def test_a_breath_is_followed_frame_by_frame(written, tmp_path):
    write_landmarks(Landmarks(PLACES, ("left lung", "right lung", "liver", "spleen")), tmp_path / "marks.csv")
    heard = []
    found = registered(
        {"sequence": written, "fixed_landmarks": tmp_path / "marks.csv"},
        tmp_path / "out",
        lambda share, text: heard.append(share),
        reference="first",
    )
    assert heard == sorted(heard) and len(heard) > 10, "one bar from 0 to 1"
    rows = found.report["frames"]
    assert [row["status"] for row in rows] == ["reference", "registered", "registered"]
    for n, mm in enumerate(BREATH_MM):
        transform = read_transform(found.outputs[f"frame_{n:03d}"])
        there = transform.map_points(PLACES)
        before = np.linalg.norm(breathed(PLACES, mm) - PLACES, axis=1).mean()
        after = np.linalg.norm(breathed(there, mm) - PLACES, axis=1).mean()
        assert after <= 0.4 * before + 1e-6, "through the frame's transform the same organs are met"
        np.testing.assert_allclose(rows[n]["landmarks_mm"], np.linalg.norm(there - PLACES, axis=1), atol=1e-3)
    assert rows[0]["motion_mean_mm"] == 0 and rows[2]["motion_mean_mm"] > 1.5 * rows[1]["motion_mean_mm"] > 1
    moved = read_volume(found.outputs["moved"], frame="all")
    assert moved.grid.same_as(BODY_GRID, 1e-3) and moved.data.shape[0] == 3
    still, waving = (
        float((one[2] - one[0])[5:-5, 5:-5, 4:-4].abs().mean())
        for one in (moved.data, read_volume(written, frame="all").data)
    )
    assert still < 0.6 * waving
    assert json.loads((tmp_path / "out" / "report.json").read_text())["report"]["reference"] == "frame 0"
    page = Path(found.outputs["page"]).read_text()
    assert "3 of 3 frames" in page and "data:image/png" in page


def test_a_folder_is_read_in_the_order_of_its_numbers_and_a_bad_frame_costs_no_other(known, folder, tmp_path):
    (folder / "phase9.nii.gz").write_bytes(b"no image at all")
    found = registered({"sequence": folder}, tmp_path / "out", reference="first")
    rows = found.report["frames"]
    assert [row["name"] for row in rows] == ["phase2.nii.gz", "phase9.nii.gz", "phase10.nii.gz"]
    assert [row["status"] for row in rows] == ["reference", "failed", "registered"]
    assert "expected" in rows[1]["message"] and str(tmp_path) not in rows[1]["message"]
    assert any(text.startswith("Frame 1 failed: ") for text in found.warnings)
    assert "frame_001" not in found.outputs and "frame_002" in found.outputs
    moved = read_volume(found.outputs["moved"], frame="all", allow_degenerate=True)
    assert float(moved.data[1].abs().max()) == 0 < float(moved.data[2].abs().max()), "nothing, and no unmoved copy"


def test_a_fixed_image_takes_the_place_of_a_frame(known, written, frames, tmp_path):
    write_volume(frames[1], tmp_path / "fixed.nii.gz")
    pair = {"sequence": written, "fixed": tmp_path / "fixed.nii.gz"}
    found = registered(pair, tmp_path / "out")
    assert [row["status"] for row in found.report["frames"]] == ["registered"] * 3
    assert found.report["reference"] == "fixed.nii.gz" and found.report["reference_frame"] is None
    with pytest.raises(RequestError, match="beside a fixed image, expected one of them"):
        registered(pair, tmp_path / "other", reference="first")


def test_the_mean_is_a_reference_of_all_frames(known, written, frames, tmp_path):
    found = registered({"sequence": written}, tmp_path / "out", reference="mean")
    assert [row["status"] for row in found.report["frames"]] == ["registered"] * 3
    assert "mean" in found.report["reference"]
    mean = sequence._mean(sequence.Frames(("a", "b", "c"), lambda n: frames[n]))
    torch.testing.assert_close(mean.data, sum(one.data for one in frames) / 3, atol=1e-2, rtol=0)


@pytest.mark.parametrize(
    ("asked", "expected"), [(None, 3), ("first", 0), ("middle", 3), ("6", 6), ("0", 0), ("mean", None)]
)
def test_the_reference_frame(asked, expected):
    assert reference_frame(asked, 7) == expected


@pytest.mark.parametrize("asked", ["7", "-1", "last", "1.5", ""])
def test_what_is_no_frame_is_refused(asked):
    with pytest.raises(RequestError, match="expected first, middle, mean or a frame's number from 0 to 6"):
        reference_frame(asked, 7)


def test_what_is_no_sequence_is_refused(frames, tmp_path):
    write_volume(frames[0], tmp_path / "one.nii.gz")
    with pytest.raises(RequestError, match="Found one frame, expected a 4-D image"):
        registered({"sequence": tmp_path / "one.nii.gz"}, tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RequestError, match="Found a folder with 0 NIfTI"):
        registered({"sequence": tmp_path / "empty"}, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_when_no_frame_can_be_registered_nothing_is_written(written, frames, tmp_path):
    constant = nibabel.load(written).get_fdata()
    constant[..., 0] = constant[..., 2] = -1000
    affine = nibabel.load(written).affine
    nibabel.save(nibabel.Nifti1Image(constant.astype(np.float32), affine), tmp_path / "blank.nii.gz")
    with pytest.raises(RequestError, match="None of the frames could be registered. Frame 0: Found a constant frame"):
        registered({"sequence": tmp_path / "blank.nii.gz"}, tmp_path / "out", reference="1")
    assert not (tmp_path / "out").exists()


def test_a_cancelled_sequence_stops_within_a_frame_and_leaves_nothing(known, written, tmp_path):
    def cancel(share: float, text: str) -> None:
        if text.startswith("frame 2"):
            raise Cancelled

    with pytest.raises(Cancelled):
        registered({"sequence": written}, tmp_path / "out", cancel, reference="first")
    assert not (tmp_path / "out").exists()
