"""A worker whose registrations find known transforms (see known_results.py); topological change is the backend's own.

Behaves first as SYNTHREG_TEST_BEHAVIOUR says. Started in place of SynthRegLib.scene_worker, with the repository in
PYTHONPATH."""

from __future__ import annotations

from SynthRegLib.scene_worker import nodes_spec, tasks_on_nodes

from SlicerSynthReg.service.worker import main
from Testing.Host.behaviour import behaving, imported

RESULTS = "Testing.Host.synthregister.known_results"

if __name__ == "__main__":
    tasks = tasks_on_nodes()
    known = {
        "register_nodes": behaving(nodes_spec("register", imported(RESULTS, "register"))),
        "sequence_nodes": nodes_spec("sequence", imported(RESULTS, "register_sequence")),
        "topology_nodes": behaving(tasks["topology_nodes"]),
    }
    main({**tasks, **known})
