"""What the module says of itself."""

from __future__ import annotations

from slicer.i18n import tr as _


def help_text() -> str:
    return _(
        "<p>Give a few examples, get the task done: scans with what you drew on them, or scans with the images that "
        "belong to them. New scans are done as the examples show, at once and without training: by a network, and by "
        "patches of the examples that look alike, each as far as the examples themselves show that it helps.</p>"
        "<ol><li>Add examples: drag volumes and segmentations from the module Data into the table, choose them below "
        "it, or load a folder.</li>"
        "<li>Add the targets the same way. Where the truth is known, Dice or PSNR is reported.</li>"
        "<li>Press <i>Apply</i>. It becomes <i>Cancel</i> while it runs; Slicer stays usable.</li>"
        "<li>Look at the answer and at the doubt, correct it in Segment Editor, and press <i>Add corrected result to "
        "the examples</i>: the next answer is better.</li></ol>"
        "<p>Where more accuracy is worth minutes, fine-tune a model of your own from the same examples under "
        "<i>Fine-tune</i>. Watch its curve, and finish when it rises no more; it then is in the list of models.</p>"
        "<p>A set of examples can be saved as a folder, which the command <code>synthreg context</code> reads too.</p>"
        "<p><b>For research. Not for diagnosis or treatment.</b></p>"
    )


def acknowledgement() -> str:
    return _(
        "<p>If you use this module, please cite the papers behind it:</p>"
        "<p>S. Czolbe, A. V. Dalca. Neuralizer: General Neuroimage Analysis without Re-Training. CVPR 2023, "
        "6217-6230.</p>"
        "<p>For look-alike patches: P. Coupe, J. V. Manjon, V. Fonov, J. Pruessner, M. Robles, D. L. Collins. "
        "Patch-based segmentation using expert priors: application to hippocampus and ventricle segmentation. "
        "NeuroImage 2011, 54, 940-954.</p>"
        "<p>For the doubt: S. Czolbe, K. Arnavaz, O. Krause, A. Feragen. Is segmentation uncertainty useful? IPMI "
        "2021, 715-726.</p>"
        "<p>For fine-tuning: N. Dey, B. Billot, H. E. Wong, C. J. Wang, M. Ren, P. E. Grant, A. V. Dalca, P. Golland. "
        "Learning general-purpose biomedical volume representations using randomized synthesis. ICLR 2025.</p>"
    )
