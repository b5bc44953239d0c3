"""A worker whose registrations find known transforms (see known_results.py); topological change is the backend's own.

Behaves first as SYNTHREG_TEST_BEHAVIOUR says. Started in place of SynthRegLib.scene_worker, with the repository in
PYTHONPATH."""

from __future__ import annotations

from typing import Any

from SynthRegLib.scene_worker import nodes_spec, tasks_on_nodes

from SlicerSynthReg.service.worker import main
from Testing.Host.behaviour import behaving


def register(*images: Any, **options: Any) -> Any:
    from Testing.Host.synthregister import known_results

    return known_results.register(*images, **options)


def register_sequence(*images: Any, **options: Any) -> Any:
    from Testing.Host.synthregister import known_results

    return known_results.register_sequence(*images, **options)


if __name__ == "__main__":
    tasks = tasks_on_nodes()
    known = {
        "register_nodes": behaving(nodes_spec("register", register)),
        "sequence_nodes": nodes_spec("sequence", register_sequence),
        "topology_nodes": behaving(tasks["topology_nodes"]),
    }
    main({**tasks, **known})
