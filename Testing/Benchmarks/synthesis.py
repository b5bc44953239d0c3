"""Speed of the synthesis beside voxelmorph and neurite: seconds to make one SynthMorph training pair on the CPU.

Both use the same label map, shape, threads and steps (affine map and integrated velocity, nearest-neighbour labels,
Gaussian intensities, blur, bias field, gamma); this project also draws a standard deviation for each label and three
velocity resolutions. Prints both times and their ratio.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import torch
from rich import print as show

from SlicerSynthReg.io.read import read_image
from SlicerSynthReg.spatial.grid import Grid
from SlicerSynthReg.spatial.transform import resample
from SlicerSynthReg.synthesis.artefacts import ArtefactConfig
from SlicerSynthReg.synthesis.deformation import DeformationConfig
from SlicerSynthReg.synthesis.mr_contrast import IntensityTables, MRContrastConfig
from SlicerSynthReg.synthesis.pair import ViewConfig, draw_view, make_view

PEER = Path(__file__).parent / "peers" / "voxelmorph_synthesis.py"


def label_indices(path: Path, shape: tuple[int, int, int]) -> tuple[torch.Tensor, int]:
    """Return the central `shape` voxels of a label map as uint8 indices (I, J, K), and the number of labels."""
    volume = read_image(path, "labels")
    values, codes = volume.data[0].unique(return_inverse=True)
    low = tuple((n - want) // 2 for n, want in zip(volume.grid.shape, shape))
    grid: Grid = volume.grid.cropped(low, tuple(a + want for a, want in zip(low, shape)))
    return resample(codes[None].int(), volume.grid, grid, mode="nearest")[0].to(torch.uint8), len(values)


def our_seconds(labels: torch.Tensor, count: int, pairs: int) -> tuple[list[float], list[float]]:
    """Return wall and processor seconds of each pair, after a first one that is not counted."""
    config = ViewConfig(
        DeformationConfig((8, 16, 32), 3.0, 5, 10.0, 10.0, 0.1),
        MRContrastConfig(),
        ArtefactConfig(thick_slices=0.0, crop=0.0),
    )
    wall, cpu = [], []
    for seed in range(pairs + 1):
        begin, cpu_begin = time.perf_counter(), time.process_time()
        generator = torch.Generator().manual_seed(seed)
        for _ in range(2):
            make_view(labels[None], [draw_view(config, IntensityTables.independent(count), generator)])
        wall.append(time.perf_counter() - begin)
        cpu.append(time.process_time() - cpu_begin)
    return wall[1:], cpu[1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=Path, required=True, help="label map, NIfTI")
    parser.add_argument("--shape", type=int, nargs=3, default=(160, 160, 160))
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peer-python", default=sys.executable, help="interpreter that has voxelmorph and neurite")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    labels, count = label_indices(given.labels, tuple(given.shape))
    wall, cpu = our_seconds(labels, count, given.pairs)
    shape = [str(n) for n in given.shape]
    arguments = ["--labels", str(given.labels), "--pairs", str(given.pairs), "--threads", str(given.threads)]
    peer = json.loads(
        subprocess.run(
            [given.peer_python, str(PEER), *arguments, "--shape", *shape], check=True, capture_output=True, text=True
        ).stdout
    )
    show(
        {
            "ours, s a pair (wall, cpu)": (round(median(wall), 3), round(median(cpu), 3)),
            "voxelmorph/neurite, s a pair (wall, cpu)": (
                round(peer["median_seconds"], 3),
                round(peer["median_cpu_seconds"], 3),
            ),
            "times faster (wall, cpu)": (
                round(peer["median_seconds"] / median(wall), 1),
                round(peer["median_cpu_seconds"] / median(cpu), 1),
            ),
        }
    )


if __name__ == "__main__":
    main()
