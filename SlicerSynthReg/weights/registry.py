"""Model cards and weights. Cards are read without torch; weights are loaded only if their hash equals the card's."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from SlicerSynthReg.errors import WeightsError

if TYPE_CHECKING:
    import torch

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Card:
    """Model card: architecture, training data, intended use, limits and measured scores of one model.

    method: name of the method. sha256: of the weights file. spacing_mm: voxel size of the network's input. legend:
    label value -> name, color (0 to 1) and terminology, if the training examples had them. beats_baseline: whether the
    model outperforms its simplest baseline on unseen subjects; results of others carry a warning.
    """

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
        """Configuration of the feature U-Net from which another network can be initialised; None if it has none."""
        return self.architecture.get("features") or self.architecture.get("unet")


def available(folder: Path | None = None) -> list[str]:
    """Return the names of the models with a card in `folder` (default: SYNTHREG_WEIGHTS and the shipped models)."""
    return sorted(
        {path.stem for directory in _folders(folder) if directory.is_dir() for path in directory.glob("*.json")}
    )


def user_folder() -> Path | None:
    """Return the folder of the user's models, SYNTHREG_WEIGHTS; None if not set. A model there takes precedence over
    the shipped model of its name."""
    own = os.environ.get("SYNTHREG_WEIGHTS")
    return Path(own) if own else None


def read_card(name: str, folder: Path | None = None) -> Card:
    """Return the card of model `name`. Raises WeightsError (model-missing, card-unreadable)."""
    if Path(name).name != name or "\\" in name or name in (".", ".."):
        raise WeightsError(
            f"Found {name!r} as the name of a model, expected a name without folders; set SYNTHREG_WEIGHTS to the "
            "folder of your models.",
            code="model-missing",
        )
    for directory in _folders(folder):
        path = directory / f"{name}.json"
        if path.exists():
            try:
                return Card(**json.loads(path.read_text(encoding="utf-8")))
            except (ValueError, TypeError) as error:
                raise WeightsError(
                    f"Found a card that cannot be read ({path.name}: {error}), expected a model card. "
                    "Reinstall the model.",
                    code="card-unreadable",
                ) from error
    names = ", ".join(available(folder)) or "those that ship; reinstall"
    raise WeightsError(f"Found no model named {name!r}, expected one of {names}.", code="model-missing")


def load_weights(card: Card, folder: Path | None = None) -> dict[str, torch.Tensor]:
    """Return the weights in float32. Raises WeightsError (weights-missing; weights-damaged if the sha256 differs)."""
    from safetensors.torch import load

    for directory in _folders(folder):
        path = directory / card.file
        if path.exists():
            content = path.read_bytes()
            found = hashlib.sha256(content).hexdigest()
            if found != card.sha256:
                raise WeightsError(
                    f"Found {card.file} with sha256 {found[:12]}..., expected {card.sha256[:12]}...: the file is "
                    "damaged or of another version. Reinstall the model.",
                    code="weights-damaged",
                )
            return {key: value.float() if value.is_floating_point() else value for key, value in load(content).items()}
    raise WeightsError(
        f"Found the card of {card.name!r} without {card.file}, expected it beside the card. Reinstall the model.",
        code="weights-missing",
    )


def save_model(card: Card, tensors: dict[str, torch.Tensor], folder: Path) -> Path:
    """Write half-precision weights and the card with their sha256, each atomically; return the weights file."""
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


def _folders(folder: Path | None) -> list[Path]:
    if folder is not None:
        return [Path(folder)]
    own = user_folder()
    return [*([own] if own else []), FOLDER]
