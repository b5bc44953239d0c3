"""Training slices of native and contrast-enhanced CT: random phantoms, or a folder of pairs; and their augmentation."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch.nn import functional as F

from SlicerSynthReg.contrast.guided_upsampling import block_downsample
from SlicerSynthReg.contrast.slice_network import with_neighbours
from SlicerSynthReg.errors import ImageError
from SlicerSynthReg.io.axial_slices import AxialView
from SlicerSynthReg.io.read import read_image
from SlicerSynthReg.synthesis.ct.phantom import CTPair, PhantomConfig, draw_phantom, make_phantom
from SlicerSynthReg.synthesis.draw import chance, integer, uniform

SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd", "")
AIR_HU = -1000


@dataclass(frozen=True, eq=False)
class SlicePair:
    """Axial slices of a patient, axes towards S, R and A: (K, H, W) int16 HU; labels (K, H, W) or None."""

    native: torch.Tensor
    contrast: torch.Tensor
    labels: torch.Tensor | None = None


def axial_slice_pair(pair: CTPair) -> SlicePair:
    """Return the axial slices of a pair of volumes."""
    view = AxialView.of(pair.grid)
    native, contrast = (
        view.slices(volume).round().clamp(-32768, 32767).to(torch.int16).contiguous()
        for volume in (pair.native, pair.contrast)
    )
    return SlicePair(native, contrast, None if pair.labels is None else view.slices(pair.labels).contiguous())


@dataclass(frozen=True)
class PhantomSlices:
    """Random phantoms: pixel size and slice spacing (mm) drawn within bounds, in a field of view of `field_mm`.

    count: slices of each. phantom: all other parameters.
    """

    pixel_mm: tuple[float, float] = (1.4, 2.4)
    slice_mm: tuple[float, float] = (1.5, 5.0)
    field_mm: float = 370.0
    count: int = 12
    phantom: PhantomConfig = field(default_factory=lambda: PhantomConfig(zoom=(1.0, 1.0)))

    def make(self, seed: int) -> SlicePair:
        """Return the phantom with this seed."""
        generator = torch.Generator().manual_seed(seed)
        pixel, slices = uniform(generator, *self.pixel_mm), uniform(generator, *self.slice_mm)
        side = round(self.field_mm / pixel)
        config = replace(self.phantom, shape=(side, side, self.count), spacing_mm=(pixel, pixel, slices))
        return axial_slice_pair(make_phantom(draw_phantom(config, generator)))


class PairPool:
    """A pool of `size` pairs, one of which is replaced every `reuse` steps; its content depends on the step alone.

    make: returns the pair of a number. numbers: of all pairs, visited in a new random order in each pass; None: 0, 1,
    2, ... without end.
    """

    def __init__(
        self, make: Callable[[int], SlicePair], numbers: Sequence[int] | None = None, size: int = 6, reuse: int = 8
    ) -> None:
        self.make, self.numbers, self.size, self.reuse = make, numbers, size, reuse
        self._pairs: dict[int, SlicePair] = {}

    def at(self, step: int) -> list[SlicePair]:
        """Return the pairs of step `step`."""
        positions = range(step // self.reuse, step // self.reuse + self.size)
        self._pairs = {n: self._pairs.get(n) or self.make(self._number(n)) for n in positions}
        return list(self._pairs.values())

    def _number(self, position: int) -> int:
        if self.numbers is None:
            return position
        number_of_pass, index = divmod(position, len(self.numbers))
        order = torch.randperm(len(self.numbers), generator=torch.Generator().manual_seed(number_of_pass))
        return self.numbers[int(order[index])]


def pair_folders(folder: Path) -> list[Path]:
    """Return the folders with a native and a contrast image, by name. Raises ImageError (pairs-missing)."""
    folders = sorted(
        path
        for path in folder.iterdir()
        if path.is_dir() and _image_path(path, "native") and _image_path(path, "contrast")
    )
    if not folders:
        raise ImageError(
            f"Found no pairs in {folder.name}, expected a folder for each patient that holds native.nii.gz and "
            "contrast.nii.gz (or .nrrd, .mha, or a folder of DICOM files by these names).",
            code="pairs-missing",
        )
    return folders


def read_pair(folder: Path, pixel_mm: float | None = None) -> SlicePair:
    """Read native image, contrast image and, if there is one, label map of a patient.

    pixel_mm: slices with smaller pixels are downsampled to it, without labels. Raises GeometryError (grid-mismatch).
    """
    native, contrast = (read_image(_image_path(folder, name) or folder / name) for name in ("native", "contrast"))
    native.grid.require_same(contrast.grid, "the contrast image")
    labels = None
    if path := _image_path(folder, "labels"):
        label_map = read_image(path, "labels", allow_degenerate=True)
        native.grid.require_same(label_map.grid, "the label map")
        labels = label_map.data[0].to(torch.int16)
    pair = axial_slice_pair(CTPair(native.data[0], contrast.data[0], labels, native.grid, folder.name))
    if pixel_mm is None:
        return pair
    spacing = AxialView.of(native.grid).spacing_mm(native.grid)[1:]
    rows, columns = (min(n, round(n * mm / pixel_mm)) for n, mm in zip(pair.native.shape[1:], spacing))
    if (rows, columns) == pair.native.shape[1:]:
        return pair
    return SlicePair(
        *(block_downsample(x.float(), (rows, columns)).round().to(x.dtype) for x in (pair.native, pair.contrast))
    )


def _image_path(folder: Path, name: str) -> Path | None:
    return next((path for suffix in SUFFIXES if (path := folder / f"{name}{suffix}").exists()), None)


@dataclass(frozen=True, eq=False)
class SliceBatch:
    """Native and contrast slices with their neighbours, (B, 2 neighbours + 1, side, side) HU each."""

    native: torch.Tensor
    contrast: torch.Tensor


def draw_batch(
    pairs: Sequence[SlicePair], count: int, side: int, neighbours: int, generator: torch.Generator
) -> SliceBatch:
    """Return random crops of `side` pixels of random slices; air beyond the slice's edge."""
    crops = []
    for _ in range(count):
        pair = pairs[integer(generator, 0, len(pairs) - 1)]
        at = torch.tensor([integer(generator, 0, len(pair.native) - 1)])
        corner = [_corner(n, side, generator) for n in pair.native.shape[1:]]
        crops.append([_crop(with_neighbours(x, at, neighbours)[0], corner, side) for x in (pair.native, pair.contrast)])
    return SliceBatch(*(torch.stack(images).float() for images in zip(*crops)))


def _corner(length: int, side: int, generator: torch.Generator) -> int:
    """Return the first row or column of a random crop: within the slice, or around a slice smaller than the crop."""
    spare = length - side
    return integer(generator, 0, spare) if spare >= 0 else -integer(generator, 0, -spare)


def _crop(stack: torch.Tensor, corner: Sequence[int], side: int) -> torch.Tensor:
    """Return (C, side, side) of (C, H, W), starting at `corner`."""
    out = stack.new_full((len(stack), side, side), AIR_HU)
    spans = [(max(0, c), min(n, c + side)) for c, n in zip(corner, stack.shape[1:])]
    (i, i_end), (j, j_end) = spans
    a, b = i - corner[0], j - corner[1]
    out[:, a : a + i_end - i, b : b + j_end - j] = stack[:, i:i_end, j:j_end]
    return out


ROTATION_DEGREES, SHIFT, SHEAR_DEGREES = 45.0, 0.2, 10.0
"""Bounds of the augmentation (MFM, appendix B.4); SHIFT in fractions of the slice's side: 102.4 of 512 pixels."""


@dataclass(frozen=True)
class SliceAugmentationDraw:
    """One augmentation of a patient's two images and of adjacent slices (MFM, appendix B.4); HU are not changed.

    flips: of rows, of columns. rotations: number of rotations by 90 degrees. matrix: (2, 3), position in the image ->
    position in the source, in half sides from the centre; None for the identity.
    """

    flips: tuple[bool, bool]
    rotations: int
    matrix: tuple[tuple[float, float, float], ...] | None


def draw_slice_augmentation(generator: torch.Generator) -> SliceAugmentationDraw:
    """Draw one augmentation."""
    flips = chance(generator, 0.5), chance(generator, 0.5)
    rotations = integer(generator, 1, 3) if chance(generator, 0.5) else 0
    angle = math.radians(uniform(generator, -ROTATION_DEGREES, ROTATION_DEGREES))
    shear = math.tan(math.radians(uniform(generator, -SHEAR_DEGREES, SHEAR_DEGREES)))
    shifts = [2 * uniform(generator, -SHIFT, SHIFT) for _ in range(2)]
    if not chance(generator, 0.7):
        return SliceAugmentationDraw(flips, rotations, None)
    cos, sin = math.cos(angle), math.sin(angle)
    rows = (cos, shear * cos - sin, shifts[0]), (sin, shear * sin + cos, shifts[1])
    return SliceAugmentationDraw(flips, rotations, rows)


def augment_slices(stack: torch.Tensor, record: SliceAugmentationDraw, fill: float) -> torch.Tensor:
    """Augment (C, S, S) by linear interpolation; `fill` outside of the image."""
    dims = [dim for dim, flip in zip((1, 2), record.flips) if flip]
    stack = torch.rot90(stack.flip(dims) if dims else stack, record.rotations, (1, 2))
    if record.matrix is None:
        return stack
    theta = torch.tensor(record.matrix, dtype=stack.dtype, device=stack.device)[None]
    positions = F.affine_grid(theta, [1, *stack.shape], align_corners=False)
    return F.grid_sample(stack[None] - fill, positions, padding_mode="zeros", align_corners=False)[0] + fill
