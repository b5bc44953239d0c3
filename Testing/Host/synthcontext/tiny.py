"""Tiny models for the worker, made in a process of its own: the panel's process must not know torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
VOTING, FEATURES = "voting", "tiny-features"


def make_models(folder: Path) -> None:
    """In `folder`: a network by examples whose answer is the mean of the examples', and features to start from."""
    subprocess.run([sys.executable, __file__, str(folder)], check=True, cwd=ROOT, env={"PYTHONPATH": str(ROOT)})


def _main(folder: Path) -> None:
    import torch

    from SlicerSynthReg.in_context.neuralizer import Neuralizer, NeuralizerConfig
    from SlicerSynthReg.networks.unet import UNet, UNetConfig
    from SlicerSynthReg.weights.registry import Card, save_model

    network = Neuralizer(NeuralizerConfig(width=4, stages=2, one_way=True)).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        network.embed_c.weight[0, 3] = 1
        network.blocks[0].to_target.of_b.weight[:, :, 0, 0] = torch.eye(4)
        network.join_x[0].of_b.weight[:, :, 0, 0] = torch.eye(4)
        network.head.weight[0, 0] = 1
    common = ("Apache-2.0", "nothing", "Tests.", "Knows nothing.", 1.0, "any", "by hand")
    save_model(Card(VOTING, "Neuralizer", network.config.to_card(), "", *common), network.state_dict(), folder)
    config = UNetConfig(1, 8, (8, 8))
    features = UNet(config)
    weights = {f"net.{key}": value for key, value in features.state_dict().items()}
    import dataclasses

    card = Card(FEATURES, "Features", {"features": dataclasses.asdict(config)}, "", *common)
    save_model(card, weights, folder)


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
