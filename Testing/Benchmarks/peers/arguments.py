"""The command line that every peer answers, so that the benchmark can run any of them alike."""

from __future__ import annotations

import argparse
from pathlib import Path


def peer_arguments(description: str) -> argparse.Namespace:
    """Parse ``--fixed --moving --labels --out [--moved]``, each a path of a NIfTI file."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--fixed", type=Path, required=True, help="image that stays")
    parser.add_argument("--moving", type=Path, required=True, help="image that moves")
    parser.add_argument("--labels", type=Path, required=True, help="labels on the moving grid")
    parser.add_argument("--out", type=Path, required=True, help="receives labels on the fixed grid")
    parser.add_argument("--moved", type=Path, help="receives the moving image on the fixed grid")
    return parser.parse_args()
