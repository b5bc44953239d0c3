"""The extension's worker, whose conversion behaves first as SYNTHREG_TEST_BEHAVIOUR says."""

from __future__ import annotations

from SynthRegLib.scene_worker import tasks_on_nodes

from SlicerSynthReg.service.worker import main
from Testing.Host.behaviour import behaving

if __name__ == "__main__":
    tasks = tasks_on_nodes()
    main({**tasks, "contrast_nodes": behaving(tasks["contrast_nodes"])})
