"""A whole study of two readers and 40 cases, clicked; one of them is killed in the middle and goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from SlicerSynthReg.reader_study.schedule import reading_schedule
from SlicerSynthReg.reader_study.study import read_study
from Testing.Host.synthreview.studies import answer, begin, is_right, logged, write_study

ROOT = Path(__file__).resolve().parents[3]
READERS = ("Anna", "Dr. Ümit / 2")
KILLED_AFTER = 7


def read_in_a_process_that_is_killed(folder: str, reader: str) -> None:
    """In the child: clicks some answers, enters one that is not saved, and is gone."""
    from slicerhost.start import start

    start()
    from slicerhost import opened

    study = read_study(folder)
    with opened("SynthReview") as panel:
        begin(panel, study, reader)
        for item in reading_schedule(study, reader)[:KILLED_AFTER]:
            answer(panel, study, reader, item)
        panel.click("which_left" if panel["questionsPlace"].findChild(object, "which_left") else "what_real")
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
def test_two_readers_read_forty_cases_one_of_them_killed_in_between(panel, tmp_path):
    study = write_study(tmp_path / "study", pairs=20, singles=20)
    paths = [str(ROOT), str(ROOT / "Testing" / "Host"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, __file__, str(study.folder), READERS[1]]
    child = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert child.returncode == -signal.SIGKILL, child.stderr
    assert len(logged(study)) == KILLED_AFTER

    for reader, done in ((READERS[1], KILLED_AFTER), (READERS[0], 0)):
        begin(panel, study, reader)
        for item in reading_schedule(study, reader)[done:]:
            assert panel.text("caseLabel") == f"{item.label} of 40"
            answer(panel, study, reader, item)
        assert panel.text("readingNote").startswith("All cases are read")
    assert len(logged(study)) == 80 and len(logged(study, "complete")) == 2

    panel.click("unblindButton")
    panel.wait_until(lambda: panel.is_visible("resultsText"))
    cells = panel.text("resultsText").split("\n")
    for reader in READERS:
        for part in ("pairs", "singles"):
            items = [item for item in reading_schedule(study, reader) if item.part.name == part]
            right = sum(is_right(reader, item) for item in items)
            assert cells.count(f"{right} of 20") >= 1, (reader, part, right, cells)


if __name__ == "__main__":
    read_in_a_process_that_is_killed(*sys.argv[1:])
