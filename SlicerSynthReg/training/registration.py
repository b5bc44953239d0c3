"""Training of registration networks: SynthMorph, and the comparison trainings of the papers, one configuration each.

Losses (Hoffmann et al. 2022, SynthMorph, section III-B). "dice" is SynthMorph's; "mse" its later form on one-hot maps.
Image losses: "ncc" (vm-ncc: pairs in a T1-like contrast), "nmi" (vm-nmi: T1- or T2-like) and "hybrid" (NCC of T1-like
pairs that the network sees through random lookup tables). "deepsim": cosine similarity of an extractor's features
(Czolbe et al. 2021; T1-like pairs). With a known warp: "velocity" (sup-svf) and "displacement" (sup-def), the mean
squared difference in half-resolution voxels.

Departures. The paper's image-based trainings use acquired, skull-stripped scans; here whole heads are synthesised in
scan-like contrasts. In the paper both views of a supervised pair are deformed, by v_f and v_m, and the velocity between
them is known only to first order (exp(-v_m) o exp(v_f) is not exp(v_f - v_m)); here both have one affine map and one is
deformed, so that v is exact. Supervised losses have no regularisation. All others add lambda times the diffusion energy
of u; lambda is drawn for each step and given to the matching network, and 1 for networks that cannot take it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn import functional as F

from SlicerSynthReg.losses.deepsim import deepsim_loss, warp_features
from SlicerSynthReg.losses.dice import one_hot_mse, soft_dice_loss
from SlicerSynthReg.losses.similarity import local_ncc_loss, mean_squared_error, nmi_loss
from SlicerSynthReg.networks.extractor import Extractor
from SlicerSynthReg.networks.unet import UNet, UNetConfig
from SlicerSynthReg.networks.window_attention import TransformerConfig, WindowTransformer
from SlicerSynthReg.registration.synthmorph import SynthMorph, SynthMorphConfig
from SlicerSynthReg.spatial.differential import diffusion_energy
from SlicerSynthReg.spatial.grid import index_lattice
from SlicerSynthReg.spatial.sampling import resize_displacement, sample_displaced
from SlicerSynthReg.spatial.transform import exponential
from SlicerSynthReg.synthesis import draw
from SlicerSynthReg.synthesis.mr_contrast import IntensityTables
from SlicerSynthReg.training.label_maps import LabelMaps
from SlicerSynthReg.training.pairs import PairConfig, PairSource, PairSpec, TrainingPair, make_pair

LOSSES = {
    "dice": PairSpec(),
    "mse": PairSpec(),
    "ncc": PairSpec(sequences=("T1",), same_contrast=True),
    "nmi": PairSpec(sequences=("T1", "T2")),
    "hybrid": PairSpec(sequences=("T1",), same_contrast=True, random_lookup=True),
    "deepsim": PairSpec(sequences=("T1",), same_contrast=True),
    "velocity": PairSpec(known_warp=True),
    "displacement": PairSpec(known_warp=True),
}
NETWORKS = ("matching", "unet", "transformer")
SQUARINGS = 5
VALIDATION_SEED, VALIDATION_PAIRS = 10_000_000, 6


@dataclass(frozen=True)
class RegistrationTaskConfig:
    """loss: one of LOSSES. network: one of NETWORKS; unet, transformer: their configurations. freeze: do not train the
    features. weight_range: bounds of lambda. extract_first: extract DeepSim's features before the warp and warp them;
    else, as in the paper, extract the features of the warped image. same_contrast: pairs in one T1-like contrast,
    whatever the loss."""

    loss: str = "dice"
    network: str = "matching"
    freeze: bool = True
    weight_range: tuple[float, float] = (0.1, 10.0)
    extract_first: bool = False
    same_contrast: bool = False
    unet: UNetConfig = field(default_factory=lambda: UNetConfig(2, 3, (64, 64, 64, 64, 64), finest=1, norm="none"))
    transformer: TransformerConfig = field(default_factory=TransformerConfig)
    pairs: PairConfig = field(default_factory=PairConfig)

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise ValueError(f"Found loss {self.loss!r}, expected one of {', '.join(LOSSES)}.")
        if self.network not in NETWORKS:
            raise ValueError(f"Found network {self.network!r}, expected one of {', '.join(NETWORKS)}.")


class ConcatenatingNet(nn.Module):
    """Network with moving and fixed image as two channels: a U-Net or a transformer."""

    def __init__(self, config: UNetConfig | TransformerConfig) -> None:
        super().__init__()
        self.net = UNet(config) if isinstance(config, UNetConfig) else WindowTransformer(config)
        head = self.net.head
        nn.init.normal_(head.weight, std=1e-5)
        nn.init.zeros_(head.bias)

    def forward(self, fixed: torch.Tensor, moving: torch.Tensor, weight: float) -> torch.Tensor:
        return self.net(torch.cat([moving, fixed], 1).contiguous(memory_format=torch.channels_last_3d))


class MatchingModel(nn.Module):
    """SynthMorph's matching network on image pairs; frozen features are computed without a graph."""

    def __init__(self, model: SynthMorph, freeze: bool) -> None:
        super().__init__()
        self.model, self.freeze = model, freeze
        if freeze:
            model.net.requires_grad_(False)
            if model.prototypes is not None:
                model.prototypes.requires_grad_(False)

    def forward(self, fixed: torch.Tensor, moving: torch.Tensor, weight: float) -> torch.Tensor:
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.freeze):
            levels = self.model.levels(torch.cat([fixed, moving]))
        pyramids = [{level: features[n : n + 1] for level, features in levels.items()} for n in range(2)]
        return self.model.velocity(pyramids[0], pyramids[1], weight)


class RegistrationTask:
    """Training task on label maps, or on random shapes without; the last `validation_cases` maps are for validation.

    pretrained: SynthMorph whose features the matching network uses. extractor: of the loss "deepsim".
    """

    def __init__(
        self,
        config: RegistrationTaskConfig,
        maps: LabelMaps | None,
        pretrained: SynthMorph | None = None,
        validation_cases: int = 2,
        device: str = "cpu",
        extractor: Extractor | None = None,
    ) -> None:
        if (config.loss == "deepsim") != (extractor is not None):
            raise ValueError("Found the loss deepsim without an extractor or another loss with one, expected both.")
        self.extractor = extractor.to(device).requires_grad_(False) if extractor else None
        self.config, self.device = config, device
        self.spec, self.validation_spec = LOSSES[config.loss], LOSSES["dice"]
        if config.same_contrast:
            self.spec, self.validation_spec = (
                dataclasses.replace(spec, sequences=("T1",), same_contrast=True)
                for spec in (self.spec, self.validation_spec)
            )
        shapes = config.pairs.shapes.labels
        training, validation = maps.split(validation_cases, margin_vox=12) if maps else ([], [])
        tables = maps.intensity_tables if maps else IntensityTables.independent(shapes)
        self.training = PairSource(training, tables, device)
        self.validation = PairSource(validation, tables, device)
        self.scored = maps.scored_structures if maps else (None, *range(shapes - 1))
        net, multiple = _network(config, pretrained)
        if any(n % multiple for n in config.pairs.shape):
            raise ValueError(f"Found pairs of {config.pairs.shape} voxels, expected multiples of {multiple}.")
        self.model = net.to(device).to(memory_format=torch.channels_last_3d)

    def loss(self, step: int) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(step)
        pair = make_pair(self.config.pairs, self.spec, self.training, generator)
        drawn = self.config.network == "matching" and not self.spec.known_warp
        weight = draw.log_uniform(generator, *self.config.weight_range) if drawn else 1.0
        v = self.model(pair.fixed.image, pair.moving.image, weight)
        u = exponential(v, SQUARINGS)
        dissimilarity, regularisation = self.dissimilarity(pair, v, u), diffusion_energy(u)
        total = dissimilarity if self.spec.known_warp else dissimilarity + weight * regularisation
        return {"loss": total, "dissimilarity": dissimilarity, "regularisation": regularisation}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Return the mean soft Dice of validation pairs before and after ("score"), at lambda 1; pairs are the same for
        every loss."""
        before, after = 0.0, 0.0
        for n in range(VALIDATION_PAIRS):
            generator = torch.Generator().manual_seed(VALIDATION_SEED + n)
            pair = make_pair(self.config.pairs, self.validation_spec, self.validation, generator)
            u = exponential(model(pair.fixed.image, pair.moving.image, 1.0), SQUARINGS)
            a, b = (label_fractions(view.labels, self.scored) for view in (pair.fixed, pair.moving))
            before += (1 - float(soft_dice_loss(a, b))) / VALIDATION_PAIRS
            after += (1 - float(soft_dice_loss(a, warp(b, u)))) / VALIDATION_PAIRS
        return {"score": after, "before": before}

    def dissimilarity(self, pair: TrainingPair, v: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        """Return the loss without regularisation; v, u = exp(v): (1, 3, I/2, J/2, K/2) from fixed to moving."""
        loss = self.config.loss
        if pair.velocity is not None:
            truth = pair.velocity if loss == "velocity" else exponential(pair.velocity, SQUARINGS)
            return mean_squared_error(v if loss == "velocity" else u, truth)
        if loss in ("dice", "mse"):
            a, b = (label_fractions(view.labels, self.scored) for view in (pair.fixed, pair.moving))
            return soft_dice_loss(a, warp(b, u)) if loss == "dice" else one_hot_mse(a, warp(b, u))
        if self.extractor:
            return self._deepsim(self.extractor, *pair.images, u)
        a, b = (F.avg_pool3d(image, 2) for image in pair.images)
        return nmi_loss(a, warp(b, u)) if loss == "nmi" else local_ncc_loss(a, warp(b, u))

    def _deepsim(
        self, extractor: Extractor, fixed: torch.Tensor, moving: torch.Tensor, u: torch.Tensor
    ) -> torch.Tensor:
        """Return 1 - DeepSim of fixed and warped moving image, both (1, 1, I, J, K); u at half their resolution."""
        if self.config.extract_first:
            return deepsim_loss(warp_features(extractor.levels(moving), u), extractor.levels(fixed))
        full = resize_displacement(u, tuple(moving.shape[2:]))
        return deepsim_loss(extractor.levels(warp(moving, full)), extractor.levels(fixed))


def _network(config: RegistrationTaskConfig, pretrained: SynthMorph | None) -> tuple[nn.Module, int]:
    """Return the network and the number of which voxel counts must be multiples."""
    if config.network == "unet":
        return ConcatenatingNet(config.unet), 2 ** (len(config.unet.widths) - 1)
    if config.network == "transformer":
        return ConcatenatingNet(config.transformer), 2
    model = pretrained or SynthMorph(SynthMorphConfig())
    return MatchingModel(model, config.freeze), model.net.multiple


def label_fractions(labels: torch.Tensor, scored: tuple[int | None, ...]) -> torch.Tensor:
    """Return the fraction of each scored structure in blocks of 2^3 voxels, (1, S, I/2, J/2, K/2).

    labels: (1, I, J, K) indices, even counts. scored: structure by label index, None: not scored.
    """
    count = 1 + max(n for n in scored if n is not None)
    row = torch.tensor([count if n is None else n for n in scored], device=labels.device)
    i, j, k = (n // 2 for n in labels.shape[1:])
    blocks = row[labels[0].long()].view(i, 2, j, 2, k, 2).permute(1, 3, 5, 0, 2, 4).reshape(8, -1)
    fractions = torch.zeros((count + 1, i * j * k), device=labels.device)
    fractions.scatter_add_(0, blocks, torch.full(blocks.shape, 0.125, device=labels.device))
    return fractions[:count].view(1, count, i, j, k)


def warp(image: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """Return image(x + u(x)), both (1, C, I, J, K)."""
    return sample_displaced(image, u, index_lattice(tuple(u.shape[2:]), u.device))
