"""Selection of the device on machines with and without a graphics card."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from SlicerSynthReg.errors import RequestError
from SlicerSynthReg.runtime import require_device, select_device
from Testing.Backend.service.conftest import ROOT


@pytest.fixture(params=[True, False], ids=["card", "no card"])
def card(request, monkeypatch) -> bool:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: request.param)
    return request.param


def test_auto_takes_a_card_where_there_is_one(card):
    assert select_device("auto").type == ("cuda" if card else "cpu")


def test_cpu_is_the_processor_beside_a_card_too(card):
    assert select_device("cpu").type == "cpu"


@pytest.mark.parametrize("built_for", [None, "12.4"])
def test_cuda_selects_the_card_or_reports_what_is_missing(card, built_for, monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", built_for)
    if card:
        assert select_device("cuda").type == "cuda"
        return
    with pytest.raises(RequestError) as caught:
        require_device("cuda")
    error = caught.value
    assert error.code == "device-unavailable"
    assert ("built without CUDA" in str(error)) == (built_for is None)
    assert error.suggestion and (error.suggestion.parameter, error.suggestion.value) == ("device", "auto")


def test_only_device_cuda_imports_torch():
    code = (
        "import sys; from SlicerSynthReg.runtime import require_device; require_device('auto'); "
        "require_device('cpu'); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
