"""Label maps to synthesise from: people's maps, cropped to the head and renumbered, or random shapes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from SlicerSynthReg.space.transform import resample
from SlicerSynthReg.synth.contrast import Looks
from SlicerSynthReg.synth.tissues import RIGHT_TO_LEFT, brightness_tables, scored_as
from SlicerSynthReg.volume.read import read_volume


@dataclass(frozen=True)
class LabelMaps:
    """maps: uint8 index volumes, isotropic, RAS, cropped to what is not background. values: label value by index."""

    maps: tuple[torch.Tensor, ...]
    values: tuple[int, ...]

    @property
    def groups(self) -> tuple[int, ...]:
        """For each label index its tissue: left and right of one FreeSurfer structure together."""
        tissues = [RIGHT_TO_LEFT.get(value, value) for value in self.values]
        order = {tissue: n for n, tissue in enumerate(sorted(set(tissues)))}
        return tuple(order[tissue] for tissue in tissues)

    @property
    def anatomy(self) -> tuple[int, ...]:
        """The brain's label values: FreeSurfer numbers below 500 but background and the fluid around it (24)."""
        return tuple(value for value in self.values if 0 < value < 500 and value != 24)

    @property
    def scored(self) -> tuple[int | None, ...]:
        """For each label index which scored structure it belongs to, 0..S-1 (sides apart), or None."""
        numbers = [scored_as(value) for value in self.values]
        order = {number: n for n, number in enumerate(sorted(set(numbers) - {0}))}
        return tuple(order.get(number) for number in numbers)

    @property
    def looks(self) -> Looks:
        """How the labels may look: grouped left with right, like a scan in part of the draws."""
        return Looks(self.groups, brightness_tables(self.values))

    def people(self, held_out: int, margin: int) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """(to train on, to validate on): the brains with `margin` voxels about them; the last `held_out` maps are for
        validation only, with none held out all serve both."""
        if not 0 <= held_out < len(self.maps):
            raise ValueError(f"Found {len(self.maps)} label maps and {held_out} held out, expected some to train on.")
        inside = [self.values.index(value) for value in self.anatomy]
        cropped = [around(labels, inside, margin) for labels in self.maps]
        known = len(cropped) - held_out
        return cropped[:known], cropped[known:] or cropped


def load_label_maps(paths: list[Path], spacing: float = 1.0) -> LabelMaps:
    """Every map in RAS at `spacing` mm, its labels renumbered 0..L-1 by the sorted union of all values (0 first)."""
    volumes = []
    for path in paths:
        volume = read_volume(path, kind="labels")
        grid = volume.grid.aligned_to_ras(spacing)
        volumes.append(resample(volume.data.int(), volume.grid, grid, mode="nearest")[0])
    values = sorted({0}.union(*(set(v.unique().tolist()) for v in volumes)))
    lookup = torch.zeros(max(values) + 1, dtype=torch.uint8)
    lookup[torch.tensor(values)] = torch.arange(len(values), dtype=torch.uint8)
    return LabelMaps(tuple(_cropped(lookup[v.long()]) for v in volumes), tuple(values))


def _cropped(labels: torch.Tensor) -> torch.Tensor:
    occupied = labels.nonzero()
    low, high = occupied.min(0).values, occupied.max(0).values + 1
    return labels[low[0] : high[0], low[1] : high[1], low[2] : high[2]].contiguous()


def around(labels: torch.Tensor, inside: list[int], margin: int) -> torch.Tensor:
    """The box of the label indices `inside` and `margin` voxels about it, within the map."""
    occupied = torch.isin(labels, torch.tensor(inside, dtype=labels.dtype)).nonzero()
    low = (occupied.min(0).values - margin).clamp_min(0)
    high = occupied.max(0).values + 1 + margin
    return labels[low[0] : high[0], low[1] : high[1], low[2] : high[2]].contiguous()
