"""Load a result from its folder and show it at a location."""

from __future__ import annotations

from pathlib import Path

import slicer
from SynthRegLib.display import set_window
from SynthRegLib.review import Mode, show

from SlicerSynthReg.io.manifest import read_manifest
from SlicerSynthReg.report.quality import WorstLocation

_IMAGES = ("moved", "image", "synthetic", "healthy", "target")
_JACOBIAN_WINDOW = (2.0, 1.0)


def show_result(folder: Path, label: str, place: WorstLocation | None) -> bool:
    """Show the result image with its Jacobian map, if any; return False without an image."""
    outputs = (read_manifest(folder) or {}).get("outputs", {})
    name = next((name for name in _IMAGES if name in outputs), None)
    if name is None:
        return False
    image = slicer.util.loadVolume(str(folder / outputs[name]), {"name": label, "show": False})
    change = None
    if "jacobian" in outputs:
        change = slicer.util.loadVolume(
            str(folder / outputs["jacobian"]), {"name": f"{label}: volume change", "show": False}
        )
        set_window(change, *_JACOBIAN_WINDOW)
    show(image, change, mode=Mode.FADE, link_windows=False)
    if place is not None:
        jump(place.ras_mm)
    return True


def jump(ras_mm: tuple[float, float, float]) -> None:
    """Move all slice views and the crosshair to a position."""
    for node in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
        node.JumpSliceByCentering(*ras_mm)
    crosshair = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
    if crosshair is not None:
        crosshair.SetCrosshairRAS(*ras_mm)
        crosshair.SetCrosshairMode(slicer.vtkMRMLCrosshairNode.ShowSmallBasic)
