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

import dataclasses
import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch.nn import functional as F

from SlicerSynthReg.space.ode import AdaptiveSolution, integrate_linear
from SlicerSynthReg.space.smoothing import box_mean

Faces = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""One tensor an axis: (B, I + 1, J, K), (B, I, J + 1, K), (B, I, J, K + 1), outer faces included."""

CFL = 1.5
"""Largest time step times a voxel's total rate of exchange; the integrator is stable to 1.65."""
_AT_ONCE = 96_000
"""Voxels of a piece: with its neighbours and one of its rates about a megabyte."""


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
    def _stencil(self) -> _Stencil:
        return _Stencil.of(self.to_near, self.to_far)

    def slope(self, p: torch.Tensor) -> torch.Tensor:
        """dP/dt: (B, I, J, K) -> the same."""
        stencil = self._stencil
        x = stencil.packed(p)
        out = torch.zeros_like(x)
        stencil.apply(x, out)
        return stencil.unpacked(out, torch.zeros_like(p))

    def rates(self) -> torch.Tensor:
        """(B,) each row's fastest rate at which a voxel exchanges with its neighbours; 1 / rate is the CFL limit."""
        return -self._stencil.loss.amin(1)

    def advance(self, p: torch.Tensor, times: torch.Tensor, rtol: float = 1e-3, atol: float = 1e-4) -> AdaptiveSolution:
        """P (B, I, J, K) after each row's own time (B,): Dormand-Prince, no step beyond the CFL limit.

        A row's error is judged over the box that holds all domains.
        """
        times = times.to(p)
        steps = max(1, math.ceil(float((self.rates() * times).max()) / CFL))
        stencil = self._stencil.times(times)
        found = integrate_linear(stencil.apply, stencil.packed(p), 1.0, steps, rtol, atol)
        return dataclasses.replace(found, x=stencil.unpacked(found.x, p.clone()))


@dataclass(frozen=True, eq=False)
class _Stencil:
    """dP/dt on the box in which anything changes, row by row of the batch as one flat array with a plane of zeros at
    either end, so that every neighbour is a shift of it. loss: (B, n) each voxel's, per unit time, below 0. gains:
    shift, and what a voxel takes from there, (B, n), 0 where no face is open."""

    low: tuple[int, ...]
    shape: tuple[int, ...]
    loss: torch.Tensor
    gains: tuple[tuple[int, torch.Tensor], ...]

    @classmethod
    def of(cls, to_near: Faces, to_far: Faces) -> _Stencil:
        leaving = torch.zeros_like(F.pad(to_near[0], (0, 0, 0, 0, 0, 1)))
        for axis, (near, far) in enumerate(zip(to_near, to_far)):
            leaving.narrow(1 + axis, 0, near.shape[1 + axis]).add_(near)
            leaving.narrow(1 + axis, 1, near.shape[1 + axis]).add_(far)
        low, shape = _occupied(leaving)
        box = [slice(a, a + n) for a, n in zip(low, shape)]
        gains = []
        for axis, stride in enumerate((shape[1] * shape[2], shape[2], 1)):
            inner = [slice(None), *box]
            inner[1 + axis] = slice(low[axis], low[axis] + shape[axis] - 1)
            for faces, shift in ((to_near, stride), (to_far, -stride)):
                pad = [int(a == axis and first != (shift > 0)) for a in (2, 1, 0) for first in (True, False)]
                gains.append((shift, F.pad(faces[axis][tuple(inner)], pad).flatten(1)))
        return cls(low, shape, -leaving[(slice(None), *box)].flatten(1), tuple(gains))

    def times(self, factors: torch.Tensor) -> _Stencil:
        """Each row's rates times its factor (B,)."""
        by_row = factors.view(-1, 1)
        gains = tuple((shift, gain * by_row) for shift, gain in self.gains)
        return dataclasses.replace(self, loss=self.loss * by_row, gains=gains)

    def apply(self, x: torch.Tensor, out: torch.Tensor) -> None:
        """Slopes of `x`, packed, into `out`; a piece at a time, that stays near the processor meanwhile."""
        plane, count = self._plane, self.loss.shape[1]
        step = _AT_ONCE if x.device.type == "cpu" else count
        for start in range(0, count, step):
            n = min(step, count - start)
            into = out.narrow(1, plane + start, n)
            torch.mul(self.loss.narrow(1, start, n), x.narrow(1, plane + start, n), out=into)
            for shift, gain in self.gains:
                into.addcmul_(gain.narrow(1, start, n), x.narrow(1, plane + start + shift, n))

    def packed(self, p: torch.Tensor) -> torch.Tensor:
        """(B, I, J, K) -> (B, n and two planes)."""
        return F.pad(p[self._box].flatten(1), (self._plane, self._plane))

    def unpacked(self, x: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
        """`p` with what is packed in `x` at its place."""
        p[self._box] = x.narrow(1, self._plane, self.loss.shape[1]).view(-1, *self.shape)
        return p

    @property
    def _plane(self) -> int:
        return self.shape[1] * self.shape[2]

    @property
    def _box(self) -> tuple[slice, ...]:
        return (slice(None), *(slice(a, a + n) for a, n in zip(self.low, self.shape)))


def _occupied(values: torch.Tensor) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """First voxel and counts of the box of all that is above 0 in (B, I, J, K); one voxel where nothing is."""
    low, shape = [], []
    for axis in range(3):
        found = values.amax([dim for dim in range(4) if dim != 1 + axis]).nonzero()[:, 0]
        first, last = (int(found[0]), int(found[-1])) if len(found) else (0, 0)
        low.append(first)
        shape.append(last - first + 1)
    return tuple(low), tuple(shape)
