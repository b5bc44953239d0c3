"""Transform files of ITK, ANTs and 3D Slicer.

All files hold the resampling direction, fixed LPS mm -> moving LPS mm, which Slicer loads as "transform from parent".
For the opposite direction, write transform.inverse() with the two grids exchanged.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch

from SlicerSynthReg.errors import ImageError, MissingFileError
from SlicerSynthReg.io.files import atomic_write
from SlicerSynthReg.io.itk import itk_grid, itk_image
from SlicerSynthReg.io.lps import flip_map, flip_vectors
from SlicerSynthReg.io.nifti import VECTOR_INTENTS, load_nifti, nifti_grid
from SlicerSynthReg.io.write import DERIVED_MARK, save_nifti
from SlicerSynthReg.spatial.grid import Grid, affine_lattice
from SlicerSynthReg.spatial.sampling import sample
from SlicerSynthReg.spatial.transform import Affine, Composite, Displacement, Transform, Velocity, reorient_vectors

_WRITTEN = (".nii.gz", ".h5", ".tfm")
_IMAGES = (".nii.gz", ".nii", ".nrrd", ".mha")
_ITK = (".h5", ".hdf5", ".tfm", ".txt", ".mat")
_OVERHEAD = 65_536
"""Maximum bytes of a file besides its vectors."""
_TEXT_VOXELS = 200_000


def write_transform(transform: Transform, path: str | os.PathLike[str], fixed: Grid, moving: Grid) -> None:
    """Write `transform` (fixed RAS mm -> moving RAS mm) as .tfm or .h5 (ITK) or .nii.gz (displacements, intent 1007).

    An Affine, or a Composite of affines, becomes an ITK AffineTransform in .tfm and .h5. A Displacement keeps its grid.
    In .h5 a Composite keeps its parts (a Velocity as its displacement on its grid), which is small and exact at every
    point. Everything else, and an Affine in .nii.gz, is sampled at the voxels of `fixed`: exact there, linear between,
    zero outside. A field on a sheared grid is resampled to the smallest enclosing grid with perpendicular axes, since
    displacement files cannot be sheared; beyond the sheared box it is extrapolated.
    Raises ImageError (no-overlap: `fixed` does not reach `moving`, as with a transform of the wrong direction;
    transform-nonfinite, file-type, text-file-size); OSError as in write_image.
    """
    path = Path(path)
    suffix = _suffix(path, _WRITTEN)
    matrix = _as_matrix(transform)
    if matrix is not None and suffix != ".nii.gz":
        _check_overlap(Affine(matrix), fixed, moving)
        with atomic_write(path, suffix, _OVERHEAD if suffix == ".h5" else 0) as temporary:
            _write_itk(_itk_affine(matrix), temporary)
        return
    if suffix == ".h5" and isinstance(transform, Composite) and _keeps_parts(transform):
        _check_overlap(transform, fixed, moving)
        numbers = sum(part.v_vox.numel() for part in transform.parts if isinstance(part, Velocity))
        with atomic_write(path, suffix, 8 * numbers + _OVERHEAD) as temporary:
            _write_itk(_itk_composite(transform), temporary)
        return
    dense = transform if isinstance(transform, Displacement) else transform.on(fixed)
    _check_overlap(dense, fixed, moving)
    dense = _orthonormal(dense)
    if suffix == ".tfm" and dense.grid.voxel_count > _TEXT_VOXELS:
        raise ImageError(
            f"Found a displacement field of {dense.grid.voxel_count} voxels, expected at most {_TEXT_VOXELS} in a text "
            f"file. Write {path.name[:-4]}.h5 or .nii.gz instead.",
            code="text-file-size",
        )
    vectors = _vectors_lps(dense)
    if suffix == ".nii.gz":
        with atomic_write(path, suffix) as temporary:
            save_nifti(vectors.astype(np.float32)[:, :, :, None, :], dense.grid, DERIVED_MARK, temporary, intent=1007)
        return
    field = itk_image(vectors, dense.grid)
    with atomic_write(path, suffix, vectors.nbytes + _OVERHEAD) as temporary:
        _write_itk(sitk.DisplacementFieldTransform(field), temporary)


def read_transform(path: str | os.PathLike[str], grid: Grid | None = None) -> Transform:
    """Read an ITK transform file (.tfm, .txt, .mat, .h5) or displacement image (.nii.gz, .nii, .nrrd, .mha).

    Linear ITK transforms (and composites of them) become Affine, displacement fields Displacement on their own grid,
    other composites Composite, first part first. Others (B-spline) are sampled on `grid`, which is then required. NIfTI
    intent 1007 is LPS mm (ITK, ANTs), intent 1006 RAS mm (NIfTI's DISPVECT, as in ITK).
    Raises MissingFileError; ImageError (file-type, decoding, not-a-transform, transform-nonfinite, transform-grid).
    """
    path = Path(path)
    suffix = _suffix(path, _ITK + _IMAGES)
    if not path.is_file():
        raise MissingFileError("Found no file at that path, expected a transform. Check the path.", path=path)
    try:
        if suffix in (".nii.gz", ".nii"):
            return _nifti_field(path)
        if suffix in _IMAGES:
            return _field(sitk.ReadImage(str(path), sitk.sitkVectorFloat64))
        return _from_itk(sitk.ReadTransform(str(path)), grid)
    except ImageError as error:
        raise ImageError(error.text, path=path, code=error.code) from error
    except Exception as error:  # every library has its own types for damaged files
        raise ImageError(
            "Found a file that cannot be decoded, expected a 3-D ITK transform or displacement field. "
            "It is truncated, damaged or of another type: export it again.",
            path=path,
            code="decoding",
        ) from error


def _suffix(path: Path, known: tuple[str, ...]) -> str:
    for suffix in known:
        if path.name.lower().endswith(suffix):
            return suffix
    raise ImageError(f"Found the file name {path.name}, expected one ending in {', '.join(known)}.", code="file-type")


def _check_overlap(transform: Transform, fixed: Grid, moving: Grid) -> None:
    steps = [np.linspace(0, n - 1, 9) for n in fixed.shape]
    lattice = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3)
    there = moving.world_to_index(transform.map_points(fixed.index_to_world(lattice)))
    if not np.isfinite(there).all():
        raise ImageError(
            "Found NaN or infinite values in the transform, expected finite ones. The registration failed.",
            code="transform-nonfinite",
        )
    if (there.max(0) < -0.5).any() or (there.min(0) > np.array(moving.shape) - 0.5).any():
        raise ImageError(
            "Found a transform that maps the whole fixed image outside the moving image, expected it to map the fixed "
            "image to the moving image. Exchange the two grids, or write transform.inverse().",
            code="no-overlap",
        )


def _as_matrix(transform: Transform) -> np.ndarray | None:
    """Return the 4x4 matrix (RAS) of an Affine or a Composite of affines, else None."""
    if isinstance(transform, Affine):
        return transform.matrix
    if not isinstance(transform, Composite):
        return None
    total = np.eye(4)
    for part in transform.parts:
        matrix = _as_matrix(part)
        if matrix is None:
            return None
        total = matrix @ total
    return total


def _itk_affine(matrix: np.ndarray) -> sitk.Transform:
    lps = flip_map(matrix)
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(lps[:3, :3].ravel().tolist())
    transform.SetTranslation(lps[:3, 3].tolist())
    return transform


def _keeps_parts(composite: Composite) -> bool:
    """Return whether every part is an affine, or a field on perpendicular axes, which ITK can represent."""
    return all(
        isinstance(part, Affine) or (isinstance(part, (Displacement, Velocity)) and part.grid.is_orthonormal)
        for part in composite.parts
    )


def _itk_composite(composite: Composite) -> sitk.Transform:
    """Return the ITK composite; ITK applies the transform added last first, so parts are added in reverse."""
    stack = sitk.CompositeTransform(3)
    for part in reversed(composite.parts):
        if isinstance(part, Affine):
            stack.AddTransform(_itk_affine(part.matrix))
            continue
        dense = part.integrated if isinstance(part, Velocity) else part.on(part.grid)  # type: ignore[attr-defined]
        stack.AddTransform(sitk.DisplacementFieldTransform(itk_image(_vectors_lps(dense), dense.grid)))
    return stack


def _write_itk(transform: sitk.Transform, path: Path) -> None:
    """Write the file, and read a text file back: ITK's text writer ignores a full disk."""
    sitk.WriteTransform(transform, str(path))
    if path.suffix == ".tfm":
        again = sitk.ReadTransform(str(path))
        if again.GetParameters() != transform.GetParameters() or (
            again.GetFixedParameters() != transform.GetFixedParameters()
        ):
            raise OSError("the text written is incomplete")


def _orthonormal(dense: Displacement) -> Displacement:
    """Return the displacements on perpendicular axes, extrapolated linearly for two voxels beyond the sheared box."""
    source = dense.grid
    if source.is_orthonormal:
        return dense
    axes, upper = np.linalg.qr(source.affine[:3, :3])
    axes = axes * np.sign(upper.diagonal())
    spacing = np.abs(upper.diagonal())
    corners = source.index_to_world(source.corner_indices()) @ axes
    low, high = corners.min(0), corners.max(0)
    shape = np.ceil((high - low) / spacing - 1e-3).astype(int)
    affine = np.eye(4)
    affine[:3, :3] = axes * spacing
    affine[:3, 3] = axes @ ((low + high) / 2 - spacing * (shape - 1) / 2)
    target = Grid(tuple(shape.tolist()), affine)
    index = affine_lattice(target.index_to_index(source), target.shape)
    u_vox = dense.u_vox.detach().cpu()[None]
    last = torch.tensor(source.shape).view(3, 1, 1, 1) - 1
    within = index.clamp(min=torch.zeros_like(last), max=last)
    mirrored = within - (index - within).clamp(-2, 2)
    extended = 2 * sample(u_vox, within[None], padding="border") - sample(u_vox, mirrored[None], padding="border")
    return Displacement(reorient_vectors(extended[0], source, target), target)


def _vectors_lps(dense: Displacement) -> np.ndarray:
    """Return (I, J, K, 3) float64, LPS mm."""
    u_vox = dense.u_vox.detach().cpu().double().numpy()
    vectors = flip_vectors(np.einsum("ab,bijk->ijka", dense.grid.affine[:3, :3], u_vox))
    if not np.isfinite(vectors).all():
        raise ImageError(
            "Found NaN or infinite displacements, expected finite ones. The registration failed.",
            code="transform-nonfinite",
        )
    return vectors


def _displacement(vectors_ras: np.ndarray, grid: Grid) -> Displacement:
    """Return the Displacement of vectors (I, J, K, 3) in RAS mm."""
    if not np.isfinite(vectors_ras).all():
        raise ImageError(
            "Found NaN or infinite displacements, expected finite ones. Compute the transform again.",
            code="transform-nonfinite",
        )
    inverse = np.linalg.inv(grid.affine[:3, :3])
    u_vox = np.einsum("ab,ijkb->aijk", inverse, vectors_ras.astype(np.float64))
    return Displacement(torch.from_numpy(np.ascontiguousarray(u_vox, dtype=np.float32)), grid)


def _field(image: sitk.Image) -> Displacement:
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 3:
        found = f"{image.GetDimension()} dimensions, {image.GetNumberOfComponentsPerPixel()} components"
        raise ImageError(
            f"Found {found}, expected a 3-D displacement field with 3. Give images as images.", code="not-a-transform"
        )
    vectors = np.transpose(sitk.GetArrayFromImage(image), (2, 1, 0, 3))
    return _displacement(flip_vectors(vectors), itk_grid(image))


def _nifti_field(path: Path) -> Displacement:
    image = load_nifti(path)
    intent = int(image.header["intent_code"])
    if len(image.shape) != 5 or image.shape[3:] != (1, 3) or intent not in VECTOR_INTENTS:
        raise ImageError(
            f"Found shape {image.shape}, intent {intent}, expected (I, J, K, 1, 3), intent 1007 or 1006. An "
            "image is no transform; fields of FSL or SPM must be converted to ITK's form first.",
            code="not-a-transform",
        )
    grid = nifti_grid(image.header, image.shape[:3], assume_geometry=False)
    vectors = np.asarray(image.dataobj)[:, :, :, 0]
    return _displacement(flip_vectors(vectors) if intent == 1007 else vectors, grid)


def _from_itk(transform: sitk.Transform, grid: Grid | None) -> Transform:
    if transform.GetDimension() != 3:
        raise ImageError(
            f"Found a {transform.GetDimension()}-D transform, expected a 3-D one. Convert it.", code="not-a-transform"
        )
    if transform.IsLinear():
        origin = np.array(transform.TransformPoint((0.0, 0.0, 0.0)))
        lps = np.eye(4)
        lps[:3, 3] = origin
        lps[:3, :3] = np.array([transform.TransformPoint(axis) for axis in np.eye(3).tolist()]).T - origin[:, None]
        return Affine(flip_map(lps))
    exact = transform.Downcast()
    if isinstance(exact, sitk.CompositeTransform):
        last_first = range(exact.GetNumberOfTransforms() - 1, -1, -1)
        parts = tuple(_from_itk(exact.GetNthTransform(n), grid) for n in last_first)
        return parts[0] if len(parts) == 1 else Composite(parts)
    if isinstance(exact, sitk.DisplacementFieldTransform):
        return _field(exact.GetDisplacementField())
    if grid is None:
        raise ImageError(
            f"Found a {exact.GetName()}, expected an affine or a displacement field. Pass grid= to sample it there.",
            code="transform-grid",
        )
    frame = itk_image(np.zeros(grid.shape, np.uint8), grid)
    return _field(
        sitk.TransformToDisplacementField(
            exact, sitk.sitkVectorFloat64, frame.GetSize(), frame.GetOrigin(), frame.GetSpacing(), frame.GetDirection()
        )
    )
