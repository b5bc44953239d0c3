"""Random anomalies by transport (UNA, section 3.1 and algorithm 1): draw, then apply.

P_0 is a lesion mask at a random pose and position in the domain, or thresholded Perlin noise. Three Perlin potentials
give the velocity, a fourth the diffusion, each with its own seed. P = P(T).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from SlicerSynthReg.spatial.grid import affine_lattice
from SlicerSynthReg.spatial.intensity import subsample
from SlicerSynthReg.spatial.sampling import sample
from SlicerSynthReg.synthesis import draw
from SlicerSynthReg.synthesis.deformation import DeformationConfig, DeformationDraw, draw_deformation
from SlicerSynthReg.synthesis.pathology.transport import Transport, boundary_ramp, curl_on_faces
from SlicerSynthReg.synthesis.perlin import perlin


@dataclass(frozen=True)
class AnomalyConfig:
    """cells: Perlin cells along each axis of the grid. percentile: of the noise, its threshold. speed_mm: mean speed
    over the domain; diffusion_mm2: mean D; time: of transport; all drawn uniformly. mask_probability: of an initial
    lesion mask, if there are masks. pose: rotation and scale of a mask. taper_mm: depth below the domain's boundary
    over which the speed rises."""

    cells: int = 2
    percentile: tuple[float, float] = (90.0, 99.6)
    speed_mm: tuple[float, float] = (2.0, 6.0)
    diffusion_mm2: tuple[float, float] = (0.0, 4.0)
    time: tuple[float, float] = (0.0, 0.9)
    mask_probability: float = 0.5
    pose: DeformationConfig = DeformationConfig(
        (), 0.0, 0, rotation_degrees=40.0, scale=0.2, shear=0.1, zoom=(0.7, 1.5), flip_axes=(0, 1, 2)
    )
    taper_mm: float = 8.0


@dataclass(frozen=True)
class AnomalyDraw:
    """One anomaly. mask: whether P_0 is a lesion mask. uniforms: two numbers in 0..1 that select the mask and its
    position in the domain. seeds: of the initial noise, of Psi's three components, of Phi."""

    mask: bool
    uniforms: tuple[float, float]
    pose: DeformationDraw
    percentile: float
    seeds: tuple[int, int, int, int, int]
    cells: int
    speed_mm: float
    diffusion_mm2: float
    time: float
    taper_mm: float


def draw_anomaly(config: AnomalyConfig, generator: torch.Generator) -> AnomalyDraw:
    """Draw one anomaly."""
    return AnomalyDraw(
        mask=draw.chance(generator, config.mask_probability),
        uniforms=(draw.uniform(generator, 0, 1), draw.uniform(generator, 0, 1)),
        pose=draw_deformation(config.pose, generator),
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
    """Return profiles P (B, I, J, K) in 0..1, zero outside `domain` (B, I, J, K) bool, on voxels of `spacing` mm.

    masks: lesion masks (i, j, k) at that spacing, each on its own grid. Without masks, or where the placed mask misses
    the domain, P_0 is Perlin noise.
    """
    initial = torch.stack([_initial_profile(d, inside, masks) for d, inside in zip(draws, domain)])
    times = torch.tensor([d.time for d in draws], device=domain.device)
    profiles = random_transport(draws, domain, spacing).integrate(initial, times).x
    return profiles.clamp_(0.0, 1.0)


def random_transport(draws: list[AnomalyDraw], domain: torch.Tensor, spacing: float) -> Transport:
    """Return the transport of each draw: V = curl Psi with the drawn mean speed, D = Phi^2 with the drawn mean."""
    shape, device = tuple(domain.shape[1:]), domain.device
    cells = (draws[0].cells,) * 3
    corners = tuple(n + 1 for n in shape)
    psi = torch.stack([perlin([d.seeds[1 + n] for d in draws], corners, cells, device) for n in range(3)], 1)
    psi = psi * boundary_ramp(domain, max(1, round(draws[0].taper_mm / spacing / 2)))
    phi = perlin([d.seeds[4] for d in draws], shape, cells, device)
    velocity = curl_on_faces(psi, domain)
    count = domain.flatten(1).sum(1).clamp_min(1)

    def mean(values: torch.Tensor) -> torch.Tensor:
        return (values * domain).flatten(1).sum(1) / count

    near = [v.narrow(1 + a, 0, n) for a, (v, n) in enumerate(zip(velocity, shape))]
    far = [v.narrow(1 + a, 1, n) for a, (v, n) in enumerate(zip(velocity, shape))]
    speed = mean(sum(((a + b) * 0.5) ** 2 for a, b in zip(near, far)).sqrt())
    speed_scale = torch.tensor([d.speed_mm / spacing for d in draws], device=device) / speed.clamp_min(1e-9)
    diffusion_scale = torch.tensor([d.diffusion_mm2 / spacing**2 for d in draws], device=device) / mean(
        phi**2
    ).clamp_min(1e-9)
    by_row = (-1, 1, 1, 1)
    scaled = tuple(v * speed_scale.view(by_row) for v in velocity)
    return Transport(scaled, phi**2 * diffusion_scale.view(by_row), domain)


def _initial_profile(record: AnomalyDraw, domain: torch.Tensor, masks: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """Return P_0 (I, J, K) of one draw."""
    shape, device = tuple(domain.shape), domain.device
    inside = domain.flatten().nonzero()[:, 0]
    if not len(inside):
        return torch.zeros(shape, device=device)
    if record.mask and masks:
        lesion = masks[min(int(record.uniforms[0] * len(masks)), len(masks) - 1)].to(device)
        centre = int(inside[min(int(record.uniforms[1] * len(inside)), len(inside) - 1)])
        placed = _place_mask(lesion, record.pose, np.array(np.unravel_index(centre, shape)), shape) * domain
        if bool((placed > 0.5).any()):
            return placed
    noise = perlin([record.seeds[0]], shape, (record.cells,) * 3, device)[0]
    threshold = torch.quantile(noise.flatten()[subsample(inside, 100_000, at_least=True)], record.percentile / 100)
    return ((noise > threshold) & domain).float()


def _place_mask(
    lesion: torch.Tensor, pose: DeformationDraw, centre: np.ndarray, shape: tuple[int, ...]
) -> torch.Tensor:
    """Return the mask in the pose of the draw, the centre of its bounding box at voxel `centre`."""
    occupied = (lesion > 0).nonzero().float()
    middle = ((occupied.amin(0) + occupied.amax(0)) / 2).cpu().numpy() if len(occupied) else np.zeros(3)
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(pose.matrix)[:, :3]
    matrix[:3, 3] = middle - matrix[:3, :3] @ centre
    index = affine_lattice(matrix, shape, lesion.device)
    return sample(lesion[None, None].float(), index[None])[0, 0]
