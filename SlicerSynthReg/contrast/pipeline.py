"""Conversion of a whole CT between native and arterial phase: crop to the body, resample to the model's pixel size,
convert slices in batches, and return to HU on the input grid."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from SlicerSynthReg.contrast.config import SolverConfig, nfe, other_phase
from SlicerSynthReg.contrast.guided_upsampling import block_downsample, guided_upsample, upsample
from SlicerSynthReg.contrast.mfm import ContrastModel
from SlicerSynthReg.contrast.slice_network import LIMIT_HU, SliceNetwork, normalise_hu
from SlicerSynthReg.io.axial_slices import AxialView, axial_slab
from SlicerSynthReg.io.image import Image

BODY_HU, MARGIN_MM = -300.0, 12.0
PIXEL_TOLERANCE = 0.9
"""Pixels of at least this fraction of the model's pixel size are not resampled."""


@dataclass(frozen=True)
class ConversionConfig:
    """target_phase: "native" or "arterial". pixel_mm: the model's pixel size; finer slices are averaged to it, and the
    change is upsampled to them. cycle: convert back as well. batch: slices per forward pass. half: bfloat16.
    only_slice: convert this axial slice alone (0 = lowest), as in the whole volume; None for all."""

    target_phase: str
    solver: SolverConfig
    pixel_mm: float
    cycle: bool = True
    batch: int = 8
    half: bool = False
    only_slice: int | None = None


@dataclass(frozen=True, eq=False)
class ConvertedImage:
    """image: CT of the target phase, HU. cycle_error: absolute cycle-consistency error in HU, None if not computed or
    not possible. nfe: number of network evaluations per slice, one direction. pixels: rows and columns of the
    network's slices."""

    image: Image
    cycle_error: Image | None
    nfe: int
    pixels: tuple[int, int]


def convert(
    model: ContrastModel,
    image: Image,
    config: ConversionConfig,
    progress: Callable[[float], None] = lambda fraction: None,
) -> ConvertedImage:
    """Convert `image` (first channel, HU) to `config.target_phase`, on its own grid.

    Outside the body's bounding box the image is kept; values beyond +-1000 HU change by the same amount as at that
    limit. progress: called with the fraction done after each batch; may raise to stop. Memory: a few copies of the
    image. Raises ValueError for a phase that the model cannot synthesise.
    """
    view = AxialView.of(image.grid)
    hu = view.slices(image.data[0].float())
    _, rows_mm, columns_mm = view.spacing_mm(image.grid)
    rows, columns = body_bbox(hu, (rows_mm, columns_mm))
    cycle = config.cycle and len(model.target_phases) == 2
    evaluations = (1 + cycle) * nfe(config.solver, model.config.method)
    low, high = _slice_range(len(hu), config.only_slice, model.config.neighbours * evaluations)
    hu = hu[low:high]
    source = hu[:, rows, columns]
    pixels = _network_pixels(source, (rows_mm, columns_mm), config.pixel_mm)
    f = SliceNetwork(model.net, model.config.neighbours, config.batch, half=config.half)
    f.tick = _batch_counter(progress, math.ceil(len(hu) / config.batch) * evaluations)

    def to_image(stack: torch.Tensor, name: str) -> Image:
        grid = image.grid
        if config.only_slice is not None:
            stack = stack[config.only_slice - low, None]
            grid = axial_slab(image, config.only_slice, config.only_slice + 1).grid
        return Image(view.unstack(stack)[None].contiguous(), grid, "scalar", name)

    x = torch.cat([block_downsample(normalise_hu(part), pixels) for part in source.split(config.batch)])
    y = model.convert(f, x, config.target_phase, config.solver)
    one_direction = f.evaluations
    converted = hu.clone()
    for part in torch.arange(len(hu)).split(config.batch):
        change = guided_upsample(y[part] - x[part], x[part], normalise_hu(source[part]))
        converted[part, rows, columns] += LIMIT_HU * change
    cycle_error = None
    if cycle:
        returned = model.convert(f, y, other_phase(config.target_phase), config.solver)
        error_hu = torch.zeros_like(hu)
        error = LIMIT_HU * (returned - x).abs()
        for part in torch.arange(len(hu)).split(config.batch):
            error_hu[part, rows, columns] = upsample(error[part], source.shape[1:])
        cycle_error = to_image(error_hu, "cycle error")
    return ConvertedImage(to_image(converted, f"synthetic {config.target_phase}"), cycle_error, one_direction, pixels)


def body_bbox(hu: torch.Tensor, pixel_mm: tuple[float, float]) -> tuple[slice, slice]:
    """Return the rows and columns of `hu` (K, H, W) with anything denser than BODY_HU, and a margin; all without it."""
    dense = (hu > BODY_HU).any(0)
    spans = []
    for dim, mm in zip((1, 0), pixel_mm):
        occupied = dense.any(dim).nonzero()
        length, margin = dense.shape[1 - dim], math.ceil(MARGIN_MM / mm)
        low, high = (int(occupied[0]), int(occupied[-1]) + 1) if len(occupied) else (0, length)
        spans.append(slice(max(0, low - margin), min(length, high + margin)))
    return spans[0], spans[1]


def _network_pixels(source: torch.Tensor, spacing_mm: tuple[float, float], pixel_mm: float) -> tuple[int, int]:
    """Return rows and columns of the network's slices for `source` (K, H, W)."""
    rows, columns = (
        count if mm >= PIXEL_TOLERANCE * pixel_mm else max(1, round(count * mm / pixel_mm))
        for count, mm in zip(source.shape[1:], spacing_mm)
    )
    return rows, columns


def _batch_counter(progress: Callable[[float], None], total: int) -> Callable[[], None]:
    """Return a function to call after each of `total` batches."""
    done = 0

    def tick() -> None:
        nonlocal done
        done += 1
        progress(min(1.0, done / total))

    return tick


def _slice_range(count: int, only_slice: int | None, reach: int) -> tuple[int, int]:
    """Return the first slice and the end of those on which `only_slice` depends; all for None."""
    return (0, count) if only_slice is None else (max(0, only_slice - reach), min(count, only_slice + reach + 1))
