"""Panel section for sequence registration."""

from __future__ import annotations

from typing import Any

import slicer
from slicer.i18n import tr as _
from SynthRegLib.parameters import SynthRegisterParameterNode, settings_of
from SynthRegLib.result_view import DisplayedResult
from SynthRegLib.settings import Reference

from SlicerSynthReg.report.sequence import FAILED
from SynthRegisterLib.sequence_job import RegisteredSequence, SequenceInput, sequence_validation_error


class SequenceSection:
    """ui: has sequenceLabel, sequenceButton and referenceSpinBox."""

    def __init__(self, ui: Any) -> None:
        self._ui = ui

    def update(self, parameters: SynthRegisterParameterNode, running: bool) -> None:
        """running: whether anything runs."""
        series = sequence_input(parameters)
        error = sequence_validation_error(series, settings_of(parameters))
        part_of = proxied_sequence(parameters.moving) if series.sequence is None else None
        self._ui.referenceSpinBox.setVisible(series.reference is Reference.NUMBER)
        self._ui.sequenceButton.enabled = not running and not error
        if part_of is not None:
            error = _("{moving} is one frame of {sequence}: choose {sequence} here to register all frames.").format(
                moving=parameters.moving.GetName(), sequence=part_of.GetName()
            )
        self._ui.sequenceLabel.text = error or _("{count} frames.").format(count=series.count)


def sequence_input(parameters: SynthRegisterParameterNode) -> SequenceInput:
    """Return the input chosen in the panel. Mask and landmarks of the fixed image apply to the reference."""
    return SequenceInput(
        parameters.sequence,
        parameters.sequence_reference,
        parameters.sequence_frame,
        parameters.fixed,
        parameters.fixed_mask,
        parameters.fixed_landmarks,
    )


def displayed_sequence(found: RegisteredSequence) -> DisplayedResult:
    """Return what the result section shows: the current frame over the reference."""
    return DisplayedResult(found.reference, found.moved_shown, summary_text(found), found.page, found.forward_shown)


def summary_text(found: RegisteredSequence) -> str:
    """Return the measures in a few lines."""
    rows = found.report["frames"]
    done = [row for row in rows if row["status"] != FAILED]
    lines = [
        _("Method: {model}").format(model=found.report["run"]["model"]),
        _("Frames: {done} of {count}").format(done=len(done), count=len(rows)),
    ]
    most = max(done, key=lambda row: row["motion_mean_mm"] or 0.0)
    if most["motion_mean_mm"]:
        lines.append(
            _("Largest mean motion: {mm:.1f} mm, in frame {number}").format(
                mm=most["motion_mean_mm"], number=most["frame"]
            )
        )
    folding = max((row["folding_fraction"] or 0.0) for row in done)
    lines.append(
        _("Folding: none") if folding == 0 else _("Folding: at most {:.3f} % of the voxels").format(100 * folding)
    )
    lines.append(_("Computing time: {seconds:.0f} s").format(seconds=sum(row["seconds"] for row in rows)))
    return "\n".join([*lines, *(_("Note: {text}").format(text=text) for text in found.warnings)])


def proxied_sequence(volume: slicer.vtkMRMLScalarVolumeNode | None) -> slicer.vtkMRMLSequenceNode | None:
    """Return the sequence of which `volume` is the proxy, or None."""
    logic = slicer.util.getModuleLogic("Sequences")
    browser = None if volume is None else logic.GetFirstBrowserNodeForProxyNode(volume)
    return None if browser is None else browser.GetSequenceNode(volume)
