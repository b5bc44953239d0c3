"""The part of the panel that registers all frames of a sequence: its button, and the words beside it."""

from __future__ import annotations

from typing import Any

import slicer
from slicer.i18n import tr as _
from SynthRegLib.parameters import SynthRegisterParameterNode, settings_of
from SynthRegLib.resultview import Shown
from SynthRegLib.settings import Reference

from SlicerSynthReg.report.sequence import FAILED
from SynthRegisterLib.series import RegisteredSeries, Series, wrong


class SeriesPart:
    """ui: seriesLabel, seriesButton and referenceSpinBox are filled, enabled and shown here."""

    def __init__(self, ui: Any) -> None:
        self._ui = ui

    def update(self, parameters: SynthRegisterParameterNode, running: bool) -> None:
        """running: whether anything runs."""
        series = series_of(parameters)
        told = wrong(series, settings_of(parameters))
        part_of = proxied_sequence(parameters.moving) if series.sequence is None else None
        self._ui.referenceSpinBox.setVisible(series.reference is Reference.NUMBER)
        self._ui.seriesButton.enabled = not running and not told
        if part_of is not None:
            told = _("{moving} shows one frame of {sequence}: choose {sequence} here to register them all.").format(
                moving=parameters.moving.GetName(), sequence=part_of.GetName()
            )
        self._ui.seriesLabel.text = told or _("{count} frames, a transform each.").format(count=series.count)


def series_of(parameters: SynthRegisterParameterNode) -> Series:
    """As the panel says. The mask and the landmarks of the fixed image are the reference's."""
    return Series(
        parameters.sequence,
        parameters.sequenceReference,
        parameters.sequenceFrame,
        parameters.fixed,
        parameters.fixedMask,
        parameters.fixedLandmarks,
    )


def shown(found: RegisteredSeries) -> Shown:
    """What the result part of the panel shows: the frame that the browser is at, behind it the reference's."""
    return Shown(found.reference, found.moved_shown, told(found), found.page, found.forward_shown)


def told(found: RegisteredSeries) -> str:
    """The figures in a few plain lines."""
    rows = found.report["frames"]
    done = [row for row in rows if row["status"] != FAILED]
    lines = [
        _("Method: {model}").format(model=found.report["model"]),
        _("Frames: {done} of {count}").format(done=len(done), count=len(rows)),
    ]
    most = max(done, key=lambda row: row["motion_mean_mm"] or 0.0)
    if most["motion_mean_mm"]:
        lines.append(
            _("Motion: up to {mm:.1f} mm on average, in frame {number}").format(
                mm=most["motion_mean_mm"], number=most["frame"]
            )
        )
    folding = max((row["folding_share"] or 0.0) for row in done)
    lines.append(
        _("Folding: none") if folding == 0 else _("Folding: up to {:.3f} % of the voxels").format(100 * folding)
    )
    lines.append(_("Computing time: {seconds:.0f} s").format(seconds=sum(row["seconds"] for row in rows)))
    return "\n".join([*lines, *(_("Note: {text}").format(text=text) for text in found.warnings)])


def proxied_sequence(volume: slicer.vtkMRMLScalarVolumeNode | None) -> slicer.vtkMRMLSequenceNode | None:
    """The sequence of which `volume` shows one frame; None where it shows none."""
    logic = slicer.util.getModuleLogic("Sequences")
    browser = None if volume is None else logic.GetFirstBrowserNodeForProxyNode(volume)
    return None if browser is None else browser.GetSequenceNode(volume)
