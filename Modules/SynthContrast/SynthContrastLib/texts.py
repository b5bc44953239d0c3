"""Help and acknowledgement texts of SynthContrast."""

from __future__ import annotations

from slicer.i18n import tr as _


def help_text() -> str:
    return _(
        "<p>Converts abdominal CT from the arterial to the native phase (virtual non-contrast, VNC), or from the "
        "native to the arterial phase.</p>"
        "<ol><li>Choose the CT, or press <i>Load sample images</i>. Its values must be Hounsfield units.</li>"
        "<li>Choose the target phase, and a segmentation of organs to measure their HU.</li>"
        "<li><i>Preview slice</i> converts the slice in the centre of the red view; <i>Apply</i> converts the volume. "
        "It becomes <i>Cancel</i> during the run.</li>"
        "<li>Review the result: opacity, difference in HU, and cycle error (the error after conversion in both "
        "directions).</li>"
        "<li><i>Export</i> writes a derived DICOM series, marked as synthetic, that refers to its source.</li></ol>"
        "<p>The result is a synthetic image. It cannot show a lesion that is visible only with contrast agent.</p>"
        "<p><b>For research. Not for diagnosis or treatment.</b></p>"
    )


def acknowledgement() -> str:
    return _(
        "<p>If you use this module, please cite:</p>"
        "<p>Medical Flow Matching CT Translation (anonymous submission): the method, of which this is an independent "
        "implementation, trained without the paper's data.</p>"
        "<p>Y. Lipman, R. T. Q. Chen, H. Ben-Hamu, M. Nickel, M. Le. Flow matching for generative modeling. "
        "International Conference on Learning Representations, 2023.</p>"
    )
