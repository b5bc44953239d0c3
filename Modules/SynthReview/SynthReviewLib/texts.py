"""Help and acknowledgement texts of SynthReview."""

from __future__ import annotations

from slicer.i18n import tr as _


def help_text() -> str:
    return _(
        "<p>Reviews registration and synthesis results.</p>"
        "<ul><li><b>Compare</b>: two images in three linked views by opacity, flicker, split view, checkerboard, "
        "difference or contour; the transform as a deformed grid and as a Jacobian map.</li>"
        "<li><b>Blinded reading</b>: a reader study with randomized, blinded cases. Every answer is saved before the "
        "next case opens; the key is opened at the end.</li>"
        "<li><b>Quality control of cases</b>: the measures of a folder of results, from worst to best.</li></ul>"
        "<p><b>For research. Not for diagnosis or treatment.</b></p>"
    )


def acknowledgement() -> str:
    return _(
        "<p>The blinded reading follows the reader study in section 4.2 of Medical Flow Matching CT Translation.</p>"
    )
