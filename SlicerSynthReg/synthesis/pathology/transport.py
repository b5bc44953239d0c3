"""Advection and diffusion of an anomaly within a domain (UNA, equations 1 to 3).

    dP/dt = -V . grad P + div(D grad P),  V = curl Psi,  D = Phi^2,  dP/dn = 0 at the domain's boundary

P and D are defined on voxels, V on the faces between them, Psi on voxel corners. Advection is first-order upwind.
Diffusion is the backward difference of D times the forward difference. Faces to voxels outside the domain are closed:
the zero-Neumann condition of both terms. The curl of a potential on voxel edges is discretely divergence-free, and a
potential of zero on the boundary's edges keeps the flow inside the domain. The scheme then conserves the mass of P to
rounding, and a step within the CFL limit keeps P between its minimum and maximum.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from SlicerSynthReg.spatial.ode import AdaptiveSolution, Tolerance, integrate_linear
from SlicerSynthReg.spatial.smoothing import box_mean

Faces = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""One tensor per axis: (B, I + 1, J, K), (B, I, J + 1, K), (B, I, J, K + 1), outer faces included."""

CFL = 1.65
"""Largest product of time step and exchange rate r: the eigenvalues lie within r of -r, where the integrator is
stable up to this value."""
_CHUNK_VOXELS = 64_000
"""Voxels of a chunk, which fits into the processor's cache with its neighbours and one of its rates."""


def curl_on_faces(psi: torch.Tensor, domain: torch.Tensor | None = None) -> Faces:
    """Return V = curl Psi on the faces: psi (B, 3, I + 1, J + 1, K + 1) on voxel corners, in voxels^2 per unit time.

    Component a on an edge along a is the mean of its two corners. domain: (B or 1, I, J, K) bool; the potential is 0 on
    edges that touch a voxel outside it (or the grid's face), so that V is tangential at its boundary.
    """
    edges = []
    for axis in range(3):
        n = psi.shape[2 + axis] - 1
        edge = (psi[:, axis].narrow(1 + axis, 0, n) + psi[:, axis].narrow(1 + axis, 1, n)) * 0.5
        edges.append(edge if domain is None else edge * _inner_edges(domain, axis))
    x, y, z = edges
    return z.diff(dim=2) - y.diff(dim=3), x.diff(dim=3) - z.diff(dim=1), y.diff(dim=1) - x.diff(dim=2)


def _inner_edges(domain: torch.Tensor, axis: int) -> torch.Tensor:
    """Return the edges along `axis` whose four voxels all lie in the domain."""
    padded = F.pad(domain, [n for a in (2, 1, 0) for n in ((0, 0) if a == axis else (1, 1))])
    for across in (a for a in range(3) if a != axis):
        n = padded.shape[1 + across] - 1
        padded = padded.narrow(1 + across, 0, n) & padded.narrow(1 + across, 1, n)
    return padded


def divergence(faces: Faces) -> torch.Tensor:
    """Return the net outflow of each voxel through its six faces: (B, I, J, K)."""
    return sum(face.diff(dim=1 + axis) for axis, face in enumerate(faces))


def boundary_ramp(domain: torch.Tensor, width: int) -> torch.Tensor:
    """Return a ramp on voxel corners (B, 1, I + 1, J + 1, K + 1): 0 at a flat boundary of the domain, 1 from a depth of
    `width` voxels.

    A potential times this ramp vanishes continuously at the boundary, so that the flow along it stays slow.
    """
    padded = F.pad(domain[:, None].float(), [width + 1] * 6)
    corners = F.avg_pool3d(padded, 2, stride=1)
    fraction = box_mean(corners, width)
    i, j, k = (n + 1 for n in domain.shape[1:])
    return (2 * fraction - 1).clamp(0, 1)[:, :, width : width + i, width : width + j, width : width + k]


@dataclass(frozen=True, eq=False)
class Transport:
    """Right-hand side of the equation. velocity: on faces, voxels per unit time. diffusion: D >= 0 (B, I, J, K),
    voxels^2 per unit time. domain: (B or 1, I, J, K) bool."""

    velocity: Faces
    diffusion: torch.Tensor
    domain: torch.Tensor

    def time_derivative(self, p: torch.Tensor) -> torch.Tensor:
        """Return dP/dt of P (B, I, J, K)."""
        stencil = _Stencil.of(self, p.new_ones(len(p)))
        x = stencil.pack(p)
        out = torch.zeros_like(x)
        stencil.apply(x, out)
        return stencil.unpack(out, torch.zeros_like(p))

    def exchange_rate(self) -> torch.Tensor:
        """Return (B,) the largest rate at which a voxel exchanges with its neighbours; 1 / rate is the CFL limit."""
        return _Stencil.of(self, self.diffusion.new_ones(len(self.diffusion))).max_rate()

    def integrate(
        self, p: torch.Tensor, times: torch.Tensor, rtol: float = 1e-3, atol: float = 1e-4
    ) -> AdaptiveSolution:
        """Return P (B, I, J, K) after the times (B,), one per batch element: Dormand-Prince within the CFL limit.

        The error of an element is measured over the bounding box of all domains.
        """
        stencil = _Stencil.of(self, times.to(p))
        steps = max(1, math.ceil(float(stencil.max_rate().max()) / CFL))
        solution = integrate_linear(stencil.apply, stencil.pack(p), 1.0, steps, Tolerance(rtol, atol))
        return dataclasses.replace(solution, x=stencil.unpack(solution.x, p.clone()))


@dataclass(frozen=True, eq=False)
class _Chunk:
    """Some planes of a stencil's box, cropped to the lines that intersect the domain. start, planes, length: the flat
    array from `start`, `length` voxels of each plane. rates: (B, planes, length) each: coefficients of the voxel itself
    (negative) and of its neighbours along each axis, before and after it."""

    start: int
    planes: int
    length: int
    rates: tuple[torch.Tensor, ...]


@dataclass(frozen=True, eq=False)
class _Stencil:
    """dP/dt on the domain's bounding box: each batch element is a flat array padded with a plane of zeros at both ends,
    so that every neighbour is a shift of it. low, shape: the box. Chunks stay in the cache while their neighbours are
    accumulated."""

    low: tuple[int, ...]
    shape: tuple[int, ...]
    chunks: tuple[_Chunk, ...]

    @classmethod
    def of(cls, transport: Transport, times: torch.Tensor) -> _Stencil:
        """Return the stencil of `transport`. times: (B,), factors of each batch element's rates."""
        inside = transport.domain.expand_as(transport.diffusion)
        low, shape = _bounding_box(inside)
        box = (slice(None), *(slice(a, a + n) for a, n in zip(low, shape)))
        opened, spread = (F.pad(item[box].to(times), (1,) * 6) for item in (inside, transport.diffusion))
        i, j, k = shape
        step = max(1, _CHUNK_VOXELS // (j * k)) if times.device.type == "cpu" else i
        chunks = []
        occupied = inside[box].any(3).any(0)
        for first in range(0, i, step):
            lines = occupied[first : first + step].any(0).nonzero()[:, 0].tolist() or [0]
            where = (slice(first, min(first + step, i)), slice(lines[0], lines[-1] + 1), slice(0, k))
            rates = [rate.flatten(2) for rate in _rates(transport.velocity, spread, opened, low, where, times)]
            _, planes, length = rates[0].shape
            chunks.append(_Chunk((first * j + lines[0]) * k, planes, length, tuple(rates)))
        return cls(low, shape, tuple(chunks))

    def max_rate(self) -> torch.Tensor:
        """Return (B,) the largest rate of a voxel."""
        return torch.stack([-chunk.rates[0].flatten(1).amin(1) for chunk in self.chunks]).amax(0)

    def apply(self, x: torch.Tensor, out: torch.Tensor) -> None:
        """Write dP/dt of `x` (packed) to `out`, which must be 0 outside of the chunks."""
        plane, line = self._plane, self.shape[2]
        for chunk in self.chunks:
            own, *taken = chunk.rates
            into = torch.mul(own, self._view(x, chunk), out=self._view(out, chunk))
            for rate, shift in zip(taken, (-plane, plane, -line, line, -1, 1)):
                into.addcmul_(rate, self._view(x, chunk, shift))

    def _view(self, values: torch.Tensor, chunk: _Chunk, shift: int = 0) -> torch.Tensor:
        """Return a view (B, planes, length) of packed values, shifted by `shift`."""
        begin = values.storage_offset() + self._plane + chunk.start + shift
        return values.as_strided((len(values), chunk.planes, chunk.length), (values.stride(0), self._plane, 1), begin)

    def pack(self, p: torch.Tensor) -> torch.Tensor:
        """Return (B, I, J, K) as a flat array (B, n) with two planes of padding."""
        return F.pad(p[self._box].flatten(1), (self._plane, self._plane))

    def unpack(self, x: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
        """Return `p` with the packed values `x` written into the box."""
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
    """Return the rates of a _Chunk, each (B, i, j, k), for the voxels `where` of the box that starts at `low`.

    spread, opened: D and the domain, in the box padded by one voxel.
    """

    def view(values: torch.Tensor, begin: tuple[int, ...]) -> torch.Tensor:
        return values[(slice(None), *(slice(w.start + b, w.stop + b) for w, b in zip(where, begin)))]

    here, inside = view(spread, (1, 1, 1)), view(opened, (1, 1, 1)) * times.view(-1, 1, 1, 1)
    taken = []
    for axis, faces in enumerate(velocity):
        for side, sign in ((0, 1), (1, -1)):
            beside = tuple(1 + (2 * side - 1) * (a == axis) for a in range(3))
            v = view(faces, tuple(b + side * (a == axis) for a, b in enumerate(low)))
            rate = (v * sign).clamp_min_(0).add_(here + view(spread, beside), alpha=0.5)
            taken.append(rate.mul_(inside).mul_(view(opened, beside)))
    return [-sum(taken), *taken]


def _bounding_box(inside: torch.Tensor) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return first voxel and shape of the bounding box of `inside` (B, I, J, K) bool; one voxel for an empty mask."""
    low, shape = [], []
    for axis in range(3):
        found = inside.amax([dim for dim in range(4) if dim != 1 + axis]).nonzero()[:, 0]
        first, last = (int(found[0]), int(found[-1])) if len(found) else (0, 0)
        low.append(first)
        shape.append(last - first + 1)
    return tuple(low), tuple(shape)
