"""Export of trained models: weights in half precision and a model card."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch

from SlicerSynthReg.errors import WeightsError
from SlicerSynthReg.weights.registry import Card, save_model


class CardConfig(Protocol):
    """A configuration that a model card holds."""

    def to_card(self) -> dict[str, Any]: ...


class Exportable(Protocol):
    """A network with the configuration that its card holds."""

    @property
    def config(self) -> CardConfig: ...

    def state_dict(self) -> dict[str, torch.Tensor]: ...


@dataclass(frozen=True)
class Provenance:
    """Entries of a card that no checkpoint holds (see weights.registry.Card)."""

    training_data: str
    intended_use: str
    limits: str
    spacing_mm: float
    modalities: str
    trained_with: str
    licence: str = "Apache-2.0"
    measured_with: str = ""
    beats_baseline: bool = True
    synthetic_training_only: bool = True
    scores: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Provenance:
        """Read the entries from a JSON file. Raises WeightsError (provenance-invalid)."""
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, TypeError, json.JSONDecodeError) as error:
            names = ", ".join(entry.name for entry in dataclasses.fields(cls))
            raise WeightsError(
                f"Found {path.name} that cannot be read ({error}), expected a JSON object with the entries {names}.",
                code="provenance-invalid",
            ) from error


def best_weights(folder: Path) -> dict[str, torch.Tensor]:
    """Return the best averaged weights of a training. Raises WeightsError (checkpoint-missing)."""
    path = folder / "best.pt"
    if not path.exists():
        raise WeightsError(
            f"Found no best.pt in {folder.name}, expected a training that was validated at least once.",
            code="checkpoint-missing",
        )
    return torch.load(path, weights_only=True, map_location="cpu")["model"]


def export_model(name: str, method: str, model: Exportable, provenance: Provenance, folder: Path) -> Path:
    """Write card and half-precision weights of `model` to `folder`; return the path of the weights."""
    card = Card(
        name=name, method=method, architecture=model.config.to_card(), sha256="", **dataclasses.asdict(provenance)
    )
    return save_model(card, model.state_dict(), folder)
