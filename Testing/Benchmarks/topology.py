"""Topological change: area under the ROC curve for synthetic and real lesions (thesis paper 3).

    python Testing/Benchmarks/topology.py --run RUNS/topology-brains --labels LABELS --cases 10 --json pasted.json
    python Testing/Benchmarks/topology.py --real CASES.csv --model topology-brains --json real.json

Synthetic: a validation subject with a pasted lesion and controls in the same contrast. Scores within the brain: L_sym
(mean over the controls) and Q, (log |det J|)^2 and Li-Wyatt, the latter two also with the controls' mean subtracted as
in Q; each as published, and smoothed as ours. Real: table with the columns fixed, moving, lesion and optionally
transform and controls (folder), paths relative to the table; scores within the foreground of the fixed image.
The paper's areas, semantic features, Q, 2-D: cells 0.88, brains 0.80; Li-Wyatt 0.75, 0.70; Jacobian 0.75, 0.62.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import torch
from results import add_save_option, save_table

from SlicerSynthReg.api.topology import topological_change
from SlicerSynthReg.io.files import image_files
from SlicerSynthReg.io.read import read_image
from SlicerSynthReg.metrics.roc import MeanAUC, auc, mean_auc
from SlicerSynthReg.spatial.intensity import rescale_intensity
from SlicerSynthReg.synthesis.mr_contrast import IntensityTables
from SlicerSynthReg.synthesis.pair import View, draw_view, make_view
from SlicerSynthReg.synthesis.pathology.pasted_lesions import draw_pasted_lesion, paste_lesion
from SlicerSynthReg.synthesis.tissues import SEQUENCES
from SlicerSynthReg.topology.change_maps import BoundFunction, ControlGroup, li_wyatt, log_jacobian_squared
from SlicerSynthReg.topology.pipeline import FOREGROUND
from SlicerSynthReg.topology.variational import (
    Topology,
    VariationalBound,
    feature_function,
    half_resolution,
    smooth_scores,
    warp_features,
)
from SlicerSynthReg.training.label_maps import read_label_maps
from SlicerSynthReg.training.topology import SPACING_MM, TopologyTask, TopologyTaskConfig
from SlicerSynthReg.training.topology_command import load_best_topology


def views_in_one_contrast(task: TopologyTask, people: list[torch.Tensor], generator: torch.Generator) -> list[View]:
    """Return a view of each subject with the intensities of one T1 scan, but different noise and bias."""
    view = task.config.aligned_pairs.label_map_view
    view = dataclasses.replace(view, contrast=dataclasses.replace(view.contrast, table_probability=1.0))
    tables = task.training.tables
    tables = IntensityTables(tables.groups, (tables.tables[list(SEQUENCES).index("T1")],))
    draws = [draw_view(view, tables, generator) for _ in people]
    means, sds = draws[0].contrast.means, draws[0].contrast.sds
    alike = [dataclasses.replace(d, contrast=dataclasses.replace(d.contrast, means=means, sds=sds)) for d in draws]
    return [make_view(one[None], [d], task.config.pairs.shape) for one, d in zip(people, alike)]


def scorers(model: Topology, task: TopologyTask) -> dict[str, BoundFunction]:
    """Return the scores as bound functions, all with the displacement of the model, computed once per pair.

    Baselines are as published, and smoothed as ours.
    """
    bounds: dict[tuple[int, int], VariationalBound] = {}

    def ours(i: torch.Tensor, j: torch.Tensor) -> VariationalBound:
        if (id(i), id(j)) not in bounds:
            bounds[id(i), id(j)] = model.symmetric_bound(i, j, task.describe)
        return bounds[id(i), id(j)]

    def by(score: Callable[[torch.Tensor, torch.Tensor, VariationalBound], torch.Tensor]) -> BoundFunction:
        def bound(i: torch.Tensor, j: torch.Tensor) -> VariationalBound:
            result = ours(i, j)
            return dataclasses.replace(result, score=score(i, j, result))

        return bound

    def jacobian(i: torch.Tensor, j: torch.Tensor, bound: VariationalBound) -> torch.Tensor:
        return log_jacobian_squared(bound.u)

    def mismatch(i: torch.Tensor, j: torch.Tensor, bound: VariationalBound) -> torch.Tensor:
        return li_wyatt(warp_features(half_resolution(i), bound.u), half_resolution(j))

    sd = model.config.sd_vox
    return {
        "ours": ours,
        "likelihood alone": by(lambda i, j, bound: bound.nll),
        "jacobian": by(jacobian),
        "jacobian, smoothed": by(lambda *given: smooth_scores(jacobian(*given), sd)),
        "li_wyatt": by(mismatch),
        "li_wyatt, smoothed": by(lambda *given: smooth_scores(mismatch(*given), sd)),
    }


def pasted(run_folder: Path, labels: Path, cache: Path | None, features: str, cases: int, controls: int) -> dict:
    """Return score -> areas over the cases, with and without controls."""
    model = load_best_topology(run_folder, features)
    task = TopologyTask(TopologyTaskConfig(model.config), read_label_maps(labels, 2, cache), feature_function(features))
    areas: dict[str, list[float]] = {}
    for n in range(cases):
        generator = torch.Generator().manual_seed(30_000_000 + n)
        chosen = torch.randperm(len(task.training.maps), generator=generator)[:controls].tolist()
        person = task.validation.maps[n % len(task.validation.maps)]
        case, *others = views_in_one_contrast(task, [person, *(task.training.maps[c] for c in chosen)], generator)
        domain, white, grey = (task.tissue[row][case.labels.long()] for row in range(3))
        record = draw_pasted_lesion(task.config.pasted, generator)
        with_lesion, lesion = paste_lesion(case.image, domain, white, grey, record, SPACING_MM)
        where, within = (half_resolution(task._seen(mask[:, None].float()))[:, 0] > 0.5 for mask in (lesion, domain))
        j, images = task._seen(with_lesion), [task._seen(view.image) for view in others]
        for name, bound in scorers(model, task).items():
            plain = torch.stack([bound(i, j).score for i in images]).mean(0)
            q = ControlGroup.from_images(images, bound).outlier_map(j, bound)
            for kind, score in ((name, plain), (f"{name}, Q", q)):
                areas.setdefault(kind, []).append(auc(score.numpy(), where.numpy(), within.numpy()))
        print(f"case {n}: " + ", ".join(f"{name} {values[-1]:.3f}" for name, values in areas.items()), flush=True)
    return areas


def real(table: Path, model: str) -> dict:
    """Return map -> areas of `topological_change` over the cases of a table."""
    areas: dict[str, list[float]] = {}
    with open(table, newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        paths = {name: table.parent / value for name, value in row.items() if value}
        fixed = read_image(paths["fixed"])
        truth = read_image(paths["lesion"], "labels", allow_degenerate=True).resampled(fixed.grid).data[0].numpy() > 0
        foreground = rescale_intensity(fixed.data[:1])[0].numpy() > FOREGROUND
        result = topological_change(
            fixed,
            paths["moving"],
            transform=paths.get("transform"),
            controls=image_files(paths["controls"]) if "controls" in paths else (),
            model=model,
        )
        maps = {"changes": result.score, "stretching": result.log_jacobian, "mismatch": result.mismatch}
        for name, image in {**maps, "outliers": result.outliers}.items():
            if image is not None:
                areas.setdefault(name, []).append(auc(image.data[0].numpy(), truth, foreground))
        print(f"{row['fixed']}: " + ", ".join(f"{name} {values[-1]:.3f}" for name, values in areas.items()), flush=True)
    return areas


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="Folder of a training.")
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--features", default="synthmorph-brains")
    parser.add_argument("--cases", type=int, default=10)
    parser.add_argument("--controls", type=int, default=4)
    parser.add_argument("--real", type=Path, help="CSV of real cases.")
    parser.add_argument("--model", default="topology-brains")
    parser.add_argument("--json", type=Path)
    add_save_option(parser)
    given = parser.parse_args()
    torch.set_grad_enabled(False)
    if given.real:
        areas = real(given.real, given.model)
    elif given.run and given.labels:
        areas = pasted(given.run, given.labels, given.cache, given.features, given.cases, given.controls)
    else:
        parser.error("Found neither --real nor --run with --labels, expected one of them.")
    means: dict[str, MeanAUC] = {name: mean_auc(values) for name, values in areas.items()}
    for name, area in means.items():
        print(f"{name:24s} {area.mean:.3f} ({area.lower:.3f} to {area.upper:.3f}), {area.cases} cases")
    rows = [
        [name, f"{area.mean:.3f}", f"{area.lower:.3f} to {area.upper:.3f}", area.cases] for name, area in means.items()
    ]
    save_table(
        given, "Topological change: area under the ROC curve", ["method", "mean", "95 % interval", "cases"], rows
    )
    if given.json:
        written = {name: {**dataclasses.asdict(area), "each": areas[name]} for name, area in means.items()}
        given.json.write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
