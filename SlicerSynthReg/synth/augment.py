"""Task augmentations (Neuralizer table 2 and supplement C): the same change to the target and to every example.

They make new tasks out of the few known ones. Composition is a tree, as in figure 10: what hangs under "all" is done in
turn, of what hangs under "one" a single branch; each branch comes about with its own chance.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch.nn import functional as F

from SlicerSynthReg.synth import draw

MASKS = ("mask contour", "mask dilation", "mask invert")
INTENSITIES = ("sobel filter", "intensity mapping", "synthetic modality")
CHANNELS = ("duplicate channels", "permute channels")


@dataclass(frozen=True)
class Node:
    """kind: "all", "one", or "leaf", which is `name`. chance: that this node is used when its parent is."""

    kind: str
    chance: float
    name: str = ""
    children: tuple[Node, ...] = ()

    def without(self, *names: str) -> Node:
        """The tree less some of its leaves."""
        kept = tuple(child.without(*names) for child in self.children if child.name not in names)
        return replace(self, children=kept)

    def drawn(self, generator: torch.Generator) -> Iterator[str]:
        """Leaves in the order in which they are applied."""
        if not draw.chance(generator, self.chance):
            return
        if self.kind == "leaf":
            yield self.name
        elif self.kind == "one" and self.children:
            yield from self.children[draw.integer(generator, 0, len(self.children) - 1)].drawn(generator)
        elif self.kind == "all":
            for child in self.children:
                yield from child.drawn(generator)


def _leaf(name: str, chance: float = 1.0) -> Node:
    return Node("leaf", chance, name)


TREE = Node(
    "all",
    1.0,
    children=(
        Node("all", 0.5, children=tuple(_leaf(name, 0.3) for name in MASKS)),
        Node("one", 0.5, children=tuple(_leaf(name) for name in INTENSITIES)),
        Node("all", 1.0, children=(_leaf(CHANNELS[0], 0.3), _leaf(CHANNELS[1], 0.5))),
    ),
)
"""The paper's tree in shape; its chances are in a figure that its text does not give, and are ours."""


@dataclass(frozen=True)
class AugmentDraw:
    """names: leaves, in order. seed: of the mapping and of the channels' order."""

    names: tuple[str, ...]
    seed: int


def draw_augment(tree: Node, generator: torch.Generator) -> AugmentDraw:
    return AugmentDraw(tuple(tree.drawn(generator)), draw.seed(generator))


def augment_images(images: torch.Tensor, record: AugmentDraw) -> torch.Tensor:
    """Intensities (M, C, S, H, W) in [0, 1]; each contrast has a mapping of its own, the same for all people.

    "synthetic modality" is no change of pixels: whoever renders the contrast looks for it.
    """
    if "sobel filter" in record.names:
        images = _edges(images)
    if "intensity mapping" in record.names:
        generator = torch.Generator().manual_seed(record.seed)
        images = torch.stack([_mapped(images[:, c], generator) for c in range(images.shape[1])], 1)
    return images


def augment_mask(mask: torch.Tensor, record: AugmentDraw) -> torch.Tensor:
    """Masks (M, H, W) of 0 and 1: contour three pixels wide, dilation by one, inversion, in the drawn order."""
    for name in record.names:
        if name == "mask contour":
            mask = _dilated(mask * _dilated(1 - mask))
        elif name == "mask dilation":
            mask = _dilated(mask)
        elif name == "mask invert":
            mask = 1 - mask
    return mask


def augment_channels(x: torch.Tensor, record: AugmentDraw) -> torch.Tensor:
    """Input channels (M, 3, H, W), of which the empty ones come last: filled by copies of others, and reordered."""
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


def _dilated(mask: torch.Tensor) -> torch.Tensor:
    return F.max_pool2d(mask[:, None], 3, 1, 1)[:, 0]


def _edges(images: torch.Tensor) -> torch.Tensor:
    """Sobel gradient magnitude within the slice, scaled to [0, 1] by person and contrast."""
    flat = images.flatten(0, 2)[:, None]
    kernel = torch.tensor([[1.0, 2.0, 1.0], [0.0, 0.0, 0.0], [-1.0, -2.0, -1.0]])
    down, across = (F.conv2d(F.pad(flat, (1, 1, 1, 1), mode="replicate"), k[None, None]) for k in (kernel, kernel.T))
    size = (down**2 + across**2).sqrt().view(images.shape)
    return size / size.amax((2, 3, 4), keepdim=True).clamp_min(1e-6)


def _mapped(images: torch.Tensor, generator: torch.Generator, bins: int = 6) -> torch.Tensor:
    """Every histogram bin is moved by a difference of its own, linearly interpolated between bin centres."""
    moves = torch.tensor([draw.uniform(generator, -0.4, 0.4) for _ in range(bins)])
    at = images.clamp(0, 1) * (bins - 1)
    low = at.floor().long().clamp(0, bins - 2)
    move = moves[low] + (at - low) * (moves[low + 1] - moves[low])
    return (images + move * (images > 0)).clamp(0, 1)
