"""Slices of native and contrast CT to learn from: of phantoms without end, or of a folder of pairs that is streamed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from SlicerSynthReg.methods.mfm.slices import with_neighbours
from SlicerSynthReg.methods.mfm.upsampling import coarser
from SlicerSynthReg.synth.ct.pair import CTPair
from SlicerSynthReg.synth.ct.phantom import PhantomConfig, draw_phantom, make_phantom
from SlicerSynthReg.synth.draw import uniform
from SlicerSynthReg.volume.axial import AxialView
from SlicerSynthReg.volume.read import read_volume
from SlicerSynthReg.volume.volume import VolumeError

SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd", "")
AIR_HU = -1000


@dataclass(frozen=True, eq=False)
class SlicePair:
    """Axial slices of a patient, both towards S, R and A: (K, H, W) int16 HU; labels (K, H, W) or None."""

    native: torch.Tensor
    contrast: torch.Tensor
    labels: torch.Tensor | None = None


def sliced(pair: CTPair) -> SlicePair:
    view = AxialView.of(pair.grid)
    native, contrast = (
        view.slices(volume).round().clamp(-32768, 32767).to(torch.int16).contiguous()
        for volume in (pair.native, pair.contrast)
    )
    return SlicePair(native, contrast, None if pair.labels is None else view.slices(pair.labels).contiguous())


@dataclass(frozen=True)
class PhantomSlices:
    """What phantoms a network sees: pixels and slice distances (mm) drawn within bounds, in a field of field_mm.

    count: slices of each. phantom: everything else.
    """

    pixel_mm: tuple[float, float] = (1.4, 2.4)
    slice_mm: tuple[float, float] = (1.5, 5.0)
    field_mm: float = 370.0
    count: int = 12
    phantom: PhantomConfig = field(default_factory=lambda: PhantomConfig(zoom=(1.0, 1.0)))

    def make(self, seed: int) -> SlicePair:
        """The phantom of this number."""
        generator = torch.Generator().manual_seed(seed)
        pixel, slices = uniform(generator, *self.pixel_mm), uniform(generator, *self.slice_mm)
        side = round(self.field_mm / pixel)
        config = replace(self.phantom, shape=(side, side, self.count), spacing_mm=(pixel, pixel, slices))
        return sliced(make_phantom(draw_phantom(config, generator)))


class PairPool:
    """`size` pairs at hand, one of them replaced every `reuse` steps: what is at hand depends on the step alone.

    make: pair of a number. numbers: those to go through, in an order drawn anew each time; None: 0, 1, 2, ... for ever.
    """

    def __init__(
        self, make: Callable[[int], SlicePair], numbers: Sequence[int] | None = None, size: int = 6, reuse: int = 8
    ) -> None:
        self.make, self.numbers, self.size, self.reuse = make, numbers, size, reuse
        self._held: dict[int, SlicePair] = {}

    def at(self, step: int) -> list[SlicePair]:
        places = range(step // self.reuse, step // self.reuse + self.size)
        self._held = {place: self._held.get(place) or self.make(self._number(place)) for place in places}
        return list(self._held.values())

    def _number(self, place: int) -> int:
        if self.numbers is None:
            return place
        turn, position = divmod(place, len(self.numbers))
        order = torch.randperm(len(self.numbers), generator=torch.Generator().manual_seed(turn))
        return self.numbers[int(order[position])]


def pair_folders(folder: Path) -> list[Path]:
    """Folders with a native and a contrast image, by name. VolumeError where there are none."""
    found = sorted(
        one for one in folder.iterdir() if one.is_dir() and _image(one, "native") and _image(one, "contrast")
    )
    if not found:
        raise VolumeError(
            f"Found no pairs in {folder.name}, expected a folder for each patient that holds native.nii.gz and "
            "contrast.nii.gz (or .nrrd, .mha, or a folder of DICOM files by these names)."
        )
    return found


def read_pair(folder: Path, pixel_mm: float | None = None) -> SlicePair:
    """Native, contrast and, where there is one, label map of a patient; GeometryError where their grids differ.

    pixel_mm: finer slices are averaged down to it, without their labels.
    """
    native, contrast = (read_volume(_image(folder, name) or folder / name) for name in ("native", "contrast"))
    native.grid.require_same(contrast.grid, "the contrast image")
    labels = None
    if found := _image(folder, "labels"):
        volume = read_volume(found, "labels", allow_degenerate=True)
        native.grid.require_same(volume.grid, "the label map")
        labels = volume.data[0].to(torch.int16)
    pair = sliced(CTPair(native.data[0], contrast.data[0], labels, native.grid, folder.name))
    if pixel_mm is None:
        return pair
    spacing = AxialView.of(native.grid).spacing_mm(native.grid)[1:]
    rows, columns = (min(n, round(n * mm / pixel_mm)) for n, mm in zip(pair.native.shape[1:], spacing))
    if (rows, columns) == pair.native.shape[1:]:
        return pair
    return SlicePair(*(coarser(x.float(), (rows, columns)).round().to(x.dtype) for x in (pair.native, pair.contrast)))


def _image(folder: Path, name: str) -> Path | None:
    return next((path for suffix in SUFFIXES if (path := folder / f"{name}{suffix}").exists()), None)


@dataclass(frozen=True, eq=False)
class Batch:
    """(B, 2 neighbours + 1, side, side) HU each."""

    native: torch.Tensor
    contrast: torch.Tensor


def draw_batch(pairs: Sequence[SlicePair], count: int, side: int, neighbours: int, generator: torch.Generator) -> Batch:
    """Windows of `side` pixels at random places of random slices; air beyond the slice's edge."""
    parts = []
    for _ in range(count):
        pair = pairs[_below(len(pairs), generator)]
        at = torch.tensor([_below(len(pair.native), generator)])
        corner = [_corner(n, side, generator) for n in pair.native.shape[1:]]
        parts.append(
            [_window(with_neighbours(x, at, neighbours)[0], corner, side) for x in (pair.native, pair.contrast)]
        )
    return Batch(*(torch.stack(images).float() for images in zip(*parts)))


def _below(n: int, generator: torch.Generator) -> int:
    return int(torch.randint(n, (1,), generator=generator))


def _corner(length: int, side: int, generator: torch.Generator) -> int:
    """First row or column of a window: anywhere within the slice, or around one that is smaller than the window."""
    spare = length - side
    return _below(spare + 1, generator) if spare >= 0 else -_below(1 - spare, generator)


def _window(stack: torch.Tensor, corner: Sequence[int], side: int) -> torch.Tensor:
    """(C, H, W) -> (C, side, side) from `corner` on."""
    out = stack.new_full((len(stack), side, side), AIR_HU)
    spans = [(max(0, c), min(n, c + side)) for c, n in zip(corner, stack.shape[1:])]
    (i, i_end), (j, j_end) = spans
    a, b = i - corner[0], j - corner[1]
    out[:, a : a + i_end - i, b : b + j_end - j] = stack[:, i:i_end, j:j_end]
    return out
