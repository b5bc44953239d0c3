"""The paper's subtask: an aorta segmenter trained on generated natives against one trained on real natives.

    python Testing/Benchmarks/aorta.py --model mfm-abdomen --out OUT            # on phantoms
    python Testing/Benchmarks/aorta.py --run RUN --pairs FOLDER --out OUT       # on your own pairs with label maps

Both segmenters are the same network with the same draws and steps; both are judged on the real natives of patients that
neither has seen. The paper has Dice 0.926 and 0.966. The contrast images are labelled as their natives are.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from SlicerSynthReg.contrast.config import SolverConfig
from SlicerSynthReg.contrast.mfm import ContrastConfig, ContrastModel
from SlicerSynthReg.contrast.slice_network import normalise_hu
from SlicerSynthReg.metrics.overlap import dice
from SlicerSynthReg.networks.slice_networks import SLICE_NETWORKS
from SlicerSynthReg.networks.time_resnet import TimeResNet, TimeResNetConfig
from SlicerSynthReg.synthesis.ct.organs import ORGANS
from SlicerSynthReg.synthesis.ct.phantom import PhantomConfig
from SlicerSynthReg.training.contrast import convert_pair
from SlicerSynthReg.training.contrast_command import load_best_contrast
from SlicerSynthReg.training.ct_pairs import PhantomSlices, SlicePair, draw_batch, pair_folders, read_pair
from SlicerSynthReg.training.loop import LoopConfig, train
from SlicerSynthReg.weights.registry import read_card

SEED = 3_000_000
NET = TimeResNetConfig(widths=(16, 32, 64, 96), encoder_blocks=(1, 1, 1, 2), bottleneck="none", time_channels=16)


class AortaTask:
    """A training task (training.loop.TrainingTask). images: what is trained on, with the aorta of each; unseen: natives
    for validation."""

    def __init__(self, images: Sequence[SlicePair], unseen: Sequence[SlicePair]) -> None:
        torch.manual_seed(0)
        self.images, self.unseen = images, unseen
        self.model: nn.Module = TimeResNet(NET).to(memory_format=torch.channels_last)

    def loss(self, step: int) -> dict[str, torch.Tensor]:
        batch = draw_batch(self.images, 6, 128, 0, torch.Generator().manual_seed(step))
        logits = self.model(normalise_hu(batch.native), torch.zeros(6))
        truth = (batch.contrast > 0).float()
        p = torch.sigmoid(logits)
        overlap = (2 * (p * truth).sum() + 1) / (p.sum() + truth.sum() + 1)
        return {"loss": F.binary_cross_entropy_with_logits(logits, truth) + 1 - overlap}

    def validate(self, model: nn.Module) -> dict[str, float]:
        return {"score": sum(aorta_dice(model, one) for one in self.unseen) / len(self.unseen)}


def aorta_dice(model: nn.Module, patient: SlicePair) -> float:
    """Of the aorta in the native of a patient, over all slices; 1 where there is none and none was found."""
    slices = normalise_hu(patient.native.float())[:, None].split(8)
    found = torch.cat([model(part, torch.zeros(len(part)))[:, 0] > 0 for part in slices])
    return dice(found, patient.contrast > 0)


def labelled(image: torch.Tensor, labels: torch.Tensor | None) -> SlicePair:
    """An image beside its aorta, 1 in -1000: windows of both are drawn at one place, with air around both."""
    if labels is None:
        raise SystemExit("Found a patient without a label map, expected labels.nii.gz with the aorta as 52.")
    aorta = (labels == ORGANS["aorta"]).to(torch.int16)
    return SlicePair(image.round().to(torch.int16), aorta * 1001 - 1000)


def patients_of(given: argparse.Namespace) -> tuple[list[SlicePair], list[SlicePair]]:
    """To train on, and real natives to be judged on."""
    if given.pairs:
        found = [read_pair(folder) for folder in pair_folders(given.pairs)]
        if len(found) < 2:
            raise SystemExit(f"Found {len(found)} pair in {given.pairs.name}, expected two at least.")
        return found[: len(found) // 2], found[len(found) // 2 :]
    phantom = PhantomConfig(zoom=(1.0, 1.0), shared_noise=given.shared_noise, level_mm=(-60.0, 40.0))
    phantoms = replace(PhantomSlices(), count=10, phantom=phantom)
    made = [phantoms.make(SEED + n) for n in range(2 * given.patients)]
    return made[: given.patients], made[given.patients :]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mfm-abdomen", help="an installed model")
    parser.add_argument("--run", type=Path, help="a training instead, of --network and --neighbours")
    parser.add_argument("--network", default="timeresnet", choices=list(SLICE_NETWORKS))
    parser.add_argument("--neighbours", type=int, default=1)
    parser.add_argument("--pairs", type=Path, help="patients with native, contrast and labels; none: phantoms")
    parser.add_argument("--patients", type=int, default=20, help="phantoms to train on, and as many to judge on")
    parser.add_argument("--shared-noise", type=float, default=0.0)
    parser.add_argument("--solver", default="heun")
    parser.add_argument("--steps", type=int, default=600, help="of each segmenter's training")
    parser.add_argument("--minutes", type=float, default=30.0, help="for each segmenter")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    if given.run:
        model = load_best_contrast(given.run, ContrastConfig("flow", SLICE_NETWORKS[given.network], given.neighbours))
    else:
        model = ContrastModel.load(read_card(given.model))
    known, unseen = patients_of(given)
    judged = [labelled(one.native, one.labels) for one in unseen]
    sources = {
        "real": [labelled(one.native, one.labels) for one in known],
        "generated": [
            labelled(convert_pair(model, one, "native", SolverConfig(given.solver))[0], one.labels) for one in known
        ],
    }
    found = {}
    for name, images in sources.items():
        task = AortaTask(images, judged[:3])
        config = LoopConfig(str(given.out / name), given.steps, given.minutes, validate_every=100)
        best = torch.load(train(task, config), weights_only=True)["model"]
        task.model.load_state_dict(best)
        task.model.eval()
        with torch.no_grad():
            found[name] = sum(aorta_dice(task.model, one) for one in judged) / len(judged)
        print(f"Dice of the aorta on {len(judged)} real natives, trained on {name} natives: {found[name]:.3f}")
    share = found["generated"] / max(found["real"], 1e-9)
    print(f"generated / real: {share:.3f} (the paper: 0.926 / 0.966 = 0.959)")


if __name__ == "__main__":
    main()
