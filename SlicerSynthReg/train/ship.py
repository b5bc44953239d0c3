"""From checkpoints to a model that ships: weights in half precision and a card that says where they come from."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from SlicerSynthReg.methods.synthmorph.model import SynthMorph, SynthMorphConfig
from SlicerSynthReg.synth.tissues import ANATOMY, BRAIN
from SlicerSynthReg.weights.registry import Card, save_model


@dataclass(frozen=True)
class Provenance:
    """What a card says that no checkpoint knows."""

    training_data: str
    intended_use: str
    limits: str
    spacing_mm: float
    modalities: str
    trained_with: str
    licence: str = "Apache-2.0"
    measured_with: str = ""
    beats_baseline: bool = True
    scores: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Provenance:
        return cls(**json.loads(path.read_text(encoding="utf-8")))


def assembled(features: Path | None = None, registration: Path | None = None) -> SynthMorph:
    """The best averaged weights of an anatomy or feature training and, if given, of the matching heads trained on it.

    A registration training holds the features that it matched, so that it can stand alone; features beside it must be
    the same. Without one the heads stay as they are born: near soft-argmax matching.
    """
    state: dict[str, torch.Tensor] = {}
    if registration:
        state = {key[len("model.") :]: v for key, v in best_weights(registration).items() if key.startswith("model.")}
        if not state:
            raise ValueError(f"Found the paper's U-Net in {registration.name}, expected a training of the matching.")
    if features:
        seen = {k: v for k, v in best_weights(features).items() if k.startswith(("net.", "prototypes."))}
        if registration and not all(k in state and torch.equal(state[k], v) for k, v in seen.items()):
            raise ValueError(
                f"Found other features in {features.name} than {registration.name} was trained on, expected the same. "
                "Leave the features out to ship those of the registration, or train it anew on these."
            )
        state |= seen
    brains = "prototypes.weight" in state
    model = SynthMorph(SynthMorphConfig(labels=tuple(ANATOMY), foreground=BRAIN) if brains else SynthMorphConfig())
    missing, unexpected = model.load_state_dict(state, strict=False)
    strange = [key for key in missing if not key.startswith("matching.")] + list(unexpected)
    if strange:
        raise ValueError(f"Found checkpoints that do not fit ({strange[:3]}), expected the same configuration.")
    return model.eval()


def best_weights(folder: Path) -> dict[str, torch.Tensor]:
    path = folder / "best.pt"
    if not path.exists():
        raise ValueError(f"Found no best.pt in {folder.name}, expected a training that was validated once at least.")
    return torch.load(path, weights_only=True, map_location="cpu")["model"]


def ship(name: str, model: SynthMorph, provenance: Provenance, folder: Path) -> Path:
    """Write card and weights; returns the weights' path."""
    card = Card(
        name=name,
        method="SynthMorph",
        architecture=model.config.to_card(),
        sha256="",
        **dataclasses.asdict(provenance),
    )
    return save_model(card, model.state_dict(), folder)
