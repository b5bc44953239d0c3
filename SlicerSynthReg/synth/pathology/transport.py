"""Advection and diffusion of an anomaly within a domain (UNA, equations 1 to 3).

    dP/dt = -V . grad P + div(D grad P),  V = curl Psi,  D = Phi^2,  dP/dn = 0 at the domain's boundary

P and D live in voxels, V on the faces between them, Psi on voxel corners. The advection is first-order upwind: each
face passes on the difference of its two voxels to the one downstream. The diffusion is the backward difference of
D times the forward difference. Faces to voxels outside the domain are closed, which is the zero-Neumann condition
in both terms. The curl of a potential on the voxels' edges has no discrete divergence at all, and with the potential
zero on the boundary's edges no flow leaves the domain: then the scheme keeps the mass of P to rounding, and a step
within the CFL limit leaves P between its least and greatest value.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch.nn import functional as F

from SlicerSynthReg.space.ode import AdaptiveSolution, integrate_adaptively
from SlicerSynthReg.space.smoothing import box_mean

Faces = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""One tensor an axis: (B, I + 1, J, K), (B, I, J + 1, K), (B, I, J, K + 1), outer faces included."""

CFL = 1.5
"""Largest time step times a voxel's total rate of exchange; the integrator is stable to 1.65."""


def curl_on_faces(psi: torch.Tensor, domain: torch.Tensor | None = None) -> Faces:
    """V = curl Psi on the faces: psi (B, 3, I + 1, J + 1, K + 1) on voxel corners, in voxels^2 per unit time.

    The value of component a on an edge along a is the mean of its two corners. domain: (B or 1, I, J, K) bool; edges
    that touch a voxel outside it (or the grid's face) carry no potential, so that V is tangential at its boundary.
    """
    edges = []
    for axis in range(3):
        n = psi.shape[2 + axis] - 1
        edge = (psi[:, axis].narrow(1 + axis, 0, n) + psi[:, axis].narrow(1 + axis, 1, n)) * 0.5
        edges.append(edge if domain is None else edge * _inner_edges(domain, axis))
    x, y, z = edges
    return z.diff(dim=2) - y.diff(dim=3), x.diff(dim=3) - z.diff(dim=1), y.diff(dim=1) - x.diff(dim=2)


def _inner_edges(domain: torch.Tensor, axis: int) -> torch.Tensor:
    """Edges along `axis` all of whose four voxels lie in the domain."""
    padded = F.pad(domain, [n for a in (2, 1, 0) for n in ((0, 0) if a == axis else (1, 1))])
    for across in (a for a in range(3) if a != axis):
        n = padded.shape[1 + across] - 1
        padded = padded.narrow(1 + across, 0, n) & padded.narrow(1 + across, 1, n)
    return padded


def divergence(faces: Faces) -> torch.Tensor:
    """(B, I, J, K): what leaves each voxel through its six faces, less what enters."""
    return sum(face.diff(dim=1 + axis) for axis, face in enumerate(faces))


def depth(domain: torch.Tensor, width: int) -> torch.Tensor:
    """(B, 1, I + 1, J + 1, K + 1) on voxel corners: 0 at the domain's flat boundary, rising to 1 over `width` voxels.

    A potential times this is zero at the boundary without a jump, so that the flow along it stays slow.
    """
    padded = F.pad(domain[:, None].float(), [width + 1] * 6)
    corners = F.avg_pool3d(padded, 2, stride=1)
    share = box_mean(corners, width)
    i, j, k = (n + 1 for n in domain.shape[1:])
    return (2 * share - 1).clamp(0, 1)[:, :, width : width + i, width : width + j, width : width + k]


@dataclass(frozen=True, eq=False)
class Transport:
    """The right-hand side, face by face. to_near, to_far: for each axis the share of a face's difference that enters
    the voxel before it and leaves the voxel after it, per unit time, (B, I - 1, J, K) and so on."""

    to_near: Faces
    to_far: Faces

    @classmethod
    def of(cls, velocity: Faces, diffusion: torch.Tensor, domain: torch.Tensor) -> Transport:
        """velocity: faces, voxels per unit time. diffusion: D >= 0 (B, I, J, K), voxels^2 per unit time. domain:
        (B or 1, I, J, K) bool."""
        to_near, to_far = [], []
        for axis, face in enumerate(velocity):
            dim, n = 1 + axis, domain.shape[1 + axis]
            v = face.narrow(dim, 1, n - 1)
            d = (diffusion.narrow(dim, 0, n - 1) + diffusion.narrow(dim, 1, n - 1)) * 0.5
            opened = domain.narrow(dim, 0, n - 1) & domain.narrow(dim, 1, n - 1)
            to_near.append((d - v.clamp_max(0)) * opened)
            to_far.append((d + v.clamp_min(0)) * opened)
        return cls(tuple(to_near), tuple(to_far))

    @cached_property
    def _stencil(self) -> tuple[torch.Tensor, list[tuple[int, torch.Tensor, torch.Tensor]]]:
        """Each voxel's loss per unit time, and for each axis the stride in the flat array and what a voxel takes from
        the next and gives to it; zero where there is no face, so that shifts of the flat array need no borders."""
        near, far = (
            [F.pad(face, [n for a in (2, 1, 0) for n in (0, int(a == axis))]) for axis, face in enumerate(faces)]
            for faces in (self.to_near, self.to_far)
        )
        strides = [near[0].stride(1 + axis) for axis in range(3)]
        loss = torch.zeros_like(near[0]).flatten()
        shifts = []
        for stride, take, give in zip(strides, (n.flatten() for n in near), (f.flatten() for f in far)):
            loss += take
            loss[stride:] += give[: len(give) - stride]
            shifts.append((stride, take[: len(take) - stride], give[: len(give) - stride]))
        return -loss, shifts

    def slope(self, p: torch.Tensor) -> torch.Tensor:
        """dP/dt: (B, I, J, K) -> the same."""
        loss, shifts = self._stencil
        flat = p.reshape(-1)
        total = flat * loss
        for stride, take, give in shifts:
            count = len(take)
            total[:count].addcmul_(take, flat[stride:])
            total[stride:].addcmul_(give, flat[:count])
        return total.view(p.shape)

    def rates(self) -> torch.Tensor:
        """(B,) each row's fastest rate at which a voxel exchanges with its neighbours; 1 / rate is the CFL limit."""
        return -self._stencil[0].view(len(self.to_near[0]), -1).amin(1)

    def advance(self, p: torch.Tensor, times: torch.Tensor, rtol: float = 1e-3, atol: float = 1e-4) -> AdaptiveSolution:
        """P (B, I, J, K) after each row's own time (B,): Dormand-Prince, no step beyond the CFL limit."""
        scale = times.to(p).view(-1, 1, 1, 1)
        steps = max(1, math.ceil(float((self.rates() * times.to(p)).max()) / CFL))
        return integrate_adaptively(lambda x, t: self.slope(x) * scale, p, 0.0, 1.0, steps, rtol, atol)
