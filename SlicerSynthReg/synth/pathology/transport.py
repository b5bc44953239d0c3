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

import torch
from torch.nn import functional as F

from SlicerSynthReg.space.ode import AdaptiveSolution, integrate_linear
from SlicerSynthReg.space.smoothing import box_mean

Faces = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""One tensor an axis: (B, I + 1, J, K), (B, I, J + 1, K), (B, I, J, K + 1), outer faces included."""

CFL = 1.65
"""Largest time step times a voxel's total rate of exchange r: the eigenvalues lie within r of -r, and so far the
integrator is stable for all of these."""
_AT_ONCE = 64_000
"""Voxels of a piece: with its neighbours and one of its rates less than a megabyte."""


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
    """The equation's right-hand side. velocity: on faces, voxels per unit time. diffusion: D >= 0 (B, I, J, K),
    voxels^2 per unit time. domain: (B or 1, I, J, K) bool."""

    velocity: Faces
    diffusion: torch.Tensor
    domain: torch.Tensor

    def slope(self, p: torch.Tensor) -> torch.Tensor:
        """dP/dt: (B, I, J, K) -> the same."""
        stencil = _Stencil.of(self, p.new_ones(len(p)))
        x = stencil.packed(p)
        out = torch.zeros_like(x)
        stencil.apply(x, out)
        return stencil.unpacked(out, torch.zeros_like(p))

    def rates(self) -> torch.Tensor:
        """(B,) each row's fastest rate at which a voxel exchanges with its neighbours; 1 / rate is the CFL limit."""
        return _Stencil.of(self, self.diffusion.new_ones(len(self.diffusion))).fastest()

    def advance(self, p: torch.Tensor, times: torch.Tensor, rtol: float = 1e-3, atol: float = 1e-4) -> AdaptiveSolution:
        """P (B, I, J, K) after each row's own time (B,): Dormand-Prince, no step beyond the CFL limit.

        A row's error is judged over the box that holds all domains.
        """
        stencil = _Stencil.of(self, times.to(p))
        steps = max(1, math.ceil(float(stencil.fastest().max()) / CFL))
        found = integrate_linear(stencil.apply, stencil.packed(p), 1.0, steps, rtol, atol)
        return dataclasses.replace(found, x=stencil.unpacked(found.x, p.clone()))


@dataclass(frozen=True, eq=False)
class _Piece:
    """Some planes of a stencil's box, of these the lines that hold any of the domain. start, planes, length: of the
    flat array from `start` on, `length` voxels of each plane. rates: (B, planes, length) each, what a voxel takes of
    itself, below 0, and of its neighbours along each axis, before and after it."""

    start: int
    planes: int
    length: int
    rates: tuple[torch.Tensor, ...]


@dataclass(frozen=True, eq=False)
class _Stencil:
    """dP/dt on the box that holds the domain, row by row of the batch as one flat array with a plane of zeros at either
    end, so that every neighbour is a shift of it. low, shape: the box. Each piece stays near the processor while all
    its neighbours are added up."""

    low: tuple[int, ...]
    shape: tuple[int, ...]
    pieces: tuple[_Piece, ...]

    @classmethod
    def of(cls, transport: Transport, times: torch.Tensor) -> _Stencil:
        """times: (B,), by which each row's rates are multiplied."""
        inside = transport.domain.expand_as(transport.diffusion)
        low, shape = _occupied(inside)
        box = (slice(None), *(slice(a, a + n) for a, n in zip(low, shape)))
        opened, spread = (F.pad(one[box].to(times), (1,) * 6) for one in (inside, transport.diffusion))
        i, j, k = shape
        step = max(1, _AT_ONCE // (j * k)) if times.device.type == "cpu" else i
        pieces = []
        occupied = inside[box].any(3).any(0)
        for first in range(0, i, step):
            lines = occupied[first : first + step].any(0).nonzero()[:, 0].tolist() or [0]
            where = (slice(first, min(first + step, i)), slice(lines[0], lines[-1] + 1), slice(0, k))
            rates = [one.flatten(2) for one in _rates(transport.velocity, spread, opened, low, where, times)]
            _, planes, length = rates[0].shape
            pieces.append(_Piece((first * j + lines[0]) * k, planes, length, tuple(rates)))
        return cls(low, shape, tuple(pieces))

    def fastest(self) -> torch.Tensor:
        """(B,) greatest rate at which a voxel gives to its neighbours."""
        return torch.stack([-piece.rates[0].flatten(1).amin(1) for piece in self.pieces]).amax(0)

    def apply(self, x: torch.Tensor, out: torch.Tensor) -> None:
        """Slopes of `x`, packed, into `out`, which is 0 where no piece is."""
        plane, line = self._plane, self.shape[2]
        for piece in self.pieces:
            own, *taken = piece.rates
            into = torch.mul(own, self._seen(x, piece), out=self._seen(out, piece))
            for rate, shift in zip(taken, (-plane, plane, -line, line, -1, 1)):
                into.addcmul_(rate, self._seen(x, piece, shift))

    def _seen(self, values: torch.Tensor, piece: _Piece, shift: int = 0) -> torch.Tensor:
        """(B, planes, length) of packed values, each from `shift` further on."""
        begin = values.storage_offset() + self._plane + piece.start + shift
        return values.as_strided((len(values), piece.planes, piece.length), (values.stride(0), self._plane, 1), begin)

    def packed(self, p: torch.Tensor) -> torch.Tensor:
        """(B, I, J, K) -> (B, n and two planes)."""
        return F.pad(p[self._box].flatten(1), (self._plane, self._plane))

    def unpacked(self, x: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
        """`p` with what is packed in `x` at its place."""
        p[self._box] = x[:, self._plane : -self._plane].view(-1, *self.shape)
        return p

    @property
    def _plane(self) -> int:
        return self.shape[1] * self.shape[2]

    @property
    def _box(self) -> tuple[slice, ...]:
        return (slice(None), *(slice(a, a + n) for a, n in zip(self.low, self.shape)))


def _rates(
    velocity: Faces,
    spread: torch.Tensor,
    opened: torch.Tensor,
    low: tuple[int, ...],
    where: tuple[slice, ...],
    times: torch.Tensor,
) -> list[torch.Tensor]:
    """Of the voxels `where` in the box that begins at `low`: the rates of a _Piece, each (B, i, j, k). spread, opened:
    D and whether it is the domain, in the box and a voxel about it."""

    def seen(values: torch.Tensor, begin: tuple[int, ...]) -> torch.Tensor:
        return values[(slice(None), *(slice(w.start + b, w.stop + b) for w, b in zip(where, begin)))]

    here, known = seen(spread, (1, 1, 1)), seen(opened, (1, 1, 1)) * times.view(-1, 1, 1, 1)
    taken = []
    for axis, faces in enumerate(velocity):
        for side, sign in ((0, 1), (1, -1)):
            beside = tuple(1 + (2 * side - 1) * (a == axis) for a in range(3))
            v = seen(faces, tuple(b + side * (a == axis) for a, b in enumerate(low)))
            rate = (v * sign).clamp_min_(0).add_(here + seen(spread, beside), alpha=0.5)
            taken.append(rate.mul_(known).mul_(seen(opened, beside)))
    return [-sum(taken), *taken]


def _occupied(inside: torch.Tensor) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """First voxel and counts of the box that holds all of `inside` (B, I, J, K) bool; one voxel where nothing is."""
    low, shape = [], []
    for axis in range(3):
        found = inside.amax([dim for dim in range(4) if dim != 1 + axis]).nonzero()[:, 0]
        first, last = (int(found[0]), int(found[-1])) if len(found) else (0, 0)
        low.append(first)
        shape.append(last - first + 1)
    return tuple(low), tuple(shape)
