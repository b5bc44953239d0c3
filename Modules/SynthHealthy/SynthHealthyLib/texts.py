"""What the module says of itself."""

from __future__ import annotations

from slicer.i18n import tr as _


def help_text() -> str:
    return _(
        "<p>Shows the anatomy in health behind a CT or MR scan of a head, as a T1, and where the scan differs from "
        "it.</p>"
        "<ol><li>Choose the scan, or press <i>Load a sample scan</i>.</li>"
        "<li>Press <i>Apply</i>. It becomes <i>Cancel</i> while it runs; Slicer stays usable.</li>"
        "<li>Fade between the patient and what was made: the healthy T1, the anomaly map, the other side, the "
        "confidence. Move the threshold: what is marked follows.</li>"
        "<li>To bring the diseased brain onto another one, choose that under <i>Register through health</i>: in "
        "the alignment health takes the place of what is abnormal, and the transform is applied to the scan "
        "itself.</li></ol>"
        "<p>The healthy brain is made up: it shows what this brain may have looked like. The map misses what is small "
        "or faint, and marks what is merely unusual. A map without anomalies is no proof of health.</p>"
        "<p><b>For research. Not for diagnosis or treatment.</b></p>"
    )


def acknowledgement() -> str:
    return _(
        "<p>If you use this module, please cite the paper behind it:</p>"
        "<p>P. Liu et al. Unraveling Normal Anatomy via Fluid-Driven Anomaly Randomization. CVPR 2025.</p>"
    )
