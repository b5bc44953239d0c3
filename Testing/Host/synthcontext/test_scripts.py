"""SynthContext without a window: its logic for scripts, and the module's own test."""

from __future__ import annotations

import sys

import pytest
import slicer
from slicerhost import opened

from Testing.Host.synthcontext.clicking import a_head, a_pair, a_segmentation
from Testing.Host.synthcontext.tiny import FEATURES, VOTING


@pytest.mark.slow
def test_apply_save_load_and_fine_tune_in_a_script(models, tmp_path):
    with opened("SynthContext", main_window=False) as panel:
        from SlicerSynthReg.errors import RequestError
        from SlicerSynthReg.parameters.examples import FineTuneParameters, InContextParameters

        logic = panel.logic
        examples = [a_pair(f"example {n}", seed=n) for n in range(2)]
        target, labels = a_head("target", seed=5)
        truth = a_segmentation(target, labels)
        quick = InContextParameters(model=VOTING, alignment="centre", support_slices=0, support_size=1)
        heard = []
        answer = logic.apply(examples, target, truth, quick, lambda share, text: heard.append(text))
        assert min(answer.report["accuracy"]["dice"].values()) > 0.8 and "predicting" in heard
        assert answer.labels.GetNodeReference("SynthReg.target") is target and answer.uncertainty is not None
        logic.save_set(examples, tmp_path / "set")
        loaded = logic.load_set(tmp_path / "set")
        assert [image.GetName() for image, _answer in loaded] == ["example 0", "example 1"]
        with pytest.raises(RequestError, match="Found no model nobody"):
            logic.apply(examples, target, parameters=InContextParameters(model="nobody"))

        def short(share, text):
            if text.startswith("step 2 of"):
                logic.worker.client().finish()

        tuned = logic.fine_tune(
            loaded,
            FineTuneParameters(model_name="quick", pretrained_model=FEATURES, minutes=5.0, validation_cases=1),
            short,
        )
        assert tuned.report["finished_early"] and (models / "quick.json").exists()
        own = logic.apply((), target, parameters=InContextParameters(model="quick"))
        assert own.report["run"]["model"] == "quick" and own.names.name(1) in ("rest", "ball")
        before = slicer.mrmlScene.GetNumberOfNodes()
        with pytest.raises(RequestError, match="Choose a target"):
            logic.apply(examples, None)
        assert slicer.mrmlScene.GetNumberOfNodes() == before
        assert "torch" not in sys.modules
        logic.close()


@pytest.mark.slow
def test_the_modules_own_test_passes(models):
    with opened("SynthContext"):
        sys.modules["SynthContext"].SynthContextTest().runTest()
