"""Training of the topological-change model on pairs of healthy synthetic subjects, or of random shapes, in one
contrast.

Anomalies are used in validation only, which reports the area under the ROC curve of the model and of the baselines on
the same warp, over the voxels of the anatomy. The checkpoint is selected by the bound on healthy pairs.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import torch
from torch import nn

from SlicerSynthReg.metrics.roc import auc, mean_auc
from SlicerSynthReg.synthesis.deformation import DeformationConfig
from SlicerSynthReg.synthesis.mr_contrast import IntensityTables
from SlicerSynthReg.synthesis.pair import View, ViewConfig
from SlicerSynthReg.synthesis.pathology.pasted_lesions import PastedLesionConfig, draw_pasted_lesion, paste_lesion
from SlicerSynthReg.synthesis.tissues import GREY, RIGHT_TO_LEFT, TISSUES, WHITE
from SlicerSynthReg.topology.change_maps import li_wyatt, log_jacobian_squared
from SlicerSynthReg.topology.variational import (
    FeatureFunction,
    Topology,
    TopologyConfig,
    half_resolution,
    warp_features,
)
from SlicerSynthReg.training.label_maps import LabelMaps
from SlicerSynthReg.training.pairs import PairConfig, PairSource, PairSpec, make_pair

SPACING_MM = 2.0
VALIDATION_SEED = 10_000_000


def _affinely_aligned(view: ViewConfig) -> ViewConfig:
    """Return `view` with the small affine differences that remain after an affine registration."""
    deform: DeformationConfig = dataclasses.replace(
        view.deform, rotation_degrees=2.0, shift_vox=1.5, scale=0.03, shear=0.01
    )
    return dataclasses.replace(
        view, deform=deform, artefacts=dataclasses.replace(view.artefacts, thick_slices=0.0, crop=0.0)
    )


@dataclass(frozen=True)
class TopologyTaskConfig:
    """pairs: as for registration, but affinely aligned. slices: axial slices in a step, for dims 2. validation_pairs:
    their number."""

    model: TopologyConfig = field(default_factory=TopologyConfig)
    pairs: PairConfig = field(default_factory=PairConfig)
    pasted: PastedLesionConfig = field(default_factory=PastedLesionConfig)
    slices: int = 8
    validation_pairs: int = 6

    @property
    def aligned_pairs(self) -> PairConfig:
        """Return `pairs` with small affine differences."""
        return dataclasses.replace(
            self.pairs,
            label_map_view=_affinely_aligned(self.pairs.label_map_view),
            shape_view=_affinely_aligned(self.pairs.shape_view),
        )


class TopologyTask:
    """Training task. maps: None for random shapes. describe: computes the compared features, with
    `config.model.channels` channels."""

    def __init__(
        self,
        config: TopologyTaskConfig,
        maps: LabelMaps | None,
        describe: FeatureFunction = half_resolution,
        validation_cases: int = 2,
        device: str = "cpu",
    ) -> None:
        self.config, self.describe, self.device = config, describe, device
        shapes = config.pairs.shapes.labels
        training, validation = maps.split(validation_cases, margin_vox=12) if maps else ([], [])
        tables = maps.intensity_tables if maps else IntensityTables.independent(shapes)
        self.training, self.validation = PairSource(training, tables, device), PairSource(validation, tables, device)
        self.spec = PairSpec(sequences=("T1",) if maps else (), same_contrast=True)
        self.tissue = _tissue_masks(maps, shapes).to(device)
        self.model = Topology(config.model).to(device)

    def loss(self, step: int) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(step)
        torch.manual_seed(step)  # of the sample of the deformation
        fixed, moving = self.pair(self.training, generator)
        i, j = self.volumes_or_slices(moving.image), self.volumes_or_slices(fixed.image)
        return self.model.loss(i, j, self.describe(i), self.describe(j))

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Return "score": minus the bound of healthy validation pairs; "auc": of L_sym for a lesion pasted into J;
        "jacobian", "li_wyatt": AUC of the baselines."""
        bound = 0.0
        areas: dict[str, list[float]] = {"auc": [], "jacobian": [], "li_wyatt": []}
        count = self.config.validation_pairs
        for n in range(count):
            generator = torch.Generator().manual_seed(VALIDATION_SEED + n)
            fixed, moving = self.pair(self.validation, generator)
            domain, white, grey = (self.tissue[row][fixed.labels.long()] for row in range(3))
            i, j = self.volumes_or_slices(moving.image), self.volumes_or_slices(fixed.image)
            bound += float(model.symmetric_bound(i, j, self.describe).score.mean()) / count
            record = draw_pasted_lesion(self.config.pasted, generator)
            lesion, changed = paste_lesion(fixed.image, domain, white, grey, record, SPACING_MM)
            j = self.volumes_or_slices(lesion)
            found = model.symmetric_bound(i, j, self.describe)
            maps = {
                "auc": found.score,
                "jacobian": log_jacobian_squared(found.u),
                "li_wyatt": li_wyatt(warp_features(half_resolution(i), found.u), half_resolution(j)),
            }
            where, within = (
                half_resolution(self.volumes_or_slices(mask[:, None].float()))[:, 0] > 0.5 for mask in (changed, domain)
            )
            for name, score in maps.items():
                areas[name].append(auc(score.cpu().numpy(), where.cpu().numpy(), within.cpu().numpy()))
        return {"score": -bound, **{name: mean_auc(area).mean for name, area in areas.items()}}

    def pair(self, source: PairSource, generator: torch.Generator) -> tuple[View, View]:
        """Return the fixed and moving view of a random pair."""
        pair = make_pair(self.config.aligned_pairs, self.spec, source, generator)
        return pair.fixed, pair.moving

    def volumes_or_slices(self, image: torch.Tensor) -> torch.Tensor:
        """Return the image (1, 1, I, J, K), or with dims 2 axial slices of its middle part as a batch (S, 1, I, J)."""
        if self.config.model.dims == 3:
            return image
        depth, count = image.shape[4], self.config.slices
        positions = torch.linspace(0.3 * depth, 0.7 * depth, count).long().to(image.device)
        return image[0].index_select(3, positions).permute(3, 0, 1, 2)


def _tissue_masks(maps: LabelMaps | None, labels: int) -> torch.Tensor:
    """Return (3, L) bool by label index: where lesions may lie, white matter, grey matter; of random shapes all but the
    first."""
    if maps is None:
        return torch.tensor([[n > 0 for n in range(labels)]] * 3)
    tissues = [TISSUES.get(RIGHT_TO_LEFT.get(value, value)) for value in maps.values]
    inside = [value in maps.brain_values for value in maps.values]
    return torch.tensor([inside, [tissue == WHITE for tissue in tissues], [tissue == GREY for tissue in tissues]])
