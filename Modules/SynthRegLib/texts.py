"""What the modules say of themselves."""

from __future__ import annotations

from slicer.i18n import tr as _


def help_text() -> str:
    return _(
        "<p>Brings a moving image onto a fixed image, also where their contrasts differ (T1 and FLAIR, MR and CT).</p>"
        "<ol><li>Choose the fixed and the moving image, or press <i>Load sample images</i>.</li>"
        "<li>Choose what suits your images under <i>Settings</i>. Where they lie far apart or turned, choose three "
        "landmark pairs or more and <i>start from the landmarks</i>.</li>"
        "<li>Press <i>Apply</i>. It becomes <i>Cancel</i> while it runs; Slicer stays usable.</li>"
        "<li>Look at the result: fade between the images, or show a checkerboard. <i>Refine this result</i> registers "
        "once more from where it ended.</li>"
        "<li>Check under <i>Move along</i> what else is to be moved: scans, segmentations, markups, models.</li></ol>"
        "<p>What is checked lies under the transform; nothing is resampled until you harden it in the module Data.</p>"
        "<p>Under <i>Many frames (4-D)</i> every frame of a sequence is brought onto one of them: a sequence of moved "
        "scans and one of transforms are made, played with the source.</p>"
        "<p>Under <i>All results</i> a click chooses a result; two are compared side by side, and the transforms of "
        "one are exported for ITK.</p>"
        "<p>Under <i>What no warp explains</i> the fixed image is coloured where it cannot have come from the moved "
        "one by stretching and shifting alone, such as at a lesion; a slider says how much is shown.</p>"
        "<p><b>For research. Not for diagnosis or treatment.</b></p>"
    )


def acknowledgement() -> str:
    return _(
        "<p>If you use this module, please cite the papers behind it:</p>"
        "<p>M. Hoffmann, B. Billot, D. N. Greve, J. E. Iglesias, B. Fischl, A. V. Dalca. SynthMorph: learning "
        "contrast-invariant registration without acquired images. IEEE Transactions on Medical Imaging 41(3), 543-558, "
        "2022.</p>"
        "<p>Without a network: M. P. Heinrich et al. Towards realtime multimodal fusion for image-guided interventions "
        "using self-similarities. MICCAI 2013. T. Vercauteren et al. Diffeomorphic demons. NeuroImage 45(1), 2009.</p>"
    )
