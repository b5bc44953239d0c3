"""The questions about a case as widgets, and the reader's answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
from slicer.i18n import tr as _

from SlicerSynthReg.reader_study.question import GENERATED, LANDMARKS, LIKERT, PAIR, REAL, SINGLE, TEXT, ReadingQuestion
from SynthReviewLib.landmark_form import LandmarkForm


class QuestionForm:
    """place: an empty widget with a layout. changed: called after each entry."""

    def __init__(self, place: qt.QWidget, questions: tuple[ReadingQuestion, ...], changed: Callable[[], None]) -> None:
        self._changed = changed
        self._frame = qt.QWidget()
        self._layout = qt.QVBoxLayout(self._frame)
        self._layout.setContentsMargins(0, 0, 0, 0)
        place.layout().addWidget(self._frame)
        self._answers: dict[str, Callable[[], Any]] = {}
        self._landmarks: list[LandmarkForm] = []
        for question in questions:
            text = qt.QLabel(question.text)
            text.wordWrap = True
            self._layout.addWidget(text)
            self._answers[question.name] = self._makers()[question.kind](question)

    def answers(self) -> dict[str, Any]:
        """Return question name -> answer, None without an entry."""
        return {name: read() for name, read in self._answers.items()}

    def enable(self, on: bool) -> None:
        """Disable the form while the case is hidden."""
        self._frame.enabled = on
        for landmarks in self._landmarks:
            if on:
                landmarks.restore()
            else:
                landmarks.stop_placing()

    def close(self) -> None:
        """Delete the widgets. The frame keeps its parent, and with it Qt as its owner: without one PythonQt would own
        it too, and delete it a second time when a lambda of its buttons drops the last reference to this form."""
        for landmarks in self._landmarks:
            landmarks.close()
        self._frame.hide()
        self._frame.deleteLater()

    def _makers(self) -> dict[str, Callable[[ReadingQuestion], Callable[[], Any]]]:
        return {
            PAIR: self._choice,
            SINGLE: self._choice,
            LIKERT: self._likert,
            TEXT: self._text,
            LANDMARKS: self._places,
        }

    def _choice(self, question: ReadingQuestion) -> Callable[[], Any]:
        names = {"left": _("left"), "right": _("right"), REAL: _("real"), GENERATED: _("generated")}
        buttons = self._radio_row(question, {choice: names[choice] for choice in question.choices})
        sure = self._confidence(question) if question.confidence else None

        def read() -> Any:
            chosen = next((choice for choice, button in buttons.items() if button.checked), None)
            if chosen is None:
                return None
            return {"choice": chosen, "confidence": (sure.currentIndex or None) if sure is not None else None}

        return read

    def _confidence(self, question: ReadingQuestion) -> qt.QComboBox:
        box = qt.QComboBox()
        box.objectName = f"{question.name}_confidence"
        box.addItem(_("Confidence:"))
        for grade in range(1, question.confidence + 1):
            ends = {1: _("1: guess"), question.confidence: _("{grade}: certain").format(grade=grade)}
            box.addItem(ends.get(grade, str(grade)))
        box.connect("activated(int)", lambda index: self._changed())
        self._layout.addWidget(box)
        return box

    def _likert(self, question: ReadingQuestion) -> Callable[[], Any]:
        levels = {n + 1: f"{n + 1}: {text}" for n, text in enumerate(question.levels)}
        buttons = self._radio_row(question, levels, upright=True)
        return lambda: next((grade for grade, button in buttons.items() if button.checked), None)

    def _text(self, question: ReadingQuestion) -> Callable[[], Any]:
        field = qt.QPlainTextEdit()
        field.objectName = f"{question.name}_text"
        field.maximumHeight = 70
        field.connect("textChanged()", self._changed)
        self._layout.addWidget(field)
        return lambda: field.toPlainText()

    def _places(self, question: ReadingQuestion) -> Callable[[], Any]:
        landmarks = LandmarkForm(question, self._changed)
        self._landmarks.append(landmarks)
        self._layout.addWidget(landmarks.frame)
        return landmarks.answer

    def _radio_row(
        self, question: ReadingQuestion, texts: dict[Any, str], upright: bool = False
    ) -> dict[Any, qt.QRadioButton]:
        """Return value -> radio button, exclusive."""
        row = qt.QWidget()
        layout = qt.QVBoxLayout(row) if upright else qt.QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        buttons = {}
        for value, text in texts.items():
            button = qt.QRadioButton(text)
            button.objectName = f"{question.name}_{value}"
            button.connect("toggled(bool)", lambda on: self._changed())
            layout.addWidget(button)
            buttons[value] = button
        self._layout.addWidget(row)
        return buttons
