"""Training SynthMorph: both variants, both networks, and the paper's comparison trainings, one configuration each.

Losses (section III-B of the paper). "dice" is SynthMorph's, "mse" its later form on one-hot maps. What images alone
allow: "ncc" (vm-ncc: pairs that look like T1), "nmi" (vm-nmi: like T1 or T2) and "hybrid" (NCC of pairs that look like
T1, which the network sees through random look-up tables). "deepsim" compares what an extractor sees in both (thesis
paper 1; pairs that look like T1, as the paper's). What a known warp allows: "velocity" (sup-svf) and
"displacement" (sup-def), the mean squared difference in half-resolution voxels.

Departures. The paper's image-based trainings take acquired, skull-stripped scans; ours take whole heads synthesised to
look like scans. In the paper both views of a supervised pair flow, by v_f and v_m, and the velocity between them is
known only to first order (exp(-v_m) o exp(v_f) is not exp(v_f - v_m)); ours places both alike and lets one of them
flow, so that v itself is the answer. The truth says how smooth it is: supervised losses leave lambda out, where all
others have lambda times the diffusion energy of u, lambda being drawn for each step and told to the matching network.
The paper's network, which cannot be told, is trained at lambda = 1.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn import functional as F

from SlicerSynthReg.losses.overlap import one_hot_mse, soft_dice_loss
from SlicerSynthReg.losses.semantic import deepsim_loss, moved_levels
from SlicerSynthReg.losses.similarity import local_ncc_loss, mean_squares, nmi_loss
from SlicerSynthReg.methods.synthmorph.model import SynthMorph, SynthMorphConfig
from SlicerSynthReg.nets.extractor import Extractor
from SlicerSynthReg.nets.unet import UNet, UNetConfig
from SlicerSynthReg.nets.windows import TransformerConfig, WindowTransformer
from SlicerSynthReg.space.differential import diffusion_energy
from SlicerSynthReg.space.grid import index_lattice
from SlicerSynthReg.space.sampling import resize_displacement, sample_displaced
from SlicerSynthReg.space.transform import exponential
from SlicerSynthReg.synth import draw
from SlicerSynthReg.synth.contrast import Looks
from SlicerSynthReg.train.labelmaps import LabelMaps
from SlicerSynthReg.train.pairs import Pair, PairConfig, Recipe, make_pair

LOSSES = {
    "dice": Recipe(),
    "mse": Recipe(),
    "ncc": Recipe(sequences=("T1",), alike=True),
    "nmi": Recipe(sequences=("T1", "T2")),
    "hybrid": Recipe(sequences=("T1",), alike=True, remapped=True),
    "deepsim": Recipe(sequences=("T1",), alike=True),
    "velocity": Recipe(known=True),
    "displacement": Recipe(known=True),
}
NETWORKS = ("matching", "unet", "transformer")
SQUARINGS = 5


@dataclass(frozen=True)
class RegistrationTaskConfig:
    """loss: one of LOSSES. network: one of NETWORKS, "unet" being the paper's; unet, transformer: as they are built.
    freeze: leave the features as they are. weight_range: bounds of lambda. extract_first: DeepSim's features are taken
    before the warp and warped themselves; else the paper's, of the warped image. alike: pairs in one T1-like contrast,
    whatever the loss would have."""

    loss: str = "dice"
    network: str = "matching"
    freeze: bool = True
    weight_range: tuple[float, float] = (0.1, 10.0)
    extract_first: bool = False
    alike: bool = False
    unet: UNetConfig = field(default_factory=lambda: UNetConfig(2, 3, (64, 64, 64, 64, 64), finest=1, norm="none"))
    transformer: TransformerConfig = field(default_factory=TransformerConfig)
    pairs: PairConfig = field(default_factory=PairConfig)

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise ValueError(f"Found loss {self.loss!r}, expected one of {', '.join(LOSSES)}.")
        if self.network not in NETWORKS:
            raise ValueError(f"Found network {self.network!r}, expected one of {', '.join(NETWORKS)}.")


class ConcatenatingNet(nn.Module):
    """Moving and fixed image as two channels of one network: a U-Net, as the paper's, or the transformer."""

    def __init__(self, config: UNetConfig | TransformerConfig) -> None:
        super().__init__()
        self.net = UNet(config) if isinstance(config, UNetConfig) else WindowTransformer(config)
        head = self.net.head
        nn.init.normal_(head.weight, std=1e-5)
        nn.init.zeros_(head.bias)

    def forward(self, fixed: torch.Tensor, moving: torch.Tensor, weight: float) -> torch.Tensor:
        return self.net(torch.cat([moving, fixed], 1).contiguous(memory_format=torch.channels_last_3d))


class MatchingModel(nn.Module):
    """SynthMorph's matching form on image pairs; frozen features are computed without a graph."""

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
        seen = [{level: features[n : n + 1] for level, features in levels.items()} for n in range(2)]
        return self.model.velocity(seen[0], seen[1], weight)


class RegistrationTask:
    """maps=None trains on random shapes. The last `held_out` maps are for validation only."""

    def __init__(
        self,
        config: RegistrationTaskConfig,
        maps: LabelMaps | None,
        start: SynthMorph | None = None,
        held_out: int = 2,
        device: str = "cpu",
        semantic: Extractor | None = None,
    ) -> None:
        if (config.loss == "deepsim") != (semantic is not None):
            raise ValueError("Found the loss deepsim without an extractor or another loss with one, expected both.")
        self.semantic = semantic.to(device).requires_grad_(False) if semantic else None
        self.config, self.device = config, device
        self.recipe, self.judged = LOSSES[config.loss], LOSSES["dice"]
        if config.alike:
            self.recipe, self.judged = (
                dataclasses.replace(one, sequences=("T1",), alike=True) for one in (self.recipe, self.judged)
            )
        self.people, self.unseen = maps.people(held_out, margin=12) if maps else ([], [])
        self.looks = maps.looks if maps else Looks.arbitrary(config.pairs.shapes.labels)
        self.scored = maps.scored if maps else (None, *range(config.pairs.shapes.labels - 1))
        net: nn.Module
        if config.network == "unet":
            net, multiple = ConcatenatingNet(config.unet), 2 ** (len(config.unet.widths) - 1)
        elif config.network == "transformer":
            net, multiple = ConcatenatingNet(config.transformer), 2
        else:
            model = start or SynthMorph(SynthMorphConfig())
            net, multiple = MatchingModel(model, config.freeze), model.net.multiple
        if any(n % multiple for n in config.pairs.shape):
            raise ValueError(f"Found pairs of {config.pairs.shape} voxels, expected multiples of {multiple}.")
        self.model = net.to(device).to(memory_format=torch.channels_last_3d)

    def loss(self, step: int) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(step)
        pair = make_pair(self.config.pairs, self.recipe, self.people, self.looks, generator, self.device)
        told = self.config.network == "matching" and not self.recipe.known
        weight = draw.log_uniform(generator, *self.config.weight_range) if told else 1.0
        v = self.model(pair.fixed.image, pair.moving.image, weight)
        u = exponential(v, SQUARINGS)
        unlike, smooth = self.unlike(pair, v, u), diffusion_energy(u)
        total = unlike if self.recipe.known else unlike + weight * smooth
        return {"loss": total, "unlike": unlike, "smooth": smooth}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Mean soft Dice of unseen pairs before and after, at lambda 1; the same pairs whatever the loss."""
        before, after, count = 0.0, 0.0, 6
        for n in range(count):
            generator = torch.Generator().manual_seed(10_000_000 + n)
            pair = make_pair(self.config.pairs, self.judged, self.unseen, self.looks, generator, self.device)
            u = exponential(model(pair.fixed.image, pair.moving.image, 1.0), SQUARINGS)
            a, b = (label_shares(view.labels, self.scored) for view in (pair.fixed, pair.moving))
            before += (1 - float(soft_dice_loss(a, b))) / count
            after += (1 - float(soft_dice_loss(a, moved(b, u)))) / count
        return {"score": after, "before": before}

    def unlike(self, pair: Pair, v: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        """The loss but for lambda's part; v, u = exp(v): (1, 3, I/2, J/2, K/2) from fixed to moving."""
        loss = self.config.loss
        if pair.velocity is not None:
            truth = pair.velocity if loss == "velocity" else exponential(pair.velocity, SQUARINGS)
            return mean_squares(v if loss == "velocity" else u, truth)
        if loss in ("dice", "mse"):
            a, b = (label_shares(view.labels, self.scored) for view in (pair.fixed, pair.moving))
            return soft_dice_loss(a, moved(b, u)) if loss == "dice" else one_hot_mse(a, moved(b, u))
        if self.semantic:
            return self._deepsim(self.semantic, pair.scans[0], pair.scans[1], u)
        a, b = (F.avg_pool3d(image, 2) for image in pair.scans)
        return nmi_loss(a, moved(b, u)) if loss == "nmi" else local_ncc_loss(a, moved(b, u))

    def _deepsim(self, semantic: Extractor, fixed: torch.Tensor, moving: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        """1 - DeepSim of the fixed and the moved scan, both (1, 1, I, J, K); u at half their resolution."""
        if self.config.extract_first:
            return deepsim_loss(moved_levels(semantic.levels(moving), u), semantic.levels(fixed))
        whole = resize_displacement(u, tuple(moving.shape[2:]))
        return deepsim_loss(semantic.levels(moved(moving, whole)), semantic.levels(fixed))


def label_shares(labels: torch.Tensor, scored: tuple[int | None, ...]) -> torch.Tensor:
    """Share of each scored structure in blocks of 2^3 voxels: labels (1, I, J, K) indices, even counts
    -> (1, S, I/2, J/2, K/2); scored: structure by label index, None = not scored."""
    count = 1 + max(n for n in scored if n is not None)
    row = torch.tensor([count if n is None else n for n in scored], device=labels.device)
    i, j, k = (n // 2 for n in labels.shape[1:])
    blocks = row[labels[0].long()].view(i, 2, j, 2, k, 2).permute(1, 3, 5, 0, 2, 4).reshape(8, -1)
    shares = torch.zeros((count + 1, i * j * k), device=labels.device)
    shares.scatter_add_(0, blocks, torch.full(blocks.shape, 0.125, device=labels.device))
    return shares[:count].view(1, count, i, j, k)


def moved(image: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """image(x + u(x)), both (1, C, I, J, K)."""
    return sample_displaced(image, u, index_lattice(tuple(u.shape[2:]), u.device))
