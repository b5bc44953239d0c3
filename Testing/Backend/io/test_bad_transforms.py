"""Transforms and transform files that are refused."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
import torch

from SlicerSynthReg.io.transforms import read_transform, write_transform
from SlicerSynthReg.spatial.grid import Grid
from SlicerSynthReg.spatial.transform import Affine, Displacement
from Testing.Backend.refusals import refused

FILES = (".tfm", ".h5", ".nii.gz")


def test_the_wrong_direction_is_refused(tmp_path, nasty):
    far = Affine(np.array([[1, 0, 0, 500], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]))
    there = Grid(nasty.shape, far.matrix @ nasty.affine)
    write_transform(far, tmp_path / "right.tfm", nasty, there)
    with refused("no-overlap"):
        write_transform(far.inverse(), tmp_path / "wrong.tfm", nasty, there)
    with refused("no-overlap"):
        write_transform(far.inverse().on(nasty), tmp_path / "wrong.h5", nasty, there)
    assert [p.name for p in tmp_path.iterdir()] == ["right.tfm"]


def test_bad_transform_files_and_values(tmp_path, nasty):
    broken = torch.zeros(3, *nasty.shape)
    broken[0, 3, 3, 3] = float("nan")
    for suffix in FILES:
        with refused("transform-nonfinite"):
            write_transform(Displacement(broken, nasty), tmp_path / f"broken{suffix}", nasty, nasty)
        (tmp_path / f"junk{suffix}").write_bytes(b"junk" * 50)
        with refused("decoding", "junk"):
            read_transform(tmp_path / f"junk{suffix}")
        with pytest.raises(FileNotFoundError, match="Found no file"):
            read_transform(tmp_path / f"absent{suffix}")
    with refused("file-type"):
        write_transform(Affine(), tmp_path / "affine.json", nasty, nasty)
    large = Grid((70, 60, 60), nasty.affine)
    with refused("text-file-size", "252000 voxels", "large.h5"):
        write_transform(Displacement(torch.zeros(3, 70, 60, 60), large), tmp_path / "large.tfm", large, large)
    nibabel.save(nibabel.Nifti1Image(np.zeros((3, 4, 5, 3), np.float32), np.eye(4)), tmp_path / "fsl.nii.gz")
    with refused("not-a-transform"):
        read_transform(tmp_path / "fsl.nii.gz")
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((3, 4, 5))), tmp_path / "image.nrrd")
    with refused("not-a-transform", "3 dimensions, 1 components"):
        read_transform(tmp_path / "image.nrrd")
    sitk.WriteTransform(sitk.Euler2DTransform(), str(tmp_path / "flat.tfm"))
    with refused("not-a-transform", "2-D"):
        read_transform(tmp_path / "flat.tfm")
