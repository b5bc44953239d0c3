"""Modal dialogs, answered by plan: a test says what the user will press before the box opens.

A box without a planned answer would wait for a click for ever; here it raises `UnplannedDialog`. Message boxes are real
ones: shown, their button found by its text and clicked, and the value is the one that Qt gives.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from PySide6 import QtWidgets


class UnplannedDialog(AssertionError):
    """A dialog opened that the test did not plan for."""


@dataclass(frozen=True)
class Shown:
    """One dialog that was shown: its window title, its text, and the texts of its buttons."""

    title: str
    text: str
    buttons: tuple[str, ...] = ()


class Dialogs:
    """`answer` plans, `seen` remembers; `forget` before each test."""

    def __init__(self) -> None:
        self.seen: list[Shown] = []
        self._plans: list[Any] = []

    def answer(self, button: str) -> None:
        """The next message box is answered by its button with this text ("OK", "Cancel", "Yes", ...)."""
        self._plans.append(button)

    def answer_with(self, user: Callable[[QtWidgets.QDialog], int]) -> None:
        """The next dialog is handed, shown, to `user`, who gives the value that its `exec_` returns."""
        self._plans.append(user)

    def choose_path(self, path: object) -> None:
        """The next file dialog gives this path; "" for Cancel."""
        self._plans.append(("path", str(path)))

    def unused(self) -> list[Any]:
        return list(self._plans)

    def forget(self) -> None:
        self.seen.clear()
        self._plans.clear()

    def execute(self, dialog: QtWidgets.QDialog) -> int:
        """What `exec_` does here."""
        is_box = isinstance(dialog, QtWidgets.QMessageBox)
        buttons = {_plain(button.text): button for button in dialog.buttons()} if is_box else {}
        shown = Shown(dialog.windowTitle, dialog.text if is_box else "", tuple(buttons))
        plan = self._next(shown)
        dialog.show()
        QtWidgets.QApplication.processEvents()
        try:
            if callable(plan):
                return plan(dialog)
            if plan not in buttons:
                raise UnplannedDialog(f"Planned to press {plan!r}, found {shown}")
            buttons[plan].click()
            return dialog.result()
        finally:
            dialog.hide()

    def path(self, title: str) -> str:
        """What a static method of QFileDialog gives here."""
        plan = self._next(Shown(title, "a file dialog"))
        if not (isinstance(plan, tuple) and plan[0] == "path"):
            raise UnplannedDialog(f"Planned {plan!r}, found a file dialog {title!r}: dialogs.choose_path(...)")
        return plan[1]

    def _next(self, shown: Shown) -> Any:
        self.seen.append(shown)
        if not self._plans:
            raise UnplannedDialog(f"Nobody planned for {shown}: dialogs.answer(...) before it opens")
        return self._plans.pop(0)


def _plain(text: str) -> str:
    return text.replace("&", "")


dialogs = Dialogs()


def install() -> None:
    """Send every way of opening a modal dialog to `dialogs`."""
    box = QtWidgets.QMessageBox
    for cls in (QtWidgets.QDialog, box):
        cls.exec = cls.exec_ = _execute
    for name, icon in (("information", box.Information), ("warning", box.Warning), ("critical", box.Critical)):
        setattr(box, name, staticmethod(_static(icon, box.Ok)))
    box.question = staticmethod(_static(box.Question, box.Yes | box.No))
    files = QtWidgets.QFileDialog
    for name in ("getOpenFileName", "getSaveFileName", "getExistingDirectory"):
        setattr(files, name, staticmethod(lambda parent=None, caption="", *rest: dialogs.path(caption)))


def _execute(dialog: QtWidgets.QDialog) -> int:
    return dialogs.execute(dialog)


def _static(icon: Any, usual: Any) -> Callable[..., int]:
    def ask(parent: Any, title: str, text: str, buttons: Any = usual, default: Any = None) -> int:
        return dialogs.execute(QtWidgets.QMessageBox(icon, title, text, buttons, parent))

    return ask
