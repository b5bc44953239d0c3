"""ConvexAdam as a peer: ANTs affine, then MIND features with the published default settings.

ConvexAdam itself has no affine stage and expects both images on one grid, so ANTs aligns first and
the moving image is resampled onto the fixed grid; the labels go through both transforms at once.
Source: Siebert et al. 2024, IEEE TMI; Heinrich et al. 2013 for MIND-SSC.
"""

from __future__ import annotations

import tempfile

import ants
import numpy as np
import SimpleITK as sitk
from arguments import peer_arguments
from convexAdam.convex_adam_MIND import convex_adam_pt


def affine_by_ants(fixed_path: str, moving_path: str) -> sitk.Transform:
    """ANTs affine, as a transform of LPS points from fixed to moving."""
    with tempfile.TemporaryDirectory() as scratch:
        found = ants.registration(
            ants.image_read(fixed_path),
            ants.image_read(moving_path),
            type_of_transform="Affine",
            outprefix=f"{scratch}/affine_",
        )
        return sitk.ReadTransform(found["fwdtransforms"][0])


def displacement_transform(displacement_vox: np.ndarray, grid: sitk.Image) -> sitk.Transform:
    """Voxel displacement (K,J,I,3), channels in (k,j,i) order, as a transform of LPS points."""
    direction = np.array(grid.GetDirection()).reshape(3, 3)
    displacement_mm = displacement_vox[..., ::-1] * np.array(grid.GetSpacing()) @ direction.T
    field = sitk.GetImageFromArray(displacement_mm.astype(np.float64), isVector=True)
    field.CopyInformation(grid)
    return sitk.DisplacementFieldTransform(field)


def main() -> None:
    """Register, then write the moved labels (nearest neighbour) and, if asked, the moved image."""
    given = peer_arguments("ANTs affine + ConvexAdam with MIND")
    fixed = sitk.ReadImage(str(given.fixed), sitk.sitkFloat32)
    moving = sitk.ReadImage(str(given.moving), sitk.sitkFloat32)
    affine = affine_by_ants(str(given.fixed), str(given.moving))
    aligned = sitk.Resample(moving, fixed, affine, sitk.sitkLinear)
    displacement_vox = convex_adam_pt(fixed, aligned)
    # The transform added last is applied first to a fixed point.
    whole = sitk.CompositeTransform([affine, displacement_transform(displacement_vox, fixed)])
    if given.labels:
        labels = sitk.ReadImage(str(given.labels), sitk.sitkInt16)
        sitk.WriteImage(sitk.Resample(labels, fixed, whole, sitk.sitkNearestNeighbor), str(given.out))
    for source, target in zip(given.values, given.values_out):
        values = sitk.ReadImage(str(source), sitk.sitkFloat32)
        sitk.WriteImage(sitk.Resample(values, fixed, whole, sitk.sitkLinear), str(target))
    if given.moved:
        sitk.WriteImage(sitk.Resample(moving, fixed, whole, sitk.sitkLinear), str(given.moved))


if __name__ == "__main__":
    main()
