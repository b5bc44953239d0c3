from __future__ import annotations

import pytest
import torch

from SlicerSynthReg.methods.neuralizer.model import Neuralizer, NeuralizerConfig


@pytest.fixture(params=[False, True], ids=["the paper's", "one way"])
def a_network(request) -> Neuralizer:
    torch.manual_seed(0)
    return Neuralizer(NeuralizerConfig(width=8, stages=3, one_way=request.param)).eval()


def a_question(elements: int, examples: int, side: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(elements, 3, side, side, generator=generator)
    return x, torch.rand(elements, examples, 4, side, side, generator=generator)


def test_the_papers_size_has_the_papers_count_of_parameters():
    count = sum(p.numel() for p in Neuralizer(NeuralizerConfig()).parameters())
    assert round(count / 1e6, 2) == 1.27


def test_every_parameter_is_used(a_network):
    a_network(*a_question(2, 3)).sum().backward()
    assert all(p.grad is not None and bool((p.grad != 0).any()) for p in a_network.parameters())


def test_the_order_of_the_examples_does_not_matter_and_their_content_does(a_network):
    x, context = a_question(2, 5)
    with torch.no_grad():
        y = a_network(x, context)
        assert torch.allclose(y, a_network(x, context[:, [3, 0, 4, 1, 2]]), atol=1e-5)
        changed = context.clone()
        changed[:, 2, 3] = 1 - changed[:, 2, 3]
        assert not torch.allclose(y, a_network(x, changed), atol=1e-4)


def test_an_example_told_twice_as_often_counts_twice(a_network):
    x, context = a_question(1, 2)
    with torch.no_grad():
        all_twice = a_network(x, context.repeat(1, 2, 1, 1, 1))
        one_twice = a_network(x, context[:, [0, 0, 1]])
        once = a_network(x, context)
    assert torch.allclose(once, all_twice, atol=1e-5) and not torch.allclose(once, one_twice, atol=1e-5)


@pytest.mark.parametrize("shape", [(16, 16), (13, 18), (5, 4)])
def test_any_size_of_image(a_network, shape):
    x, context = a_question(2, 1, 18)
    assert a_network(x[..., : shape[0], : shape[1]], context[..., : shape[0], : shape[1]]).shape == (2, 1, *shape)


def test_a_row_of_a_batch_is_that_question_alone(a_network):
    x, context = a_question(3, 2)
    with torch.no_grad():
        assert torch.allclose(a_network(x, context)[1:2], a_network(x[1:2], context[1:2]), atol=1e-5)


def test_examples_encoded_once_answer_every_image_alike():
    torch.manual_seed(0)
    network = Neuralizer(NeuralizerConfig(width=8, stages=3, one_way=True)).eval()
    x, context = a_question(3, 5)
    one_set = context[:1]
    with torch.no_grad():
        encoded = network.encode(one_set)
        expected = network(x, one_set.expand(3, -1, -1, -1, -1))
        assert torch.allclose(network.answer(x, encoded), expected, atol=1e-5)
        in_parts = network.encode(one_set, at_once=2)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(encoded.means, in_parts.means))


def test_examples_that_look_at_the_target_cannot_be_encoded_without_it():
    with pytest.raises(ValueError, match="expected a one-way network"):
        Neuralizer(NeuralizerConfig(width=4, stages=2)).encode(a_question(1, 1)[1])
