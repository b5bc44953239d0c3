"""Topological outliers: how much worse a case is explained than people are among themselves (thesis paper 3, eq. 7).

Q(J) = E_{I in C} [ L_sym(J | I) - E_{K in C} L_sym(I | K) o Phi ], C a control group, Phi that of L_sym(J | I): what is
hard to explain in everybody, such as the cortex, is taken off where it comes to lie in J.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from SlicerSynthReg.methods.topology.model import Explained, moved

Explain = Callable[[torch.Tensor, torch.Tensor], Explained]
"""(I, J) -> what explains J by I, both (B, 1, ...)."""


@dataclass(frozen=True, eq=False)
class ControlGroup:
    """images: each (1, 1, ...). usual: for each, E_K L_sym(I | K) over all others, (1, ...) on its own voxels."""

    images: tuple[torch.Tensor, ...]
    usual: tuple[torch.Tensor, ...]

    @classmethod
    def of(cls, images: Sequence[torch.Tensor], explain: Explain) -> ControlGroup:
        """The group of `images`, two or more, each explained by every other."""
        if len(images) < 2:
            raise ValueError(f"Found {len(images)} control images, expected two or more.")
        usual = []
        for n, one in enumerate(images):
            scores = [explain(other, one).score for m, other in enumerate(images) if m != n]
            usual.append(torch.stack(scores).mean(0))
        return cls(tuple(images), tuple(usual))

    def outliers(self, j: torch.Tensor, explain: Explain) -> torch.Tensor:
        """Q(J) on the voxels of the scores of J (1, 1, ...)."""
        excess = []
        for image, usual in zip(self.images, self.usual):
            found = explain(image, j)
            excess.append(found.score - moved(usual[:, None], found.u)[:, 0])
        return torch.stack(excess).mean(0)
