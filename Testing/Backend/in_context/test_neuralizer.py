from __future__ import annotations

import pytest
import torch

from SlicerSynthReg.in_context.neuralizer import Neuralizer, NeuralizerConfig


@pytest.fixture(params=[False, True], ids=["paper", "one-way"])
def a_network(request) -> Neuralizer:
    torch.manual_seed(0)
    return Neuralizer(NeuralizerConfig(width=8, stages=3, one_way=request.param)).eval()


def an_episode(elements: int, examples: int, side: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(elements, 3, side, side, generator=generator)
    return x, torch.rand(elements, examples, 4, side, side, generator=generator)


def test_the_papers_configuration_has_the_papers_parameter_count():
    count = sum(p.numel() for p in Neuralizer(NeuralizerConfig()).parameters())
    assert round(count / 1e6, 2) == 1.27


def test_every_parameter_is_used(a_network):
    a_network(*an_episode(2, 3)).sum().backward()
    assert all(p.grad is not None and bool((p.grad != 0).any()) for p in a_network.parameters())


def test_the_prediction_depends_on_the_examples_but_not_on_their_order(a_network):
    x, support = an_episode(2, 5)
    with torch.no_grad():
        y = a_network(x, support)
        assert torch.allclose(y, a_network(x, support[:, [3, 0, 4, 1, 2]]), atol=1e-5)
        changed = support.clone()
        changed[:, 2, 3] = 1 - changed[:, 2, 3]
        assert not torch.allclose(y, a_network(x, changed), atol=1e-4)


def test_a_repeated_example_counts_twice(a_network):
    x, support = an_episode(1, 2)
    with torch.no_grad():
        all_twice = a_network(x, support.repeat(1, 2, 1, 1, 1))
        one_twice = a_network(x, support[:, [0, 0, 1]])
        once = a_network(x, support)
    assert torch.allclose(once, all_twice, atol=1e-5) and not torch.allclose(once, one_twice, atol=1e-5)


@pytest.mark.parametrize("shape", [(16, 16), (13, 18), (5, 4)])
def test_any_size_of_image(a_network, shape):
    x, support = an_episode(2, 1, 18)
    assert a_network(x[..., : shape[0], : shape[1]], support[..., : shape[0], : shape[1]]).shape == (2, 1, *shape)


def test_a_batch_element_equals_that_element_alone(a_network):
    x, support = an_episode(3, 2)
    with torch.no_grad():
        assert torch.allclose(a_network(x, support)[1:2], a_network(x[1:2], support[1:2]), atol=1e-5)


def test_one_encoding_serves_every_target():
    torch.manual_seed(0)
    network = Neuralizer(NeuralizerConfig(width=8, stages=3, one_way=True)).eval()
    x, support = an_episode(3, 5)
    one_set = support[:1]
    with torch.no_grad():
        encoding = network.encode(one_set)
        expected = network(x, one_set.expand(3, -1, -1, -1, -1))
        assert torch.allclose(network.predict(x, encoding), expected, atol=1e-5)
        in_parts = network.encode(one_set, chunk_size=2)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(encoding.means, in_parts.means))


def test_only_a_one_way_network_encodes_without_target():
    with pytest.raises(ValueError, match="expected a one-way network"):
        Neuralizer(NeuralizerConfig(width=4, stages=2)).encode(an_episode(1, 1)[1])
