"""UNA's training, `synthreg train healthy`, and what makes a model of it, `synthreg train ship-healthy`."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Optional

import torch
import typer

from SlicerSynthReg.methods.synthmorph.model import SynthMorph
from SlicerSynthReg.methods.una.model import UNA
from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.space.smoothing import gaussian
from SlicerSynthReg.space.transform import resample
from SlicerSynthReg.synth.healthy import Labelling
from SlicerSynthReg.synth.mirror import Mirror
from SlicerSynthReg.train.healthy_scans import scanned_heads
from SlicerSynthReg.train.healthy_task import ABLATIONS, HealthyTask, HealthyTaskConfig, People, Person
from SlicerSynthReg.train.loop import Task
from SlicerSynthReg.train.mirrors import compared, mirror_of
from SlicerSynthReg.train.ship import Provenance
from SlicerSynthReg.train.training import DEVICE, app, label_maps, training
from SlicerSynthReg.volume.read import read_volume
from SlicerSynthReg.volume.suffixes import image_files
from SlicerSynthReg.weights.registry import Card, read_card, save_model

MARGIN_VOX = 60
UNSEEN_MASKS = 5
"""So many lesion masks, the last by name, are for validation only."""


@training
def healthy(
    labels: Path = typer.Option(..., help="Folder of whole-head label maps (FreeSurfer numbers)."),
    lesions: Optional[Path] = typer.Option(None, help="Folder of lesion masks to begin anomalies with."),
    scans: Optional[Path] = typer.Option(None, help="Folder of real T1 scans to learn from beside the label maps."),
    scan_lesions: Optional[Path] = typer.Option(
        None, help="Folder of lesion masks named as those scans that are not in health."
    ),
    start: Optional[str] = typer.Option(
        "synthmorph-brains", help="Model whose features it starts from, or a healthy brain's that goes on; '' for none."
    ),
    ablation: str = typer.Option("none", help=f"Leave a part out: one of {', '.join(ABLATIONS)}."),
    held_out: int = typer.Option(2, help="So many label maps, the last by name, are for validation only."),
    cache: Optional[Path] = typer.Option(None, help="File that keeps maps and mirrors, for a start in seconds."),
    device: str = DEVICE,
) -> Task:
    """The healthy T1 behind a scan of any contrast, from label maps and, if there are any, real T1 scans."""
    try:
        config = HealthyTaskConfig().ablated(ablation)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    people = people_of(labels, lesions, held_out, config, cache)
    if scans:
        brains = SynthMorph.load(read_card("synthmorph-brains"))
        people = dataclasses.replace(people, scans=scanned_heads(scans, scan_lesions, brains, device))
    task = HealthyTask(config, people, device)
    if start:
        begin_with(task.model, read_card(start))
    return task


def begin_with(model: UNA, card: Card) -> None:
    """With the weights of another model of the healthy brain, or the features of a registration's network."""
    if card.method == "UNA":
        model.load_state_dict(UNA.load(card).state_dict())
    else:
        model.start_from(SynthMorph.load(card).net.state_dict())


@app.command("ship-healthy")
def ship_healthy(
    name: str = typer.Argument(..., help="Name of the model, such as una-brains."),
    training: Path = typer.Option(..., help="Folder of the training."),
    provenance: Path = typer.Option(..., help="JSON file with what the card must say of data, use, limits and scores."),
    to: Path = typer.Option(..., help="Folder for the card and the weights."),
) -> None:
    """Best checkpoint of a training of the healthy brain -> a card and half-precision weights."""
    model = trained(training)
    entries = dataclasses.asdict(Provenance.read(provenance))
    card = Card(name=name, method="UNA", architecture=model.config.to_card(), sha256="", **entries)
    typer.echo(str(save_model(card, model.state_dict(), to)))


def trained(folder: Path) -> UNA:
    """The best averaged network of a training, of whichever ablation."""
    path = folder / "best.pt"
    if not path.exists():
        raise typer.BadParameter(f"Found no best.pt in {folder.name}, expected a training that was validated once.")
    state = torch.load(path, weights_only=True, map_location="cpu")["model"]
    paired = state["net.stem.0.weight"].shape[1] == 2
    model = UNA(HealthyTaskConfig().ablated("none" if paired else "single").net)
    model.load_state_dict(state)
    return model.eval()


def people_of(
    labels: Path, lesions: Path | None, held_out: int, config: HealthyTaskConfig, cache: Path | None = None
) -> People:
    """The people of a folder of label maps, each with the mirror map of its own head, and lesion masks.

    cache: file that keeps the maps as read; their mirrors lie beside it.
    """
    maps = label_maps(labels, held_out, cache)
    known, unseen = maps.people(held_out, MARGIN_VOX)
    mirrors = _mirrors([*known, *unseen], compared(maps.values), cache and cache.with_suffix(".mirrors"))
    persons = tuple(Person(one, mirror) for one, mirror in zip([*known, *unseen], mirrors))
    spacing = config.samples.spacing * config.samples.working
    masks = lesion_masks(lesions, spacing) if lesions else ()
    fewer = max(0, len(masks) - UNSEEN_MASKS)
    return People(
        known=persons[: len(known)],
        unseen=persons[len(known) :],
        labelling=Labelling.of(maps.values, maps.groups),
        masks=masks[:fewer] or masks,
        unseen_masks=masks[fewer:],
    )


def _mirrors(people: list[torch.Tensor], structures: torch.Tensor, cache: Path | None) -> list[Mirror]:
    """Each person's mirror map; from `cache` if it was written for the same maps."""
    state = [hashlib.blake2b(structures[one.int()].numpy().tobytes(), digest_size=16).hexdigest() for one in people]
    if cache and cache.exists():
        kept = torch.load(cache, weights_only=True)
        if kept["state"] == state:
            return [Mirror(m.numpy(), u, f, tuple(b)) for m, u, f, b in kept["mirrors"]]
    mirrors = [mirror_of(one, structures) for one in people]
    if cache:
        rows = [(torch.from_numpy(m.matrix), m.u, m.factor, list(m.begin)) for m in mirrors]
        torch.save({"state": state, "mirrors": rows}, cache)
    return mirrors


def lesion_masks(folder: Path, spacing: float) -> tuple[torch.Tensor, ...]:
    """The masks of a folder, in order of name, each (i, j, k) the share of lesion in voxels of `spacing` mm in its own
    box. Empty masks are left out."""
    masks = []
    for path in image_files(folder):
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
