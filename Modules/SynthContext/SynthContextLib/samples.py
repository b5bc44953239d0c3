"""Sample data: three simulated heads with labels as examples, and a fourth as target with its reference."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import slicer
from slicer.i18n import tr as _
from SynthRegLib.phantom import TISSUES, make_head
from SynthRegLib.results import NodePlacement, add_segmentation, new_segment
from SynthRegLib.sample_nodes import add_image

from SynthContextLib.pair_rows import Row

EXAMPLES = 3
_COLOURS = {1: (0.35, 0.6, 0.9), 2: (0.85, 0.55, 0.45), 3: (0.95, 0.9, 0.75), 4: (0.45, 0.75, 0.4)}


@dataclass(frozen=True, eq=False)
class Sample:
    examples: list[Row]
    target: Row


def make_sample(voxel_mm: float = 3.0) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Simulate the heads, off the GUI thread."""
    return [make_head(person, voxel_mm) for person in range(EXAMPLES + 1)]


def add_sample(heads: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Generator[None, None, Sample]:
    """Add one head per step."""
    rows = []
    for n, (image, labels, affine) in enumerate(heads):
        name = _("Sample head {number}").format(number=n + 1)
        volume = add_image(image, affine, name, (480.0, 260.0))
        yield
        whole = slicer.util.addVolumeFromArray(np.ascontiguousarray(labels.T), affine)
        segments = {
            f"tissue_{value}": (value, new_segment(TISSUES[value], _COLOURS[value])) for value in sorted(TISSUES)
        }
        scalars = whole.GetImageData().GetPointData().GetScalars()
        place = NodePlacement(tuple(whole.GetImageData().GetDimensions()), affine, None)
        called = _("{name} labels").format(name=name)
        rows.append(Row(volume, add_segmentation(called, scalars, place, [], segments, volume)))
        slicer.mrmlScene.RemoveNode(whole)
        yield
    return Sample(rows[:-1], rows[-1])
