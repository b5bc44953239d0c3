"""A Slicer in which something that the worker needs is not installed."""

from __future__ import annotations

import slicer
from slicerhost import dialogs, extensions, packaging

from Testing.Host.synthregister.clicking import is_idle


def without_torch(monkeypatch, *packages: str):
    """As in a Slicer where neither torch nor these packages are installed; the returned set is what is still absent."""
    from SynthRegLib import install

    absent = {"torch", *packages}
    found = install.importlib.util.find_spec
    monkeypatch.setattr(
        install.importlib.util, "find_spec", lambda name, *more: None if name in absent else found(name, *more)
    )
    return absent


def test_without_the_extension_pytorch_it_is_offered(panel, pair, monkeypatch):
    without_torch(monkeypatch)
    extensions.offers("PyTorch")
    dialogs.answer("OK")
    panel.click("applyButton")
    assert extensions.requested == ["PyTorch"]
    assert "Restart Slicer" in panel.text("statusLabel") and is_idle(panel)


def test_without_consent_nothing_is_installed(panel, pair, monkeypatch):
    without_torch(monkeypatch)
    extensions.offers("PyTorch")
    dialogs.answer("Cancel")
    panel.click("applyButton")
    assert extensions.requested == [] and "was not installed" in panel.text("statusLabel")


def test_without_network_it_says_so(panel, pair, monkeypatch):
    without_torch(monkeypatch)
    dialogs.answer("OK")
    panel.click("applyButton")
    assert "could not be downloaded" in panel.text("statusLabel") and "network" in panel.text("statusLabel")
    assert is_idle(panel)


def test_the_other_packages_come_by_slicer_packaging_with_consent(panel, pair, monkeypatch):
    absent = without_torch(monkeypatch, "nibabel")
    absent.discard("torch")
    packaging.lacks("nibabel")
    packaging.offers("nibabel", lambda: absent.discard("nibabel"))
    dialogs.answer("OK")
    panel.click("applyButton")
    assert packaging.requested == ["nibabel"]
    panel.wait_until(lambda: is_idle(panel))
    assert panel.text("statusLabel").startswith("Done")


def test_in_test_mode_nothing_is_installed_and_nobody_is_asked(panel, pair, monkeypatch):
    without_torch(monkeypatch)
    slicer.app.setTestingEnabled(True)
    panel.click("applyButton")
    assert "test mode" in panel.text("statusLabel") and extensions.requested == []


def test_a_card_that_torch_cannot_use_is_noted(panel, pair, monkeypatch):
    from SynthRegLib import install

    monkeypatch.setattr(install.shutil, "which", lambda name: "/usr/bin/nvidia-smi")
    monkeypatch.setattr(install.importlib.metadata, "version", lambda name: "2.13.0+cpu")
    panel.click("applyButton")
    monkeypatch.undo()
    assert "computes on the processor only, on a computer with an NVIDIA card" in panel.text("logText")
    panel.click("applyButton")
    panel.wait_until(lambda: is_idle(panel))
