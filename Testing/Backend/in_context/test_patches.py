from __future__ import annotations

import itertools

import pytest
import torch

from SlicerSynthReg.in_context.patches import PatchConfig, propagate

WHOLE = ((0, 9), (0, 10), (0, 11))


def an_example(seed: int, shape: tuple[int, ...] = (9, 10, 11)) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(2, *shape, generator=generator), (torch.rand(3, *shape, generator=generator) > 0.5).float()


def by_loops(x: torch.Tensor, examples: list, config: PatchConfig, at: tuple[int, int, int]) -> torch.Tensor:
    """Return the formula at one voxel."""

    def patch(image: torch.Tensor, centre: tuple[int, ...]) -> torch.Tensor:
        i, j, k = (
            torch.arange(c - config.patch, c + config.patch + 1).clamp(0, n - 1)
            for c, n in zip(centre, image.shape[1:])
        )
        return image[:, i][:, :, j][..., k]

    distances, outputs, first = [], [], []
    for image, output in examples:
        for offset in itertools.product(range(-config.search, config.search + 1), repeat=3):
            q = tuple(a + b for a, b in zip(at, offset))
            distances.append(float(((patch(x, at) - patch(image, q)) ** 2).mean()))
            place = tuple(min(max(c, 0), n - 1) for c, n in zip(q, image.shape[1:]))
            outputs.append(output[(slice(None), *place)])
            first.append(all(step % 2 == 0 for step in offset))
    h = config.decay * min(d for d, even in zip(distances, first) if even) + 1e-5
    w = torch.exp(-torch.tensor(distances) / h)
    return (w[:, None] * torch.stack(outputs)).sum(0) / w.sum()


@pytest.mark.parametrize("at", [(4, 5, 6), (4, 0, 10)])
def test_propagation_equals_the_formula(at):
    """At the centre, and at an edge that patches cross."""
    x, examples, config = an_example(0)[0], [an_example(1), an_example(2)], PatchConfig(search=2)
    found = propagate(x, examples, config, WHOLE)
    assert torch.allclose(found[(slice(None), *at)], by_loops(x, examples, config, at), atol=1e-4)


def test_labels_follow_a_shift_within_the_search_radius():
    image, output = an_example(3, (16, 16, 16))
    moved, there = (part.roll((2, 0, -2), (1, 2, 3)) for part in (image, output))
    box = ((5, 11),) * 3
    found = propagate(moved, [(image, output)], PatchConfig(), box)
    assert torch.allclose(found, there[:, 5:11, 5:11, 5:11], atol=1e-3)
    too_far = propagate(moved, [(image, output)], PatchConfig(search=1), box)
    assert float((too_far - there[:, 5:11, 5:11, 5:11]).abs().mean()) > 0.2


def test_a_box_equals_that_part_of_the_whole():
    x, examples, box = an_example(0)[0], [an_example(1)], ((2, 5), (0, 4), (6, 11))
    whole = propagate(x, examples, PatchConfig(), WHOLE)
    assert torch.allclose(propagate(x, examples, PatchConfig(), box), whole[:, 2:5, 0:4, 6:11], atol=1e-5)


def test_the_most_similar_example_decides():
    x, y = an_example(4)
    other = an_example(5)[0]
    found = propagate(x, [(x, y), (other, 1 - y)], PatchConfig(), WHOLE)
    assert torch.allclose(found, y, atol=1e-3)
