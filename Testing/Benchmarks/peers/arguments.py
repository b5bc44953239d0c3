"""The command line that every peer answers, so that the benchmark can run any of them alike."""

from __future__ import annotations

import argparse
from pathlib import Path


def peer_arguments(description: str, *further: str) -> argparse.Namespace:
    """Parse ``--fixed --moving`` and what is to be moved: ``--labels --out``, ``--moved``, ``--values --values-out``.

    All are paths of NIfTI files. `values` are images in the moving world, of any grid, interpolated linearly: given the
    coordinates of the moving world as images, what comes out is the transform at every voxel of the fixed grid.
    further: names of options of this peer alone, such as "--synthreg".
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--fixed", type=Path, required=True, help="image that stays")
    parser.add_argument("--moving", type=Path, required=True, help="image that moves")
    parser.add_argument("--labels", type=Path, help="labels on the moving grid")
    parser.add_argument("--out", type=Path, help="receives labels on the fixed grid")
    parser.add_argument("--moved", type=Path, help="receives the moving image on the fixed grid")
    parser.add_argument("--values", type=Path, nargs="*", default=[], help="further images to move")
    parser.add_argument("--values-out", type=Path, nargs="*", default=[], help="receive them on the fixed grid")
    for name in further:
        parser.add_argument(name, required=True)
    return parser.parse_args()
