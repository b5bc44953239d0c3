"""Dice and PSNR of tasks given by examples against the number of examples, beside a U-Net trained on the same ones.

The paper's figure 4 and table 4 at our scale. Targets are people that no model was trained on (the last label maps);
examples are others. The U-Net is the network's own target path with nothing from examples, which is the paper's
baseline: constant width, one residual unit a level. The same questions are asked with ever more examples; few of
them are repeated for the network, slightly moved, as `synthreg context` does.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from pathlib import Path

import torch
from matplotlib.figure import Figure

from SlicerSynthReg.losses.examples import question_loss
from SlicerSynthReg.methods.neuralizer.examples import answer_volume
from SlicerSynthReg.methods.neuralizer.model import Encoded, Neuralizer, NeuralizerConfig
from SlicerSynthReg.methods.neuralizer.readout import ReadoutConfig
from SlicerSynthReg.methods.neuralizer.slices import AskConfig, Example, bootstrapped
from SlicerSynthReg.synth.question import QuestionConfig, Source
from SlicerSynthReg.synth.slices import SliceConfig
from SlicerSynthReg.synth.tasks import TASKS, Question
from SlicerSynthReg.synth.tissues import ANATOMY, RIGHT_TO_LEFT
from SlicerSynthReg.train.context import score
from SlicerSynthReg.train.labelmaps import load_label_maps
from SlicerSynthReg.train.neuralizer import MARGIN, config_of
from SlicerSynthReg.weights.registry import read_card


def people_of(source: Source, task: str, side: int, seed: int, examples: int, targets: int, unseen: int) -> Question:
    """One task for `targets` people of the last `unseen` maps, who come first, and `examples` others."""
    generator = torch.Generator().manual_seed(20_000_000 + seed)
    config = QuestionConfig(SliceConfig(side=side, pixel=(1.2, 2.1)), neighbours=0.0, several=0.0, augmented=False)
    record = source.draw(config, examples + targets, generator, task)
    known = len(source.maps) - unseen
    numbers = [known + n % unseen for n in range(targets)] + [n % known for n in range(examples)]
    people = tuple(dataclasses.replace(one, person=n) for one, n in zip(record.cut.people, numbers))
    return source.make(dataclasses.replace(record, cut=dataclasses.replace(record.cut, people=people)))


class UNetBaseline(torch.nn.Module):
    """(B, 3, H, W) -> (B, 1, H, W)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.net = Neuralizer(NeuralizerConfig(width, one_way=True))
        self.nothing = (torch.zeros(1, width, 1, 1),) * (2 * self.net.config.stages - 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net.answer(x, Encoded(self.nothing, (x.shape[-2], x.shape[-1])))


def trained_baseline(x: torch.Tensor, y: torch.Tensor, mask: bool, width: int, seconds: float) -> UNetBaseline:
    """Learned from examples (N, 3, H, W) and (N, 1, H, W), moved about, for so long by the processor's own clock."""
    torch.manual_seed(0)
    model = UNetBaseline(width)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    until, step = time.process_time() + torch.get_num_threads() * seconds, 0
    while time.process_time() < until:
        moving = AskConfig(size=len(x) + 4, move_degrees=8, move_pixels=4)
        many = bootstrapped(x, y, moving, torch.Generator().manual_seed(step))
        loss = question_loss(model(many[0][-4:]), many[1][-4:], torch.full((4,), mask)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1
    return model.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=Path, required=True, help="folder of whole-head label maps")
    parser.add_argument("--unseen", type=int, default=3, help="so many, the last, were not trained on")
    parser.add_argument("--models", nargs="+", default=["neuralizer-brains"], help="names, or folders of trainings")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32])
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--structures", nargs="+", default=[], choices=list(ANATOMY), help="masks are of these alone")
    parser.add_argument("--questions", type=int, default=8, help="of each task")
    parser.add_argument("--first", type=int, default=0, help="number of the first question")
    parser.add_argument("--side", type=int, default=96)
    parser.add_argument("--baseline-seconds", type=float, default=20.0, help="training of each U-Net; 0: none")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, required=True, help="keeps what is measured, and goes on from it")
    parser.add_argument("--picture", type=Path, default=None, help="PNG of the curves")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    maps = load_label_maps(sorted(given.labels.glob("*.nii*")))
    brain = torch.tensor([value in maps.anatomy or value == 24 for value in maps.values])
    asked = {number for name in given.structures for number in ANATOMY[name]}
    hidden = [n for n, value in enumerate(maps.values) if asked and RIGHT_TO_LEFT.get(value, value) not in asked]
    source = Source(maps.people(0, MARGIN)[0], maps.looks, brain, hidden)
    models = {Path(name).name: loaded(name) for name in given.models}
    forms = {"": AskConfig(readout=ReadoutConfig()), ", as trained": AskConfig()}
    rows = json.loads(given.json.read_text(encoding="utf-8")) if given.json.exists() else []
    done = {(row["task"], row["examples"]) for row in rows}
    for task in given.tasks:
        for size in given.sizes:
            if (task, size) in done:
                continue
            found: dict[str, list[float]] = {}
            for seed in range(given.first, given.first + given.questions):
                people = people_of(source, task, given.side, seed, max(given.sizes), given.unseen, given.unseen)
                x, y = people.x[: given.unseen], people.y[: given.unseen]
                pairs = people.context[0, given.unseen - 1 :][:size]
                known = pairs[:, :3], pairs[:, 3:]
                examples = [Example(a[:, :, :, None], b[:, :, :, None]) for a, b in zip(*known)]
                with torch.inference_mode():
                    answers = {
                        f"{name}{told}": torch.stack([answer_volume(model, one[..., None], examples, how) for one in x])
                        for name, model in models.items()
                        for told, how in forms.items()
                    }
                answers = {name: one[..., 0] for name, one in answers.items()}
                if given.baseline_seconds and seed < given.first + 3:
                    width = next(iter(models.values())).config.width
                    unet = trained_baseline(*known, people.mask, width, given.baseline_seconds)
                    with torch.inference_mode():
                        answers["U-Net"] = unet(x)
                for name, answer in answers.items():
                    found.setdefault(name, []).extend(score(a, b, people.mask) for a, b in zip(answer, y))
            means = {name: round(sum(values) / len(values), 3) for name, values in found.items()}
            rows.append({"task": task, "measure": "Dice" if TASKS[task].mask else "PSNR dB", "examples": size, **means})
            print(rows[-1], flush=True)
            given.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    if given.picture:
        curves(rows).savefig(given.picture, dpi=110)


def curves(rows: list[dict]) -> Figure:
    """A plot a task: each method's score against the number of examples."""
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    columns = min(4, len(tasks))
    height = -(-len(tasks) // columns)
    figure = Figure(figsize=(3.2 * columns, 2.8 * height), layout="constrained")
    plots = figure.subplots(height, columns, squeeze=False).flatten()
    for task, plot in zip(tasks, plots):
        own = sorted((row for row in rows if row["task"] == task), key=lambda row: row["examples"])
        for name in [key for key in own[0] if key not in ("task", "measure", "examples")]:
            plot.plot([row["examples"] for row in own], [row.get(name) for row in own], marker="o", label=name)
        plot.set(title=task, xscale="log", xlabel="examples", ylabel=own[0]["measure"])
        sizes = [row["examples"] for row in own]
        plot.set_xticks(sizes, [str(size) for size in sizes])
        plot.minorticks_off()
    for plot in plots[len(tasks) :]:
        plot.set_visible(False)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="lower right")
    return figure


def loaded(name: str) -> Neuralizer:
    """A model by its card, or the best state of a training by its folder."""
    if not Path(name).is_dir():
        return Neuralizer.load(read_card(name))
    weights = torch.load(Path(name) / "best.pt", weights_only=True, map_location="cpu")["model"]
    model = Neuralizer(config_of(weights))
    model.load_state_dict(weights)
    return model.eval()


if __name__ == "__main__":
    main()
