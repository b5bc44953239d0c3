"""Panel section for the comparison of two images: widgets, views, probe, keys."""

from __future__ import annotations

from typing import Any

import slicer
from slicer.i18n import tr as _
from SynthRegLib.display import set_window
from SynthRegLib.review import Mode, SynthReviewParameterNode

from SlicerSynthReg.reader_study.ct_windows import CT_WINDOW_PRESETS
from SynthReviewLib.comparison import Comparison
from SynthReviewLib.probe_table import ProbeTable
from SynthReviewLib.shortcuts import Shortcuts
from SynthReviewLib.window_level import from_image, preset_labels

_ROWS = {
    Mode.FADE: ("opacity",),
    Mode.FLICKER: ("flicker",),
    Mode.WIPE: ("position", "direction"),
    Mode.CHECKERBOARD: ("block",),
    Mode.DIFFERENCE: ("units", "range"),
    Mode.CONTOUR: ("contour",),
}
_WIDGETS = {"direction": "directionBox", "units": "unitsBox"}
_STEP = 0.05


class ComparePanel:
    """ui: the module's widgets by name."""

    def __init__(self, ui: Any) -> None:
        self._ui = ui
        self._parameters: SynthReviewParameterNode | None = None
        self._comparison = Comparison(self._on_wiped)
        self._probe = ProbeTable(ui.probeTable)
        self._presets = list(preset_labels())
        ui.presetBox.addItem(_("Choose a window ..."))
        for label in preset_labels().values():
            ui.presetBox.addItem(label)
        ui.presetBox.connect("activated(int)", self._on_preset)
        ui.autoWindowButton.connect("clicked(bool)", self._on_auto_window)
        ui.nextButton.connect("clicked(bool)", self.next_image)
        keys = {str(n + 1): self._mode_key(mode) for n, mode in enumerate(Mode)}
        keys.update({"Space": self._comparison.swap, "N": self.next_image})
        keys.update({"[": lambda: self._step(-1), "]": lambda: self._step(+1)})
        keys.update({"Shift+G": self._toggle("showGrid"), "Shift+J": self._toggle("showJacobian")})
        self._shortcuts = Shortcuts(keys)
        ui.keysLabel.text = _(
            "Keys: 1 opacity, 2 flicker, 3 split, 4 checkerboard, 5 difference, 6 contour; space: B alone; [ and ]: "
            "move; N: next image; Shift+G grid, Shift+J Jacobian map. Shift + mouse: all views follow the cursor."
        )

    def show(self, parameters: SynthReviewParameterNode | None) -> None:
        """Show what the parameters say; None leaves the views unchanged."""
        self._parameters = parameters
        if parameters is None:
            self._comparison.stop()
            self._shortcuts.disable()
            self._probe.follow(None)
            self._ui.statusLabel.text = ""
            return
        self._shortcuts.enable()
        self._probe.follow(parameters)
        self.refresh()

    def refresh(self) -> None:
        """Called after a change of the parameters."""
        parameters = self._parameters
        if parameters is None:
            return
        self._comparison.show(parameters)
        for mode, rows in _ROWS.items():
            for row in rows:
                getattr(self._ui, f"{row}Label").setVisible(mode is parameters.mode)
                getattr(self._ui, _WIDGETS.get(row, f"{row}Slider")).setVisible(mode is parameters.mode)
        for box in (self._ui.gridCheckBox, self._ui.jacobianCheckBox):
            box.enabled = parameters.transform is not None
        self._ui.nextButton.enabled = len(self._others()) > 1
        self._ui.statusLabel.text = self._status(parameters)

    def next_image(self, checked: bool = False) -> None:
        """Set B to the scene's next image that is not A."""
        others = self._others()
        if others:
            place = others.index(self._parameters.second) if self._parameters.second in others else -1
            self._parameters.second = others[(place + 1) % len(others)]

    def _others(self) -> list[slicer.vtkMRMLScalarVolumeNode]:
        if self._parameters is None:
            return []
        every = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
        images = [node for node in every if not node.IsA("vtkMRMLLabelMapVolumeNode") and not node.GetHideFromEditors()]
        return [node for node in images if node is not self._parameters.first and node.GetImageData() is not None]

    @staticmethod
    def _status(parameters: SynthReviewParameterNode) -> str:
        first, second = parameters.first, parameters.second
        if first is None or second is None:
            return _("Choose two images: A and B.")
        if first is second:
            return _("Found {name} as A and as B, expected two images. Choose another one for either.").format(
                name=first.GetName()
            )
        empty = [node.GetName() for node in (first, second) if node.GetImageData() is None]
        if empty:
            return _("Found no voxels in {name}, expected an image. Load it again.").format(name=", ".join(empty))
        return ""

    def _on_wiped(self, position: float) -> None:
        if self._parameters is not None:
            self._parameters.position = position

    def _on_preset(self, index: int) -> None:
        if self._parameters is not None and index > 0:
            window = CT_WINDOW_PRESETS[self._presets[index - 1]]
            for image in (self._parameters.first, self._parameters.second):
                set_window(image, window.width, window.level)

    def _on_auto_window(self, checked: bool = False) -> None:
        if self._parameters is not None:
            self._parameters.linkWindows = False
            self._ui.presetBox.currentIndex = 0
            for image in (self._parameters.first, self._parameters.second):
                from_image(image)

    def _mode_key(self, mode: Mode):
        def choose() -> None:
            self._parameters.mode = mode

        return choose

    def _toggle(self, name: str):
        def toggle() -> None:
            if self._parameters.transform is not None:
                setattr(self._parameters, name, not getattr(self._parameters, name))

        return toggle

    def _step(self, sign: int) -> None:
        """Move the slider of the mode by one step."""
        parameters = self._parameters
        if parameters.mode is Mode.WIPE:
            parameters.position = min(max(parameters.position + sign * _STEP, 0.0), 1.0)
        elif parameters.mode is Mode.FADE:
            parameters.opacity = min(max(parameters.opacity + sign * _STEP, 0.0), 1.0)
        elif parameters.mode is Mode.CHECKERBOARD:
            parameters.blockMm = min(max(parameters.blockMm + sign * 5.0, 5.0), 100.0)
        elif parameters.mode is Mode.DIFFERENCE:
            parameters.range = min(max(parameters.range + sign * 10.0, 10.0), 200.0)
        elif parameters.mode is Mode.CONTOUR:
            parameters.contour = min(max(parameters.contour + sign * 5.0, 0.0), 100.0)
