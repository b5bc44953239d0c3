"""auto, cpu and cuda, on machines with and without a card."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from SlicerSynthReg.request import RequestError
from SlicerSynthReg.tasks.device import chosen_device, require_device
from Testing.Backend.door.conftest import ROOT


@pytest.fixture(params=[True, False], ids=["card", "no card"])
def card(request, monkeypatch) -> bool:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: request.param)
    return request.param


def test_auto_takes_a_card_where_there_is_one(card):
    assert chosen_device("auto").type == ("cuda" if card else "cpu")


def test_cpu_is_the_processor_beside_a_card_too(card):
    assert chosen_device("cpu").type == "cpu"


@pytest.mark.parametrize("built_for", [None, "12.4"])
def test_cuda_takes_the_card_or_says_what_is_missing(card, built_for, monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", built_for)
    if card:
        assert chosen_device("cuda").type == "cuda"
        return
    with pytest.raises(RequestError) as caught:
        require_device("cuda")
    assert ("built without CUDA" in str(caught.value)) == (built_for is None)
    assert ("Install the card's driver" in str(caught.value)) == (built_for is not None)
    assert str(caught.value).endswith(
        'Or set the parameter device to "auto" to take a card where there is one, else the processor.'
    )


def test_only_a_card_that_is_asked_for_costs_the_import_of_torch():
    code = (
        "import sys; from SlicerSynthReg.tasks.device import require_device; require_device('auto'); "
        "require_device('cpu'); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
