"""Redraw time of SynthReview on large volumes, with software rendering.

    python Testing/Benchmarks/review_redraw.py [--size 512 512 300] [--moves 40]

Run in an environment with the host's packages. The split line, the checkerboard and the slice are moved; each time is
from the change until all three views are drawn, with two volumes of that size, one under a rotated parent transform.
"opening": from the selection of both images to the first picture.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
VIEWS = ("Red", "Yellow", "Green")


def milliseconds(act: Callable[[int], None], times: int) -> np.ndarray:
    """Return the duration of each call."""
    taken = []
    for n in range(times):
        begun = time.perf_counter()
        act(n)
        taken.append(1e3 * (time.perf_counter() - begun))
    return np.array(taken)


def volume(name: str, size: tuple[int, int, int], seed: int) -> Any:
    """Return a node of int16 noise, 0.8 x 0.8 x 1 mm."""
    import slicer

    affine = np.diag([0.8, 0.8, 1.0, 1.0])
    affine[:3, 3] = -np.array(size) * [0.4, 0.4, 0.5]
    plane = np.random.default_rng(seed).integers(0, 400, size[1::-1], np.int16)
    values = np.empty(size[::-1], np.int16)
    values[:] = plane
    return slicer.util.addVolumeFromArray(values, affine, name)


def measure(size: tuple[int, int, int], moves: int) -> dict[str, np.ndarray]:
    import slicer
    import vtk
    from slicerhost import opened

    with opened("SynthReview") as panel:
        first, second = volume("A", size, 1), volume("B", size, 2)
        turned = vtk.vtkTransform()
        turned.RotateZ(7)
        turned.RotateX(5)
        parent = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "parent")
        parent.SetMatrixTransformToParent(turned.GetMatrix())
        second.SetAndObserveTransformNodeID(parent.GetID())
        views = [slicer.app.layoutManager().view(name) for name in VIEWS]
        parameters = panel.widget._parameterNode

        def draw() -> None:
            for view in views:
                view.render()

        def put(name: str, value: Any) -> None:
            """The host draws a view when the module asks for it; a real Slicer does so once the events are served."""
            setattr(parameters, name, value)

        def open_both(n: int) -> None:
            parameters.first, parameters.second = first, second
            draw()

        node = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceNode()

        def next_slice(n: int) -> None:
            node.SetSliceOffset(float(n))
            draw()

        found = {"opening": milliseconds(open_both, 1)}
        from SynthRegLib.review import Mode

        for mode, name, low, high in ((Mode.WIPE, "position", 0.0, 1.0), (Mode.CHECKERBOARD, "blockMm", 10.0, 60.0)):
            put("mode", mode)
            places = np.linspace(low, high, moves).tolist()
            found[f"{mode.value}: move"] = milliseconds(lambda n, name=name, places=places: put(name, places[n]), moves)
            found[f"{mode.value}: next slice"] = milliseconds(next_slice, moves)
    return found


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--size", type=int, nargs=3, default=(512, 512, 300), help="voxels")
    options.add_argument("--moves", type=int, default=40)
    chosen = options.parse_args()
    sys.path[:0] = [str(ROOT), str(ROOT / "Testing" / "slicerhost")]
    from slicerhost.start import start

    start(ROOT)
    size = " x ".join(map(str, chosen.size))
    print(f"{size} voxels, three views of 400 x 400 pixels, {len(os.sched_getaffinity(0))} cores, milliseconds:")
    for what, taken in measure(tuple(chosen.size), chosen.moves).items():
        print(f"{what:26s} median {np.median(taken):7.1f}   90 % within {np.quantile(taken, 0.9):7.1f}")


if __name__ == "__main__":
    main()
