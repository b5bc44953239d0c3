"""`python -m SynthRegLib.scene_worker`: the backend's worker with tasks X_nodes, which do X to nodes of the scene.

Imports no torch before a request comes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from SlicerSynthReg.tasks.parameters import parameter
from SlicerSynthReg.tasks.table import TASKS, InputSpec, Task, TaskSpec
from SlicerSynthReg.worker import main

_ON_NODES = ("register", "sequence", "contrast", "healthy", "context", "segment", "topology")
_FOLDERS = ("examples", "controls")
"""Inputs that may come as a path beside the scene."""


_SCENE = InputSpec("scene.json, as SynthRegLib.scene or SynthRegLib.nodes writes it.", required=True)


@dataclass(frozen=True)
class NoParameters:
    """Of a task that has none."""


def nodes_spec(name: str, task: Task | None = None) -> TaskSpec:
    """The task `name` of the backend on nodes; `task` takes the place of the backend's own."""
    spec = TASKS[name]

    def load() -> Task:
        own = task or spec.load()
        if name == "register":
            from SynthRegLib.scene_task import register_nodes

            return partial(register_nodes, register=own)
        if name == "sequence":
            from SynthRegLib.sequence_task import register_frames

            return partial(register_frames, register=own)
        from SynthRegLib.image_task import derive_nodes

        return partial(derive_nodes, name=name, task=own)

    return TaskSpec(
        help=f"{spec.help} On nodes of Slicer's scene, under whatever transforms they lie.",
        inputs={"scene": _SCENE, **{one: InputSpec(spec.inputs[one].help) for one in _FOLDERS if one in spec.inputs}},
        parameters=spec.parameters,
        load=load,
    )


def examples_spec() -> TaskSpec:
    """Pairs of nodes to a folder of examples."""

    def load() -> Task:
        from SynthRegLib.examples_task import examples_nodes

        return examples_nodes

    return TaskSpec("Pairs of nodes to a folder of examples.", {"scene": _SCENE}, NoParameters, load)


@dataclass(frozen=True)
class TransformParameters:
    """How transforms are written."""

    suffix: str = parameter(str, ".h5", "Of the files.", choices=(".h5", ".nii.gz", ".tfm"))


def transforms_spec() -> TaskSpec:
    """Transform nodes to files for ITK."""

    def load() -> Task:
        from SynthRegLib.transform_task import export_transforms

        return export_transforms

    return TaskSpec("Transform nodes to files for ITK.", {"scene": _SCENE}, TransformParameters, load)


def ct_sample_spec() -> TaskSpec:
    """A computed CT, to try the buttons on."""

    def load() -> Task:
        from SynthRegLib.ct_sample_task import ct_sample

        return ct_sample

    return TaskSpec("A virtual patient's CT, native and with contrast.", {}, NoParameters, load)


def tasks_on_nodes() -> dict[str, TaskSpec]:
    """The backend's tasks, and those on nodes."""
    on_nodes = {f"{name}_nodes": nodes_spec(name) for name in _ON_NODES}
    own = {"examples_nodes": examples_spec(), "ct_sample": ct_sample_spec(), "export_transforms": transforms_spec()}
    return {**TASKS, **on_nodes, **own}


if __name__ == "__main__":
    main(tasks_on_nodes())
