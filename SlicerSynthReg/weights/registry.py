"""Cards and weights. A card is read without torch; weights are loaded only after their hash agrees with the card."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

FOLDER = Path(__file__).parent


class WeightsError(RuntimeError):
    """A card or weights file that is missing, damaged or of another make; says found, expected, remedy."""


@dataclass(frozen=True)
class Card:
    """What one model is, was trained on, is for, and how well it did. legend: label value -> name, color (0 to 1) and
    terminology, where the examples told them. beats_baseline: whether it did better than its simplest baseline on
    people it never saw; a result by one that did not says so."""

    name: str
    method: str
    architecture: dict[str, Any]
    sha256: str
    licence: str
    training_data: str
    intended_use: str
    limits: str
    spacing_mm: float
    modalities: str
    trained_with: str
    scores: dict[str, Any] = field(default_factory=dict)
    measured_with: str = ""
    synthetic_training_only: bool = True
    legend: dict[str, dict[str, Any]] = field(default_factory=dict)
    beats_baseline: bool = True

    @property
    def file(self) -> str:
        return f"{self.name}.safetensors"

    @property
    def features(self) -> dict[str, Any] | None:
        """Configuration of the U-Net whose features another network may start from, None where it has none."""
        return self.architecture.get("features") or self.architecture.get("unet")


def available(folder: Path | None = None) -> list[str]:
    """Names of the models whose cards lie in `folder` (default: SYNTHREG_WEIGHTS, then those that ship)."""
    return sorted({path.stem for place in _places(folder) if place.is_dir() for path in place.glob("*.json")})


def own_folder() -> Path | None:
    """Where models that the user made are kept: SYNTHREG_WEIGHTS, None where it is not set. One of a shipped model's
    name takes its place."""
    own = os.environ.get("SYNTHREG_WEIGHTS")
    return Path(own) if own else None


def read_card(name: str, folder: Path | None = None) -> Card:
    """The card of model `name`."""
    for place in _places(folder):
        path = place / f"{name}.json"
        if path.exists():
            try:
                return Card(**json.loads(path.read_text(encoding="utf-8")))
            except (json.JSONDecodeError, TypeError) as error:
                raise WeightsError(
                    f"Found a card that cannot be read ({path.name}: {error}). Reinstall the model."
                ) from error
    raise WeightsError(f"Found no model named {name!r}, expected one of {available(folder)}.")


def load_weights(card: Card, folder: Path | None = None) -> dict[str, torch.Tensor]:
    """Tensors in float32, after the file's sha256 was compared with the card's."""
    from safetensors.torch import load

    for place in _places(folder):
        path = place / card.file
        if path.exists():
            content = path.read_bytes()
            found = hashlib.sha256(content).hexdigest()
            if found != card.sha256:
                raise WeightsError(
                    f"Found {card.file} with sha256 {found[:12]}..., expected {card.sha256[:12]}...: the file is "
                    "damaged or of another version. Reinstall the model."
                )
            return {key: value.float() if value.is_floating_point() else value for key, value in load(content).items()}
    raise WeightsError(f"Found the card of {card.name!r} without {card.file} beside it. Reinstall the model.")


def save_model(card: Card, tensors: dict[str, torch.Tensor], folder: Path) -> Path:
    """Write half-precision weights and the card (its sha256 filled in); both appear whole or not at all."""
    import torch
    from safetensors.torch import save

    half = {k: (v.half() if v.dtype == torch.float32 else v).contiguous().cpu() for k, v in tensors.items()}
    content = save(half)
    card = dataclasses.replace(card, sha256=hashlib.sha256(content).hexdigest())
    folder.mkdir(parents=True, exist_ok=True)
    for path, data in (
        (folder / card.file, content),
        (folder / f"{card.name}.json", (json.dumps(dataclasses.asdict(card), indent=2) + "\n").encode()),
    ):
        partial = path.with_suffix(path.suffix + ".partial")
        partial.write_bytes(data)
        os.replace(partial, path)
    return folder / card.file


def _places(folder: Path | None) -> list[Path]:
    if folder is not None:
        return [Path(folder)]
    own = own_folder()
    return [*([own] if own else []), FOLDER]
