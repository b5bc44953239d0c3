"""Export the transforms of a result for ITK, ANTs and SimpleITK."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import slicer
from slicer.i18n import tr as _
from SynthRegLib.job import JobSteps
from SynthRegLib.node_geometry import Lattice, ijk_to_ras
from SynthRegLib.nodes import SCENE, file_name
from vtk.util.numpy_support import vtk_to_numpy

from SlicerSynthReg.errors import RequestError
from SlicerSynthReg.request import Request, Result

_PIECE = 1 << 18


def export_job(
    forward: slicer.vtkMRMLTransformNode,
    inverse: slicer.vtkMRMLTransformNode | None,
    destination: str,
    suffix: str,
) -> JobSteps:
    """Return the steps of an export; its value is the new folder with forward and inverse transform.

    forward: of a registration, moving to fixed. inverse: None computes it. destination: folder for the new one. suffix:
    .h5, .nii.gz, or .tfm for affine transforms only. The transforms lead from the fixed image's own space to the moving
    image's (ITK's direction for resampling) and back, without parent transforms, so that they fit the images as Slicer
    saves them. Raises RequestError.
    """
    fixed, moving = (
        forward.GetNodeReference(role)
        for role in (forward.GetFixedNodeReferenceRole(), forward.GetMovingNodeReferenceRole())
    )
    if fixed is None or moving is None:
        raise RequestError(
            _("Found that an image of {name} was removed from the scene, expected both. Register them again.").format(
                name=forward.GetName()
            )
        )
    if not destination or not Path(destination).is_dir():
        raise RequestError(_("Found no export folder, expected one. Choose it."))
    fields = {name: _field(node) for name, node in (("forward", forward), ("inverse", inverse)) if node is not None}
    folder = Path(tempfile.mkdtemp(prefix="SynthReg-", dir=slicer.app.temporaryPath))
    out = _free(Path(destination), file_name(forward.GetName()))

    def prepare() -> Generator[None, None, Request]:
        record = {"fixed": _lattice_of(fixed), "moving": _lattice_of(moving), "fields": {}}
        for name, (lattice, values) in fields.items():
            yield from _write(values, folder / f"{name}.npy")
            record["fields"][name] = {**lattice.to_json(), "file": f"{name}.npy"}
        (folder / SCENE).write_text(json.dumps(record), encoding="utf-8")
        return Request("export_transforms", {"scene": str(folder / SCENE)}, str(out), {"suffix": suffix})

    def loaded(result: Result) -> Path:
        shutil.rmtree(folder, ignore_errors=True)
        return Path(result.outputs["forward"]).parent

    def place(made: Path) -> Generator[None, None, Path]:
        yield
        return made

    return JobSteps(prepare, loaded, place, folder)


def _field(node: slicer.vtkMRMLTransformNode) -> tuple[Lattice, np.ndarray]:
    """Return the grid of the node's displacements in its own space, and the displacements (N, 3), RAS mm."""
    grid = node.GetTransformFromParentAs("vtkOrientedGridTransform")
    image = None if grid is None else grid.GetDisplacementGrid()
    if image is None:
        raise RequestError(
            _("Found that {name} was modified, expected the registered transform. Register the images again.").format(
                name=node.GetName()
            )
        )
    affine = slicer.util.arrayFromVTKMatrix(grid.GetGridDirectionMatrix())
    affine[:3, :3] *= image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return Lattice(image.GetDimensions(), affine), vtk_to_numpy(image.GetPointData().GetScalars())


def _lattice_of(volume: slicer.vtkMRMLVolumeNode) -> dict[str, Any]:
    return Lattice(volume.GetImageData().GetDimensions(), ijk_to_ras(volume)).to_json()


def _write(values: np.ndarray, path: Path) -> Generator[None, None, None]:
    """Write a .npy file in small pieces."""
    header = {"descr": np.lib.format.dtype_to_descr(values.dtype), "fortran_order": False, "shape": values.shape}
    with open(path, "wb") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        for start in range(0, len(values), _PIECE):
            stream.write(np.ascontiguousarray(values[start : start + _PIECE]).tobytes())
            yield


def _free(folder: Path, name: str) -> Path:
    numbered = (folder / (name if n == 1 else f"{name}-{n}") for n in range(1, 10_000))
    return next(path for path in numbered if not path.exists())
