"""Registration of the frames of a breathing trunk with known motion."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from SlicerSynthReg import register_sequence
from SlicerSynthReg.api import registration
from SlicerSynthReg.api.sequence_reference import _mean_frame
from SlicerSynthReg.errors import Cancelled, ImageError, RequestError
from SlicerSynthReg.io.frames import Frames
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.landmarks import Landmarks, write_landmarks
from SlicerSynthReg.io.read import read_image
from SlicerSynthReg.io.transforms import read_transform
from SlicerSynthReg.io.write import write_image
from SlicerSynthReg.parameters.registration import reference_frame
from SlicerSynthReg.registration.brain_pipeline import PipelineResult
from SlicerSynthReg.request import Request
from SlicerSynthReg.service.run import run
from SlicerSynthReg.spatial.transform import Affine
from Testing.Backend.registration.trunk import BODY_GRID, ORGANS, hounsfield

DOME, WIDTH_MM = np.array([0.0, 0.0, -10.0]), 70.0
BREATHING_MM = (0.0, 9.0, 18.0)
QUICK = {"anatomy": "ct", "model": "none", "preset": "fast"}
LANDMARKS_MM = np.array([center for center, _, _ in ORGANS[:4]], dtype=float)


def exhaled(points: np.ndarray, mm: float) -> np.ndarray:
    """Map points of the trunk whose diaphragm has moved down by `mm` to the trunk at full exhalation."""
    near = np.exp(-((points - DOME) ** 2).sum(1) / (2 * WIDTH_MM**2))
    return points + np.outer(near, (0.0, 0.0, mm))


@pytest.fixture
def frames() -> list[Image]:
    index = np.stack(np.meshgrid(*map(np.arange, BODY_GRID.shape), indexing="ij"), -1).reshape(-1, 3)
    points = BODY_GRID.index_to_world(index)
    shown = [hounsfield(exhaled(points, mm)).reshape(1, *BODY_GRID.shape) for mm in BREATHING_MM]
    return [Image(torch.from_numpy(one).float(), BODY_GRID) for one in shown]


@pytest.fixture
def sequence_file(frames, tmp_path):
    """The frames as one 4-D file."""
    path = tmp_path / "breath.nii.gz"
    write_image(Image(torch.cat([one.data for one in frames]), BODY_GRID), path)
    return path


@pytest.fixture
def frame_folder(frames, tmp_path):
    """The frames as files, numbered without leading zeros: alphabetical order differs from numerical order."""
    home = tmp_path / "phases"
    home.mkdir()
    for n, one in zip((2, 9, 10), frames):
        write_image(one, home / f"phase{n}.nii.gz")
    return home


@pytest.fixture
def fixed_result(monkeypatch):
    """Replace the pipeline: every frame is shifted by 2 mm."""

    def pipeline(inputs, parameters, device, progress) -> PipelineResult:
        progress(0.5, "computing")
        shift = np.eye(4)
        shift[0, 3] = 2.0
        return PipelineResult(Affine(shift), {}, 0.5, 0.6)

    monkeypatch.setattr(registration, "run_pipeline", pipeline)


def registered(inputs: dict, out: Path, progress=lambda share, text: None, **more):
    paths = {name: str(path) for name, path in inputs.items()}
    return run(Request("sequence", paths, str(out), {**QUICK, **more}), progress)


def test_breathing_is_followed_frame_by_frame(sequence_file, tmp_path):
    write_landmarks(Landmarks(LANDMARKS_MM, ("left lung", "right lung", "liver", "spleen")), tmp_path / "marks.csv")
    fractions = []
    result = registered(
        {"sequence": sequence_file, "fixed_landmarks": tmp_path / "marks.csv"},
        tmp_path / "out",
        lambda share, text: fractions.append(share),
        reference="first",
    )
    assert fractions == sorted(fractions) and len(fractions) > 10
    rows = result.report["frames"]
    assert [row["status"] for row in rows] == ["reference", "registered", "registered"]
    for n, mm in enumerate(BREATHING_MM):
        transform = read_transform(result.outputs[f"frame_{n:03d}"])
        there = transform.map_points(LANDMARKS_MM)
        before = np.linalg.norm(exhaled(LANDMARKS_MM, mm) - LANDMARKS_MM, axis=1).mean()
        after = np.linalg.norm(exhaled(there, mm) - LANDMARKS_MM, axis=1).mean()
        assert after <= 0.4 * before + 1e-6, "the transform of the frame aligns the organs"
        np.testing.assert_allclose(rows[n]["landmarks_mm"], np.linalg.norm(there - LANDMARKS_MM, axis=1), atol=1e-3)
    assert rows[0]["motion_mean_mm"] == 0 and rows[2]["motion_mean_mm"] > 1.5 * rows[1]["motion_mean_mm"] > 1
    moved = read_image(result.outputs["moved"], frame="all")
    assert moved.grid.same_as(BODY_GRID, 1e-3) and moved.data.shape[0] == 3
    still, waving = (
        float((one[2] - one[0])[5:-5, 5:-5, 4:-4].abs().mean())
        for one in (moved.data, read_image(sequence_file, frame="all").data)
    )
    assert still < 0.6 * waving
    assert json.loads((tmp_path / "out" / "report.json").read_text())["report"]["reference"] == "frame 0"
    page = Path(result.outputs["page"]).read_text()
    assert "3 of 3 frames" in page and "data:image/png" in page


def test_folder_is_read_in_numerical_order_and_unreadable_frames_are_reported(fixed_result, frame_folder, tmp_path):
    (frame_folder / "phase9.nii.gz").write_bytes(b"no image at all")
    result = registered({"sequence": frame_folder}, tmp_path / "out", reference="first")
    rows = result.report["frames"]
    assert [row["name"] for row in rows] == ["phase2.nii.gz", "phase9.nii.gz", "phase10.nii.gz"]
    assert [row["status"] for row in rows] == ["reference", "failed", "registered"]
    assert "expected" in rows[1]["message"] and str(tmp_path) not in rows[1]["message"]
    assert any(text.startswith("Frame 1 failed: ") for text in result.warnings)
    assert "frame_001" not in result.outputs and "frame_002" in result.outputs
    moved = read_image(result.outputs["moved"], frame="all", allow_degenerate=True)
    assert float(moved.data[1].abs().max()) == 0 < float(moved.data[2].abs().max()), "empty, not the unregistered frame"


def test_fixed_image_replaces_the_reference_frame(fixed_result, sequence_file, frames, tmp_path):
    write_image(frames[1], tmp_path / "fixed.nii.gz")
    pair = {"sequence": sequence_file, "fixed": tmp_path / "fixed.nii.gz"}
    result = registered(pair, tmp_path / "out")
    assert [row["status"] for row in result.report["frames"]] == ["registered"] * 3
    assert result.report["reference"] == "fixed.nii.gz" and result.report["reference_frame"] is None
    with pytest.raises(RequestError) as refused:
        registered(pair, tmp_path / "other", reference="first")
    assert refused.value.code == "reference-twice"


def test_mean_of_all_frames_is_a_reference(fixed_result, sequence_file, frames, tmp_path):
    result = registered({"sequence": sequence_file}, tmp_path / "out", reference="mean")
    assert [row["status"] for row in result.report["frames"]] == ["registered"] * 3
    assert "mean" in result.report["reference"]
    mean = _mean_frame(Frames(("a", "b", "c"), lambda n: frames[n]))
    torch.testing.assert_close(mean.data, sum(one.data for one in frames) / 3, atol=1e-2, rtol=0)


@pytest.mark.parametrize(
    ("reference", "expected"), [(None, 3), ("first", 0), ("middle", 3), ("6", 6), ("0", 0), ("mean", None)]
)
def test_reference_frame(reference, expected):
    assert reference_frame(reference, 7) == expected


@pytest.mark.parametrize("reference", ["7", "-1", "last", "1.5", ""])
def test_unknown_reference_is_refused(reference):
    with pytest.raises(RequestError, match="expected first, middle, mean or a frame's number from 0 to 6"):
        reference_frame(reference, 7)


def test_short_sequence_is_refused(frames, tmp_path):
    write_image(frames[0], tmp_path / "one.nii.gz")
    with pytest.raises(RequestError) as refused:
        registered({"sequence": tmp_path / "one.nii.gz"}, tmp_path / "out")
    assert refused.value.code == "sequence-short"
    (tmp_path / "empty").mkdir()
    with pytest.raises(RequestError) as refused:
        registered({"sequence": tmp_path / "empty"}, tmp_path / "out")
    assert refused.value.code == "sequence-short"
    assert not (tmp_path / "out").exists()


def test_sequence_without_registered_frame_writes_nothing(sequence_file, frames, tmp_path):
    constant = nibabel.load(sequence_file).get_fdata()
    constant[..., 0] = constant[..., 2] = -1000
    affine = nibabel.load(sequence_file).affine
    nibabel.save(nibabel.Nifti1Image(constant.astype(np.float32), affine), tmp_path / "blank.nii.gz")
    with pytest.raises(RequestError) as refused:
        registered({"sequence": tmp_path / "blank.nii.gz"}, tmp_path / "out", reference="1")
    assert refused.value.code == "sequence-failed"
    assert not (tmp_path / "out").exists()


def test_cancelled_sequence_stops_within_a_frame_and_writes_nothing(fixed_result, sequence_file, tmp_path):
    def cancel(share: float, text: str) -> None:
        if text.startswith("frame 2"):
            raise Cancelled

    with pytest.raises(Cancelled):
        registered({"sequence": sequence_file}, tmp_path / "out", cancel, reference="first")
    assert not (tmp_path / "out").exists()


def test_lists_of_fewer_than_two_images_are_refused(frames):
    for sequence in ([], frames[:1], tuple(frames[:1])):
        with pytest.raises(ImageError) as refused:
            register_sequence(sequence, **QUICK)
        assert refused.value.code == "sequence-short"


def test_frames_in_memory_equal_the_file(fixed_result, sequence_file, frames):
    by_file = register_sequence(sequence_file, reference="first", **QUICK)
    by_images = register_sequence(frames, reference="first", **QUICK)
    by_nibabel = register_sequence(nibabel.load(sequence_file), reference="first", **QUICK)
    assert by_images.moved.data.shape == (3, *BODY_GRID.shape) and by_images.transforms[1] is not None
    for other in (by_images, by_nibabel):
        torch.testing.assert_close(other.moved.data, by_file.moved.data, atol=0.01, rtol=0)
    assert [row.status for row in by_images.report.frames] == ["reference", "registered", "registered"]
