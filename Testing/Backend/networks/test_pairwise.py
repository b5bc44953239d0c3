from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from SlicerSynthReg.networks.pairwise import PairwiseConvAvg, SplitConv


def representations(elements: int, examples: int, channels: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    r_x = torch.randn(elements, channels, 8, 10, generator=generator)
    return r_x, torch.randn(elements * examples, channels, 8, 10, generator=generator)


@pytest.mark.parametrize("examples", [1, 2, 5])
def test_the_split_form_is_the_papers_concatenation(examples):
    block = PairwiseConvAvg(6)
    r_x, r_c = representations(2, examples)
    target, context = block(r_x, r_c)
    x, c = block.target_unit(r_x), block.context_unit(r_c).unflatten(0, (2, examples))
    k_x, k_c = block.to_target, block.to_context
    expected_c = []
    total = torch.zeros_like(x)
    for i in range(examples):
        p_i = torch.cat([x, c[:, i]], 1)
        total += F.conv2d(p_i, torch.cat([k_x.of_a.weight, k_x.of_b.weight], 1), k_x.of_a.bias)
        expected_c.append(c[:, i] + F.conv2d(p_i, torch.cat([k_c.of_b.weight, k_c.of_a.weight], 1), k_c.of_a.bias))
    assert torch.allclose(target, x + total / examples, atol=1e-5)
    assert torch.allclose(context.unflatten(0, (2, examples)), torch.stack(expected_c, 1), atol=1e-5)


def test_a_batch_element_uses_its_own_examples_only():
    block = PairwiseConvAvg(6)
    r_x, r_c = representations(3, 4)
    target, context = block(r_x, r_c)
    alone, alone_c = block(r_x[1:2], r_c[4:8])
    assert torch.allclose(target[1:2], alone, atol=1e-6) and torch.allclose(context[4:8], alone_c, atol=1e-6)
    assert not torch.allclose(target[1:2], block(r_x[1:2], r_c[0:4])[0], atol=1e-3)


def test_a_split_convolution_is_the_convolution_of_the_concatenation():
    join = SplitConv(6)
    a, b = representations(2, 1)
    kernel = torch.cat([join.of_a.weight, join.of_b.weight], 1)
    assert torch.allclose(join(a, b), F.conv2d(torch.cat([a, b], 1), kernel, join.of_a.bias), atol=1e-6)


def test_the_support_path_of_a_one_way_block_ignores_the_target():
    two_way, one_way = PairwiseConvAvg(6), PairwiseConvAvg(6, one_way=True)
    r_x, r_c = representations(2, 3)
    assert not torch.allclose(two_way(r_x, r_c)[1], two_way(r_x + 1, r_c)[1], atol=1e-3)
    assert torch.equal(one_way(r_x, r_c)[1], one_way(r_x + 1, r_c)[1])


def test_the_support_path_keeps_channels_last():
    """Losing the memory layout doubles the encoding time."""
    block = PairwiseConvAvg(6, one_way=True).to(memory_format=torch.channels_last)
    r_c = representations(2, 3)[1].to(memory_format=torch.channels_last)
    mean, r_c = block.encode(r_c, 2)
    assert mean.is_contiguous(memory_format=torch.channels_last)
    assert r_c.is_contiguous(memory_format=torch.channels_last)
