"""How well topological change is told: area under the ROC curve on pasted anomalies and on real lesions (paper 3).

    python Testing/Benchmarks/topology.py --run RUNS/topology-brains --labels LABELS --cases 10 --json pasted.json
    python Testing/Benchmarks/topology.py --real CASES.csv --model topology-brains --json real.json

Pasted: an unseen synthetic person with an anomaly is explained by people in the same contrast; scored over the brain's
voxels are L_sym (mean over those people) and Q, log(det J)^2 and Li-Wyatt, the last two as they are and with what is
usual among the people taken off as in Q; each as published and read over the same neighbourhood as ours. Real: columns
fixed, moving, lesion and, where it is wanted, transform and controls; paths are relative to the table; scored over the
foreground of the fixed image.
The paper's areas, semantic features, Q, 2-D: cells 0.88, brains 0.80; Li-Wyatt 0.75, 0.70; Jacobian 0.75, 0.62.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

from SlicerSynthReg.evaluate.auc import Area, area_over_cases, auc
from SlicerSynthReg.methods.topology.baselines import li_wyatt, log_jacobian_squared
from SlicerSynthReg.methods.topology.control import ControlGroup, Explain
from SlicerSynthReg.methods.topology.model import Explained, Topology, description, halved, moved, smoothed
from SlicerSynthReg.request import Request
from SlicerSynthReg.run import run
from SlicerSynthReg.synth.contrast import Looks
from SlicerSynthReg.synth.pair import View, draw_view, make_view
from SlicerSynthReg.synth.pathology.pasted import draw_pasted, paste
from SlicerSynthReg.synth.tissues import SEQUENCES
from SlicerSynthReg.train.topology import SPACING_MM, TopologyTask, TopologyTaskConfig, trained_topology
from SlicerSynthReg.train.training import label_maps
from SlicerSynthReg.volume.intensity import unit_intensities
from SlicerSynthReg.volume.read import read_volume


def in_one_contrast(task: TopologyTask, people: list[torch.Tensor], generator: torch.Generator) -> list[View]:
    """A view of each of `people`, all like one T1 scan but for noise and bias."""
    view = task.config.placed.person
    view = dataclasses.replace(view, contrast=dataclasses.replace(view.contrast, scan_like=1.0))
    looks = Looks(task.looks.groups, (task.looks.tables[list(SEQUENCES).index("T1")],))
    draws = [draw_view(view, looks, generator) for _ in people]
    means, sds = draws[0].contrast.means, draws[0].contrast.sds
    alike = [dataclasses.replace(d, contrast=dataclasses.replace(d.contrast, means=means, sds=sds)) for d in draws]
    return [make_view(one[None], [d], task.config.pairs.shape) for one, d in zip(people, alike)]


def scorers(model: Topology, task: TopologyTask) -> dict[str, Explain]:
    """Each score as something that explains J by I; all on the warp of the model, which is asked once for a pair.

    Baselines stand as published and "read likewise", over the same neighbourhood as ours.
    """
    asked: dict[tuple[int, int], Explained] = {}

    def ours(i: torch.Tensor, j: torch.Tensor) -> Explained:
        if (id(i), id(j)) not in asked:
            asked[id(i), id(j)] = model.explain_both(i, j, task.describe)
        return asked[id(i), id(j)]

    def by(score: Callable[[torch.Tensor, torch.Tensor, Explained], torch.Tensor]) -> Explain:
        def explain(i: torch.Tensor, j: torch.Tensor) -> Explained:
            found = ours(i, j)
            return dataclasses.replace(found, score=score(i, j, found))

        return explain

    def jacobian(i: torch.Tensor, j: torch.Tensor, found: Explained) -> torch.Tensor:
        return log_jacobian_squared(found.u)

    def mismatch(i: torch.Tensor, j: torch.Tensor, found: Explained) -> torch.Tensor:
        return li_wyatt(moved(halved(i), found.u), halved(j))

    sd = model.config.sd_vox
    return {
        "ours": ours,
        "likelihood alone": by(lambda i, j, found: found.unlike),
        "jacobian": by(jacobian),
        "jacobian, read likewise": by(lambda *given: smoothed(jacobian(*given), sd)),
        "li_wyatt": by(mismatch),
        "li_wyatt, read likewise": by(lambda *given: smoothed(mismatch(*given), sd)),
    }


def pasted(run_folder: Path, labels: Path, cache: Path | None, features: str, cases: int, controls: int) -> dict:
    """For each score, as it is and against controls, its areas over the cases."""
    model = trained_topology(run_folder, features)
    task = TopologyTask(TopologyTaskConfig(model.config), label_maps(labels, 2, cache), description(features))
    areas: dict[str, list[float]] = {}
    for n in range(cases):
        generator = torch.Generator().manual_seed(30_000_000 + n)
        chosen = torch.randperm(len(task.people), generator=generator)[:controls].tolist()
        person = task.unseen[n % len(task.unseen)]
        case, *others = in_one_contrast(task, [person, *(task.people[c] for c in chosen)], generator)
        domain, white, grey = (task.tissue[row][case.labels.long()] for row in range(3))
        record = draw_pasted(task.config.pasted, generator)
        sick, changed = paste(case.image, domain, white, grey, record, SPACING_MM)
        where, within = (halved(task._seen(mask[:, None].float()))[:, 0] > 0.5 for mask in (changed, domain))
        j, images = task._seen(sick), [task._seen(view.image) for view in others]
        for name, explain in scorers(model, task).items():
            plain = torch.stack([explain(i, j).score for i in images]).mean(0)
            q = ControlGroup.of(images, explain).outliers(j, explain)
            for kind, score in ((name, plain), (f"{name}, Q", q)):
                areas.setdefault(kind, []).append(auc(score.numpy(), where.numpy(), within.numpy()))
        print(f"case {n}: " + ", ".join(f"{name} {found[-1]:.3f}" for name, found in areas.items()), flush=True)
    return areas


def real(table: Path, model: str) -> dict:
    """Areas of the topology task's maps on the cases of a table."""
    areas: dict[str, list[float]] = {}
    with open(table, newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        inputs = {
            name: str(table.parent / row[name])
            for name in ("fixed", "moving", "transform", "controls")
            if row.get(name)
        }
        fixed = read_volume(inputs["fixed"])
        lesion = read_volume(table.parent / row["lesion"], "labels", allow_degenerate=True)
        truth = lesion.resampled(fixed.grid).data[0].numpy() > 0
        lit = unit_intensities(fixed.data[:1])[0].numpy() > 0.05
        with tempfile.TemporaryDirectory() as folder:
            outputs = run(Request("topology", inputs, f"{folder}/out", {"model": model})).outputs
            for name in ("changes", "outliers", "stretching", "mismatch"):
                if name in outputs:
                    score = read_volume(outputs[name], allow_degenerate=True).data[0].numpy()
                    areas.setdefault(name, []).append(auc(score, truth, lit))
        print(f"{row['fixed']}: " + ", ".join(f"{name} {found[-1]:.3f}" for name, found in areas.items()), flush=True)
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
    given = parser.parse_args()
    torch.set_grad_enabled(False)
    if given.real:
        areas = real(given.real, given.model)
    elif given.run and given.labels:
        areas = pasted(given.run, given.labels, given.cache, given.features, given.cases, given.controls)
    else:
        parser.error("Found neither --real nor --run with --labels, expected one of them.")
    means: dict[str, Area] = {name: area_over_cases(found) for name, found in areas.items()}
    for name, area in means.items():
        print(f"{name:24s} {area.mean:.3f} ({area.lower:.3f} to {area.upper:.3f}), {area.cases} cases")
    if given.json:
        rows = {name: {**dataclasses.asdict(area), "each": areas[name]} for name, area in means.items()}
        given.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
