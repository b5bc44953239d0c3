"""Geometry of a stack of DICOM slices.

The grid is that of ImagePositionPatient, ImageOrientationPatient and PixelSpacing (DICOM PS3.3 C.7.6.2): index i along
a row, j along a column, k along the line of slice origins. With gantry tilt that line is oblique to the slices, and the
grid sheared.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from SlicerSynthReg.errors import ImageError, Suggestion
from SlicerSynthReg.io.dicom_files import Slice, number
from SlicerSynthReg.io.lps import flip_affine
from SlicerSynthReg.io.raw_image import header_grid
from SlicerSynthReg.spatial.grid import Grid

SAME_POSITION_MM = 0.01
DIRECTION_TOLERANCE = 1e-3
"""Largest difference of direction cosines, and relative of pixel spacing, within one volume."""
STEP_TOLERANCE = 0.05
"""Relative deviation of a slice distance from the median."""
_ROUNDING_MM = 0.08
"""Deviation from an even straight line by positions that are rounded to 0.1 mm: 0.05 mm, and as much at the ends."""


class Stack:
    """Slices of one orientation sorted along their normal. origins: (N, 3) LPS mm; along: (N,) mm along the normal."""

    def __init__(self, slices: Sequence[Slice]) -> None:
        normal = slices[0].normal
        order = np.argsort([one.origin @ normal for one in slices], kind="stable")
        self.slices = [slices[n] for n in order]
        self.origins = np.stack([one.origin for one in self.slices])
        self.along = self.origins @ normal

    @cached_property
    def positions(self) -> int:
        """Number of different positions along the normal."""
        return 1 + int((np.diff(self.along) > SAME_POSITION_MM).sum())

    @property
    def repeats(self) -> int:
        """Slices at positions that others have."""
        return len(self.slices) - self.positions

    @cached_property
    def planes(self) -> list[list[Slice]]:
        """Slices by position."""
        starts = np.flatnonzero(np.diff(self.along) > SAME_POSITION_MM) + 1
        bounds = [0, *starts.tolist(), len(self.slices)]
        return [self.slices[a:b] for a, b in zip(bounds, bounds[1:])]

    @cached_property
    def step(self) -> np.ndarray:
        """Mean step from slice to slice, LPS mm."""
        first = self.slices[0]
        if self.positions < 2:
            size = number(first.header, "SpacingBetweenSlices") or number(first.header, "SliceThickness") or 1.0
            return abs(size) * first.normal
        return np.asarray((self.origins[-1] - self.origins[0]) / (len(self.slices) - 1))

    @cached_property
    def odd_steps(self) -> np.ndarray:
        """Steps k -> k + 1 that make the spacing uneven; empty if it is even within the tolerances."""
        steps = np.diff(self.along)
        if len(steps) < 2 or self.repeats:
            return np.empty(0, dtype=int)
        even = self.along[0] + np.arange(len(self.along)) * (self.along[-1] - self.along[0]) / len(steps)
        median = float(np.median(steps))
        error = np.abs(self.along - even)
        if error.max() <= min(_ROUNDING_MM, 0.25 * median):
            return np.empty(0, dtype=int)
        odd = np.flatnonzero(np.abs(steps - median) > STEP_TOLERANCE * median)
        if not len(odd) and error.max() > max(STEP_TOLERANCE * median, _ROUNDING_MM):
            odd = np.array([int(np.argmax(np.abs(steps - median)))])
        return odd

    @cached_property
    def off_line_mm(self) -> float:
        """Largest distance of an origin from the straight line through the first and last, within the slice plane;
        0 if within the tolerance."""
        length = self.along[-1] - self.along[0]
        if length <= SAME_POSITION_MM:
            return 0.0
        share = (self.along - self.along[0]) / length
        off = self.origins - self.origins[0] - share[:, None] * (self.origins[-1] - self.origins[0])
        largest = float(np.linalg.norm(off, axis=1).max())
        return largest if largest > max(STEP_TOLERANCE * float(np.linalg.norm(self.step)), 0.1) else 0.0

    @property
    def regular(self) -> bool:
        """Whether the slices are one volume: one a position, evenly along a straight line."""
        return not self.repeats and not len(self.odd_steps) and not self.off_line_mm

    def require_line(self) -> None:
        """Raise ImageError (slice-duplicate, slice-positions) unless the slices are one a position on a line."""
        if self.repeats:
            plane = next(plane for plane in self.planes if len(plane) > 1)
            raise ImageError(
                f"Found {len(self.slices)} slices at {self.positions} positions (instances {plane[0].number} and "
                f"{plane[1].number} both at {plane[0].origin @ plane[0].normal:.2f} mm), expected one slice per "
                "position. The series holds several time points, echoes or b-values, or slices twice, and no tag "
                "separates them: keep one set in the folder.",
                code="slice-duplicate",
            )
        if self.off_line_mm:
            raise ImageError(
                f"Found slice origins up to {self.off_line_mm:.2f} mm off a straight line, expected a stack. The "
                "slices come from different acquisitions: keep one of them in the folder.",
                code="slice-positions",
            )

    def gaps(self) -> str:
        """Describe the slice distances that differ from the median; "" if none does."""
        odd, steps = self.odd_steps, np.diff(self.along)
        if not len(odd):
            return ""
        described = [
            f"{steps[k]:.2f} mm between slices {k + 1} and {k + 2} (instances {self.slices[k].number} and "
            f"{self.slices[k + 1].number}, at {self.along[k]:.1f} and {self.along[k + 1]:.1f} mm)"
            for k in odd[:3]
        ]
        more = f" and {len(odd) - 3} more" if len(odd) > 3 else ""
        return f"{'; '.join(described)}{more}, median {np.median(steps):.2f} mm ({len(steps) + 1} slices)"

    def require_even(self) -> None:
        """Raise ImageError (slice-spacing) if the slice distances differ."""
        if self.gaps():
            raise ImageError(
                f"Found uneven slice spacing: {self.gaps()}; expected equal steps. Fetch the missing slices.",
                Suggestion("interpolate_gaps", True, "interpolate linearly between the slices (not for label maps)"),
                code="slice-spacing",
            )

    def grid(self) -> Grid:
        """Return the grid of these slices, RAS mm."""
        return _grid(self.slices, self.origins, self.step)

    def evenly(self, values: np.ndarray) -> tuple[np.ndarray, Grid]:
        """Return values (I, J, K) interpolated at even distances (lower quartile of those present), and their grid."""
        along = self.along
        step = float(np.percentile(np.diff(along), 25))
        count = max(int(round((along[-1] - along[0]) / step)) + 1, 2)
        wanted = np.linspace(along[0], along[-1], count)
        upper = np.clip(np.searchsorted(along, wanted), 1, len(along) - 1)
        weight = ((wanted - along[upper - 1]) / (along[upper] - along[upper - 1])).astype(np.float32)
        filled = values[..., upper - 1] * (1 - weight) + values[..., upper] * weight
        even = np.stack([np.interp(wanted, along, self.origins[:, axis]) for axis in range(3)], axis=1)
        return filled, _grid(self.slices, even, (even[-1] - even[0]) / (count - 1))

    def warnings(self) -> list[str]:
        """Return what was evened out within the tolerances."""
        found = []
        axes = np.stack([one.axes for one in self.slices])
        turn = float(np.abs(axes - axes[0]).max())
        if turn > 1e-5:
            found.append(
                f"Found slice directions that differ by up to {turn:.1e}, expected equal ones: their mean counts."
            )
        if len(self.along) > 2:
            even = self.origins[0] + np.arange(len(self.along))[:, None] * self.step
            error = float(np.abs(self.origins - even).max())
            if error > 0.02 and not len(self.odd_steps):
                found.append(
                    f"Found slice positions up to {error:.2f} mm off even steps, expected equal steps of "
                    f"{np.linalg.norm(self.step):.3f} mm: even steps are assumed."
                )
        return found


def _grid(slices: Sequence[Slice], origins: np.ndarray, step: np.ndarray) -> Grid:
    row, column = np.mean([one.axes for one in slices], axis=0)
    row = row / np.linalg.norm(row)
    column = column - row * (row @ column)
    down, across = slices[0].spacing
    lps = np.eye(4)
    lps[:3, 0], lps[:3, 1] = row * across, column / np.linalg.norm(column) * down
    lps[:3, 2], lps[:3, 3] = step, origins[0]
    return header_grid((*slices[0].size, len(origins)), flip_affine(lps))
