"""`python tiny_model.py FOLDER NAME`: an untrained model that changes soft tissue by some 20 HU, and its card.

In a process of its own: the process of the panel imports no torch.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from SlicerSynthReg.contrast.mfm import ContrastConfig, ContrastModel
from SlicerSynthReg.networks.time_resnet import TimeResNetConfig
from SlicerSynthReg.weights.registry import Card, save_model


def main(folder: Path, name: str) -> None:
    torch.manual_seed(7)
    model = ContrastModel(ContrastConfig(net=TimeResNetConfig(widths=(8, 8), encoder_blocks=(1, 2), time_channels=8)))
    with torch.no_grad():
        model.net.head[-1].bias.fill_(0.02)
        model.net.head[-1].weight.normal_().mul_(0.002)
    said = {"training_data": "nothing", "intended_use": "Tests.", "limits": "Never trained.", "modalities": "CT"}
    card = Card(
        name, "MFM", model.config.to_card(), "", licence="Apache-2.0", spacing_mm=3.0, trained_with="nothing", **said
    )
    save_model(card, model.state_dict(), folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
