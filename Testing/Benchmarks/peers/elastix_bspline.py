"""elastix as a peer: its default parameter maps for rigid, affine and B-spline, in that order.

Mutual information throughout, so one setting serves same and different contrasts. The default maps
start from the headers as they are; starting from the centres of gravity instead changed nothing on a
FLAIR-T1 pair. Threads follow ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS.
Source: Klein et al. 2010, IEEE TMI 29(1).
"""

from __future__ import annotations

import itk
from arguments import peer_arguments


def main() -> None:
    """Register, then write the moved labels (nearest neighbour) and, if asked, the moved image."""
    given = peer_arguments("elastix rigid + affine + B-spline")
    fixed, moving = itk.imread(str(given.fixed), itk.F), itk.imread(str(given.moving), itk.F)
    parameters = itk.ParameterObject.New()
    for stage in ("rigid", "affine", "bspline"):
        parameters.AddParameterMap(itk.ParameterObject.GetDefaultParameterMap(stage))
    moved, transform = itk.elastix_registration_method(fixed, moving, parameter_object=parameters, log_to_console=False)
    if given.moved:
        itk.imwrite(moved, str(given.moved))
    transform.SetParameter("FinalBSplineInterpolationOrder", "1")
    for source, target in zip(given.values, given.values_out):
        itk.imwrite(
            itk.transformix_filter(itk.imread(str(source), itk.F), transform, log_to_console=False), str(target)
        )
    if given.labels:
        transform.SetParameter("FinalBSplineInterpolationOrder", "0")
        labels = itk.transformix_filter(itk.imread(str(given.labels), itk.F), transform, log_to_console=False)
        itk.imwrite(itk.cast_image_filter(labels, ttype=(type(labels), itk.Image[itk.SS, 3])), str(given.out))


if __name__ == "__main__":
    main()
