"""Label maps to synthesise images from, and scans with label maps: reading, renumbering, cropping, caching."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import torch

from SlicerSynthReg.errors import ImageError
from SlicerSynthReg.io.files import image_files
from SlicerSynthReg.io.read import read_image
from SlicerSynthReg.spatial.intensity import rescale_intensity
from SlicerSynthReg.spatial.transform import resample
from SlicerSynthReg.synthesis.episode import EpisodeSource
from SlicerSynthReg.synthesis.mr_contrast import IntensityTables
from SlicerSynthReg.synthesis.tissues import RIGHT_TO_LEFT, scoring_label, sequence_intensity_tables

SPACING_MM = 1.0
FLUID_AROUND_BRAIN = 24
OUTSIDE_BRAIN = 500
"""Label values from this one on lie outside the brain."""


@dataclass(frozen=True)
class LabelMaps:
    """maps: uint8 index volumes, isotropic, RAS, cropped to the labels. values: label value by index."""

    maps: tuple[torch.Tensor, ...]
    values: tuple[int, ...]

    @property
    def groups(self) -> tuple[int, ...]:
        """Return the tissue number of each label index: left and right of one structure have the same."""
        tissues = [RIGHT_TO_LEFT.get(value, value) for value in self.values]
        order = {tissue: n for n, tissue in enumerate(sorted(set(tissues)))}
        return tuple(order[tissue] for tissue in tissues)

    @property
    def brain_values(self) -> tuple[int, ...]:
        """Return the label values of the brain, without the fluid around it."""
        return tuple(value for value in self.values if 0 < value < OUTSIDE_BRAIN and value != FLUID_AROUND_BRAIN)

    @property
    def scored_structures(self) -> tuple[int | None, ...]:
        """Return for each label index its scored structure, 0..S-1, left and right apart; None: not scored."""
        numbers = [scoring_label(value) for value in self.values]
        order = {number: n for n, number in enumerate(sorted(set(numbers) - {0}))}
        return tuple(order.get(number) for number in numbers)

    @property
    def intensity_tables(self) -> IntensityTables:
        """Return the intensities of the label indices: left as right, with tables of MR sequences and CT."""
        return IntensityTables(self.groups, sequence_intensity_tables(self.values))

    def split(self, validation_cases: int, margin_vox: int) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Return (training maps, validation maps), cropped to the brain with a margin.

        The last `validation_cases` maps are for validation; with 0, all maps serve both. Raises ValueError if none is
        left to train on.
        """
        if not 0 <= validation_cases < len(self.maps):
            raise ValueError(
                f"Found {len(self.maps)} label maps and {validation_cases} validation cases, expected some to train on."
            )
        inside = [self.values.index(value) for value in self.brain_values]
        cropped = [crop_to_labels(labels, inside, margin_vox) for labels in self.maps]
        count = len(cropped) - validation_cases
        return cropped[:count], cropped[count:] or cropped


def read_label_maps(folder: Path, validation_cases: int, cache: Path | None = None) -> LabelMaps:
    """Read the label maps of a folder, of which `validation_cases` are not trained on.

    cache: file with the preprocessed maps (some 3 s a map are saved at the next start); ignored if a map has changed.
    Raises ImageError (too-few-label-maps).
    """
    paths = image_files(folder)
    if len(paths) <= validation_cases:
        raise ImageError(
            f"Found {len(paths)} label maps in {folder.name} and {validation_cases} validation cases, expected "
            ".nii.gz, .nrrd or .mha files to train on.",
            code="too-few-label-maps",
        )
    state = [f"{path.name} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in paths]
    if cache and cache.exists():
        cached = torch.load(cache, weights_only=True)
        if cached["state"] == state:
            return LabelMaps(tuple(cached["maps"]), tuple(cached["values"]))
    maps = load_label_maps(paths)
    if cache:
        torch.save({"state": state, "maps": list(maps.maps), "values": list(maps.values)}, cache)
    return maps


def load_label_maps(paths: list[Path], spacing: float = SPACING_MM) -> LabelMaps:
    """Read label maps in RAS at `spacing` mm, labels renumbered 0..L-1 by the sorted union of all values."""
    volumes = [_read_labels(path, spacing) for path in paths]
    maps, values = _renumber(volumes)
    return LabelMaps(tuple(_crop_to_foreground(labels) for labels in maps), values)


def read_scans(table: Path) -> EpisodeSource:
    """Read the subjects of a CSV table: column `labels` and one column for each contrast, paths relative to the table.

    All contrasts of a subject must be aligned; they are resampled to 1 mm RAS about the labels. Every label is brain.
    Raises ImageError (scan-table-columns, too-many-labels).
    """
    with open(table, newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    if not rows or "labels" not in rows[0] or len(rows[0]) < 2:
        raise ImageError(
            f"Found {table.name} without a column labels and one for a contrast, expected both.",
            code="scan-table-columns",
        )
    volumes, scans = [], []
    for row in rows:
        labels = read_image(table.parent / row.pop("labels"), kind="labels")
        grid = labels.grid.aligned_to_ras(SPACING_MM)
        volumes.append(resample(labels.data.int(), labels.grid, grid, mode="nearest")[0])
        images = [read_image(table.parent / path) for path in row.values()]
        scans.append(torch.cat([rescale_intensity(image.resampled(grid).data[:1]) for image in images]))
    maps, values = _renumber(volumes)
    brain = torch.tensor([value != 0 for value in values])
    return EpisodeSource(maps, IntensityTables.independent(len(values)), brain, scans=scans)


def crop_to_labels(labels: torch.Tensor, inside: list[int], margin_vox: int) -> torch.Tensor:
    """Crop (I, J, K) to the box of the label indices `inside` with a margin, within the map."""
    occupied = torch.isin(labels, torch.tensor(inside, dtype=labels.dtype)).nonzero()
    low = (occupied.min(0).values - margin_vox).clamp_min(0)
    high = occupied.max(0).values + 1 + margin_vox
    return labels[low[0] : high[0], low[1] : high[1], low[2] : high[2]].contiguous()


def _read_labels(path: Path, spacing: float) -> torch.Tensor:
    image = read_image(path, kind="labels")
    return resample(image.data.int(), image.grid, image.grid.aligned_to_ras(spacing), mode="nearest")[0]


def _renumber(volumes: list[torch.Tensor]) -> tuple[list[torch.Tensor], tuple[int, ...]]:
    """Return label maps as uint8 indices 0..L-1 and the value of each index, 0 first."""
    values = sorted({0}.union(*(set(volume.unique().tolist()) for volume in volumes)))
    if len(values) > 256:
        raise ImageError(f"Found {len(values)} labels, expected at most 256.", code="too-many-labels")
    lookup = torch.zeros(max(values) + 1, dtype=torch.uint8)
    lookup[torch.tensor(values)] = torch.arange(len(values)).to(torch.uint8)
    return [lookup[volume.long()] for volume in volumes], tuple(values)


def _crop_to_foreground(labels: torch.Tensor) -> torch.Tensor:
    occupied = labels.nonzero()
    low, high = occupied.min(0).values, occupied.max(0).values + 1
    return labels[low[0] : high[0], low[1] : high[1], low[2] : high[2]].contiguous()
