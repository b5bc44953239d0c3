"""Values of DICOM pixels: every compression and bit layout gives what the scanner means."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, JPEGLSLossless

from Testing.Backend.io.dicom_folder import COLUMNS, ROWS, SLICES, DicomFolder, compress, ct_tags

COMPRESSIONS = ("none", "RLE", "JPEG2000", "JPEG")
"""JPEG: lossless, which pydicom cannot decode without further packages."""
JPEG_LS = bytes.fromhex(
    "ffd8fff7000b0b000d000b01011100ffda0008010100000000adb6daf36d79bd40a2eb358b529957014555555544b18d24924934c4924924"
    "b0c2aaaaacc0aaaaa8beaaaaa8bcabfc5d7fe971ff52dbff25a7fe80ffd9"
)
"""11 bits, 13 rows by 11 columns of 100 * row + 7 * column."""


@pytest.fixture
def folder(tmp_path, nasty) -> DicomFolder:
    return DicomFolder(tmp_path / "export", nasty)


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("signed", [0, 1])
def test_every_compression_gives_the_same_values(folder, compression, signed):
    folder.values = folder.values if signed else np.abs(folder.values)
    folder.write_all(RescaleSlope="2", RescaleIntercept="-10", PixelRepresentation=signed)
    np.testing.assert_array_equal(compress(folder, compression).read_values(), folder.values * 2.0 - 10)


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_monochrome1_is_inverted_with_a_warning_whatever_the_compression(folder, compression):
    folder.values = np.abs(folder.values)
    folder.write_all(PhotometricInterpretation="MONOCHROME1", PixelRepresentation=0, BitsStored=16)
    image = compress(folder, compression).read()
    np.testing.assert_array_equal(image.data[0].numpy(), 65535 - folder.values.astype(float))
    assert "MONOCHROME1" in image.warnings[0]


@pytest.mark.parametrize("compression", ["none", "JPEG"])
def test_monochrome1_ct_is_refused_whatever_the_compression(folder, compression):
    folder.write_all(**ct_tags(PhotometricInterpretation="MONOCHROME1"))
    compress(folder, compression).refusal("photometric")


@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
def test_jpeg_ls_gives_the_same_values_as_uncompressed(folder, photometric):
    column, row = np.indices((COLUMNS, ROWS))
    folder.values = np.repeat((100 * row + 7 * column)[..., None], SLICES, axis=2).astype(np.int16)
    tags = {"PhotometricInterpretation": photometric, "PixelRepresentation": 0, "BitsStored": 11, "HighBit": 10}
    folder.write_all(**tags)
    uncompressed = folder.read_values()
    for path in folder.path.iterdir():
        data = pydicom.dcmread(path)
        data.file_meta.TransferSyntaxUID = JPEGLSLossless
        data.PixelData = encapsulate([JPEG_LS])
        data["PixelData"].VR, data["PixelData"].is_undefined_length = "OB", True
        data.save_as(path)
    np.testing.assert_array_equal(folder.read_values(), uncompressed)


def test_each_slice_has_its_own_slope_and_intercept(folder):
    for k in range(SLICES):
        folder.write(k, RescaleSlope=str(1 + 0.5 * k), RescaleIntercept=str(-1024 + k))
    expected = folder.values * (1 + 0.5 * np.arange(SLICES)) + np.arange(SLICES) - 1024
    np.testing.assert_allclose(folder.read_values(), expected, rtol=1e-6)


def test_a_slice_without_the_intercept_of_the_others_is_refused(folder):
    for k in range(SLICES):
        folder.write(k, **ct_tags(RescaleIntercept=None if k == 3 else "-1024"))
    assert "instance 4" in str(folder.refusal("rescale-missing"))


def test_a_modality_lut_is_applied_and_clamps_beyond_its_ends(folder):
    table = pydicom.Dataset()
    table.LUTDescriptor, table.ModalityLUTType = [4, 10, 16], "US"
    table.LUTData = np.array([100, 300, 700, 1500], "<u2").tobytes()
    folder.values = (np.arange(COLUMNS * ROWS * SLICES).reshape(COLUMNS, ROWS, SLICES) % 20).astype(np.int16)
    folder.write_all(ModalityLUTSequence=[table], PixelRepresentation=0)
    expected = np.array([100, 300, 700, 1500])[np.clip(folder.values - 10, 0, 3)]
    np.testing.assert_array_equal(folder.read_values(), expected)


def test_a_window_is_not_applied(folder):
    folder.write_all(WindowCenter="40", WindowWidth="80")
    np.testing.assert_array_equal(folder.read_values(), folder.values)


@pytest.mark.parametrize(
    "tags",
    [{"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, {"PhotometricInterpretation": "PALETTE COLOR"}],
)
def test_colour_is_refused(folder, tags):
    folder.write_all(**tags)
    folder.refusal("voxel-type")


def test_overlay_bits_above_the_stored_bits_are_ignored(folder):
    truth = np.abs(folder.values)
    folder.values = truth | np.int16(0x5000)
    folder.write_all(BitsStored=12, HighBit=11, PixelRepresentation=0)
    np.testing.assert_array_equal(folder.read_values(), truth)


def test_values_in_the_upper_bits_are_shifted_down(folder):
    truth = np.abs(folder.values) % 2048
    folder.values = (truth << 4).astype(np.int16) | np.int16(5)
    folder.write_all(BitsStored=12, HighBit=15, PixelRepresentation=0)
    np.testing.assert_array_equal(folder.read_values(), truth)


def test_negative_values_of_twelve_bits_keep_their_sign(folder):
    truth = np.clip(folder.values, -500, 2000)
    folder.values = (truth & 0x0FFF).astype(np.int16)
    folder.write_all(BitsStored=12, HighBit=11, PixelRepresentation=1)
    np.testing.assert_array_equal(folder.read_values(), truth)


def test_floating_point_pixels_are_read(folder):
    for k in range(SLICES):
        pixels = (folder.values[:, :, k].T * 0.25).astype("<f4").tobytes()
        folder.write(k, PixelData=None, FloatPixelData=pixels, BitsAllocated=32, BitsStored=None, HighBit=None)
    np.testing.assert_array_equal(folder.read_values(), folder.values * 0.25)


@pytest.mark.parametrize("syntax", [ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_big_endian_and_deflated_files_are_read(folder, syntax):
    folder.write_all()
    for path in folder.path.iterdir():
        data = pydicom.dcmread(path)
        data.file_meta.TransferSyntaxUID = syntax
        if syntax == ExplicitVRBigEndian:
            data.PixelData = np.frombuffer(data.PixelData, "<i2").astype(">i2").tobytes()
            data["PixelData"].VR = "OW"
        new = pydicom.Dataset(data)
        new.file_meta, new.preamble = data.file_meta, b"\0" * 128
        pydicom.dcmwrite(path, new, enforce_file_format=True)
    np.testing.assert_array_equal(folder.read_values(), folder.values)


@pytest.mark.parametrize(("padding", "limit"), [(-2000, None), (63536, None), (-2000, -1990)])
def test_padding_of_ct_is_read_as_air_with_a_warning(folder, padding, limit):
    folder.values[:3] = -2000 if limit is None else -1995
    folder.write_all(**ct_tags())
    for path in folder.path.iterdir():
        data = pydicom.dcmread(path)
        data.add_new("PixelPaddingValue", "US" if padding > 0 else "SS", padding)
        if limit is not None:
            data.add_new("PixelPaddingRangeLimit", "SS", limit)
        data.save_as(path)
    image = folder.read()
    assert (image.data[0, :3] == -1024).all() and "read as -1024 HU (air)" in image.warnings[0]
    np.testing.assert_array_equal(image.data[0, 3:].numpy(), folder.values[3:] - 1024.0)


def test_padding_of_mr_is_read_as_zero(folder):
    folder.values[:3] = -3024
    folder.write_all()
    for path in folder.path.iterdir():
        data = pydicom.dcmread(path)
        data.add_new("PixelPaddingValue", "SS", -3024)
        data.save_as(path)
    assert (folder.read().data[0, :3] == 0).all()


def test_truncated_pixels_are_refused(folder):
    folder.write_all()
    folder.write(0, "0_0.dcm", SeriesNumber=6)
    for k in range(1, SLICES):
        folder.write(k, SeriesNumber=6)
    path = folder.path / "0_0.dcm"
    path.write_bytes(path.read_bytes()[:-30])
    assert "slice instance 1 " in str(folder.refusal("decoding", series="6"))
