"""UNA's training: `synthreg train healthy`."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import torch
import typer

from SlicerSynthReg.methods.synthmorph.model import SynthMorph
from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.space.smoothing import gaussian
from SlicerSynthReg.space.transform import resample
from SlicerSynthReg.synth.healthy import Labelling
from SlicerSynthReg.train.healthy_task import ABLATIONS, HealthyTask, HealthyTaskConfig, People, Person
from SlicerSynthReg.train.loop import Task
from SlicerSynthReg.train.mirrors import compared, mirror_of
from SlicerSynthReg.train.training import DEVICE, label_maps, training
from SlicerSynthReg.volume.read import read_volume
from SlicerSynthReg.weights.registry import read_card

MARGIN_VOX = 60
UNSEEN_MASKS = 5
"""So many lesion masks, the last by name, are for validation only."""


@training
def healthy(
    labels: Path = typer.Option(..., help="Folder of whole-head label maps (FreeSurfer numbers)."),
    lesions: Optional[Path] = typer.Option(None, help="Folder of lesion masks to begin anomalies with."),
    start: Optional[str] = typer.Option("synthmorph-brains", help="Model whose features it starts from; '' for none."),
    ablation: str = typer.Option("none", help=f"Leave a part out: one of {', '.join(ABLATIONS)}."),
    held_out: int = typer.Option(2, help="So many label maps, the last by name, are for validation only."),
    device: str = DEVICE,
) -> Task:
    """The healthy T1 behind a scan of any contrast, from label maps."""
    try:
        config = HealthyTaskConfig().ablated(ablation)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    task = HealthyTask(config, people_of(labels, lesions, held_out, config), device)
    if start:
        task.model.start_from(SynthMorph.load(read_card(start)).net.state_dict())
    return task


def people_of(labels: Path, lesions: Path | None, held_out: int, config: HealthyTaskConfig) -> People:
    """The people of a folder of label maps, each with the mirror map of its own head, and lesion masks."""
    maps = label_maps(labels, held_out)
    known, unseen = maps.people(held_out, MARGIN_VOX)
    structures = compared(maps.values)
    spacing = config.samples.spacing * config.samples.working
    masks = lesion_masks(lesions, spacing) if lesions else ()
    fewer = max(0, len(masks) - UNSEEN_MASKS)
    return People(
        known=tuple(Person(one, mirror_of(one, structures)) for one in known),
        unseen=tuple(Person(one, mirror_of(one, structures)) for one in unseen),
        labelling=Labelling.of(maps.values, maps.groups),
        masks=masks[:fewer] or masks,
        unseen_masks=masks[fewer:],
    )


def lesion_masks(folder: Path, spacing: float) -> tuple[torch.Tensor, ...]:
    """The masks of a folder, in order of name, each (i, j, k) the share of lesion in voxels of `spacing` mm in its own
    box. Empty masks are left out."""
    masks = []
    for path in sorted(folder.iterdir()):
        if not path.name.endswith((".nii", ".nii.gz", ".nrrd", ".mha")):
            continue
        volume = read_volume(path, kind="labels", allow_degenerate=True)
        inside = (volume.data[:1] != 0).float()
        if not bool(inside.any()):
            continue
        blur = torch.tensor([[max(0.0, spacing / s - 1) * 0.5 for s in volume.grid.spacing]])
        occupied = inside[0].nonzero()
        margin = torch.tensor([int(2 * spacing / s) + 1 for s in volume.grid.spacing])
        low, high = occupied.min(0).values - margin, occupied.max(0).values + 1 + margin
        box: Grid = volume.grid.cropped(tuple(low.tolist()), tuple(high.tolist()))
        cut = resample(inside, volume.grid, box, mode="nearest")
        grid = box.aligned_to_ras(spacing)
        masks.append(resample(gaussian(cut[None], blur)[0], box, grid)[0])
    if not masks:
        raise typer.BadParameter(f"Found no lesion mask in {folder.name}, expected .nii.gz, .nrrd or .mha files.")
    return tuple(masks)
