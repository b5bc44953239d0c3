from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from SlicerSynthReg.errors import ReportError
from SlicerSynthReg.report.curves import plot_training, read_columns, running_median

TRAINING = "step,seconds,loss,place\n1,0.5,9.0,4\n2,1.0,nan,3\n3,1.5,7.0,2\n"


def test_curves_from_the_tables_of_the_loop(tmp_path):
    (tmp_path / "training.csv").write_text(TRAINING)
    alone = Image.open(plot_training(tmp_path)).size
    (tmp_path / "validation.csv").write_text("step,score,dice\n2,0.5,0.4\n3,0.4,0.3\n")
    assert Image.open(plot_training(tmp_path)).size[1] > alone[1]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["training.csv", "training.png", "validation.csv"]


def test_incomplete_last_line_is_dropped(tmp_path):
    (tmp_path / "training.csv").write_text(TRAINING + "4,2.0,6")
    columns = read_columns(tmp_path / "training.csv")
    assert columns["step"].tolist() == [1, 2, 3]
    assert np.isnan(columns["loss"][1]) and columns["loss"][2] == 7


def test_running_median_ignores_spikes_and_nan():
    values = np.array([1.0, 1.0, 100.0, 1.0, np.nan, 1.0])
    assert running_median(values).tolist() == [1, 1, 1, 50.5, 1, 1]


def test_missing_table_and_missing_steps_are_refused(tmp_path):
    with pytest.raises(ReportError, match="training.csv"):
        plot_training(tmp_path)
    (tmp_path / "training.csv").write_text("step,seconds,loss\n")
    with pytest.raises(ReportError, match="Train for a while"):
        plot_training(tmp_path)
