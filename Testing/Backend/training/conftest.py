from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from SlicerSynthReg.networks.matching import MatchingConfig
from SlicerSynthReg.networks.unet import UNetConfig
from SlicerSynthReg.synthesis.shapes import ShapesConfig
from SlicerSynthReg.training import loop, options
from SlicerSynthReg.training.cli import app
from SlicerSynthReg.training.label_maps import LabelMaps
from SlicerSynthReg.training.loop import LoopConfig, TrainingTask
from SlicerSynthReg.training.pairs import PairConfig

VALUES = (
    0, 2, 3, 4, 5, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18, 24, 25, 26, 28, 30, 41, 42, 43, 44, 46, 47, 49, 50, 51,
    52, 53, 54, 57, 58, 60, 62, 72, 85, 136, 137, 163, 164, 502, 506, 507, 508, 509, 511, 512, 514, 515, 516, 530,
)  # fmt: skip
"""FreeSurfer numbers of the whole-head maps that synthmorph-brains is trained on."""

SMALL_UNET = UNetConfig(1, 8, (4, 8, 8))
SMALL_MATCHING = MatchingConfig(levels=(2, 1), width=8)
SMALL_PAIRS = PairConfig(shape=(24, 28, 20), shapes=ShapesConfig(labels=8, resolution=8, velocity_sd=10.0))

PROVENANCE = {
    "training_data": "blocks",
    "intended_use": "tests",
    "limits": "all",
    "spacing_mm": 2.0,
    "modalities": "any",
    "trained_with": "a test",
}


@pytest.fixture
def stopped_clock(monkeypatch) -> list[float]:
    """The loop's clock: it advances only by what a test adds to it."""
    now = [100.0]
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


@pytest.fixture
def four_heads() -> LabelMaps:
    """Four maps of 60^3 voxels, each with every label in blocks of 6 voxels, in an order of its own."""
    maps = []
    for seed in range(4):
        generator = torch.Generator().manual_seed(seed)
        order = torch.cat([torch.randperm(len(VALUES), generator=generator) for _ in range(19)])[:1000]
        blocks = order.to(torch.uint8).view(10, 10, 10)
        maps.append(blocks.repeat_interleave(6, 0).repeat_interleave(6, 1).repeat_interleave(6, 2).contiguous())
    return LabelMaps(tuple(maps), VALUES)


@pytest.fixture
def label_map_folder(tmp_path, four_heads) -> Path:
    """Three label maps as NIfTI files."""
    folder = tmp_path / "maps"
    folder.mkdir()
    values = np.array(VALUES, dtype=np.int16)
    for n, labels in enumerate(four_heads.maps[:3]):
        nibabel.save(nibabel.Nifti1Image(values[labels.numpy()], np.eye(4)), folder / f"{n}.nii.gz")
    return folder


@pytest.fixture
def trainings(monkeypatch) -> list[tuple[TrainingTask, LoopConfig]]:
    """Arguments of each call of the training loop, which does nothing."""
    calls: list[tuple[TrainingTask, LoopConfig]] = []

    def record(task: TrainingTask, config: LoopConfig, log) -> Path:
        calls.append((task, config))
        return Path(config.folder) / "best.pt"

    monkeypatch.setattr(options, "train", record)
    monkeypatch.setattr(options, "plot_training", lambda folder: folder / "training.png")
    return calls


@pytest.fixture
def synthreg_train() -> Callable[..., tuple[int, str]]:
    """Run `synthreg train` with arguments; return exit code and output in one line."""

    def run(*arguments: object) -> tuple[int, str]:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})
        return result.exit_code, " ".join(result.output.split())

    return run


@pytest.fixture
def provenance_file(tmp_path) -> Path:
    path = tmp_path / "provenance.json"
    path.write_text(json.dumps(PROVENANCE))
    return path


@pytest.fixture
def write_checkpoint(tmp_path) -> Callable[[str, torch.nn.Module], Path]:
    """Write a model's weights as the loop writes its best checkpoint; return the folder."""

    def write(name: str, model: torch.nn.Module) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        torch.save({"model": model.state_dict(), "step": 1, "scores": {"score": 0.5}}, folder / "best.pt")
        return folder

    return write
