"""Help and acknowledgement texts of SynthHealthy."""

from __future__ import annotations

from slicer.i18n import tr as _


def help_text() -> str:
    return _(
        "<p>Reconstructs a healthy T1 image from a CT or MR scan of a head, and maps where the scan differs from it "
        "(anomaly map).</p>"
        "<ol><li>Choose the scan, or press <i>Load sample images</i>.</li>"
        "<li>Press <i>Apply</i>. It becomes <i>Cancel</i> during the run; Slicer remains usable.</li>"
        "<li>Review the healthy T1, the anomaly map, the contralateral side and the confidence over the scan. The "
        "threshold can be changed afterwards.</li>"
        "<li>To register a brain with lesions, choose a reference image under <i>Registration via pseudo-healthy "
        "image</i>: the healthy reconstruction is registered, and the transform is applied to the scan.</li></ol>"
        "<p>The healthy T1 is synthetic. The anomaly map misses small or faint lesions and marks unusual anatomy. A "
        "map without anomalies is no proof of health.</p>"
        "<p><b>For research. Not for diagnosis or treatment.</b></p>"
    )


def acknowledgement() -> str:
    return _(
        "<p>If you use this module, please cite:</p>"
        "<p>P. Liu et al. Unraveling Normal Anatomy via Fluid-Driven Anomaly Randomization. CVPR 2025.</p>"
    )
