"""Data-parallel training with two processes (gloo)."""

from __future__ import annotations

import runpy
import subprocess
import sys

import pytest
import torch

PROGRAM = """
import os
import sys
import torch
from torch import nn
from SlicerSynthReg.training.loop import LoopConfig, train

class Regression:
    def __init__(self, seed, rows_of):
        torch.manual_seed(seed)
        self.rows_of = rows_of
        self.model = nn.ModuleDict({"used": nn.Linear(3, 4), "even": nn.Linear(4, 1), "never": nn.Linear(2, 2)})

    def loss(self, step):
        return {"loss": torch.stack([self.row_loss(row) for row in self.rows_of(step)]).mean()}

    def row_loss(self, row):
        x = torch.randn(8, 3, generator=torch.Generator().manual_seed(row))
        hidden = self.model["used"](x)
        out = hidden.sum(1, keepdim=True) if row % 2 else self.model["even"](hidden)
        return (out - x.sum(1, keepdim=True)).square().mean()

    def validate(self, model):
        return {"score": 0.0}

folder, rows = sys.argv[1], int(sys.argv[2])
task = Regression(int(os.environ.get("RANK", 0)), lambda step: range(rows * step, rows * (step + 1)))
train(task, LoopConfig(folder, 6, 60, 0.05, validate_every=6, warmup_steps=2), lambda text: None)
"""


@pytest.mark.slow
def test_two_ranks_equal_one_rank_with_a_doubled_batch(tmp_path, monkeypatch):
    """Rank 1 begins with other weights and never uses one layer: rank 0's weights are sent, and no rank waits."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    two_ranks = [sys.executable, "-m", *launcher, str(program), str(tmp_path / "two"), "1"]
    started = subprocess.run(two_ranks, capture_output=True, text=True, check=False)
    assert started.returncode == 0, started.stderr
    monkeypatch.setattr(sys, "argv", [str(program), str(tmp_path / "one"), "2"])
    runpy.run_path(str(program))
    one, two = (torch.load(tmp_path / name / "last.pt", weights_only=True) for name in ("one", "two"))
    assert one["step"] == two["step"] == 6
    for kind in ("model", "averaged"):
        assert all(torch.allclose(one[kind][name], two[kind][name], atol=1e-6) for name in one[kind])
