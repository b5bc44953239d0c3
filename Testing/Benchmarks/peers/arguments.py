"""The common command line of the peers."""

from __future__ import annotations

import argparse
from pathlib import Path


def peer_arguments(description: str, *further: str) -> argparse.Namespace:
    """Parse ``--fixed --moving`` and the outputs: ``--labels --out``, ``--moved``, ``--values --values-out``.

    All are paths of NIfTI files. `values` are images in the moving world, on any grid, interpolated linearly:
    coordinate images of the moving world give the transform at every voxel of the fixed grid. further: names of options
    of a single peer, such as "--synthreg".
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
