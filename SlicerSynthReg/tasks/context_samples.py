"""What an answer owes to which examples were given: the target is asked again with half of them, several times.

Each half's answer is a sample of p(y | x), as an ensemble's members are (thesis paper 4); what the halves disagree
about is the epistemic part. Memory does not grow with the number of samples but for their masks.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import torch

from SlicerSynthReg.evaluate.uncertainty import diversity, entropy, masks_of
from SlicerSynthReg.methods.neuralizer.model import Neuralizer
from SlicerSynthReg.methods.neuralizer.slices import AskConfig, Example
from SlicerSynthReg.methods.uncertainty.ranking import CaseDoubt
from SlicerSynthReg.tasks.context_answer import answered


def case_doubt(
    model: Neuralizer,
    x: torch.Tensor,
    examples: Sequence[Example],
    config: AskConfig,
    share: float,
    count: int,
    progress: Callable[[float], None] = lambda share: None,
) -> CaseDoubt:
    """x (C, I, J, K) and examples as for answer_volume, masks as answers; share: of the patches in the
    answer; `count` halves, two at least."""
    mean, expected = torch.zeros(()), torch.zeros(())
    masks = []
    for n in range(count):
        half = half_of(examples, torch.Generator().manual_seed(n))
        again = dataclasses.replace(config, seed=config.seed + 1 + n)

        def told(share: float, n: int = n) -> None:
            progress((n + share) / count)

        found = answered(model, x, half, again, share, True, told)
        p = with_background(found)
        mean = mean + p / count
        expected = expected + entropy(p) / count
        masks.append(masks_of(p[None])[0].to(torch.uint8))
    total = entropy(mean)
    return CaseDoubt(float(total.sum()), float((total - expected).clamp_min(0).sum()), diversity(masks))


def half_of(examples: Sequence[Example], generator: torch.Generator) -> list[Example]:
    """Half of the examples, and one more for each class of which otherwise none would tell."""
    order = [examples[n] for n in torch.randperm(len(examples), generator=generator).tolist()]
    half = order[: max(1, len(order) // 2)]
    for c in range(order[0].y.shape[0]):
        tellers = [e for e in order if c not in e.untold]
        if not any(e in tellers for e in half):
            half += tellers[:1]
    return half


def with_background(found: torch.Tensor) -> torch.Tensor:
    """Answers (L, ...) of single classes -> probabilities (1 + L, ...), the background first: what they leave over, and
    none where they claim more than there is."""
    claimed = found.sum(0, keepdim=True)
    return torch.cat([(1 - claimed).clamp_min(0), found / claimed.clamp_min(1)])
