"""The reference of a sequence: a frame, the mean of all frames, or another image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from SlicerSynthReg.api.images import ImageLike, LandmarksLike, as_image, as_landmarks, image_name
from SlicerSynthReg.api.registration_inputs import read_labels
from SlicerSynthReg.errors import GeometryError, ImageError, RequestError
from SlicerSynthReg.io.frames import Frames
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.landmarks import Landmarks
from SlicerSynthReg.parameters.registration import MIDDLE, SequenceParameters, reference_frame
from SlicerSynthReg.registration.inputs import check_mask
from SlicerSynthReg.registration.preprocessing import foreground_weight, normalise_and_resample
from SlicerSynthReg.spatial.grid import Grid
from SlicerSynthReg.spatial.intensity import subsample

MOTION_SPACING_MM, MAX_MOTION_POINTS = 4.0, 20_000
"""Spacing and largest number of the foreground points at which motion is measured."""


@dataclass(frozen=True, eq=False)
class SequenceReference:
    """Image to which the frames are registered.

    frame: its number; None for another image and for the mean of all frames. name: in words. foreground_mm: (N, 3)
    foreground points, RAS mm. line: voxels (one axis long) whose course through time is shown.
    """

    image: Image
    frame: int | None
    name: str
    mask: Image | None
    landmarks: Landmarks | None
    foreground_mm: np.ndarray
    line: tuple[slice, slice, slice]

    @property
    def line_axis(self) -> int:
        """Array axis along which `line` runs."""
        return int(np.argmax([number.stop - number.start for number in self.line]))

    @property
    def line_grid(self) -> Grid:
        """The grid of `line`."""
        first, second, third = self.line
        return self.image.grid.cropped((first.start, second.start, third.start), (first.stop, second.stop, third.stop))


def select_reference(
    frames: Frames,
    fixed: ImageLike | None,
    fixed_mask: ImageLike | None,
    fixed_landmarks: LandmarksLike | None,
    parameters: SequenceParameters,
) -> SequenceReference:
    """Return the image to which `frames` are registered: `fixed`, or the frame that the parameters name. Raises
    RequestError (code "reference-twice" for both)."""
    number = None
    if fixed is not None:
        if parameters.reference is not None:
            raise RequestError(
                f"Found the reference {parameters.reference} beside a fixed image, expected one of them. Leave one "
                "out.",
                code="reference-twice",
            )
        image, name = as_image(fixed, **parameters.read_options()), image_name(fixed, "fixed")
    else:
        number = reference_frame(parameters.reference, len(frames))
        image = _mean_frame(frames) if number is None else frames.frame(number)
        name = "the mean of all frames" if number is None else f"frame {number}"
        if (parameters.reference or MIDDLE) == MIDDLE:
            name += ", the middle one"
    mask = None if fixed_mask is None else read_labels(fixed_mask, parameters)
    if mask is not None:
        check_mask(mask, "fixed mask")
    landmarks = None if fixed_landmarks is None else as_landmarks(fixed_landmarks)
    spacing = max(MOTION_SPACING_MM, float(image.grid.spacing.max()))
    preprocessed = normalise_and_resample(image, mask, spacing)
    index = (foreground_weight(preprocessed) > 0.5).nonzero().numpy()
    foreground = preprocessed.grid.index_to_world(subsample(index, MAX_MOTION_POINTS))
    return SequenceReference(image, number, name, mask, landmarks, foreground, _line(image.grid, foreground))


def _mean_frame(frames: Frames) -> Image:
    """Return the mean of all readable frames on the first one's grid."""
    total: Image | None = None
    count = 0
    for n in range(len(frames)):
        try:
            frame = frames.frame(n)
        except (ImageError, GeometryError, OSError):
            continue
        resampled = frame if total is None else frame.resampled(total.grid)
        total = resampled if total is None else Image(total.data + resampled.data, total.grid, name="mean")
        count += 1
    if total is None:
        raise RequestError(
            "Found no frame that can be read, expected images to average. Check the sequence.", code="sequence-failed"
        )
    return Image(total.data / count, total.grid, name="mean")


def _line(grid: Grid, foreground_mm: np.ndarray) -> tuple[slice, slice, slice]:
    """Return the voxels through the foreground's centre along the axis nearest to superior-inferior, along which
    breathing moves most."""
    axis = int(np.abs(grid.directions[2]).argmax())
    last = np.array(grid.shape) - 1
    middle = grid.world_to_index(foreground_mm.mean(0)[None])[0] if len(foreground_mm) else last / 2
    at = np.clip(np.round(middle), 0, last).astype(int)
    first, second, third = (slice(0, n) if a == axis else slice(at[a], at[a] + 1) for a, n in enumerate(grid.shape))
    return first, second, third
