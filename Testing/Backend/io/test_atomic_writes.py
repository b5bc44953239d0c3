"""A failing disk leaves nothing half-written and spares an older file."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import sys
import tempfile
from collections import namedtuple
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from SlicerSynthReg.io import files
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.landmarks import Landmarks, write_landmarks
from SlicerSynthReg.io.read import read_image
from SlicerSynthReg.io.transforms import write_transform
from SlicerSynthReg.io.write import write_image
from SlicerSynthReg.spatial.transform import Affine, Displacement
from Testing.Backend.refusals import refused

FORMATS = (".nii", ".nii.gz", ".nrrd", ".mha")
MESSAGE = "could not be written .*nothing half-written was left. Free space in .* or choose another folder"


@contextmanager
def _largest_file(size: int):
    """The kernel refuses to let any file grow beyond `size` bytes, as a full disk would."""
    resource = pytest.importorskip("resource", reason="only on POSIX systems")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def noise(nasty) -> Image:
    """Too random to compress."""
    return Image(torch.rand(1, *nasty.shape, generator=torch.Generator().manual_seed(1)), nasty)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("size", [0, 100, 5000])
def test_a_disk_that_fills_up_midway(tmp_path, noise, suffix, size):
    path = tmp_path / f"image{suffix}"
    with _largest_file(size), pytest.raises(OSError, match=MESSAGE):
        write_image(noise, path)
    assert list(tmp_path.iterdir()) == []
    write_image(noise, path)
    whole = path.read_bytes()
    with _largest_file(size), pytest.raises(OSError, match=MESSAGE):
        write_image(Image(noise.data * 2, noise.grid), path)
    assert list(tmp_path.iterdir()) == [path] and path.read_bytes() == whole


def test_a_text_transform_cut_short_is_noticed_though_itk_says_nothing(tmp_path, nasty):
    dense = Displacement(torch.rand(3, *nasty.shape), nasty)
    with _largest_file(20000), pytest.raises(OSError, match=MESSAGE):
        write_transform(dense, tmp_path / "field.tfm", nasty, nasty)
    with _largest_file(120), pytest.raises(OSError, match=MESSAGE):
        write_transform(Affine(), tmp_path / "affine.tfm", nasty, nasty)
    with _largest_file(5000), pytest.raises(OSError, match=MESSAGE):
        write_transform(dense, tmp_path / "field.nii.gz", nasty, nasty)
    with _largest_file(10), pytest.raises(OSError, match=MESSAGE):
        write_landmarks(Landmarks(np.eye(3)), tmp_path / "points.csv")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["field.h5", "image.nrrd"])
def test_too_little_free_space_is_refused_before_anything_is_written(tmp_path, monkeypatch, nasty, noise, name):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(files.shutil, "disk_usage", lambda folder: usage(1 << 40, 1 << 40, 100))
    with pytest.raises(OSError, match="0 MB free.*" + MESSAGE[len("could not be written ") :]) as caught:
        if name.endswith("h5"):
            write_transform(Displacement(torch.rand(3, *nasty.shape), nasty), tmp_path / name, nasty, nasty)
        else:
            write_image(noise, tmp_path / name)
    assert caught.value.errno == errno.ENOSPC and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", FORMATS)
def test_an_error_from_the_library_after_a_part_was_written(tmp_path, monkeypatch, scalar, suffix):
    def half(image, path, *args, **options):
        Path(path).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("SlicerSynthReg.io.write.nibabel.save", half)
    monkeypatch.setattr(sitk, "WriteImage", half)
    with pytest.raises(OSError, match="No space left on device.*nothing half-written") as caught:
        write_image(scalar, tmp_path / f"image{suffix}")
    assert caught.value.errno == errno.ENOSPC and "partial" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_leaves_nothing(tmp_path, monkeypatch, scalar):
    def interrupted(image, path):
        Path(path).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("SlicerSynthReg.io.write.nibabel.save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_image(scalar, tmp_path / "image.nii.gz")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="folders cannot be made read-only this way on Windows")
@pytest.mark.parametrize("suffix", FORMATS)
def test_a_read_only_folder(scalar, suffix):
    folder = Path(tempfile.mkdtemp())
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR | stat.S_IROTH | stat.S_IXOTH)
    was_root = os.geteuid() == 0
    if was_root:
        os.seteuid(65534)
    try:
        with pytest.raises(OSError, match=MESSAGE):
            write_image(scalar, folder / f"image{suffix}")
    finally:
        if was_root:
            os.seteuid(0)
        folder.chmod(stat.S_IRWXU)
        left = list(folder.iterdir())
        shutil.rmtree(folder)
    assert left == []


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_folder_that_does_not_exist(tmp_path, scalar, suffix):
    with pytest.raises(OSError, match=MESSAGE):
        write_image(scalar, tmp_path / "absent" / f"image{suffix}")


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_never_written(tmp_path, scalar, bad):
    data = scalar.data.clone()
    data[0, 1, 1, 1] = bad
    with refused("nonfinite", "1 of 2618 voxels"):
        write_image(Image(data, scalar.grid), tmp_path / "image.nii")
    assert list(tmp_path.iterdir()) == []


def test_doubles_beyond_float32_are_never_written(tmp_path, scalar):
    with refused("nonfinite", "in float32"):
        write_image(Image(scalar.data.double() * 1e38, scalar.grid), tmp_path / "image.nii")


def test_unknown_suffixes_and_large_labels_are_refused(tmp_path, scalar, nasty):
    with refused("file-type", "image.jpg"):
        write_image(scalar, tmp_path / "image.jpg")
    with refused("label-range"):
        write_image(Image(torch.full((1, *nasty.shape), 2**40), nasty, "labels"), tmp_path / "image.nii")
    assert list(tmp_path.iterdir()) == []


def test_an_older_file_is_replaced(tmp_path, scalar):
    path = tmp_path / "image.nii.gz"
    write_image(scalar, path)
    write_image(Image(scalar.data + 1, scalar.grid), path)
    torch.testing.assert_close(read_image(path).data, scalar.data + 1, rtol=0, atol=0)
    assert list(tmp_path.iterdir()) == [path]
