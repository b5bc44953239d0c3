"""A whole CT, native to contrast or back: the body cut out, pixels of the model's size, slices in batches, in HU."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from SlicerSynthReg.methods.mfm.flow import TIMES
from SlicerSynthReg.methods.mfm.hounsfield import LIMIT_HU, scaled
from SlicerSynthReg.methods.mfm.model import ContrastModel
from SlicerSynthReg.methods.mfm.slices import SliceNetwork
from SlicerSynthReg.methods.mfm.solution import Solution, calls
from SlicerSynthReg.methods.mfm.upsampling import coarser, finer, guided
from SlicerSynthReg.volume.axial import AxialView, axial_slab
from SlicerSynthReg.volume.volume import Volume

BODY_HU, MARGIN_MM = -300.0, 12.0
NEARLY = 0.9
"""Pixels of at least this share of the model's are left as they are."""


@dataclass(frozen=True)
class TranslateConfig:
    """to: "native" or "contrast". pixel_mm: the model's; finer slices are averaged down to it and the change is carried
    back to them. cycle: whether to translate back for the error map. batch: slices at once. half: bfloat16. only: make
    this axial slice alone (0 is the lowest), as it is in the whole."""

    to: str
    solution: Solution
    pixel_mm: float
    cycle: bool = True
    batch: int = 8
    half: bool = False
    only: int | None = None


@dataclass(frozen=True, eq=False)
class Translation:
    """image: the other kind, HU. cycle: HU that there and back differ by, None where not asked for or not possible.
    evaluations: calls of the network for a slice, one way. pixels: of the slices that the network saw."""

    image: Volume
    cycle: Volume | None
    evaluations: int
    pixels: tuple[int, int]


def translate(
    model: ContrastModel,
    volume: Volume,
    config: TranslateConfig,
    progress: Callable[[float], None] = lambda share: None,
) -> Translation:
    """`volume` (first channel, HU) as CT of kind `config.to`, on its own grid, memory of a few volumes.

    What lies outside the body's box is left as it is, and so are values beyond +-1000 HU but for the change. progress:
    share done, after each batch; may raise to stop. ValueError for a direction that the model was not made for.
    """
    view = AxialView.of(volume.grid)
    hu = view.slices(volume.data[0].float())
    _, rows_mm, columns_mm = view.spacing_mm(volume.grid)
    box = body_box(hu, (rows_mm, columns_mm))
    both_ways = config.cycle and len(model.directions) == 2
    foretold = (1 + both_ways) * calls(config.solution, model.config.way)
    low, high = _needed(len(hu), config.only, model.config.neighbours * foretold)
    hu = hu[low:high]
    source = hu[:, box[0], box[1]]
    shape = tuple(
        n if mm >= NEARLY * config.pixel_mm else max(1, round(n * mm / config.pixel_mm))
        for n, mm in zip(source.shape[1:], (rows_mm, columns_mm))
    )
    pixels = shape[0], shape[1]
    f = SliceNetwork(model.net, model.config.neighbours, config.batch, half=config.half)
    _report(f, progress, len(hu), foretold)

    def made(stack: torch.Tensor, name: str) -> Volume:
        grid = volume.grid
        if config.only is not None:
            stack = stack[config.only - low, None]
            grid = axial_slab(volume, config.only, config.only + 1).grid
        return Volume(view.volume(stack)[None].contiguous(), grid, "scalar", name)

    x = torch.cat([coarser(scaled(part), pixels) for part in source.split(config.batch)])
    y = model.translated(f, x, config.to, config.solution)
    evaluations = f.evaluations
    found = hu.clone()
    for part in torch.arange(len(hu)).split(config.batch):
        fine = source[part]
        found[part, box[0], box[1]] += LIMIT_HU * guided(y[part] - x[part], x[part], scaled(fine))
    cycle = None
    if both_ways:
        other = next(kind for kind in TIMES if kind != config.to)
        miss = LIMIT_HU * (model.translated(f, y, other, config.solution) - x).abs()
        cycle_hu = torch.zeros_like(hu)
        for part in torch.arange(len(hu)).split(config.batch):
            cycle_hu[part, box[0], box[1]] = finer(miss[part], source.shape[1:])
        cycle = made(cycle_hu, "cycle error")
    return Translation(made(found, f"synthetic {config.to}"), cycle, evaluations, pixels)


def body_box(hu: torch.Tensor, pixel_mm: tuple[float, float]) -> tuple[slice, slice]:
    """Rows and columns of (K, H, W) that hold anything denser than air and lung, with a margin; or all."""
    dense = (hu > BODY_HU).any(0)
    spans = []
    for dim, mm in zip((1, 0), pixel_mm):
        places = dense.any(dim).nonzero()
        length, margin = dense.shape[1 - dim], math.ceil(MARGIN_MM / mm)
        low, high = (int(places[0]), int(places[-1]) + 1) if len(places) else (0, length)
        spans.append(slice(max(0, low - margin), min(length, high + margin)))
    return spans[0], spans[1]


def _report(f: SliceNetwork, progress: Callable[[float], None], slices: int, evaluations: int) -> None:
    total, done = math.ceil(slices / f.batch) * evaluations, 0

    def tick() -> None:
        nonlocal done
        done += 1
        progress(min(1.0, done / total))

    f.tick = tick


def _needed(count: int, only: int | None, reach: int) -> tuple[int, int]:
    """First slice and end of those that slice `only` depends on; all for None."""
    return (0, count) if only is None else (max(0, only - reach), min(count, only + reach + 1))
