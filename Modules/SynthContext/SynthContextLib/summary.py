"""An answer's figures in a few plain lines."""

from __future__ import annotations

from collections.abc import Sequence

from slicer.i18n import tr as _

from SlicerSynthReg.methods.uncertainty.ranking import FINDING, CaseDoubt, ranked
from SynthContextLib.answers import Answer


def summary(answer: Answer) -> str:
    """One line a figure; what was not measured is left out. Warnings first: they say whether to believe the rest."""
    report = answer.report
    lines = [_("Note: {text}").format(text=text) for text in answer.warnings]
    lines.append(_("Model: {model}").format(model=report.get("model", "?")))
    if report.get("patches") is not None:
        lines.append(_("Share of look-alike patches in the answer: {share:.0%}").format(share=report["patches"]))
    if report.get("likeness") is not None:
        line = _("Likeness of the target to the examples: {likeness:.2f}").format(likeness=report["likeness"])
        if report.get("likeness_of_examples") is not None:
            line += _(" (the examples among each other: {likeness:.2f})").format(
                likeness=report["likeness_of_examples"]
            )
        lines.append(line)
    dice = report.get("dice") or {}
    volumes = report.get("volumes_ml") or dict.fromkeys(dice)
    for label, volume in volumes.items():
        line = answer.names.name(label)
        if volume is not None:
            line += _(": {volume:.1f} ml").format(volume=volume)
        if dice.get(label) is not None:
            line += _(", Dice with the truth {dice:.3f}").format(dice=dice[label])
        lines.append(line)
    if report.get("psnr") is not None:
        lines.append(_("PSNR with the truth: {psnr:.1f} dB").format(psnr=report["psnr"]))
    if report.get("roughness") is not None:
        lines.append(
            _("Flicker from slice to slice: {roughness:.2f} (1: as the examples)").format(roughness=report["roughness"])
        )
    if report.get("doubts"):
        lines.append(
            _(
                "Asked again with half of the examples: entropy {total:.1f} kbit, of which {epistemic:.1f} between them"
            ).format(total=report["doubts"]["total"] / 1000, epistemic=report["doubts"]["epistemic"] / 1000)
        )
    if report.get("stages"):
        lines.append(_("Computing time: {seconds:.0f} s").format(seconds=sum(report["stages"].values())))
    return "\n".join(lines)


def in_short(answer: Answer) -> str:
    """For the table: Dice or PSNR where the truth was given, else the likeness."""
    report = answer.report
    if report.get("dice"):
        return _("Dice {dice:.3f}").format(dice=sum(report["dice"].values()) / len(report["dice"]))
    if report.get("psnr") is not None:
        return _("{psnr:.1f} dB").format(psnr=report["psnr"])
    if report.get("likeness") is not None:
        return _("done, likeness {likeness:.2f}").format(likeness=report["likeness"])
    return _("done")


def ranking(answers: Sequence[Answer]) -> str:
    """Which target to annotate next, by each rule, and what the paper found about it; "" where there is no choice."""
    cases = {one.target.GetName(): CaseDoubt(**one.report["doubts"]) for one in answers if one.report.get("doubts")}
    if len(cases) < 2:
        return ""
    rules = {
        "epistemic": _("what the halves of the examples disagree about"),
        "diversity": _("how different their masks are"),
        "total": _("the whole entropy"),
    }
    lines = [_("To annotate next, the most doubtful first:")]
    lines += [
        _("- by {rule}: {names}").format(rule=told, names=", ".join(ranked(cases, r))) for r, told in rules.items()
    ]
    return "\n".join([*lines, FINDING])
