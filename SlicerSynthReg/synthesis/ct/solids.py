"""Signed distance functions of solids: mm, negative inside, accurate near the surface, as partial volume needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from scipy.spatial.transform import Rotation

Point = tuple[float, float, float]


class Solid(Protocol):
    """A solid with a signed distance and a bounding box (lowest and highest corner, mm)."""

    def distance(self, points: torch.Tensor) -> torch.Tensor:
        """Return the signed distance (...), mm, of points (3, ...), mm."""

    def box(self) -> tuple[np.ndarray, np.ndarray]: ...


@dataclass(frozen=True)
class Ellipsoid:
    """radii: along its own axes, mm. turn: rotation about x, y and z in degrees."""

    center: Point
    radii: Point
    turn: Point = (0.0, 0.0, 0.0)

    def distance(self, points: torch.Tensor) -> torch.Tensor:
        """Return k0 (k0 - 1) / k1 with k0 = |q / r|, k1 = |q / r^2|, exact to first order at the surface."""
        own = Rotation.from_euler("xyz", self.turn, degrees=True).as_matrix().T
        relative = [points[axis] - self.center[axis] for axis in range(3)]
        k0 = torch.zeros_like(points[0])
        k1 = torch.zeros_like(points[0])
        for row, radius in zip(own, self.radii):
            q = sum(float(c) * part for c, part in zip(row, relative) if abs(c) > 1e-9)
            square = (q / radius).square_() if isinstance(q, torch.Tensor) else 0.0
            k0 += square
            k1 += square / radius**2
        k0, k1 = k0.sqrt_(), k1.sqrt_()
        return k0 * (k0 - 1.0) / k1.clamp_min_(1e-6)

    def box(self) -> tuple[np.ndarray, np.ndarray]:
        matrix = Rotation.from_euler("xyz", self.turn, degrees=True).as_matrix()
        reach = np.sqrt(((matrix * np.array(self.radii)) ** 2).sum(1))
        return np.array(self.center) - reach, np.array(self.center) + reach


@dataclass(frozen=True)
class Tube:
    """A polyline through `points` with radius `radii` at each; joints are round."""

    points: tuple[Point, ...]
    radii: tuple[float, ...]

    def distance(self, points: torch.Tensor) -> torch.Tensor:
        start, r0 = self.points[0], self.radii[0]
        if len(self.points) > 2:
            first, *others = (segment.distance(points) for segment in self.segments())
            for other_solid in others:
                first = torch.minimum(first, other_solid)
            return first
        axis = np.subtract(self.points[1], start)
        length2 = max(float(axis @ axis), 1e-6)
        relative = [points[c] - start[c] for c in range(3)]
        h = relative[0] * float(axis[0] / length2)
        h.add_(relative[1], alpha=float(axis[1] / length2)).add_(relative[2], alpha=float(axis[2] / length2))
        h.clamp_(0.0, 1.0)
        square = torch.zeros_like(h)
        for c in range(3):
            off = relative[c].sub_(h, alpha=float(axis[c]))
            square.addcmul_(off, off)
        return square.sqrt_().sub_(h, alpha=self.radii[1] - r0).sub_(r0)

    def segments(self) -> list[Tube]:
        """Return the straight segments."""
        ends = zip(self.points, self.points[1:], self.radii, self.radii[1:])
        return [Tube((start, end), (r0, r1)) for start, end, r0, r1 in ends]

    def box(self) -> tuple[np.ndarray, np.ndarray]:
        points, radii = np.array(self.points), np.array(self.radii)[:, None]
        return (points - radii).min(0), (points + radii).max(0)


@dataclass(frozen=True)
class BlendedUnion:
    """Union of `parts`, blended over `blend` mm, minus `subtracted`."""

    parts: tuple[Ellipsoid | Tube, ...]
    subtracted: tuple[Ellipsoid, ...] = ()
    blend: float = 10.0

    def distance(self, points: torch.Tensor) -> torch.Tensor:
        d = self.parts[0].distance(points)
        for part in self.parts[1:]:
            d = smooth_minimum(d, part.distance(points), self.blend)
        for part in self.subtracted:
            d = -smooth_minimum(-d, part.distance(points), self.blend)
        return d

    def box(self) -> tuple[np.ndarray, np.ndarray]:
        boxes = [part.box() for part in self.parts]
        margin = self.blend / 4
        return np.min([b[0] for b in boxes], axis=0) - margin, np.max([b[1] for b in boxes], axis=0) + margin


def smooth_minimum(a: torch.Tensor, b: torch.Tensor, blend: float) -> torch.Tensor:
    """Return the minimum of a and b, rounded where they differ by less than `blend`."""
    h = (blend - (a - b).abs()).clamp_min_(0.0) / blend
    return torch.minimum(a, b) - h.square_() * (blend / 4)


def spline_tube(controls: Sequence[Sequence[float] | np.ndarray], radii: Sequence[float], segments: int) -> Tube:
    """Return a tube along the Catmull-Rom spline through control points (N, 3), with `segments` between two of them."""
    p = np.asarray(controls, dtype=float)
    r = np.asarray(radii, dtype=float)
    values = np.column_stack([p, r])
    padded = np.vstack([2 * values[0] - values[1], values, 2 * values[-1] - values[-2]])
    t = np.arange(segments)[:, None] / segments
    out = []
    for a, b, c, d in zip(padded, padded[1:], padded[2:], padded[3:]):
        out.append(b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a))))
    line = np.vstack([*out, values[-1:]])
    return Tube(tuple(as_point(row) for row in line[:, :3]), tuple(float(x) for x in np.maximum(line[:, 3], 0.5)))


def as_point(values: Sequence[float] | np.ndarray) -> Point:
    """Return three coordinates as Python floats."""
    x, y, z = (float(v) for v in values)
    return x, y, z
