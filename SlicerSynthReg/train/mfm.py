"""`synthreg train contrast`: native to contrast CT and back, on phantoms or on a folder of pairs (MFM)."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Optional

import typer

from SlicerSynthReg.methods.mfm.model import WAYS, ContrastConfig
from SlicerSynthReg.nets.slicewise import NETWORKS
from SlicerSynthReg.synth.ct.phantom import PhantomConfig
from SlicerSynthReg.train.contrast import ContrastTask, ContrastTaskConfig
from SlicerSynthReg.train.ct_pairs import PairPool, PhantomSlices, pair_folders, read_pair
from SlicerSynthReg.train.loop import Task
from SlicerSynthReg.train.training import DEVICE, training
from SlicerSynthReg.volume.volume import VolumeError

HELD_OUT_SEED = 1_000_000
"""Phantoms from this number on are for validation and evaluation only."""


@training
def contrast(
    pairs: Optional[Path] = typer.Option(
        None, help="Folder of patients, each a folder with native.nii.gz and contrast.nii.gz; none: phantoms."
    ),
    method: str = typer.Option("flow", help=f"One of {', '.join(WAYS)}; the last two are comparisons."),
    network: str = typer.Option("timeresnet", help=f"One of {', '.join(NETWORKS)}."),
    to: str = typer.Option("native", help="native or contrast: what a comparison gives; flow matching gives both."),
    neighbours: int = typer.Option(1, min=0, help="Slices seen on either side; 0 is the paper's plain 2-D."),
    shared_noise: float = typer.Option(
        1.0, min=0.0, max=1.0, help="Of phantoms: 1 the same noise in both scans, so that iodine alone differs; 0 two."
    ),
    augment: Optional[bool] = typer.Option(
        None, "--augment/--no-augment", help="The paper's flips, turns and affine maps; default: for pairs of yours."
    ),
    batch: int = typer.Option(4, min=1, help="Slices a step."),
    side: int = typer.Option(192, min=32, help="Pixels of a slice's window; the paper's slices are 512."),
    held_out: int = typer.Option(3, min=1, help="So many patients, the last by name, are for validation only."),
    device: str = DEVICE,
) -> Task:
    """The translation between native and contrast CT."""
    if network not in NETWORKS:
        raise typer.BadParameter(f"Found network {network!r}, expected one of {', '.join(NETWORKS)}.")
    try:
        model = ContrastConfig(method, NETWORKS[network], neighbours, to)
        config = ContrastTaskConfig(model, batch, side, pairs is not None if augment is None else augment)
        if pairs is None:
            phantoms = PhantomSlices(phantom=PhantomConfig(zoom=(1.0, 1.0), shared_noise=shared_noise))
            few = dataclasses.replace(phantoms, count=8)
            validation = [few.make(HELD_OUT_SEED + n) for n in range(held_out)]
            return ContrastTask(config, PairPool(phantoms.make), validation, device)
        folders = pair_folders(pairs)
        if len(folders) <= held_out:
            raise typer.BadParameter(
                f"Found {len(folders)} pairs in {pairs.name} with {held_out} held out, expected some to train on."
            )
        pool = PairPool(lambda n: read_pair(folders[n]), range(len(folders) - held_out), size=4, reuse=50)
        return ContrastTask(config, pool, [read_pair(one) for one in folders[-held_out:]], device)
    except (ValueError, VolumeError, RuntimeError) as error:
        raise typer.BadParameter(str(error)) from error
