"""Help and acknowledgement texts of SynthContext."""

from __future__ import annotations

from slicer.i18n import tr as _


def help_text() -> str:
    return _(
        "<p>Segments or converts images as a few examples show (in-context learning): images with segmentations, or "
        "images with paired images. Predictions combine a network and patch propagation, weighted by leave-one-out "
        "validation on the examples; no training is required.</p>"
        "<ol><li>Add examples: drag volumes and segmentations from the module Data into the table, choose them below, "
        "or load a folder.</li>"
        "<li>Add targets in the same way. With a reference, Dice or PSNR is measured.</li>"
        "<li>Press <i>Apply</i>. It becomes <i>Cancel</i> during the run; Slicer remains usable.</li>"
        "<li>Review the prediction and its uncertainty, correct it in Segment Editor, and press <i>Add corrected "
        "prediction to examples</i>.</li></ol>"
        "<p>The tab <i>Fine-tune</i> trains a segmentation model on the same examples; it then appears in the list of "
        "models. A set of examples can be saved as a folder, which the command <code>synthreg in-context</code> reads "
        "too.</p>"
        "<p><b>For research. Not for diagnosis or treatment.</b></p>"
    )


def acknowledgement() -> str:
    return _(
        "<p>If you use this module, please cite:</p>"
        "<p>S. Czolbe, A. V. Dalca. Neuralizer: General Neuroimage Analysis without Re-Training. CVPR 2023, "
        "6217-6230.</p>"
        "<p>For patch propagation: P. Coupe, J. V. Manjon, V. Fonov, J. Pruessner, M. Robles, D. L. Collins. "
        "Patch-based segmentation using expert priors: application to hippocampus and ventricle segmentation. "
        "NeuroImage 2011, 54, 940-954.</p>"
        "<p>For the uncertainty: S. Czolbe, K. Arnavaz, O. Krause, A. Feragen. Is segmentation uncertainty useful? "
        "IPMI 2021, 715-726.</p>"
        "<p>For fine-tuning: N. Dey, B. Billot, H. E. Wong, C. J. Wang, M. Ren, P. E. Grant, A. V. Dalca, P. Golland. "
        "Learning general-purpose biomedical volume representations using randomized synthesis. ICLR 2025.</p>"
    )
