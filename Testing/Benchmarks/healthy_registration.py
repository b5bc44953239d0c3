"""Registration of diseased brains, directly and through their healthy reconstruction: lesions pasted into real scans.

    python Testing/Benchmarks/healthy_registration.py --lesions MASKS --pairs 4 --json healthy_registration.json

Into the moving scan of each pair of registration.py's 2 mm pairs a lesion is pasted, as the trainings paste them: its
shape from MASKS (from noise without them), its look by the paper's equations. What it does to the registration is told
by two figures. Dice of the structures, all and those of which the lesion takes at least a tenth; and, in mm, how far
the transform is from that of the same pair without the lesion, at the points that go into the lesion (or within 10 mm
of it) and at all others. Ways: directly; with the lesion masked out, which needs to know it; through health.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from statistics import mean

import numpy as np
import torch
from pairs import Pair, benchmark_pairs
from registration import dice_by_structure
from scipy.ndimage import distance_transform_edt

from SlicerSynthReg.request import Request
from SlicerSynthReg.run import run
from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.space.transform import Transform
from SlicerSynthReg.synth.pathology.anomaly import AnomalyConfig, draw_anomaly, make_anomalies
from SlicerSynthReg.synth.pathology.appearance import AppearanceConfig, draw_appearance, encode
from SlicerSynthReg.train.healthy import lesion_masks
from SlicerSynthReg.volume.read import read_volume
from SlicerSynthReg.volume.transforms import read_transform
from SlicerSynthReg.volume.volume import Volume
from SlicerSynthReg.volume.write import write_volume

SPACING, NEAR_MM, TOUCHED = 2.0, 10.0, 0.1
LEAST_ML, MOST_ML = 15.0, 150.0
HEALTHY = "without the lesion"
WAYS = ("directly", "lesion masked out", "through health")
Scores = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lesions", type=Path, help="folder of lesion masks")
    parser.add_argument("--kinds", nargs="+", default=["T1-T1"], choices=["T1-T1", "FLAIR-T1"])
    parser.add_argument("--pairs", type=int, default=4, help="of each kind")
    parser.add_argument("--healthy-model", help="default: the one that ships")
    parser.add_argument("--preset", default="accurate", choices=["fast", "accurate"])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", type=Path, required=True)
    arguments = parser.parse_args()
    masks = lesion_masks(arguments.lesions, SPACING) if arguments.lesions else ()
    settings = {"preset": arguments.preset, "threads": arguments.threads}
    rows: dict[str, list[Scores]] = defaultdict(list)
    found: dict[str, dict[str, Scores]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        every = benchmark_pairs(Path(scratch) / "derived")
        for kind in arguments.kinds:
            for number, pair in enumerate([one for one in every if one.kind == kind][: arguments.pairs]):
                folder = Path(scratch) / pair.name
                folder.mkdir()
                found[pair.name] = measured(pair, folder, masks, number, settings, arguments.healthy_model)
                print(pair.name, json.dumps(found[pair.name]), flush=True)
                for way, scores in found[pair.name].items():
                    rows[way].append(scores)
    means = {
        way: {name: round(mean(one[name] for one in scores if name in one), 4) for name in scores[0]}
        for way, scores in rows.items()
    }
    arguments.json.write_text(json.dumps({"mean": means, "pairs": found}, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(means, indent=2))


def measured(
    pair: Pair, folder: Path, masks: tuple[torch.Tensor, ...], seed: int, settings: dict, model: str | None
) -> dict[str, Scores]:
    """Scores by way of one pair."""
    moving, labels = read_volume(pair.moving), read_volume(pair.moving_labels, "labels", allow_degenerate=True)
    sick, lesion = with_a_lesion(moving, labels, masks, seed)
    write_volume(sick, folder / "sick.nii.gz", derived=False)
    write_volume(Volume((lesion == 0).int()[None], moving.grid, "labels"), folder / "well.nii.gz", derived=False)
    asked: dict[str, tuple[Path, dict[str, str], dict[str, str]]] = {
        HEALTHY: (pair.moving, {}, {}),
        "directly": (folder / "sick.nii.gz", {}, {}),
        "lesion masked out": (folder / "sick.nii.gz", {"moving_mask": str(folder / "well.nii.gz")}, {}),
        "through health": (folder / "sick.nii.gz", {}, {"through_healthy": "moving"}),
    }
    if model:
        asked["through health"][2]["healthy_model"] = model
    touched = _touched(labels.data[0], lesion)
    scores: dict[str, Scores] = {}
    transforms: dict[str, Transform] = {}
    for way, (scan, more, parameters) in asked.items():
        inputs = {"fixed": str(pair.fixed), "moving": str(scan), "moving_labels": str(pair.moving_labels), **more}
        begun = time.process_time()
        result = run(Request("register", inputs, str(folder / way.replace(" ", "-")), {**settings, **parameters}))
        dice = dice_by_structure(Path(result.outputs["moved_labels"]), pair.fixed_labels, pair.moving_labels)
        transforms[way] = read_transform(result.outputs["forward"])
        scores[way] = {"Dice": mean(dice.values()), "CPU s": time.process_time() - begun}
        if touched & dice.keys():
            scores[way]["Dice, touched"] = mean(dice[one] for one in touched & dice.keys())
    fixed = read_volume(pair.fixed_labels, "labels", allow_degenerate=True)
    points = fixed.grid.index_to_world(np.argwhere(fixed.data[0].numpy() > 0)[::37])
    truth = transforms[HEALTHY].map_points(points)
    near = _near(truth, lesion, moving.grid)
    for way in WAYS:
        off = np.linalg.norm(transforms[way].map_points(points) - truth, axis=1)
        scores[way] |= {"off at the lesion, mm": float(off[near].mean()), "off elsewhere, mm": float(off[~near].mean())}
    scores[HEALTHY]["lesion, ml"] = float((lesion > 0).sum()) * float(np.prod(moving.grid.spacing)) / 1000
    return scores


def with_a_lesion(
    scan: Volume, labels: Volume, masks: tuple[torch.Tensor, ...], seed: int
) -> tuple[Volume, torch.Tensor]:
    """The scan with a lesion of 15 to 150 ml, and where that is (I, J, K), 1 inside."""
    grid = scan.grid.aligned_to_ras(SPACING)
    brain = labels.resampled(grid).data[0] > 0
    config = AnomalyConfig(masks=1.0 if masks else 0.0)
    for attempt in range(100):
        generator = torch.Generator().manual_seed(1000 * seed + attempt)
        record, look = draw_anomaly(config, generator), draw_appearance(AppearanceConfig(least=1.0), generator)
        profile = make_anomalies([record], brain[None], SPACING, masks)[0]
        if LEAST_ML <= float((profile > 0.5).sum()) * SPACING**3 / 1000 <= MOST_ML:
            break
    there = Volume(profile[None], grid).resampled(scan.grid).data
    image, inside = scan.data[:1].float(), labels.resampled(scan.grid).data > 0
    grey, white = (torch.quantile(image[inside], share)[None] for share in _levels(scan))
    sick = encode(image[None], there[None], white, grey, [look])[0]
    return Volume(sick, scan.grid, name=scan.name), (there[0] > 0.5).float()


def _levels(scan: Volume) -> tuple[float, float]:
    """Shares of the brain's intensities at which grey and white matter lie."""
    return (0.75, 0.35) if "FLAIR" in scan.name else (0.35, 0.75)


def _touched(labels: torch.Tensor, lesion: torch.Tensor) -> set[str]:
    size = int(labels.max()) + 1
    whole, taken = (torch.bincount(part.flatten().long(), minlength=size) for part in (labels, labels[lesion > 0]))
    return {str(n) for n in range(1, size) if whole[n] and float(taken[n] / whole[n]) >= TOUCHED}


def _near(points: np.ndarray, lesion: torch.Tensor, grid: Grid) -> np.ndarray:
    """Which points (N, 3), RAS mm, lie in the lesion or near it."""
    away = distance_transform_edt(lesion.numpy() == 0, sampling=grid.spacing)
    index = np.rint(grid.world_to_index(points)).astype(int).clip(0, np.array(grid.shape) - 1)
    return away[tuple(index.T)] <= NEAR_MM


if __name__ == "__main__":
    main()
