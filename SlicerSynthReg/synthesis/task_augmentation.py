"""Task augmentations (Neuralizer table 2 and supplement C): the same change to the target and to every example.

They derive new tasks from known ones. The composition is a tree (figure 10): the children of "all" are applied in turn,
of those of "one" a single one is drawn; each node is applied with its own probability.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch.nn import functional as F

from SlicerSynthReg.synthesis import draw

MASKS = ("mask contour", "mask dilation", "mask invert")
INTENSITIES = ("sobel filter", "intensity mapping", "synthetic modality")
CHANNELS = ("duplicate channels", "permute channels")


@dataclass(frozen=True)
class AugmentationNode:
    """kind: "all", "one", or "leaf", which is the augmentation `name`. probability: if the parent is applied."""

    kind: str
    probability: float
    name: str = ""
    children: tuple[AugmentationNode, ...] = ()

    def without(self, *names: str) -> AugmentationNode:
        """Return the tree without the named leaves."""
        kept = tuple(child.without(*names) for child in self.children if child.name not in names)
        return replace(self, children=kept)

    def draw(self, generator: torch.Generator) -> Iterator[str]:
        """Draw the leaves, in the order in which they are applied."""
        if not draw.chance(generator, self.probability):
            return
        if self.kind == "leaf":
            yield self.name
        elif self.kind == "one" and self.children:
            yield from self.children[draw.integer(generator, 0, len(self.children) - 1)].draw(generator)
        elif self.kind == "all":
            for child in self.children:
                yield from child.draw(generator)


def _leaf(name: str, probability: float = 1.0) -> AugmentationNode:
    return AugmentationNode("leaf", probability, name)


AUGMENTATION_TREE = AugmentationNode(
    "all",
    1.0,
    children=(
        AugmentationNode("all", 0.5, children=tuple(_leaf(name, 0.3) for name in MASKS)),
        AugmentationNode("one", 0.5, children=tuple(_leaf(name) for name in INTENSITIES)),
        AugmentationNode("all", 1.0, children=(_leaf(CHANNELS[0], 0.3), _leaf(CHANNELS[1], 0.5))),
    ),
)
"""Shape of the paper's tree; its probabilities are not stated there and are chosen here."""


@dataclass(frozen=True)
class TaskAugmentationDraw:
    """names: leaves, in order. seed: of the intensity mapping and of the channel order."""

    names: tuple[str, ...]
    seed: int


def draw_task_augmentation(tree: AugmentationNode, generator: torch.Generator) -> TaskAugmentationDraw:
    """Draw the augmentations of one task."""
    return TaskAugmentationDraw(tuple(tree.draw(generator)), draw.seed(generator))


def augment_images(images: torch.Tensor, record: TaskAugmentationDraw) -> torch.Tensor:
    """Return augmented images (M, C, S, H, W) in [0, 1]; each contrast has one mapping for all subjects.

    "synthetic modality" changes no pixels: it is applied when the contrast is rendered.
    """
    if "sobel filter" in record.names:
        images = _gradient_magnitude(images)
    if "intensity mapping" in record.names:
        generator = torch.Generator().manual_seed(record.seed)
        images = torch.stack([_map_intensities(images[:, c], generator) for c in range(images.shape[1])], 1)
    return images


def augment_mask(mask: torch.Tensor, record: TaskAugmentationDraw) -> torch.Tensor:
    """Return augmented masks (M, H, W): contour three pixels wide, dilation by one pixel, inversion, in drawn order."""
    for name in record.names:
        if name == "mask contour":
            mask = _dilate(mask * _dilate(1 - mask))
        elif name == "mask dilation":
            mask = _dilate(mask)
        elif name == "mask invert":
            mask = 1 - mask
    return mask


def augment_channels(x: torch.Tensor, record: TaskAugmentationDraw) -> torch.Tensor:
    """Return input channels (M, 3, H, W), empty ones last, with empty ones filled by copies of others, and permuted."""
    generator = torch.Generator().manual_seed(record.seed + 1)
    if "duplicate channels" in record.names:
        used = [c for c in range(x.shape[1]) if bool((x[:, c] != 0).any())]
        x = x.clone()
        for c in range(x.shape[1]):
            if used and c not in used and draw.chance(generator, 0.5):
                x[:, c] = x[:, used[draw.integer(generator, 0, len(used) - 1)]]
    if "permute channels" in record.names:
        x = x[:, torch.randperm(x.shape[1], generator=generator)]
    return x


def _dilate(mask: torch.Tensor) -> torch.Tensor:
    return F.max_pool2d(mask[:, None], 3, 1, 1)[:, 0]


def _gradient_magnitude(images: torch.Tensor) -> torch.Tensor:
    """Return the in-plane Sobel gradient magnitude, scaled to [0, 1] by subject and contrast."""
    flat = images.flatten(0, 2)[:, None]
    kernel = torch.tensor([[1.0, 2.0, 1.0], [0.0, 0.0, 0.0], [-1.0, -2.0, -1.0]])
    down, across = (F.conv2d(F.pad(flat, (1, 1, 1, 1), mode="replicate"), k[None, None]) for k in (kernel, kernel.T))
    size = (down**2 + across**2).sqrt().view(images.shape)
    return size / size.amax((2, 3, 4), keepdim=True).clamp_min(1e-6)


def _map_intensities(images: torch.Tensor, generator: torch.Generator, bins: int = 6) -> torch.Tensor:
    """Return images with an offset drawn for each histogram bin, linearly interpolated between bin centres."""
    moves = torch.tensor([draw.uniform(generator, -0.4, 0.4) for _ in range(bins)])
    at = images.clamp(0, 1) * (bins - 1)
    low = at.floor().long().clamp(0, bins - 2)
    move = moves[low] + (at - low) * (moves[low + 1] - moves[low])
    return (images + move * (images > 0)).clamp(0, 1)
