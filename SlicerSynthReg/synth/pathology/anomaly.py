"""Random anomalies by transport (UNA, section 3.1 and algorithm 1): draw, then apply.

P_0 is a lesion mask, turned and put somewhere in the domain, or Perlin noise above a percentile of its values; three
Perlin potentials give the flow, a fourth the diffusion, each from a seed of its own; P = P(T).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from SlicerSynthReg.space.grid import affine_lattice
from SlicerSynthReg.space.sampling import sample
from SlicerSynthReg.synth import draw
from SlicerSynthReg.synth.deform import DeformConfig, DeformDraw, draw_deform
from SlicerSynthReg.synth.pathology.transport import Transport, curl_on_faces, depth
from SlicerSynthReg.synth.perlin import perlin


@dataclass(frozen=True)
class AnomalyConfig:
    """cells: Perlin cells along an axis of the grid. percentile: of the noise, above which a shape begins. speed_mm:
    mean speed over the domain; diffusion_mm2: mean D; time: of transport, all drawn uniformly. masks: share of draws
    that begin with a lesion mask, if there are any. placing: how a mask is turned and scaled. taper_mm: depth below the
    domain's boundary over which the flow grows."""

    cells: int = 2
    percentile: tuple[float, float] = (90.0, 99.6)
    speed_mm: tuple[float, float] = (2.0, 6.0)
    diffusion_mm2: tuple[float, float] = (0.0, 4.0)
    time: tuple[float, float] = (0.0, 0.9)
    masks: float = 0.5
    placing: DeformConfig = DeformConfig(
        (), 0.0, 0, rotation_degrees=40.0, scale=0.2, shear=0.1, zoom=(0.7, 1.5), flip_axes=(0, 1, 2)
    )
    taper_mm: float = 8.0


@dataclass(frozen=True)
class AnomalyDraw:
    """One anomaly. shares: two numbers in 0..1, which choose the lesion mask and its place in the domain; mask: whether
    it begins with one. seeds: of the shape's noise, of Psi's three components, of Phi."""

    mask: bool
    shares: tuple[float, float]
    placing: DeformDraw
    percentile: float
    seeds: tuple[int, int, int, int, int]
    cells: int
    speed_mm: float
    diffusion_mm2: float
    time: float
    taper_mm: float


def draw_anomaly(config: AnomalyConfig, generator: torch.Generator) -> AnomalyDraw:
    return AnomalyDraw(
        mask=draw.chance(generator, config.masks),
        shares=(draw.uniform(generator, 0, 1), draw.uniform(generator, 0, 1)),
        placing=draw_deform(config.placing, generator),
        percentile=draw.uniform(generator, *config.percentile),
        seeds=tuple(draw.seed(generator) for _ in range(5)),  # type: ignore[arg-type]
        cells=config.cells,
        speed_mm=draw.uniform(generator, *config.speed_mm),
        diffusion_mm2=draw.uniform(generator, *config.diffusion_mm2),
        time=draw.uniform(generator, *config.time),
        taper_mm=config.taper_mm,
    )


def make_anomalies(
    draws: list[AnomalyDraw], domain: torch.Tensor, spacing: float, masks: tuple[torch.Tensor, ...] = ()
) -> torch.Tensor:
    """Profiles P (B, I, J, K) in 0..1, zero outside `domain` (B, I, J, K) bool, on voxels of `spacing` mm.

    masks: lesion masks (i, j, k) at that spacing, each on a grid of its own. A draw that asks for one where there is
    none, or whose mask misses the domain, begins with Perlin noise.
    """
    begun = torch.stack([_begun(d, inside, masks) for d, inside in zip(draws, domain)])
    times = torch.tensor([d.time for d in draws], device=domain.device)
    grown = transport_of(draws, domain, spacing).advance(begun, times).x
    return grown.clamp_(0.0, 1.0)


def transport_of(draws: list[AnomalyDraw], domain: torch.Tensor, spacing: float) -> Transport:
    """Flow and diffusion of each draw: V = curl Psi of the drawn mean speed, D = Phi^2 of the drawn mean."""
    shape, device = tuple(domain.shape[1:]), domain.device
    cells = (draws[0].cells,) * 3
    corners = tuple(n + 1 for n in shape)
    psi = torch.stack([perlin([d.seeds[1 + n] for d in draws], corners, cells, device) for n in range(3)], 1)
    psi = psi * depth(domain, max(1, round(draws[0].taper_mm / spacing / 2)))
    phi = perlin([d.seeds[4] for d in draws], shape, cells, device)
    velocity = curl_on_faces(psi, domain)
    count = domain.flatten(1).sum(1).clamp_min(1)

    def mean(values: torch.Tensor) -> torch.Tensor:
        return (values * domain).flatten(1).sum(1) / count

    near = [v.narrow(1 + a, 0, n) for a, (v, n) in enumerate(zip(velocity, shape))]
    far = [v.narrow(1 + a, 1, n) for a, (v, n) in enumerate(zip(velocity, shape))]
    speed = mean(sum(((a + b) * 0.5) ** 2 for a, b in zip(near, far)).sqrt())
    faster = torch.tensor([d.speed_mm / spacing for d in draws], device=device) / speed.clamp_min(1e-9)
    more = torch.tensor([d.diffusion_mm2 / spacing**2 for d in draws], device=device) / mean(phi**2).clamp_min(1e-9)
    by_row = (-1, 1, 1, 1)
    scaled = tuple(v * faster.view(by_row) for v in velocity)
    return Transport(scaled, phi**2 * more.view(by_row), domain)


def _begun(record: AnomalyDraw, domain: torch.Tensor, masks: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """P_0 (I, J, K) of one draw."""
    shape, device = tuple(domain.shape), domain.device
    inside = domain.flatten().nonzero()[:, 0]
    if not len(inside):
        return torch.zeros(shape, device=device)
    if record.mask and masks:
        lesion = masks[min(int(record.shares[0] * len(masks)), len(masks) - 1)].to(device)
        place = int(inside[min(int(record.shares[1] * len(inside)), len(inside) - 1)])
        put = _put(lesion, record.placing, np.array(np.unravel_index(place, shape)), shape) * domain
        if bool((put > 0.5).any()):
            return put
    noise = perlin([record.seeds[0]], shape, (record.cells,) * 3, device)[0]
    least = torch.quantile(noise.flatten()[inside[:: max(1, len(inside) // 100_000)]], record.percentile / 100)
    return ((noise > least) & domain).float()


def _put(lesion: torch.Tensor, placing: DeformDraw, place: np.ndarray, shape: tuple[int, ...]) -> torch.Tensor:
    """The mask, turned as `placing` says about the middle of its voxels, which comes to lie at voxel `place`."""
    occupied = (lesion > 0).nonzero().float()
    middle = ((occupied.amin(0) + occupied.amax(0)) / 2).cpu().numpy() if len(occupied) else np.zeros(3)
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(placing.matrix)[:, :3]
    matrix[:3, 3] = middle - matrix[:3, :3] @ place
    index = affine_lattice(matrix, shape, lesion.device)
    return sample(lesion[None, None].float(), index[None])[0, 0]
