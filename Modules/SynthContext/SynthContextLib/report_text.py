"""The measures of a prediction as text."""

from __future__ import annotations

from collections.abc import Sequence

from slicer.i18n import tr as _

from SlicerSynthReg.metrics.case_ranking import FINDING, CaseUncertainty, rank_cases
from SynthContextLib.prediction import Prediction


def summary(answer: Prediction) -> str:
    """Return one line per measure, warnings first; measures that are missing are left out."""
    report = answer.report
    lines = [_("Note: {text}").format(text=text) for text in answer.warnings]
    lines.append(_("Model: {model}").format(model=report["run"]["model"]))
    prediction = report.get("prediction") or report
    if prediction.get("patch_share") is not None:
        lines.append(_("Weight of patch propagation: {share:.0%}").format(share=prediction["patch_share"]))
    similarity = report.get("similarity")
    if similarity:
        line = _("Local correlation with the examples: {ncc:.2f}").format(ncc=similarity["target"])
        if similarity["examples"] is not None:
            line += _(" (among the examples: {ncc:.2f})").format(ncc=similarity["examples"])
        lines.append(line)
    accuracy = report.get("accuracy") or {}
    dice = accuracy.get("dice") or {}
    volumes = prediction.get("volumes_ml") or dict.fromkeys(dice)
    for label, volume in volumes.items():
        line = answer.names.name(label)
        if volume is not None:
            line += _(": {volume:.1f} ml").format(volume=volume)
        if dice.get(label) is not None:
            line += _(", Dice {dice:.3f}").format(dice=dice[label])
        lines.append(line)
    if accuracy.get("psnr_db") is not None:
        lines.append(_("PSNR: {psnr:.1f} dB").format(psnr=accuracy["psnr_db"]))
    if prediction.get("roughness") is not None:
        text = _("Through-plane roughness: {roughness:.2f} (1: as the examples)")
        lines.append(text.format(roughness=prediction["roughness"]))
    if report.get("uncertainty"):
        text = _("Entropy of the bootstrap samples: {total:.1f} kbit, epistemic {epistemic:.1f} kbit")
        total, epistemic = (report["uncertainty"][name] / 1000 for name in ("total", "epistemic"))
        lines.append(text.format(total=total, epistemic=epistemic))
    if report["run"]["stages"]:
        lines.append(_("Computing time: {seconds:.0f} s").format(seconds=sum(report["run"]["stages"].values())))
    return "\n".join(lines)


def short_text(answer: Prediction) -> str:
    """Return the table's text: Dice or PSNR where there is a ground truth, else the local correlation."""
    report = answer.report
    accuracy = report.get("accuracy") or {}
    if accuracy.get("dice"):
        return _("Dice {dice:.3f}").format(dice=sum(accuracy["dice"].values()) / len(accuracy["dice"]))
    if accuracy.get("psnr_db") is not None:
        return _("{psnr:.1f} dB").format(psnr=accuracy["psnr_db"])
    if report.get("similarity"):
        return _("done, correlation {ncc:.2f}").format(ncc=report["similarity"]["target"])
    return _("done")


def ranking(answers: Sequence[Prediction]) -> str:
    """Return the targets in the order of annotation by each rule, and the paper's finding; "" for fewer than two."""
    cases = {
        one.target.GetName(): CaseUncertainty(**one.report["uncertainty"])
        for one in answers
        if one.report.get("uncertainty")
    }
    if len(cases) < 2:
        return ""
    rules = {
        "epistemic": _("epistemic uncertainty"),
        "diversity": _("diversity of the samples"),
        "total": _("total entropy"),
    }
    lines = [_("To annotate next, the most uncertain first:")]
    lines += [
        _("- by {rule}: {names}").format(rule=rule, names=", ".join(rank_cases(cases, r))) for r, rule in rules.items()
    ]
    return "\n".join([*lines, FINDING])
