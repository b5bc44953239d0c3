"""`synthreg train`: one command a network, resumable, logged, with curves; each method's file adds its own."""

from __future__ import annotations

from SlicerSynthReg.train import any_features, healthy, mfm, neuralizer, semantic, synthmorph, topology
from SlicerSynthReg.train.training import app

__all__ = ["any_features", "app", "healthy", "mfm", "neuralizer", "semantic", "synthmorph", "topology"]
