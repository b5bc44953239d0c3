"""What a hole in a scan of a head held, in the scan's own contrast: several guesses, weighted by the scan itself.

The other side knows the anatomy but not this side's; the network draws a healthy brain, smoothly; the smoothest
continuation is right at the rim alone. How much each is worth, and how deep in a hole, differs from scan to scan. So
balls are cut out of what is healthy, all guesses are made there too, and what stood there is regressed on them (stacked
regressions: Wolpert, 1992; Breiman, 1996). Beyond the paper, which reconstructs T1 alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import binary_dilation, binary_erosion, distance_transform_edt

from SlicerSynthReg.methods.una.difference import agreeing, expressed
from SlicerSynthReg.methods.una.model import UNA
from SlicerSynthReg.space.harmonic import harmonic
from SlicerSynthReg.space.smoothing import gaussian

LEAST_PRACTICE = 1000
"""Voxels that the weights are learned from; with fewer the network's guess stands alone."""
APART_VOX = 3
LIMIT = 6.0
NETWORK, OTHER = 1, 2
"""Places of two of the guesses; the smoothest continuation comes first."""


@dataclass(frozen=True)
class FillingConfig:
    """rounds: of practice, on either side of the brain; balls: cut out in each, at most; radius_vox: theirs.
    smooth_vox: at which the guesses are told once more. rim_vox: depth at which the rim's say has fallen to 1/e.
    surface_vox: of the brain, where it is not practised. prior: weight of the ridge."""

    rounds: int = 2
    balls: int = 8
    radius_vox: int = 8
    smooth_vox: tuple[float, ...] = (1.0, 2.5)
    rim_vox: float = 3.0
    surface_vox: int = 2
    prior: float = 1e-2
    seed: int = 0


def filled_hole(
    una: UNA,
    image: torch.Tensor,
    mirrored: torch.Tensor,
    hole: torch.Tensor,
    brain: torch.Tensor,
    other_side: Callable[[torch.Tensor], torch.Tensor],
    config: FillingConfig = FillingConfig(),
) -> torch.Tensor:
    """`image` (I, J, K), 0..1, with `hole` (bool) filled. mirrored: its other side, 0 where it was not scanned; brain:
    bool. other_side: brings a mask (I, J, K) over as the image was brought."""
    gone = other_side(hole.float()) > 0.01
    deep = torch.from_numpy(binary_erosion(brain.numpy(), iterations=config.surface_vox))
    lost = gone | (mirrored <= 0)
    practice, truth = [], []
    for part in practice_holes(deep, hole | gone, config):
        both = hole | part
        guesses = _guesses(una, image, mirrored, both, lost | (other_side(part.float()) > 0.01), deep, config)
        practice.append(guesses[:, part])
        truth.append(image[part])
    guesses = _guesses(una, image, mirrored, hole, lost, deep, config)
    filled = image.clone()
    if sum(len(one) for one in truth) < LEAST_PRACTICE:
        filled[hole] = guesses[NETWORK, hole]
        return filled
    filled[hole] = _regressed(torch.cat(practice, 1), torch.cat(truth), guesses[:, hole], config.prior).clamp(0, 1)
    return filled


def practice_holes(brain: torch.Tensor, taken: torch.Tensor, config: FillingConfig) -> list[torch.Tensor]:
    """Balls (I, J, K) bool within `brain` and away from `taken`, in turn on the one side of the middle and on the
    other: no ball's counterpart is a hole as well."""
    generator = np.random.default_rng(config.seed)
    free = brain.numpy() & ~binary_dilation(taken.numpy(), iterations=APART_VOX)
    index = np.indices(free.shape)
    middle = (brain.nonzero()[:, 0].float().mean().item()) if bool(brain.any()) else 0.0
    found = []
    for side in (index[0] < middle - APART_VOX, index[0] > middle + APART_VOX) * config.rounds:
        allowed, holes = free & side, np.zeros_like(free)
        left = binary_erosion(allowed, iterations=APART_VOX)
        for _ in range(config.balls):
            places = np.argwhere(left)
            if not len(places):
                break
            centre = places[generator.integers(len(places))]
            away = np.square(index - centre[:, None, None, None]).sum(0)
            holes |= allowed & (away <= config.radius_vox**2)
            left &= away > (2 * config.radius_vox + APART_VOX) ** 2
        if holes.any():
            found.append(torch.from_numpy(holes))
    return found


def _guesses(
    una: UNA,
    image: torch.Tensor,
    mirrored: torch.Tensor,
    hole: torch.Tensor,
    lost: torch.Tensor,
    brain: torch.Tensor,
    config: FillingConfig,
) -> torch.Tensor:
    """(G, I, J, K). lost: where the other side is a hole, too."""
    device = next(una.parameters()).device
    seen, other = image.masked_fill(hole, 0), mirrored.masked_fill(lost, 0)
    drawn = una(seen[None, None].to(device), other[None, None].to(device)).t1[0, 0].cpu().clamp_min(0)
    well = brain & ~torch.from_numpy(binary_dilation(hole.numpy()))
    network = expressed(drawn, image, agreeing(drawn, image, well))
    network = network + harmonic(image - network, hole)
    rim = harmonic(image, hole)
    raw = torch.where(lost, rim, mirrored)
    copied = torch.where(lost, network, mirrored)
    copied = copied + harmonic(image - copied, hole)
    three = torch.stack([torch.where(hole, one, image) for one in (rim, network, copied)])
    smooth = [gaussian(three[None, NETWORK:], sd)[0] for sd in config.smooth_vox]
    told = torch.cat([three, *smooth, raw[None]])
    near = torch.exp(-torch.from_numpy(distance_transform_edt(hole.numpy())).float() / config.rim_vox)
    bent = torch.stack([three[NETWORK] ** 2, three[OTHER] ** 2, three[NETWORK] * three[OTHER]])
    unknown = lost.float()
    return torch.cat([told, told * near, bent, torch.stack([near, unknown, unknown * three[NETWORK]])])


def _regressed(practice: torch.Tensor, truth: torch.Tensor, asked: torch.Tensor, prior: float) -> torch.Tensor:
    """Guesses (G, P) where the truth (P,) is known, and (G, Q) where it is asked -> (Q,)."""
    mean, spread = practice.mean(1, keepdim=True), practice.std(1, keepdim=True) + 1e-6
    z, level = ((practice - mean) / spread).double(), truth.double().mean()
    penalty = prior * torch.eye(len(z), dtype=z.dtype)
    weights = torch.linalg.solve(z @ z.T / z.shape[1] + penalty, z @ (truth.double() - level) / z.shape[1])
    return (weights @ ((asked - mean) / spread).clamp(-LIMIT, LIMIT).double() + level).float()
