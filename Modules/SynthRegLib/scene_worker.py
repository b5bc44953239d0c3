"""`python -m SynthRegLib.scene_worker`: the backend's worker with one more task, for pairs of nodes.

Imports no torch before a request comes.
"""

from __future__ import annotations

from functools import partial

from SlicerSynthReg.tasks.table import TASKS, InputSpec, Task, TaskSpec
from SlicerSynthReg.worker import main


def register_nodes_spec(register: Task | None = None) -> TaskSpec:
    """The task; `register` takes the place of the backend's own registration."""

    def load() -> Task:
        from SynthRegLib.scene_task import register_nodes

        return partial(register_nodes, register=register or TASKS["register"].load())

    return TaskSpec(
        help="Align two volumes of Slicer's scene, under whatever transforms they lie.",
        inputs={"scene": InputSpec("scene.json, as SynthRegLib.nodes writes it.", required=True)},
        parameters=TASKS["register"].parameters,
        load=load,
    )


if __name__ == "__main__":
    main({**TASKS, "register_nodes": register_nodes_spec()})
