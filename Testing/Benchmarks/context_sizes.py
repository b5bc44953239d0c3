"""Dice and PSNR of in-context tasks against the support size, beside a U-Net trained on the same examples.

The paper's figure 4 and table 4 at smaller scale. Targets are subjects that no model was trained on (the last label
maps); examples are others. The U-Net is the network's target path without support set, as the paper's baseline:
constant width, one residual unit per level. The same episodes are predicted with growing support sets; small ones are
filled up with jittered copies, as by `synthreg in-context`.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from pathlib import Path

import torch
from matplotlib.figure import Figure
from results import add_save_option, save_table

from SlicerSynthReg.in_context.inference import predict_volume
from SlicerSynthReg.in_context.neuralizer import Neuralizer, NeuralizerConfig, SupportEncoding
from SlicerSynthReg.in_context.ridge_head import RidgeHeadConfig
from SlicerSynthReg.in_context.slices import Example, InferenceConfig, fill_support
from SlicerSynthReg.losses.in_context import episode_loss
from SlicerSynthReg.synthesis.episode import EpisodeConfig, EpisodeSource
from SlicerSynthReg.synthesis.in_context_tasks import TASKS, Episode
from SlicerSynthReg.synthesis.slices import SliceConfig
from SlicerSynthReg.synthesis.tissues import RIGHT_TO_LEFT, STRUCTURES
from SlicerSynthReg.training.in_context import score
from SlicerSynthReg.training.in_context_command import MARGIN, infer_config
from SlicerSynthReg.training.label_maps import read_label_maps
from SlicerSynthReg.weights.registry import read_card


def held_out_episode(source: EpisodeSource, given: argparse.Namespace, task: str, seed: int) -> Episode:
    """Return an episode whose first subjects are the held-out maps, followed by the largest support set."""
    examples, held_out = max(given.sizes), given.validation_cases
    generator = torch.Generator().manual_seed(20_000_000 + seed)
    config = EpisodeConfig(
        SliceConfig(size=given.slice_size, pixel_size=(1.2, 2.1)),
        slab_probability=0.0,
        multi_contrast_probability=0.0,
        augment=False,
    )
    record = source.draw(config, examples + held_out, generator, task)
    known = len(source.label_maps) - held_out
    numbers = [known + n for n in range(held_out)] + [n % known for n in range(examples)]
    subjects = tuple(dataclasses.replace(one, subject=n) for one, n in zip(record.slab.subjects, numbers))
    return source.make(dataclasses.replace(record, slab=dataclasses.replace(record.slab, subjects=subjects)))


class UNetBaseline(torch.nn.Module):
    """(B, 3, H, W) -> (B, 1, H, W)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.net = Neuralizer(NeuralizerConfig(width, one_way=True))
        self.nothing = (torch.zeros(1, width, 1, 1),) * (2 * self.net.config.stages - 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net.predict(x, SupportEncoding(self.nothing, (x.shape[-2], x.shape[-1])))


def trained_baseline(x: torch.Tensor, y: torch.Tensor, mask: bool, width: int, seconds: float) -> UNetBaseline:
    """Return a U-Net trained on examples (N, 3, H, W) and (N, 1, H, W) with jitter, for `seconds` of processor time."""
    torch.manual_seed(0)
    model = UNetBaseline(width)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    until, step = time.process_time() + torch.get_num_threads() * seconds, 0
    while time.process_time() < until:
        jitter = InferenceConfig(support_size=len(x) + 4, jitter_degrees=8, jitter_pixels=4)
        many = fill_support(x, y, jitter, torch.Generator().manual_seed(step))
        loss = episode_loss(model(many[0][-4:]), many[1][-4:], torch.full((4,), mask)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1
    return model.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=Path, required=True, help="folder of whole-head label maps")
    parser.add_argument("--validation-cases", type=int, default=3, help="last maps, which no model was trained on")
    parser.add_argument("--models", nargs="+", default=["neuralizer-brains"], help="names, or folders of trainings")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32])
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--structures", nargs="+", default=[], choices=list(STRUCTURES), help="structures of the masks")
    parser.add_argument("--episodes", type=int, default=8, help="per task")
    parser.add_argument("--first", type=int, default=0, help="number of the first episode")
    parser.add_argument("--slice-size", type=int, default=96)
    parser.add_argument("--baseline-seconds", type=float, default=20.0, help="training of each U-Net; 0: none")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, required=True, help="keeps what is measured, and goes on from it")
    parser.add_argument("--picture", type=Path, default=None, help="PNG of the curves")
    add_save_option(parser)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    maps = read_label_maps(given.labels, 0)
    brain = torch.tensor([value in maps.brain_values or value == 24 for value in maps.values])
    kept = {number for name in given.structures for number in STRUCTURES[name]}
    hidden = [n for n, value in enumerate(maps.values) if kept and RIGHT_TO_LEFT.get(value, value) not in kept]
    source = EpisodeSource(maps.split(0, MARGIN)[0], maps.intensity_tables, brain, hidden)
    models = {Path(name).name: loaded(name) for name in given.models}
    heads = {"": InferenceConfig(ridge_head=RidgeHeadConfig()), ", trained head": InferenceConfig()}
    rows = json.loads(given.json.read_text(encoding="utf-8")) if given.json.exists() else []
    done = {(row["task"], row["examples"]) for row in rows}
    for task in given.tasks:
        for size in given.sizes:
            if (task, size) in done:
                continue
            found: dict[str, list[float]] = {}
            for seed in range(given.first, given.first + given.episodes):
                episode = held_out_episode(source, given, task, seed)
                x, y = episode.x[: given.validation_cases], episode.y[: given.validation_cases]
                pairs = episode.support[0, given.validation_cases - 1 :][:size]
                known = pairs[:, :3], pairs[:, 3:]
                examples = [Example(a[:, :, :, None], b[:, :, :, None]) for a, b in zip(*known)]
                with torch.inference_mode():
                    predictions = {
                        f"{name}{suffix}": torch.stack(
                            [predict_volume(model, one[..., None], examples, how) for one in x]
                        )
                        for name, model in models.items()
                        for suffix, how in heads.items()
                    }
                predictions = {name: one[..., 0] for name, one in predictions.items()}
                if given.baseline_seconds and seed < given.first + 3:
                    width = next(iter(models.values())).config.width
                    unet = trained_baseline(*known, episode.mask, width, given.baseline_seconds)
                    with torch.inference_mode():
                        predictions["U-Net"] = unet(x)
                for name, prediction in predictions.items():
                    found.setdefault(name, []).extend(score(a, b, episode.mask) for a, b in zip(prediction, y))
            means = {name: round(sum(values) / len(values), 3) for name, values in found.items()}
            rows.append({"task": task, "measure": "Dice" if TASKS[task].mask else "PSNR dB", "examples": size, **means})
            print(rows[-1], flush=True)
            given.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    columns = list(dict.fromkeys(key for row in rows for key in row))
    cells = [[row.get(key, "-") for key in columns] for row in rows]
    save_table(given, "In-context tasks by number of examples", columns, cells)
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
    model = Neuralizer(infer_config(weights))
    model.load_state_dict(weights)
    return model.eval()


if __name__ == "__main__":
    main()
