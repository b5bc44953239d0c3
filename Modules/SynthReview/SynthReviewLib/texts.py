"""What the module says of itself."""

from __future__ import annotations

from slicer.i18n import tr as _


def help_text() -> str:
    return _(
        "<p>Look at results before you trust them.</p>"
        "<ul><li><b>Compare</b>: two images in three linked views, faded, flickering, split, as a checkerboard, as a "
        "difference or as a contour; the transform as a grid and as a map of volume change.</li>"
        "<li><b>Blinded reading</b>: judge cases without knowing what they are. Every answer is on disk before the "
        "next case opens; what the cases were is told only at the end.</li>"
        "<li><b>Quality of many cases</b>: the measures of a folder of results, from the worst to the best.</li></ul>"
        "<p><b>For research. Not for diagnosis or treatment.</b></p>"
    )


def acknowledgement() -> str:
    return _(
        "<p>The blinded reading follows the reader study in section 4.2 of Medical Flow Matching CT Translation.</p>"
    )
