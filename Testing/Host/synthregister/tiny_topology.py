"""`python tiny_topology.py FOLDER`: topology-brains at birth, to which nothing moves and what differs is unexplained.

In a process of its own: the process of the panel imports no torch.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import torch

from SlicerSynthReg.topology.variational import Topology, TopologyConfig
from SlicerSynthReg.weights.registry import Card, save_model
from SlicerSynthReg.weights.selection import TOPOLOGY_MODEL


def main(folder: Path) -> None:
    torch.manual_seed(0)
    config = replace(TopologyConfig.for_channels(1), log_variance=(-6.0,), widths=(4, 8))
    said = dict.fromkeys(("licence", "training_data", "limits", "modalities", "trained_with"), "nothing")
    card = Card(TOPOLOGY_MODEL, "Topology", config.to_card(), "", intended_use="Tests.", spacing_mm=2.0, **said)
    save_model(card, Topology(config).state_dict(), folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
