from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from SlicerSynthReg.evaluate.landmarks import TargetError, by_displacement, even_edges
from SlicerSynthReg.report import displacement
from SlicerSynthReg.report.displacement import plot_displacement


def test_bins_are_filled_evenly_and_hold_every_landmark():
    lengths = np.random.default_rng(0).exponential(5.0, 1000)
    bands = by_displacement(TargetError(lengths, lengths), even_edges(lengths, 8))
    assert [band.count for band in bands] == [125] * 8
    assert bands[0].low_mm == lengths.min() and bands[-1].high_mm > lengths.max()


def test_equal_lengths_are_one_bin():
    edges = even_edges(np.full(10, 3.0), 4)
    assert by_displacement(TargetError(np.ones(10), np.full(10, 3.0)), edges)[0].count == 10
    several = even_edges(np.array([1.0, 1.0, 1.0, 5.0]), 4)
    counts = [band.count for band in by_displacement(TargetError(np.ones(4), np.array([1.0, 1, 1, 5])), several)]
    assert sum(counts) == 4 and max(counts) == 3


def test_each_curve_is_its_bins_means_with_their_bands(tmp_path, monkeypatch):
    drawn: list[Figure] = []
    write = displacement.write_picture
    monkeypatch.setattr(
        displacement, "write_picture", lambda figure, path: (drawn.append(figure), write(figure, path))[1]
    )
    lengths = np.linspace(0.5, 10, 200)
    owners = np.arange(200) % 10
    curves = {
        name: by_displacement(TargetError(share * lengths, lengths), [0, 5, 7, 11, 20], owners)
        for name, share in (("one", 0.2), ("two", 0.5))
    }
    path = plot_displacement(curves, tmp_path / "curve.png")
    assert path.stat().st_size > 5000
    axes = drawn[0].axes[0]
    one = axes.lines[0]
    assert one.get_xdata().tolist() == [2.5, 6.0, 9.0]  # the bin without landmarks is left out
    assert one.get_ydata()[1] == pytest.approx(0.2 * lengths[(lengths >= 5) & (lengths < 7)].mean())
    assert len(axes.collections) == 2 and [t.get_text() for t in axes.get_legend().get_texts()][-1] == "not registered"
