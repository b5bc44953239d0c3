"""Each mode of comparing two images, by the pixels that it must show; the mouse on the split line and the blocks."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from slicerhost import views

from Testing.Host.synthreview.looking import GREY_A, GREY_B, colour, grey, node_count

VIEWS = ("Red", "Yellow", "Green")


def test_what_is_missing_is_said(panel, a_block):
    assert panel.text("statusLabel") == "Choose two images: A and B."
    block = a_block("head", 100)
    panel.select("firstSelector", block)
    panel.select("secondSelector", block)
    assert "Found head as A and as B" in panel.text("statusLabel")
    panel.select("secondSelector", a_block("other", 200))
    assert panel.text("statusLabel") == ""


def test_three_linked_views_show_both_images_faded(panel, pair, shot):
    shot("fade")
    for name in VIEWS:
        assert grey(name, (0, 0, 0)) == pytest.approx((GREY_A + GREY_B) / 2, abs=2)
    for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        assert composite.GetLinkedControl() and composite.GetHotLinkedControl()
    panel.set_value("opacitySlider", 0.0)
    assert grey("Red", (0, 0, 0)) == GREY_A
    panel.set_value("opacitySlider", 1.0)
    assert grey("Red", (0, 0, 0)) == GREY_B


def test_flicker_shows_one_and_then_the_other(panel, pair):
    panel.choose("modeBox", "Flicker")
    panel.set_value("flickerSlider", 8.0)
    seen = set()

    def both_were_seen():
        seen.add(grey("Red", (0, 0, 0)))
        return len(seen) > 1

    panel.wait_until(both_were_seen)
    assert seen == {GREY_A, GREY_B}


def test_the_wipe_shows_a_left_of_the_line_and_b_right_of_it(panel, pair, shot):
    before = node_count()
    panel.choose("modeBox", "Split (wipe)")
    shot("wipe")
    for name in VIEWS:
        picture = views.pixels(name)[200].mean(1)
        assert (abs(picture[150:198] - GREY_A) < 2).all() and (abs(picture[203:250] - GREY_B) < 2).all()
        assert picture[199:202].max() == 255, "the line"
    panel.set_value("positionSlider", 0.25)
    assert abs(views.pixels("Red")[200, 110:290].mean(1) - GREY_B).max() < 2
    panel.choose("directionBox", "A above, B below")
    panel.set_value("positionSlider", 0.5)
    column = views.pixels("Red")[:, 200].mean(1)
    assert (abs(column[150:197] - GREY_A) < 2).all() and (abs(column[203:250] - GREY_B) < 2).all()
    assert node_count() == before, "no volume was made"


def test_where_b_ends_nothing_of_a_is_seen_on_its_side(panel, pair, a_block):
    small = a_block("small B", 300, size_mm=(60.0, 60.0, 60.0))
    panel.select("secondSelector", small)
    panel.choose("modeBox", "Split (wipe)")
    left_in_the_view, right_in_the_view = (60.0, 0.0, 0.0), (-60.0, 0.0, 0.0)
    assert grey("Red", left_in_the_view) == GREY_A
    assert grey("Red", right_in_the_view) == 0
    assert grey("Red", (-20.0, 0.0, 0.0)) == GREY_B


def test_the_line_is_dragged_with_the_mouse_in_all_views(panel, pair):
    panel.choose("modeBox", "Split (wipe)")
    window = pair[0].GetDisplayNode().GetWindow()
    views.drag("Red", (200, 120), (300, 90))
    panel.settle()
    assert panel["positionSlider"].value == pytest.approx(0.75, abs=0.005)
    for name in VIEWS:
        assert abs(views.pixels(name)[200, 210:297].mean(1) - GREY_A).max() < 2
    views.drag("Red", (100, 100), (150, 180))
    assert panel["positionSlider"].value == pytest.approx(0.75, abs=0.005), "not on the line: the mouse is Slicer's"
    assert pair[0].GetDisplayNode().GetWindow() == window


def test_the_checkerboard_has_blocks_of_both_that_lie_on_the_patient(panel, pair, shot):
    before = node_count()
    panel.choose("modeBox", "Checkerboard")
    panel.set_value("blockSlider", 20.0)
    shot("checkerboard")
    for name, across, up in (("Red", 0, 1), ("Yellow", 1, 2), ("Green", 0, 2)):
        shown = {}
        for column in range(-2, 2):
            for row in range(-2, 2):
                place = [0.0, 0.0, 0.0]
                place[across], place[up] = 20 * column + 10, 20 * row + 10
                shown[column, row] = grey(name, tuple(place))
        assert set(shown.values()) == {GREY_A, GREY_B}
        assert all(shown[c, r] != shown[c + 1, r] for c in range(-2, 1) for r in range(-2, 2))
        assert all(shown[c, r] != shown[c, r + 1] for c in range(-2, 2) for r in range(-2, 1))
    at = grey("Red", (10, 10, 0))
    node = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceNode()
    node.SetXYZOrigin(13.0, -7.0, 0.0)
    node.SetFieldOfView(*(0.8 * np.array(node.GetFieldOfView())))
    assert grey("Red", (10, 10, 0)) == at, "panned and zoomed"
    assert node_count() == before, "no volume was made"


def test_the_blocks_are_dragged_by_their_handle(panel, pair):
    panel.choose("modeBox", "Checkerboard")
    panel.set_value("blockSlider", 20.0)
    at = grey("Red", (10, 10, 0))
    corner = views.pixel_of("Red", (0.0, 0.0, 0.0))
    far = views.pixel_of("Red", (-20.0, 0.0, 0.0))
    views.drag("Red", corner, far)
    assert {at, grey("Red", (10, 10, 0))} == {GREY_A, GREY_B}


def test_the_difference_is_b_minus_a_in_the_colours_of_its_bar(panel, pair, shot):
    first, second = pair
    panel.choose("modeBox", "Difference")
    panel.set_value("rangeSlider", 75.0)  # of 400: plus and minus 300
    shot("difference")
    panel.serve_turns(10)
    brighter = colour("Red", (0, 0, 0))
    assert brighter[0] > 100 and brighter[0] > 3 * brighter[2]
    bar = views.pixels("Red")[70:330, 340:400].reshape(-1, 3).astype(int)
    assert (abs(bar - [166, 242, 255]).max(1) < 12).any() and (abs(bar - [255, 242, 140]).max(1) < 12).any()
    panel.select("firstSelector", second)
    panel.select("secondSelector", first)
    darker = colour("Red", (0, 0, 0))
    assert darker[2] > 100 and darker[2] > 2 * darker[0]
    array = slicer.util.arrayFromVolume(first)
    array[:] = 300
    slicer.util.arrayFromVolumeModified(first)
    assert colour("Red", (0, 0, 0)).max() < 40, "equal is dark"


def test_normalised_differences_do_not_see_another_scale(panel, pair, a_block):
    scaled = a_block("A in other units", 1000)
    scaled.GetDisplayNode().SetWindowLevel(4000, 2000)
    panel.select("secondSelector", scaled)
    panel.choose("modeBox", "Difference")
    assert colour("Red", (0, 0, 0)).max() > 100
    panel.choose("unitsBox", "normalised by each window")
    assert colour("Red", (0, 0, 0)).max() < 40


def test_where_either_image_ends_there_is_no_difference(panel, pair, a_block):
    panel.select("secondSelector", a_block("small B", 300, size_mm=(60.0, 60.0, 60.0)))
    panel.choose("modeBox", "Difference")
    assert colour("Red", (0, 0, 0)).max() > 100
    assert grey("Red", (60.0, 0.0, 0.0)) == GREY_A


def test_the_contour_of_b_lies_on_its_edge(panel, pair, a_volume, shot):
    ball = a_volume("ball")  # 200 within 22 mm of (6, -4, 5), in a window of its own
    ball.GetDisplayNode().SetAutoWindowLevel(False)
    ball.GetDisplayNode().SetWindowLevel(200, 100)
    panel.select("secondSelector", ball)
    panel.choose("modeBox", "Contour of B on A")
    for name, depth in (("Red", 2), ("Yellow", 0), ("Green", 1)):
        widget = slicer.app.layoutManager().sliceWidget(name)
        widget.sliceLogic().SetSliceOffset((6.0, -4.0, 5.0)[depth])
    shot("contour")
    picture = views.pixels("Red").astype(int)
    yellow = (picture[..., 0] > 200) & (picture[..., 2] < 100)
    y, x = np.nonzero(yellow)
    centre = np.array(views.pixel_of("Red", (6.0, -4.0, 5.0)))
    edge = np.array(views.pixel_of("Red", (6.0, -4.0 + 22.0, 5.0)))
    radius = np.hypot(*(np.stack([x, y], 1) - centre).T)
    outer = radius[radius > 0.7 * np.hypot(*(edge - centre))]
    assert len(outer) > 100
    assert abs(np.median(outer) - np.hypot(*(edge - centre))) < 2.5
    assert grey("Red", (-40.0, 30.0, 5.0)) == GREY_A


def test_a_label_map_is_outlined_on_both_sides_of_the_line(panel, pair, a_labelmap):
    panel.choose("modeBox", "Split (wipe)")
    panel.select("labelsSelector", a_labelmap("organ"))  # a ball of 22 mm around (6, -4, 5)
    slicer.app.layoutManager().sliceWidget("Red").sliceLogic().SetSliceOffset(5.0)
    picture = views.pixels("Red").astype(int)
    coloured = picture.max(-1) - picture.min(-1) > 40
    for edge in ((28.0, -4.0, 5.0), (-16.0, -4.0, 5.0)):
        x, y = views.pixel_of("Red", edge)
        assert coloured[y, x - 5 : x + 6].any()
    assert (grey("Red", (20.0, -4.0, 5.0)), grey("Red", (-8.0, -4.0, 5.0))) == (GREY_A, GREY_B)
