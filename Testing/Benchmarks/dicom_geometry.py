"""Geometry and values of DICOM series against SimpleITK: python -m Testing.Benchmarks.dicom_geometry FOLDER...

One row for each folder with files below those given: slices, largest distance of corners in mm, largest difference of
values. SimpleITK cannot represent gantry tilt: such a series differs in its corners.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from SlicerSynthReg.errors import SynthRegError
from SlicerSynthReg.io.itk import itk_grid
from SlicerSynthReg.io.read import read_image
from Testing.Backend.io.dicom_folder import read_by_simpleitk


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    print(f"{'folder':40s} {'slices':>6s} {'corners mm':>11s} {'values':>9s}")
    for folder in sorted({path.parent for root in parser.parse_args().folders for path in root.rglob("*.dcm")}):
        try:
            image = read_image(folder)
        except SynthRegError as error:
            print(f"{folder.name[-40:]:40s} refused: {error.code}")
            continue
        reference = read_by_simpleitk(folder)
        corners = image.grid.corner_indices()
        theirs = itk_grid(reference).index_to_world(corners)
        distance = np.linalg.norm(image.grid.index_to_world(corners) - theirs, axis=1).max()
        values = np.abs(sitk.GetArrayFromImage(reference).T - image.data[0].numpy()).max()
        print(f"{folder.name[-40:]:40s} {image.data.shape[3]:6d} {distance:11.1e} {values:9.1e}")


if __name__ == "__main__":
    main()
