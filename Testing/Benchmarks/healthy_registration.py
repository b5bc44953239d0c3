"""Registration of brains with synthetic lesions: directly, with a lesion mask, and via the pseudo-healthy image.

    python Testing/Benchmarks/healthy_registration.py --lesions MASKS --pairs 4 --json healthy_registration.json

The moving scan of each 2 mm pair of registration.py gets a synthetic lesion, as in training: its shape from MASKS (from
noise without them), its appearance by the paper's equations. Measures: Dice of all structures, and of those of which
the lesion covers at least a tenth; and the distance in mm between the transform and that of the same pair without the
lesion, at points that map into the lesion (or within 10 mm of it) and elsewhere.
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

from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.read import read_image
from SlicerSynthReg.io.transforms import read_transform
from SlicerSynthReg.io.write import write_image
from SlicerSynthReg.request import Request
from SlicerSynthReg.service.run import run
from SlicerSynthReg.spatial.grid import Grid
from SlicerSynthReg.spatial.transform import Transform
from SlicerSynthReg.synthesis.pathology.anomaly import AnomalyConfig, draw_anomaly, make_anomalies
from SlicerSynthReg.synthesis.pathology.appearance import LesionAppearanceConfig, draw_lesion_appearance, encode_anomaly
from SlicerSynthReg.training.healthy_data import read_lesion_masks

SPACING, NEAR_MM, AFFECTED_FRACTION = 2.0, 10.0, 0.1
MIN_LESION_ML, MAX_LESION_ML = 15.0, 150.0
HEALTHY = "without the lesion"
METHODS = ("direct", "lesion mask", "pseudo-healthy")
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
    masks = read_lesion_masks(arguments.lesions, SPACING) if arguments.lesions else ()
    settings = {"preset": arguments.preset, "threads": arguments.threads}
    rows: dict[str, list[Scores]] = defaultdict(list)
    results: dict[str, dict[str, Scores]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        every = benchmark_pairs(Path(scratch) / "derived")
        for kind in arguments.kinds:
            for number, pair in enumerate([one for one in every if one.kind == kind][: arguments.pairs]):
                folder = Path(scratch) / pair.name
                folder.mkdir()
                results[pair.name] = evaluate_pair(pair, folder, masks, number, settings, arguments.healthy_model)
                print(pair.name, json.dumps(results[pair.name]), flush=True)
                for method, scores in results[pair.name].items():
                    rows[method].append(scores)
    means = {
        method: {name: round(mean(one[name] for one in scores if name in one), 4) for name in scores[0]}
        for method, scores in rows.items()
    }
    arguments.json.write_text(json.dumps({"mean": means, "pairs": results}, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(means, indent=2))


def evaluate_pair(
    pair: Pair, folder: Path, masks: tuple[torch.Tensor, ...], seed: int, settings: dict, model: str | None
) -> dict[str, Scores]:
    """Return the scores of one pair, by method."""
    moving, labels = read_image(pair.moving), read_image(pair.moving_labels, "labels", allow_degenerate=True)
    with_lesion, lesion = add_lesion(moving, labels, masks, seed)
    write_image(with_lesion, folder / "lesion.nii.gz", derived=False)
    write_image(Image((lesion == 0).int()[None], moving.grid, "labels"), folder / "normal.nii.gz", derived=False)
    runs: dict[str, tuple[Path, dict[str, str], dict[str, str]]] = {
        HEALTHY: (pair.moving, {}, {}),
        "direct": (folder / "lesion.nii.gz", {}, {}),
        "lesion mask": (folder / "lesion.nii.gz", {"moving_mask": str(folder / "normal.nii.gz")}, {}),
        "pseudo-healthy": (folder / "lesion.nii.gz", {}, {"fill_lesions": "moving"}),
    }
    if model:
        runs["pseudo-healthy"][2]["healthy_model"] = model
    affected = _affected(labels.data[0], lesion)
    scores: dict[str, Scores] = {}
    transforms: dict[str, Transform] = {}
    for method, (scan, more, parameters) in runs.items():
        inputs = {"fixed": str(pair.fixed), "moving": str(scan), "moving_labels": str(pair.moving_labels), **more}
        begun = time.process_time()
        result = run(Request("register", inputs, str(folder / method.replace(" ", "-")), {**settings, **parameters}))
        dice = dice_by_structure(Path(result.outputs["moved_labels"]), pair.fixed_labels, pair.moving_labels)
        transforms[method] = read_transform(result.outputs["forward"])
        scores[method] = {"Dice": mean(dice.values()), "CPU s": time.process_time() - begun}
        if affected & dice.keys():
            scores[method]["Dice, affected"] = mean(dice[one] for one in affected & dice.keys())
    fixed = read_image(pair.fixed_labels, "labels", allow_degenerate=True)
    points = fixed.grid.index_to_world(np.argwhere(fixed.data[0].numpy() > 0)[::37])
    truth = transforms[HEALTHY].map_points(points)
    near = _near(truth, lesion, moving.grid)
    for method in METHODS:
        error = np.linalg.norm(transforms[method].map_points(points) - truth, axis=1)
        scores[method] |= {
            "error at the lesion, mm": float(error[near].mean()),
            "error elsewhere, mm": float(error[~near].mean()),
        }
    scores[HEALTHY]["lesion, ml"] = float((lesion > 0).sum()) * float(np.prod(moving.grid.spacing)) / 1000
    return scores


def add_lesion(scan: Image, labels: Image, masks: tuple[torch.Tensor, ...], seed: int) -> tuple[Image, torch.Tensor]:
    """Return the scan with a lesion of 15 to 150 ml, and its mask (I, J, K), 1 inside."""
    grid = scan.grid.aligned_to_ras(SPACING)
    brain = labels.resampled(grid).data[0] > 0
    config = AnomalyConfig(mask_probability=1.0 if masks else 0.0)
    for attempt in range(100):
        generator = torch.Generator().manual_seed(1000 * seed + attempt)
        record, look = (
            draw_anomaly(config, generator),
            draw_lesion_appearance(LesionAppearanceConfig(min_level=1.0), generator),
        )
        profile = make_anomalies([record], brain[None], SPACING, masks)[0]
        if MIN_LESION_ML <= float((profile > 0.5).sum()) * SPACING**3 / 1000 <= MAX_LESION_ML:
            break
    there = Image(profile[None], grid).resampled(scan.grid).data
    image, inside = scan.data[:1].float(), labels.resampled(scan.grid).data > 0
    grey, white = (torch.quantile(image[inside], share)[None] for share in _levels(scan))
    with_lesion = encode_anomaly(image[None], there[None], white, grey, [look])[0]
    return Image(with_lesion, scan.grid, name=scan.name), (there[0] > 0.5).float()


def _levels(scan: Image) -> tuple[float, float]:
    """Return the quantiles of the brain's intensities at which grey and white matter lie."""
    return (0.75, 0.35) if "FLAIR" in scan.name else (0.35, 0.75)


def _affected(labels: torch.Tensor, lesion: torch.Tensor) -> set[str]:
    size = int(labels.max()) + 1
    whole, taken = (torch.bincount(part.flatten().long(), minlength=size) for part in (labels, labels[lesion > 0]))
    return {str(n) for n in range(1, size) if whole[n] and float(taken[n] / whole[n]) >= AFFECTED_FRACTION}


def _near(points: np.ndarray, lesion: torch.Tensor, grid: Grid) -> np.ndarray:
    """Return a mask (N,) of the points (N, 3), RAS mm, in the lesion or near it."""
    distance = distance_transform_edt(lesion.numpy() == 0, sampling=grid.spacing)
    index = np.rint(grid.world_to_index(points)).astype(int).clip(0, np.array(grid.shape) - 1)
    return distance[tuple(index.T)] <= NEAR_MM


if __name__ == "__main__":
    main()
