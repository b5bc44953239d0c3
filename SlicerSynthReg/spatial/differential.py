"""Derivatives of voxel fields: gradient, Jacobian determinant, diffusion energy."""

from __future__ import annotations

import torch


def gradient(field: torch.Tensor) -> torch.Tensor:
    """Return central differences per voxel, one-sided at the edges: (B, C, I, J, K) -> (B, C, 3, I, J, K)."""
    gradients = field.new_zeros((*field.shape[:2], 3, *field.shape[2:]))
    for axis in range(3):
        n, out, dim = field.shape[2 + axis], gradients[:, :, axis], 2 + axis
        if n == 1:
            continue
        step = field.narrow(dim, 1, n - 1) - field.narrow(dim, 0, n - 1)
        out.narrow(dim, 0, 1).copy_(step.narrow(dim, 0, 1))
        out.narrow(dim, n - 1, 1).copy_(step.narrow(dim, n - 2, 1))
        if n > 2:
            out.narrow(dim, 1, n - 2).copy_((step.narrow(dim, 0, n - 2) + step.narrow(dim, 1, n - 2)) * 0.5)
    return gradients


def jacobian_determinant(u_vox: torch.Tensor) -> torch.Tensor:
    """Return det d(x + u)/dx by central differences (one-sided at the edges): u_vox (B, 3, I, J, K) -> (B, I, J, K)."""
    j = gradient(u_vox)
    a, b, c = j[:, 0, 0] + 1, j[:, 0, 1], j[:, 0, 2]
    d, e, f = j[:, 1, 0], j[:, 1, 1] + 1, j[:, 1, 2]
    g, h, i = j[:, 2, 0], j[:, 2, 1], j[:, 2, 2] + 1
    return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)


def diffusion_energy(field: torch.Tensor) -> torch.Tensor:
    """Return the mean squared forward difference over voxels and axes (SynthMorph eq. 4): (B, C, I, J, K) -> scalar."""
    return sum((field.diff(dim=axis) ** 2).mean() for axis in (2, 3, 4)) / 3
