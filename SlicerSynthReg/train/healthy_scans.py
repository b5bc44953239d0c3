"""Real T1 scans for UNA's training: brain, sides and brightness of each as the registration network sees them."""

from __future__ import annotations

from pathlib import Path

import torch
import typer
from scipy.ndimage import binary_fill_holes
from torch.nn import functional as F

from SlicerSynthReg.methods.synthmorph.model import SynthMorph
from SlicerSynthReg.space.pieces import largest_piece
from SlicerSynthReg.space.smoothing import gaussian
from SlicerSynthReg.space.transform import resample
from SlicerSynthReg.synth.healthy_scan import WHITE_T1, ScannedHead
from SlicerSynthReg.synth.tissues import ANATOMY, BRAIN
from SlicerSynthReg.train.mirrors import COMPARED, mirror_of
from SlicerSynthReg.volume.read import read_volume
from SlicerSynthReg.volume.suffixes import image_files
from SlicerSynthReg.volume.volume import Volume, VolumeError

BLOCK = 2
"""Voxels of 1 mm in one of those that the network sees."""
MARGIN_VOX = 40
LITRES = (0.3, 2.5)
LIT = 0.02


def scanned_heads(
    folder: Path, lesions: Path | None, brains: SynthMorph, device: str = "cpu"
) -> tuple[ScannedHead, ...]:
    """The T1 scans of a folder. lesions: folder with masks of the same file names; a scan that has one there is known
    in health only outside it. Errors: typer.BadParameter for an empty folder or masks without a scan, VolumeError for a
    scan without a brain."""
    scans = image_files(folder)
    if not scans:
        raise typer.BadParameter(f"Found no scan in {folder.name}, expected T1 of heads as .nii.gz, .nrrd or .mha.")
    masks = {path.name: path for path in image_files(lesions)} if lesions else {}
    if alone := sorted(masks.keys() - {path.name for path in scans}):
        raise typer.BadParameter(
            f"Found lesion masks without a scan of that name ({', '.join(alone[:3])}), expected each mask to be named "
            "as its scan."
        )
    return tuple(
        scanned_head(
            read_volume(path),
            read_volume(masks[path.name], "labels", allow_degenerate=True) if path.name in masks else None,
            brains,
            device,
        )
        for path in scans
    )


def scanned_head(volume: Volume, lesion: Volume | None, brains: SynthMorph, device: str = "cpu") -> ScannedHead:
    """brains: a network that tells the structures of `ANATOMY` apart at 2 mm."""
    grid = volume.grid.aligned_to_ras(1.0)
    image = resample(volume.data[:1].float() - float(volume.data.min()), volume.grid, grid)[0]
    image = image / torch.quantile(image[image > LIT * image.max()][::97], 0.995)
    with torch.inference_mode():
        seen = brains.to(device).features(F.avg_pool3d(image[None, None].clamp(0, 1), BLOCK).to(device)).structures
    if seen is None:
        raise typer.BadParameter(
            "Found a network that tells no structures apart, expected one such as synthmorph-brains."
        )
    likeliest = seen.argmax(0).cpu()
    brain = _brain(torch.isin(likeliest, _numbers(BRAIN)), volume.name)
    structure = likeliest * brain
    labels, inside = (_in_millimetres(one, image.shape) for one in (structure, brain))
    white = image[labels == _numbers(("white matter",))].median()
    smooth = gaussian(image[None, None], 0.5 * (BLOCK - 1))[0, 0] * (WHITE_T1 / white)
    sick = torch.zeros_like(image)
    if lesion is not None:
        sick = resample((lesion.data[:1] > 0).float(), lesion.grid, grid)[0]
    occupied = inside.nonzero()
    low, high = (occupied.amin(0) - MARGIN_VOX).clamp_min(0), occupied.amax(0) + 1 + MARGIN_VOX
    box = tuple(slice(a, b) for a, b in zip(low.tolist(), high.tolist()))
    group = {name: n for n, names in enumerate(COMPARED, start=1) for name in names}
    mirror = mirror_of(labels[box].to(torch.uint8), torch.tensor([group.get(name, 0) for name in ANATOMY]))
    t1, inside, sick = (one[box].float().clone() for one in (smooth, inside, sick))
    return ScannedHead(t1, inside, None if lesion is None else sick, mirror)


def _numbers(names: tuple[str, ...]) -> torch.Tensor:
    return torch.tensor([list(ANATOMY).index(name) for name in names])


def _brain(where: torch.Tensor, name: str) -> torch.Tensor:
    """(I, J, K) bool: the largest piece of a brain (bool, 2 mm), and what it encloses."""
    piece = largest_piece(where)
    litres = int(piece.sum()) * BLOCK**3 / 1e6
    if not LITRES[0] <= litres <= LITRES[1]:
        raise VolumeError(
            f"Found {litres:.1f} litres of brain in {name or 'a scan'}, expected {LITRES[0]} to {LITRES[1]}. Leave out "
            "what is not a T1 of a whole head."
        )
    return torch.from_numpy(binary_fill_holes(piece.numpy()))


def _in_millimetres(values: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """Each block's value in its voxels; 0 in those at the end that fill no block."""
    for axis in range(3):
        values = values.repeat_interleave(BLOCK, axis)
    return F.pad(values, [n for size, whole in zip(values.shape[::-1], shape[::-1]) for n in (0, whole - size)])
