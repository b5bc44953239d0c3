"""convert_contrast in memory: inputs of any type, results without files, failures by code."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
import torch

import SlicerSynthReg as synthreg
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.read import read_image
from SlicerSynthReg.parameters.derived_images import ContrastParameters
from SlicerSynthReg.spatial.grid import Grid
from Testing.Backend.refusals import refused


def test_path_nibabel_simpleitk_and_image_give_one_result(an_installed_model, a_ct):
    an_installed_model(velocity=0.05)
    results = [
        synthreg.convert_contrast(image, "arterial", cycle=False, threads=1)
        for image in (a_ct, nibabel.load(a_ct), sitk.ReadImage(str(a_ct)), read_image(a_ct))
    ]
    for result in results:
        assert torch.equal(result.converted.data, results[0].converted.data)
        assert result.converted.grid.same_as(results[0].converted.grid, 1e-3)
    assert results[0].report.change.body_hu == pytest.approx(50, abs=0.1)
    assert [result.report.image_name for result in results] == [a_ct.name, "image", "image", "a patient's scan"]


def test_the_phase_stands_above_the_record_and_a_saved_result_has_all_files(an_installed_model, a_ct, tmp_path):
    an_installed_model(velocity=0.05)
    parameters = ContrastParameters(target_phase="native", threads=1)
    result = synthreg.convert_contrast(a_ct, "arterial", parameters=parameters)
    assert result.report.target_phase == "arterial" and set(result.images) == {"image", "cycle"}
    files = result.save(tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(files.values())
    assert files["image"] == "synthetic_arterial.nii.gz"
    np.testing.assert_allclose(read_image(tmp_path / "out" / files["image"]).data, result.converted.data, atol=1e-3)
    assert set(result.save(tmp_path / "bare", images=False)) == {"record", "picture", "page"}


def test_refusals(an_installed_model, a_ct):
    an_installed_model()
    with refused("unknown-parameter", "target_phases"):
        synthreg.convert_contrast(a_ct, target_phases="native")
    with refused("slice-range", "1 to 9"):
        synthreg.convert_contrast(a_ct, slice=10)
    with refused("dicom-source", suggests="dicom"):
        synthreg.convert_contrast(read_image(a_ct), dicom=True)
    grid = Grid((5, 5, 5), np.eye(4))
    with refused("grid-mismatch", "the label map"):
        synthreg.convert_contrast(a_ct, labels=Image(torch.ones(1, 5, 5, 5, dtype=torch.int32), grid, "labels"))
    with refused("image-type"):
        synthreg.convert_contrast(3)
