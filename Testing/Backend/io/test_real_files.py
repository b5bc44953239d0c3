"""Real scans with awkward geometry, where they are at hand beside the checkout."""

from __future__ import annotations

import zipfile
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from SlicerSynthReg.io.itk import itk_grid
from SlicerSynthReg.io.lps import flip_vectors
from SlicerSynthReg.io.read import read_image
from SlicerSynthReg.io.transforms import read_transform
from SlicerSynthReg.spatial.transform import Affine
from Testing.Backend.refusals import refused

SHARED = Path(__file__).parents[4] / "shared" / "data"
pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="needs the shared data folder beside the checkout")


@pytest.mark.parametrize("path", sorted(SHARED.glob("h_nasty/*.nii.gz")), ids=lambda path: path.name)
def test_nifti_lies_where_nibabel_and_simpleitk_say(path):
    image = nibabel.load(path)
    volume = read_image(path, "labels" if "labels" in path.name else "scalar", frame=3 if image.ndim == 4 else None)
    values = np.asarray(image.dataobj)
    np.testing.assert_allclose(volume.data[0].numpy(), values[..., 3] if image.ndim == 4 else values, rtol=1e-6)
    np.testing.assert_array_equal(volume.grid.affine, image.affine)
    by_itk = itk_grid(sitk.ReadImage(str(path)))
    assert by_itk.same_as(volume.grid, 1e-3) == ("shear" not in path.name)


def _unzipped(name: str, folder: Path) -> Path:
    with zipfile.ZipFile(SHARED / "g_dicom" / name) as archive:
        archive.extractall(folder)
    return folder


def test_oblique_prostate_series_lie_where_simpleitk_says(tmp_path):
    folder = _unzipped("ProstateX-0000_T2sag_T2tra_T2cor_ADC.zip", tmp_path)
    with refused("series-ambiguous", "Found 4 series", suggests="series"):
        read_image(folder)
    for series in sorted({path.parent for path in folder.rglob("*.dcm")}):
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(series)))
        image, volume = reader.Execute(), read_image(series)
        np.testing.assert_array_equal(sitk.GetArrayFromImage(image).T, volume.data[0].numpy())
        assert itk_grid(image).same_as(volume.grid, 1e-5)


def test_a_tilted_head_ct_of_two_thicknesses(tmp_path):
    folder = _unzipped("GE_headCT_tilt_varspacing.zip", tmp_path)
    with refused("slice-spacing", "1.08 mm between slices 14 and 15", suggests="interpolate_gaps"):
        read_image(folder)
    volume = read_image(folder, interpolate_gaps=True)
    assert not volume.grid.is_orthonormal and volume.data.shape[3] > 28


def test_published_affines_map_points_as_itk_does():
    paths = sorted(SHARED.glob("a_brain_MS_raw_multicontrast/**/*.txt"))
    assert paths
    points = np.random.default_rng(0).uniform(-80, 80, (20, 3))
    for path in paths:
        ours, theirs = read_transform(path), sitk.ReadTransform(str(path))
        assert isinstance(ours, Affine)
        expected = flip_vectors(np.array([theirs.TransformPoint(p) for p in flip_vectors(points).tolist()]))
        np.testing.assert_allclose(ours.map_points(points), expected, atol=1e-9)
