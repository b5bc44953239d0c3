"""What registration of any anatomy looks at: the voxel size it compares at, CT windows, large images made small."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from SlicerSynthReg.methods.instance.channels import Channels
from SlicerSynthReg.space.grid import Grid, as_shape
from SlicerSynthReg.space.transform import resample
from SlicerSynthReg.tasks.prepare import Scan, counting
from SlicerSynthReg.volume.volume import Volume, VolumeError

CT_WINDOW = (-1000.0, 600.0)
"""HU between which CT is compared."""
AIR_HU, BONE_HU = -700.0, 150.0
KINDS_HU = ((-150.0, -30.0, 1.0), (-30.0, 180.0, 1.0), (180.0, 700.0, 2.0))
"""Fat, soft tissue with and without contrast medium, bone: from, to, weight."""
LEAST_COUNTING = 200
"""Voxels that count; fewer are nothing to register by."""
LEAST_TISSUE = 0.1
"""Share of a mask that must hold tissue."""


def is_ct(volume: Volume) -> bool:
    """Whether the values can only be Hounsfield units: much air far below zero, and bone above."""
    values = volume.data[0].flatten()
    values = values[:: max(1, len(values) // 200_000)].float()
    low, high = float(torch.quantile(values, 0.02)), float(values.max())
    return low < AIR_HU and high > BONE_HU


def common_spacing(fixed: Grid, moving: Grid, most_voxels: int, finer: float = 1.0) -> float:
    """Isotropic voxel size, mm: as fine as the coarser of both images, or `finer` times that, and no finer than
    `most_voxels` in the fixed image's field of view allow."""
    volumes = [float(abs(np.linalg.det(grid.affine[:3, :3]))) for grid in (fixed, moving)]
    finest = finer * max(volumes) ** (1 / 3)
    return max(finest, (volumes[0] * fixed.voxel_count / most_voxels) ** (1 / 3))


def coarsened(volume: Volume, spacing: float, ct: bool) -> Volume:
    """Block means along each axis whose voxels are at most half of `spacing`, a slab at a time, so that a large image
    is not copied whole; CT in its window, as HU above air, so that beyond the image there is air and not water."""
    data, grid = volume.data[:1], volume.grid
    low, high = CT_WINDOW if ct else (-np.inf, np.inf)
    zero = low if ct else 0.0
    pool = as_shape(min(n, max(1, int(spacing / s + 1e-6))) for n, s in zip(grid.shape, grid.spacing))
    parts = []
    for slab in data.split(pool[0] * max(1, 32 // pool[0]), dim=1):
        if slab.shape[1] >= pool[0]:
            parts.append(F.avg_pool3d(slab.float().clamp(low, high)[None] - zero, pool)[0])
    affine = grid.affine.copy()
    affine[:3, 3] = grid.index_to_world(np.array([[(p - 1) / 2 for p in pool]]))[0]
    affine[:3, :3] *= pool
    pooled = torch.cat(parts, 1)
    return Volume(pooled, Grid(as_shape(pooled.shape[1:]), affine), volume.kind, volume.name)


def kinds_of_tissue(volume: Volume, spacing: float) -> Channels:
    """Shares of fat, soft tissue and bone in blocks of `spacing` mm of a CT, on a RAS-aligned grid; weight: what was
    scanned. Bone counts double, for it tells most about where in the body a block lies."""
    fine = coarsened(volume, spacing / 2, ct=True)
    grid = fine.grid.aligned_to_ras(spacing / 2)
    seen = resample(torch.cat([fine.data, torch.ones_like(fine.data)]), fine.grid, grid)
    hounsfield = seen[0] + CT_WINDOW[0]
    kinds = [share * ((hounsfield >= low) & (hounsfield < high)) for low, high, share in KINDS_HU]
    grown = grid.padded_to_multiple(2)
    room = [amount for n, g in zip(reversed(grid.shape), reversed(grown.shape)) for amount in (0, g - n)]
    values = F.avg_pool3d(F.pad(torch.stack(kinds).float(), room)[None], 2)[0]
    weight = F.avg_pool3d(F.pad(seen[1:], room)[None], 2)[0, 0]
    return Channels(values, (weight > 0.5).float(), grown.scaled_down(2))


def require_content(name: str, scan: Scan, shown: str = "image") -> None:
    """VolumeError where nothing of a scan counts. shown: what of the fixed or moving subject the scan is left with."""
    within = 0.0 if scan.mask is None else float(scan.mask.sum())
    if float(counting(scan).sum()) >= max(LEAST_COUNTING, LEAST_TISSUE * within):
        return
    if scan.mask is not None and within < LEAST_COUNTING:
        raise VolumeError(
            f"Found a {name} mask that leaves nothing of the {name} {shown}, expected one that lies on it. Check that "
            "the mask was drawn on that image, or leave it out."
        )
    if scan.mask is not None:
        raise VolumeError(
            f"Found a {name} mask that holds nothing but air, expected tissue under it. Invert or redraw it."
        )
    raise VolumeError(
        f"Found hardly anything but background in the {name} image, expected tissue. Check the image, or give a mask "
        "of what counts."
    )
