from __future__ import annotations

import pytest
import torch

from SlicerSynthReg.networks.window_attention import (
    TransformerConfig,
    WindowBlock,
    WindowTransformer,
    attention_mask,
    merge_windows,
    partition_windows,
    relative_position_index,
)

SMALL = TransformerConfig(widths=(4, 8, 16), heads=(2, 4), window=2)


def make_block(shift: int = 0, window: int = 2, heads: int = 2) -> WindowBlock:
    torch.manual_seed(0)
    return WindowBlock(8, heads, window, shift, 2).eval()


def touched(block: WindowBlock, shape: tuple[int, int, int], place: tuple[int, int, int]) -> set[tuple[int, ...]]:
    """The tokens whose output changes with the token at `place`."""
    x = torch.randn((1, *shape, 8), generator=torch.Generator().manual_seed(0))
    other = x.clone()
    other[(0, *place)] += torch.randn(8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        change = (block(x) - block(other)).abs().amax(-1)[0]
    return {tuple(at) for at in (change > 1e-6).nonzero().tolist()}


def cube(*ranges: tuple[int, int]) -> set[tuple[int, ...]]:
    return {tuple(at) for at in torch.cartesian_prod(*(torch.arange(a, b) for a, b in ranges)).tolist()}


def test_merging_inverts_partitioning(seeded):
    x = torch.randn((2, 4, 6, 8, 3), generator=seeded(0))
    assert torch.equal(merge_windows(partition_windows(x, 2), (4, 6, 8), 2), x)
    assert torch.equal(partition_windows(x, 2)[1, 0], x[1, :2, :2, :2].reshape(8, 3))


def test_attention_stays_within_its_window():
    assert touched(make_block(), (4, 4, 4), (1, 2, 0)) == cube((0, 2), (2, 4), (0, 2))


def test_shifted_windows_connect_neighbours_but_not_the_two_ends():
    """Windows of 2 shifted by 1: 0 | 1 2 | 3. Rolled without a mask, 3 and 0 would meet."""
    assert touched(make_block(1), (4, 4, 4), (1, 1, 1)) == cube((1, 3), (1, 3), (1, 3))
    assert touched(make_block(1), (4, 4, 4), (0, 1, 3)) == cube((0, 1), (1, 3), (3, 4))


def test_padding_is_masked():
    """Three tokens in windows of two: the last shares its window with padding, and must not know."""
    block = make_block()
    x = torch.randn((1, 3, 2, 2, 8), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        assert torch.allclose(block(x)[:, :2], block(x[:, :2]), atol=1e-5)
        longer = torch.cat([x, 5 + x[:, :1]], 1)  # were the padding a token, this one would do no more than it did
        assert not torch.allclose(block(longer)[:, 2], block(x)[:, 2], atol=1e-3)
        q, k, v = block.mixed(block.before(x[:, 2:])).flatten(1, 3)[0].chunk(3, 1)
        assert len(q) == len(k) == 4  # the last plane's tokens alone
        heads = [block.bias[relative_position_index(2)[:4, :4]][..., n] for n in range(2)]
        mixed = [
            (q[:, s] @ k[:, s].T / 2 + bias).softmax(1) @ v[:, s] for s, bias in zip((slice(0, 4), slice(4, 8)), heads)
        ]
        assert torch.allclose(
            block._attention(block.before(x))[0, 2].flatten(0, 1), block.out(torch.cat(mixed, 1)), atol=1e-5
        )
    assert not attention_mask((2, 2, 2), 2, 0).any() and attention_mask((3, 2, 2), 2, 0).any()


def test_attention_by_hand_one_head_two_tokens():
    """A window of two tokens (the other six are padding): softmax over the two of q . k / sqrt(C) + bias."""
    torch.manual_seed(3)
    block = WindowBlock(4, 1, 2, 0, 2).eval()
    x = torch.randn(1, 2, 1, 1, 4)
    with torch.no_grad():
        q, k, v = block.mixed(block.before(x))[0, :, 0, 0].chunk(3, 1)
        offsets = relative_position_index(2)[[0, 4]][:, [0, 4]]  # tokens (0,0,0) and (1,0,0)
        weight = (q @ k.T / 2 + block.bias[offsets][..., 0]).softmax(1)
        expected = block.out(weight @ v)
        assert torch.allclose(block._attention(block.before(x))[0, :, 0, 0], expected, atol=1e-5)


def test_equal_offsets_have_one_index():
    number = relative_position_index(3)
    places = torch.cartesian_prod(*(torch.arange(3),) * 3)
    difference = places[:, None] - places[None]
    for n in number.unique():
        assert len(difference[number == n].unique(dim=0)) == 1
    assert len(number.unique()) == 125


@pytest.mark.parametrize("shape", [(16, 24, 16), (17, 9, 30)])
def test_the_output_has_half_resolution_and_a_row_equals_that_image_alone(shape, seeded):
    torch.manual_seed(0)
    net = WindowTransformer(SMALL).eval()
    image = torch.rand((2, 2, *shape), generator=seeded(0))
    with torch.no_grad():
        both, alone = net(image), net(image[1:])
    assert both.shape == (2, 3, *(-(-n // 2) for n in shape))
    assert torch.allclose(both[1:], alone, atol=1e-5) and both.std() > 0


def test_the_default_has_few_parameters():
    assert sum(p.numel() for p in WindowTransformer(TransformerConfig()).parameters()) < 3e6
