"""Training what tells topological change: pairs of healthy synthetic people, or of random shapes, in one contrast.

`synthreg train topology` and `ship-topology`. Anomalies are seen in validation alone, which reports how well they are
told (area under the ROC curve over the anatomy's voxels) beside the baselines on the same warp; the checkpoint is
chosen by the bound on healthy pairs.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

import torch
import typer
from torch import nn

from SlicerSynthReg.evaluate.auc import area_over_cases, auc
from SlicerSynthReg.methods.topology.baselines import li_wyatt, log_jacobian_squared
from SlicerSynthReg.methods.topology.model import Describe, Topology, TopologyConfig, description, halved, moved
from SlicerSynthReg.synth.contrast import Looks
from SlicerSynthReg.synth.deform import DeformConfig
from SlicerSynthReg.synth.pair import View, ViewConfig
from SlicerSynthReg.synth.pathology.pasted import PastedConfig, draw_pasted, paste
from SlicerSynthReg.synth.tissues import GREY, RIGHT_TO_LEFT, TISSUES, WHITE
from SlicerSynthReg.train.labelmaps import LabelMaps
from SlicerSynthReg.train.loop import Task
from SlicerSynthReg.train.pairs import PairConfig, Recipe, make_pair
from SlicerSynthReg.train.ship import Provenance, best_weights
from SlicerSynthReg.train.training import DEVICE, app, label_maps, training
from SlicerSynthReg.weights.registry import Card, WeightsError, save_model

METHOD = "Topology"
SPACING_MM = 2.0


def _placed(view: ViewConfig) -> ViewConfig:
    """Heads as after an affine registration: hardly turned or moved."""
    deform: DeformConfig = dataclasses.replace(view.deform, rotation_degrees=2.0, shift_vox=1.5, scale=0.03, shear=0.01)
    return dataclasses.replace(
        view, deform=deform, artefacts=dataclasses.replace(view.artefacts, thick_slices=0.0, crop=0.0)
    )


@dataclass(frozen=True)
class TopologyTaskConfig:
    """pairs: as for registration, but placed alike. slices: axial ones a step, for dims 2. unseen: pairs validated."""

    model: TopologyConfig = field(default_factory=TopologyConfig)
    pairs: PairConfig = field(default_factory=PairConfig)
    pasted: PastedConfig = field(default_factory=PastedConfig)
    slices: int = 8
    unseen: int = 6

    @property
    def placed(self) -> PairConfig:
        pairs = self.pairs
        return dataclasses.replace(pairs, person=_placed(pairs.person), random=_placed(pairs.random))


class TopologyTask:
    """maps: None for random shapes. describe: what is compared of the images, of `config.model.channels` channels."""

    def __init__(
        self,
        config: TopologyTaskConfig,
        maps: LabelMaps | None,
        describe: Describe = halved,
        held_out: int = 2,
        device: str = "cpu",
    ) -> None:
        self.config, self.describe, self.device = config, describe, device
        self.people, self.unseen = maps.people(held_out, margin=12) if maps else ([], [])
        self.looks = maps.looks if maps else Looks.arbitrary(config.pairs.shapes.labels)
        self.recipe = Recipe(sequences=("T1",) if maps else (), alike=True)
        self.tissue = _tissues(maps, config.pairs.shapes.labels).to(device)
        self.model = Topology(config.model).to(device)

    def loss(self, step: int) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(step)
        torch.manual_seed(step)  # of the sample of Phi
        fixed, moving = self._pair(self.people, generator)
        i, j = self._seen(moving.image), self._seen(fixed.image)
        return self.model.loss(i, j, self.describe(i), self.describe(j))

    def validate(self, model: nn.Module) -> dict[str, float]:
        """bound: of healthy unseen pairs. auc: of L_sym for an anomaly pasted into J, and of both baselines."""
        bound = 0.0
        areas: dict[str, list[float]] = {"auc": [], "jacobian": [], "li_wyatt": []}
        count = self.config.unseen
        for n in range(count):
            generator = torch.Generator().manual_seed(10_000_000 + n)
            fixed, moving = self._pair(self.unseen, generator)
            domain, white, grey = (self.tissue[row][fixed.labels.long()] for row in range(3))
            i, j = self._seen(moving.image), self._seen(fixed.image)
            bound += float(model.explain_both(i, j, self.describe).score.mean()) / count
            record = draw_pasted(self.config.pasted, generator)
            sick, changed = paste(fixed.image, domain, white, grey, record, SPACING_MM)
            j = self._seen(sick)
            found = model.explain_both(i, j, self.describe)
            maps = {
                "auc": found.score,
                "jacobian": log_jacobian_squared(found.u),
                "li_wyatt": li_wyatt(moved(halved(i), found.u), halved(j)),
            }
            where, within = (halved(self._seen(mask[:, None].float()))[:, 0] > 0.5 for mask in (changed, domain))
            for name, score in maps.items():
                areas[name].append(auc(score.cpu().numpy(), where.cpu().numpy(), within.cpu().numpy()))
        return {"score": -bound, **{name: area_over_cases(one).mean for name, one in areas.items()}}

    def _pair(self, people: list[torch.Tensor], generator: torch.Generator) -> tuple[View, View]:
        pair = make_pair(self.config.placed, self.recipe, people, self.looks, generator, self.device)
        return pair.fixed, pair.moving

    def _seen(self, image: torch.Tensor) -> torch.Tensor:
        """(1, 1, I, J, K), or with dims 2 its axial slices as a batch (slices, 1, I, J), spread about the middle."""
        if self.config.model.dims == 3:
            return image
        depth, count = image.shape[4], self.config.slices
        places = torch.linspace(0.3 * depth, 0.7 * depth, count).long().to(image.device)
        return image[0].index_select(3, places).permute(3, 0, 1, 2)


def _tissues(maps: LabelMaps | None, labels: int) -> torch.Tensor:
    """(3, L) bool by label index: where anomalies may lie, white matter, grey matter; of shapes all but the first."""
    if maps is None:
        return torch.tensor([[n > 0 for n in range(labels)]] * 3)
    kinds = [TISSUES.get(RIGHT_TO_LEFT.get(value, value)) for value in maps.values]
    inside = [value in maps.anatomy for value in maps.values]
    return torch.tensor([inside, [kind == WHITE for kind in kinds], [kind == GREY for kind in kinds]])


@training
def topology(
    labels: Optional[Path] = typer.Option(None, help="Folder of whole-head label maps; none: random shapes."),
    features: str = typer.Option("synthmorph-brains", help="Model whose encoder describes; '': intensities alone."),
    dims: int = typer.Option(3, min=2, max=3, help="2: axial slices; 3: volumes."),
    held_out: int = typer.Option(2, help="So many label maps, the last by name, are for validation only."),
    cache: Optional[Path] = typer.Option(None, help="File that keeps the maps as read, for a start in seconds."),
    device: str = DEVICE,
) -> Task:
    """Where two images differ as no smooth warp can explain."""
    try:
        describe = description(features, device)
    except WeightsError as error:
        raise typer.BadParameter(str(error)) from error
    channels = describe(torch.zeros(1, 1, 16, 16, device=device)).shape[1]
    config = TopologyTaskConfig(TopologyConfig.comparing(channels, dims, features))
    return TopologyTask(config, label_maps(labels, held_out, cache) if labels else None, describe, held_out, device)


@app.command("ship-topology")
def ship_topology(
    name: str = typer.Argument(..., help="Name of the model, such as topology-brains."),
    training: Path = typer.Option(..., help="Folder of the training."),
    provenance: Path = typer.Option(..., help="JSON file with what the card must say of data, use, limits and scores."),
    to: Path = typer.Option(..., help="Folder for the card and the weights."),
    features: str = typer.Option("synthmorph-brains", help="As in the training."),
) -> None:
    """Best checkpoint of a training of topological change -> a card and half-precision weights."""
    model = trained_topology(training, features)
    entries = dataclasses.asdict(Provenance.read(provenance))
    card = Card(name=name, method=METHOD, architecture=model.config.to_card(), sha256="", **entries)
    typer.echo(str(save_model(card, model.state_dict(), to)))


def trained_topology(folder: Path, features: str) -> Topology:
    """The best averaged weights of a training; how many dimensions and channels it had is read from their shapes."""
    state = best_weights(folder)
    dims, channels = state["net.head.weight"].dim() - 2, len(state["log_variance"])
    model = Topology(TopologyConfig.comparing(channels, dims, features))
    model.load_state_dict(state)
    return model.eval()
