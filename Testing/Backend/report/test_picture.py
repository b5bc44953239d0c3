from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import PIL.Image
import pytest
import torch
from matplotlib import pyplot
from matplotlib.collections import LineCollection

from SlicerSynthReg.errors import GeometryError, ReportError
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.report.figure import png_bytes, write_picture
from SlicerSynthReg.report.picture import DISCLAIMER, registration_picture


def axes_of(figure) -> dict:
    return {axes.get_label(): axes for axes in figure.axes}


def panels_in_png(figure) -> dict[str, np.ndarray]:
    """Return (rows, columns) brightness of each panel in the PNG."""
    image = np.asarray(PIL.Image.open(io.BytesIO(png_bytes(figure))).convert("L")).astype(float)
    rows, columns = image.shape
    found = {}
    for label, axes in axes_of(figure).items():
        x0, y0, x1, y1 = axes.get_position().extents
        found[label] = image[round((1 - y1) * rows) : round((1 - y0) * rows), round(x0 * columns) : round(x1 * columns)]
    return found


def mm_per_pixel(figure) -> float:
    return 50 / axes_of(figure)["50 mm"].images[0].get_array().shape[1]


def brightest(panel: np.ndarray) -> tuple[float, float]:
    """Return the centre (down, across) of the bright ball, as fractions of the panel without its rim."""
    rows, columns = panel.shape
    inner = panel[rows // 8 : -rows // 8, columns // 8 : -columns // 8]
    where = np.argwhere(inner > 0.9 * inner.max()).mean(axis=0) + [rows // 8, columns // 8]
    return tuple(where / panel.shape)


def labels_of_ball(head: Image) -> Image:
    """Return labels that centre the slices on the ball."""
    return Image((head.data > 100).int(), head.grid, "labels")


def test_views_follow_the_radiological_convention(head):
    figure = registration_picture(head, head, head, labels_of_ball(head))
    for axes in figure.axes:
        for lines in [child for child in axes.get_children() if isinstance(child, LineCollection)]:
            lines.remove()
    seen = panels_in_png(figure)
    extent = 2 * (40 + 8)  # the head and its margin
    across, forward, up = 20 / extent, 16 / extent, 12 / extent
    expected = {
        "Axial": (0.5 - forward, 0.5 + across),
        "Coronal": (0.5 - up, 0.5 + across),
        "Sagittal": (0.5 - up, 0.5 - forward),
    }
    for plane, place in expected.items():
        for row in ("before", "after"):
            assert brightest(seen[f"{plane} contours {row}"]) == pytest.approx(place, abs=0.05), plane


def test_orientation_letters_are_placed_correctly(plain_head):
    figure = registration_picture(plain_head, plain_head, plain_head)
    for label, axes in axes_of(figure).items():
        if label == "50 mm":
            continue
        placed = {text.get_text(): text.get_position() for text in axes.texts}
        left, right, top, bottom = {"A": "RLAP", "S": "APSI", "C": "RLSI"}[label[0]]
        assert placed[left][0] < 0.1 and placed[right][0] > 0.9
        assert placed[top][1] > 0.9 and placed[bottom][1] < 0.1


def test_panels_are_isotropic_and_match_the_scale_bar(head):
    """The head is 80 mm wide and high in the PNG, on voxels of 1 x 1 x 4 mm too."""
    figure = registration_picture(head, head, head)
    seen = panels_in_png(figure)
    mm = mm_per_pixel(figure)
    for plane in ("Axial", "Sagittal", "Coronal"):
        panel = seen[f"{plane} contours after"]
        rows, columns = panel.shape
        chord = 2 * np.sqrt(40**2 - (columns * mm / 4) ** 2)  # a quarter of the panel's width off its middle
        assert (panel[:, columns // 4] > 30).sum() * mm == pytest.approx(chord, abs=6), plane
        assert (panel[rows // 4] > 30).sum() * mm == pytest.approx(chord, abs=6), plane


def test_checkerboard_alternates_fixed_and_moving(plain_head):
    ramp = torch.linspace(0, 1, plain_head.grid.shape[0])[:, None, None]
    moving = replace(plain_head, data=plain_head.data * 0 + 50 * (plain_head.data > 0) * ramp, name="ramp")
    figure = registration_picture(plain_head, plain_head, moving)
    panel = axes_of(figure)["Axial checkerboard after"].images[0].get_array()
    tinted = panel[..., 0] > panel[..., 2] + 0.02
    plain = axes_of(figure)["Axial contours after"].images[0].get_array()
    middle = slice(panel.shape[0] // 4, -panel.shape[0] // 4)
    shown, moved, chosen = panel[middle, middle, 0], plain[middle, middle], tinted[middle, middle]
    assert 0.35 < chosen.mean() < 0.65
    assert np.allclose(shown[chosen], moved[chosen], atol=1e-5)  # red keeps the moving image's brightness
    fixed = axes_of(registration_picture(plain_head, plain_head, plain_head))["Axial contours after"].images[0]
    visible = ~chosen & (moved > 0.1)
    assert np.allclose(shown[visible], fixed.get_array()[middle, middle][visible], atol=1e-5)


def test_rows_before_and_after_share_one_window(plain_head):
    dim = replace(plain_head, data=plain_head.data / 2)
    panels = axes_of(registration_picture(plain_head, dim, plain_head))
    before, after = (np.asarray(panels[f"Axial contours {row}"].images[0].get_array()) for row in ("before", "after"))
    lit = after > 0.2
    assert np.median(before[lit]) == pytest.approx(0.5 * np.median(after[lit]), abs=0.02)
    assert panels["Axial contours before"].get_position().y0 > panels["Axial contours after"].get_position().y0


def test_contours_belong_to_the_fixed_image(plain_head):
    gone = replace(plain_head, data=torch.zeros_like(plain_head.data))
    figure = registration_picture(plain_head, gone, gone)
    panels = axes_of(figure)
    [outer, *_] = panels["Axial contours after"].collections
    path = np.concatenate([p.vertices for p in outer.get_paths()])
    centre = (np.array(panels["Axial contours after"].images[0].get_array().shape) - 1) / 2
    assert np.median(np.linalg.norm(path - centre, axis=1)) * mm_per_pixel(figure) == pytest.approx(40, abs=2.5)
    assert not panels["Axial checkerboard after"].collections


def test_labels_replace_the_iso_contours(plain_head):
    figure = registration_picture(plain_head, plain_head, plain_head, labels_of_ball(plain_head))
    [ring] = axes_of(figure)["Axial contours after"].collections
    [path] = ring.get_paths()
    assert np.ptp(path.vertices, axis=0) * mm_per_pixel(figure) == pytest.approx([18, 18], abs=2.5)


def test_picture_is_labelled_and_leaves_no_global_figure(plain_head, tmp_path):
    figure = registration_picture(plain_head, plain_head, plain_head)
    assert DISCLAIMER in [text.get_text() for text in figure.texts]
    assert any("head.nii.gz" in text.get_text() for text in figure.texts)
    assert pyplot.get_fignums() == []
    path = write_picture(figure, tmp_path / "picture.png")
    assert PIL.Image.open(path).size[0] == 2200
    assert [file.name for file in tmp_path.iterdir()] == ["picture.png"]


def test_empty_images_give_a_picture(plain_head):
    empty = replace(plain_head, data=torch.zeros_like(plain_head.data))
    assert png_bytes(registration_picture(empty, empty, empty)).startswith(b"\x89PNG")


def test_unusable_images_are_refused(plain_head, head):
    broken = plain_head.data.clone()
    broken[0, 0, 0, 0] = float("nan")
    with pytest.raises(ReportError, match="replace_nonfinite"):
        registration_picture(plain_head, plain_head, replace(plain_head, data=broken))
    smaller = plain_head.grid.cropped((0, 0, 0), (40, 40, 40))
    with pytest.raises(GeometryError, match="Resample"):
        registration_picture(plain_head, plain_head.resampled(smaller), plain_head)
