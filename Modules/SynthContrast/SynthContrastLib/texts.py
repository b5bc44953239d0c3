"""What SynthContrast says of itself."""

from __future__ import annotations

from slicer.i18n import tr as _


def help_text() -> str:
    return _(
        "<p>Makes a synthetic native CT of the abdomen from one in the arterial phase, or the other way round.</p>"
        "<ol><li>Choose the CT, or press <i>Load sample images</i>. Its values must be Hounsfield units.</li>"
        "<li>Choose the direction, and a segmentation of organs if their HU are wanted.</li>"
        "<li><i>Preview</i> converts the slice in the middle of the red view; <i>Apply</i> converts the whole volume. "
        "It becomes <i>Cancel</i> while it runs.</li>"
        "<li>Fade between scan and result, look at the difference in HU and at the cycle error: what conversion there "
        "and back does not return.</li>"
        "<li><i>Export</i> writes a derived DICOM series that says it is synthetic and refers to its source.</li></ol>"
        "<p>The result is a guess of how the patient would look in the other phase. A lesion that only contrast would "
        "show cannot be in a scan without it.</p>"
        "<p><b>For research. Not for diagnosis or treatment.</b></p>"
    )


def acknowledgement() -> str:
    return _(
        "<p>If you use this module, please cite the papers behind it:</p>"
        "<p>Medical Flow Matching CT Translation (anonymous submission): the method, of which this is an independent "
        "implementation, trained without the paper's data.</p>"
        "<p>Y. Lipman, R. T. Q. Chen, H. Ben-Hamu, M. Nickel, M. Le. Flow matching for generative modeling. "
        "International Conference on Learning Representations, 2023.</p>"
    )
