from __future__ import annotations

import json

import numpy as np
import pytest

from SlicerSynthReg.io.landmarks import Landmarks, read_landmarks, write_landmarks
from Testing.Backend.refusals import refused

POINTS = np.array([[12.5, -41.25, 88.0], [-3.0, 4.0, -5.5], [1 / 3, 2e-7, 1234.5678901]])


@pytest.mark.parametrize("name", ["points.csv", "points.fcsv", "points.mrk.json"])
@pytest.mark.parametrize("system", ["RAS", "LPS"])
def test_points_and_labels_come_back_and_the_file_says_its_system(tmp_path, name, system):
    path = tmp_path / name
    landmarks = Landmarks(POINTS, ("tip", 'a "quoted", name', "3"))
    write_landmarks(landmarks, path, system)
    back = read_landmarks(path)
    np.testing.assert_array_equal(back.points_mm, POINTS)
    assert back.labels == landmarks.labels
    text = path.read_text()
    assert system in text and ("LPS" if system == "RAS" else "RAS") not in text
    assert ("12.5" if system == "RAS" else "-12.5") in text and ("-12.5" in text) == (system == "LPS")


@pytest.mark.parametrize(
    ("text", "signs"),
    [
        ("1,2,3\n4,5,6\n", (1, 1, 1)),
        ("x,y,z\n1,2,3\n4,5,6\n", (1, 1, 1)),
        ("x_LPS,y_LPS,z_LPS\n1,2,3\n4,5,6\n", (-1, -1, 1)),
        ("L;P;S\n1;2;3\n4;5;6\n", (-1, -1, 1)),
        ("R,A,S\n1,2,3\n4,5,6\n", (1, 1, 1)),
        ("# coordinates: LPS\nx\ty\tz\n1\t2\t3\n4\t5\t6\n", (-1, -1, 1)),
        ("label, z (RAS mm), y, x\nfirst,3,2,1\n\nsecond,6,5,4\n", (1, 1, 1)),
    ],
)
def test_csv_in_its_usual_forms(tmp_path, text, signs):
    (tmp_path / "points.csv").write_text(text)
    back = read_landmarks(tmp_path / "points.csv")
    np.testing.assert_array_equal(back.points_mm, np.array([[1, 2, 3], [4, 5, 6]]) * signs)
    assert back.labels == (("first", "second") if "first" in text else ("1", "2"))


@pytest.mark.parametrize(
    ("system", "signs"),
    [("LPS", (-1, -1, 1)), ("1", (-1, -1, 1)), ("RAS", (1, 1, 1)), ("0", (1, 1, 1)), (None, (1, 1, 1))],
)
def test_fcsv_of_slicer_old_and_new(tmp_path, system, signs):
    said = f"# CoordinateSystem = {system}\n" if system else ""
    columns = "# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID\n"
    rows = "1,10,20,30,0,0,0,1,1,1,0,F-1,,\n2,-1,-2,-3,0,0,0,1,1,1,0,F-2,a note,vtkMRMLScalarVolumeNode1\n"
    (tmp_path / "F.fcsv").write_text(f"# Markups fiducial file version = 4.11\n{said}{columns}{rows}")
    back = read_landmarks(tmp_path / "F.fcsv")
    np.testing.assert_array_equal(back.points_mm, np.array([[10, 20, 30], [-1, -2, -3]]) * signs)
    assert back.labels == ("F-1", "F-2")


def _markup(**changes) -> str:
    point = {"id": "1", "label": "F-1", "position": [1, 2, 3], "positionStatus": "defined", "orientation": [-1, 0, 0]}
    markup = {"type": "Fiducial", "coordinateSystem": "LPS", "controlPoints": [point, {**point, **changes}]}
    return json.dumps({"@schema": "markups-schema-v1.0.3.json#", "markups": [{**markup, **changes}]})


def test_markups_of_slicer(tmp_path):
    (tmp_path / "F.mrk.json").write_text(_markup())
    np.testing.assert_array_equal(read_landmarks(tmp_path / "F.mrk.json").points_mm, [[-1, -2, 3]] * 2)
    (tmp_path / "F.mrk.json").write_text(_markup(coordinateSystem="RAS", coordinateUnits=["mm", "mm", "mm"]))
    np.testing.assert_array_equal(read_landmarks(tmp_path / "F.mrk.json").points_mm, [[1, 2, 3]] * 2)


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("a.csv", "", "landmarks-missing"),
        ("a.csv", "x,y,z\n", "landmarks-missing"),
        ("a.csv", "x,y,z\n1,2\n", "landmark-format"),
        ("a.csv", "x,y,z\n1,two,3\n", "landmark-format"),
        ("a.csv", "x,y,z\n1,nan,3\n", "landmark-values"),
        ("a.csv", "1,2,3,4,5,6\n", "landmark-format"),
        ("a.csv", "fx,fy,fz,mx,my,mz\n1,2,3,4,5,6\n", "landmark-format"),
        ("a.fcsv", "# CoordinateSystem = 2\n1,1,2,3,0,0,0,1,1,1,0,F,,\n", "landmark-system"),
        ("a.mrk.json", "{", "landmark-format"),
        ("a.mrk.json", '{"markups": []}', "landmark-format"),
        ("a.mrk.json", '{"other": 1}', "landmark-format"),
        ("a.mrk.json", _markup(coordinateSystem="IJK"), "landmark-system"),
        ("a.mrk.json", _markup(coordinateUnits="um"), "landmark-system"),
        ("a.mrk.json", _markup(positionStatus="undefined"), "landmark-values"),
        ("a.txt", "1 2 3", "file-type"),
    ],
)
def test_bad_files_are_refused_by_name(tmp_path, name, text, code):
    (tmp_path / name).write_text(text)
    with refused(code, name):
        read_landmarks(tmp_path / name)


def test_bad_arguments(tmp_path):
    with pytest.raises(FileNotFoundError, match="Found no file"):
        read_landmarks(tmp_path / "absent.csv")
    with refused("landmark-system"):
        write_landmarks(Landmarks(POINTS), tmp_path / "a.csv", "IJK")
    with refused("landmark-values"):
        Landmarks(POINTS, ("a", "b"))
    assert Landmarks(POINTS).labels == ("1", "2", "3")
