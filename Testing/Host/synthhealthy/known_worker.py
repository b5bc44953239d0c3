"""A worker that takes bright voxels for a lesion and less bright ones for normal tissue, and whose registration finds a
known transform (see known_results.py).

Behaves first as SYNTHREG_TEST_BEHAVIOUR says. Started in place of SynthRegLib.scene_worker, with the repository in
PYTHONPATH."""

from __future__ import annotations

from SynthRegLib.scene_worker import nodes_spec

from SlicerSynthReg.service.worker import main
from Testing.Host.behaviour import behaving, imported

RESULTS = "Testing.Host.synthhealthy.known_results"

if __name__ == "__main__":
    main(
        {
            "healthy_nodes": behaving(nodes_spec("healthy", imported(RESULTS, "reconstruct"))),
            "register_nodes": nodes_spec("register", imported(RESULTS, "register")),
        }
    )
