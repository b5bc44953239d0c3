"""Panel section for blinded reading: open a study, show case after case, log each answer.

The backend (SlicerSynthReg.reader_study) defines questions, order, sides and files; this section displays without
identifying the cases.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
from slicer.i18n import tr as _

from SlicerSynthReg.errors import StudyError
from SlicerSynthReg.reader_study.schedule import ReadingItem
from SlicerSynthReg.reader_study.session import ReadingSession
from SlicerSynthReg.reader_study.study import read_study
from SynthReviewLib.blinded_display import BlindedDisplay
from SynthReviewLib.case_views import CaseViews
from SynthReviewLib.question_form import QuestionForm
from SynthReviewLib.shortcuts import Shortcuts
from SynthReviewLib.study_results import StudyResults

_TICK_MS = 200


class ReadingPanel:
    """ui: the module's widgets by name. changed: called with True when a reading begins, with False when it ends."""

    def __init__(self, ui: Any, changed: Callable[[bool], None]) -> None:
        self._ui = ui
        self._changed = changed
        self._reading: ReadingSession | None = None
        self._views = CaseViews()
        self._blindness = BlindedDisplay()
        self._form: QuestionForm | None = None
        self._corrected: ReadingItem | None = None
        self._results = StudyResults(ui)
        self._clock = qt.QTimer()
        self._clock.connect("timeout()", self._on_tick)
        ui.studyPath.connect("currentPathChanged(QString)", self._on_choice)
        ui.readerEdit.connect("textChanged(QString)", self._on_choice)
        ui.startButton.connect("clicked(bool)", self._on_start)
        ui.unblindButton.connect("clicked(bool)", self._on_unblind)
        ui.nextCaseButton.connect("clicked(bool)", self._on_next)
        ui.pauseButton.connect("clicked(bool)", self._on_pause)
        ui.leaveButton.connect("clicked(bool)", self.stop)
        ui.correctButton.connect("clicked(bool)", self._on_correct)
        self._shortcuts = Shortcuts({"Ctrl+Return": ui.nextCaseButton.click})
        self._show_pages()

    @property
    def isReading(self) -> bool:
        return self._reading is not None

    def pause(self) -> None:
        """Stop the reading time and hide the case; discard an open correction. Nothing happens without an open case."""
        if self._corrected is not None:
            self._end_correction()
        elif self._reading is not None and not self._reading.paused:
            self._clock.stop()
            self._reading.pause()
            self._views.hide()
            self._form.enable(False)
            self._show_case()

    def stop(self, checked: bool = False) -> None:
        """End the session; all answers are saved, and the scene is cleared."""
        if self._reading is None:
            return
        self._clock.stop()
        self._corrected = None
        self._end_case()
        self._reading.close()
        self._reading = None
        self._views.close()
        self._blindness.stop()
        self._shortcuts.disable()
        self._show_pages()
        self._changed(False)

    def _on_choice(self, text: str = "") -> None:
        """Show the status of the chosen study and reader."""
        self._results.forget()
        self._say("")
        path, known = self._ui.studyPath.currentPath, None
        if path:
            try:
                known = read_study(Path(path))
                cases = sum(len(part.cases) + part.repeats for part in known.parts)
                said = _("{title}: {cases} cases.").format(title=known.title, cases=cases)
                self._ui.studyText.text = f"{said}\n{known.instructions}".strip()
            except StudyError as error:
                self._ui.studyText.text = str(error)
        ready = known is not None and bool(self._ui.readerEdit.text.strip())
        self._ui.startButton.enabled = ready
        self._ui.unblindButton.enabled = ready

    def _on_start(self, checked: bool = False) -> None:
        try:
            study = read_study(Path(self._ui.studyPath.currentPath))
            if not self._blindness.may_clear_scene():
                return
            self._reading = ReadingSession(study, self._ui.readerEdit.text)
        except StudyError as error:
            self._say(str(error))
            return
        recovered = self._reading.recovered
        self._changed(True)
        self._blindness.start()
        self._shortcuts.enable()
        self._show_pages()
        self._say(_("Slicer ended during the last case. All earlier answers are saved.") if recovered else "")
        if self._reading.complete:
            self._show_case()
        else:
            self._open_case()

    def _open_case(self) -> None:
        """Show the next case, or end."""
        item = self._reading.current
        if item is None:
            self.stop()
            self._say(_("All cases are read and all answers are saved. Start again to correct an answer."))
            return
        try:
            self._load(item)
            self._views.show()
            self._reading.show()
        except (StudyError, OSError) as error:
            self.stop()
            self._say(str(error))
            return
        self._ask(item)
        self._clock.start(_TICK_MS)
        self._show_case()

    def _ask(self, item: ReadingItem) -> None:
        self._form = QuestionForm(self._ui.questionsPlace, item.part.questions, self._on_entry)

    def _load(self, item: ReadingItem) -> None:
        study = self._reading.study
        names = (_("{case} left"), _("{case} right")) if len(item.images) == 2 else ("{case}",)
        paths = [study.path(image) for image in item.images]
        self._views.load(paths, [name.format(case=item.label) for name in names], study.window)

    def _end_case(self) -> None:
        if self._form is not None:
            self._form.close()
            self._form = None

    def _on_entry(self) -> None:
        self._ui.answerNote.text = ""

    def _on_next(self, checked: bool = False) -> None:
        if self._corrected is None:
            self._answer(timed_out=False)
            return
        try:
            self._reading.correct(self._corrected.number, self._form.answers(), self._ui.correctionReasonEdit.text)
        except (StudyError, OSError) as error:
            self._ui.answerNote.text = str(error)
            return
        self._end_correction(_("The correction is saved with the earlier answer. "))

    def _on_correct(self, checked: bool = False) -> None:
        """Show an answered case again for a correction; the open case waits."""
        item = self._reading.items[self._ui.correctionBox.currentData - 1]
        self.pause()
        self._end_case()
        try:
            self._load(item)
        except StudyError as error:
            self.stop()
            self._say(str(error))
            return
        self._views.show()
        self._corrected = item
        self._ui.correctionReasonEdit.text = ""
        self._ask(item)
        self._show_case()

    def _end_correction(self, said: str = "") -> None:
        """Return to the open case, paused and without its images in the scene."""
        self._corrected = None
        self._end_case()
        self._views.hide()
        self._views.remove()
        if self._reading.current is not None:
            self._ask(self._reading.current)
            self._form.enable(False)
        self._show_case()
        self._ui.answerNote.text = said + self._ui.answerNote.text

    def _answer(self, timed_out: bool) -> None:
        answers = self._form.answers()
        if timed_out:
            answers = _sound(answers, self._reading.current)
        try:
            self._reading.answer(answers, timed_out=timed_out)
        except (StudyError, OSError) as error:
            self._ui.answerNote.text = str(error)
            return
        self._clock.stop()
        self._end_case()
        self._say(_("The time limit of that case was reached: the entries were saved.") if timed_out else "")
        self._open_case()

    def _on_pause(self, checked: bool = False) -> None:
        if self._corrected is not None or not self._reading.paused:
            self.pause()
            return
        try:
            if not self._views.is_loaded:
                self._load(self._reading.current)
        except StudyError as error:
            self._ui.answerNote.text = str(error)
            return
        self._views.show()
        self._reading.resume()
        self._form.enable(True)
        self._clock.start(_TICK_MS)
        self._show_case()

    def _on_tick(self) -> None:
        remaining = self._reading.remaining_s
        if remaining is not None and remaining <= 0:
            self._answer(timed_out=True)
        else:
            self._show_time()

    def _show_case(self) -> None:
        reading, ui = self._reading, self._ui
        item, correcting = self._corrected or reading.current, self._corrected is not None
        waiting = reading.paused and not correcting
        ui.readingProgress.maximum = len(reading.items)
        ui.readingProgress.value = len(reading.answers)
        if item is None:
            ui.caseLabel.text = _("All {count} cases are read.").format(count=len(reading.items))
        elif correcting:
            ui.caseLabel.text = _("{case}: correct the answer and give the reason").format(case=item.label)
        else:
            ui.caseLabel.text = _("{case} of {count}").format(case=item.label, count=len(reading.items))
        hidden = item is not None and waiting
        ui.answerNote.text = _("Paused: the case is hidden and the reading time is stopped.") if hidden else ""
        ui.nextCaseButton.text = _("Save correction") if correcting else _("Save and next")
        ui.nextCaseButton.enabled = item is not None and not waiting
        ui.pauseButton.text = _("Discard correction") if correcting else _("Resume") if waiting else _("Pause")
        ui.pauseButton.enabled = item is not None
        ui.correctionReasonEdit.setVisible(correcting)
        ui.correctionBox.clear()
        for number in sorted(reading.answers, reverse=True):
            ui.correctionBox.addItem(reading.items[number - 1].label, number)
        for widget in (ui.correctionBox, ui.correctButton):
            widget.setVisible(bool(reading.answers) and not correcting)
        self._show_time()

    def _show_time(self) -> None:
        remaining = self._reading.remaining_s if self._corrected is None else None
        if remaining is None:
            self._ui.timeLabel.text = ""
        else:
            self._ui.timeLabel.text = _("{seconds:.0f} s left").format(seconds=remaining)

    def _on_unblind(self, checked: bool = False) -> None:
        ui = self._ui
        self._results.show(Path(ui.studyPath.currentPath), ui.readerEdit.text, ui.reasonEdit.text)

    def _show_pages(self) -> None:
        self._ui.studyPage.setVisible(not self.isReading)
        self._ui.casePage.setVisible(self.isReading)

    def _say(self, text: str) -> None:
        self._ui.readingNote.text = text


def _sound(answers: dict[str, Any], item: ReadingItem) -> dict[str, Any]:
    """Return the answers; None for incomplete ones."""
    kept = dict.fromkeys(answers)
    for question in item.part.questions:
        with contextlib.suppress(StudyError):
            kept[question.name] = question.validate(answers[question.name])
    return kept
