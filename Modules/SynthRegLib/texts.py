"""Help text of SynthRegister, and what all modules share: the link to the documentation, the note on a network."""

from __future__ import annotations

from slicer.i18n import tr as _

from SlicerSynthReg.weights.registry import Card

DOCUMENTATION = "https://slicersynthreg.github.io/SlicerSynthReg/"


def documentation_link(page: str) -> str:
    """Return HTML that links to a page of the documentation, such as "tutorials/synthregister.html"."""
    text = _("Tutorial and documentation")
    return f'<p><a href="{DOCUMENTATION}{page}">{text}</a></p>'


def network_note(card: Card) -> str:
    """Return the intended use and the training data of a network."""
    trained = _("synthetic images only") if card.synthetic_training_only else card.training_data
    return _("Network {name}. {use} Trained on: {trained}.").format(
        name=card.name, use=card.intended_use, trained=trained
    )


def help_text() -> str:
    return _(
        "<p>Registers a moving to a fixed image, also across contrasts and modalities (T1 and FLAIR, MR and CT).</p>"
        "<ol><li>Choose the fixed and the moving image, or press <i>Load sample images</i>.</li>"
        "<li>Choose a preset under <i>Settings</i>. For images with a large initial misalignment, choose three or more "
        "landmark pairs and check the landmark initialization.</li>"
        "<li>Press <i>Apply</i>. It becomes <i>Cancel</i> during the run; Slicer remains usable.</li>"
        "<li>Review the result with the opacity slider or as a checkerboard. <i>Refine result</i> registers again with "
        "this result as initial transform.</li>"
        "<li>Check further nodes under <i>Apply transform to</i>: volumes, segmentations, markups, models. Nothing is "
        "resampled until the transform is hardened in the module Data.</li></ol>"
        "<p><i>Sequence registration</i> registers every frame of a sequence to a reference frame. <i>Results</i> "
        "lists all registrations; two can be compared, and transforms can be exported for ITK. <i>Topological "
        "change</i> maps where no smooth deformation explains the difference between the images, such as a lesion.</p>"
        "<p><b>For research. Not for diagnosis or treatment.</b></p>"
    )


def acknowledgement() -> str:
    return _(
        "<p>If you use this module, please cite:</p>"
        "<p>M. Hoffmann, B. Billot, D. N. Greve, J. E. Iglesias, B. Fischl, A. V. Dalca. SynthMorph: learning "
        "contrast-invariant registration without acquired images. IEEE Transactions on Medical Imaging 41(3), 543-558, "
        "2022.</p>"
        "<p>Without a network: M. P. Heinrich et al. Towards realtime multimodal fusion for image-guided interventions "
        "using self-similarities. MICCAI 2013. T. Vercauteren et al. Diffeomorphic demons. NeuroImage 45(1), 2009.</p>"
    )
