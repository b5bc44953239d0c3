"""`python -m SynthRegLib.scene_worker`: the backend's worker with tasks X_nodes, which do X to nodes of the scene.

Imports no torch before a request comes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Callable

from SlicerSynthReg.parameters.base import parameter
from SlicerSynthReg.progress import Progress
from SlicerSynthReg.service.worker import main
from SlicerSynthReg.tasks.registry import TASKS, InputSpec, Task, TaskSpec

_ON_NODES = ("register", "sequence", "contrast", "healthy", "in-context", "segment", "topology")
_FOLDERS = ("examples", "controls")
"""Inputs that may come as a path beside the scene."""
_SCENE = InputSpec("scene.json, as SynthRegLib.registration_scene or SynthRegLib.nodes writes it.", required=True)


@dataclass(frozen=True)
class NoParameters:
    """Of a task that has none."""


def nodes_spec(name: str, function: Callable[..., Any] | None = None) -> TaskSpec:
    """Return the task `name` of the backend on nodes.

    function: stands in for the API function that computes (see `registration_task`, `sequence_task`, `image_task`).
    """
    spec = TASKS[name]

    def load() -> Task:
        if name == "register":
            from SlicerSynthReg.api.registration import register
            from SynthRegLib.registration_task import register_nodes

            return partial(register_nodes, register=function or register)
        if name == "sequence":
            from SlicerSynthReg.api.sequence import register_sequence
            from SynthRegLib.sequence_task import register_frames

            return partial(register_frames, register=function or register_sequence)
        from SynthRegLib.image_task import derive_nodes

        return partial(derive_nodes, derive=function or derivation(name))

    return TaskSpec(
        help=f"{spec.help} On nodes of Slicer's scene, under whatever transforms they lie.",
        inputs={"scene": _SCENE, **{one: InputSpec(spec.inputs[one].help) for one in _FOLDERS if one in spec.inputs}},
        parameters=spec.parameters,
        load=load,
    )


def _healthy(inputs: Mapping[str, Any], parameters: Mapping[str, Any], progress: Progress) -> Any:
    from SlicerSynthReg.api.healthy import reconstruct_healthy

    record = TASKS["healthy"].parameters(**parameters)
    return reconstruct_healthy(inputs["image"], parameters=record, progress=progress)


def _contrast(inputs: Mapping[str, Any], parameters: Mapping[str, Any], progress: Progress) -> Any:
    from SlicerSynthReg.api.contrast import convert_contrast

    record = TASKS["contrast"].parameters(**parameters)
    return convert_contrast(inputs["image"], labels=inputs.get("labels"), parameters=record, progress=progress)


def _context(inputs: Mapping[str, Any], parameters: Mapping[str, Any], progress: Progress) -> Any:
    from SlicerSynthReg.api.in_context import segment_by_examples

    record = TASKS["in-context"].parameters(**parameters)
    truth = inputs.get("truth")
    return segment_by_examples(inputs["target"], inputs["examples"], truth=truth, parameters=record, progress=progress)


def _segment(inputs: Mapping[str, Any], parameters: Mapping[str, Any], progress: Progress) -> Any:
    from SlicerSynthReg.api.segmentation import segment

    record = TASKS["segment"].parameters(**parameters)
    return segment(inputs["image"], truth=inputs.get("truth"), parameters=record, progress=progress)


def _topology(inputs: Mapping[str, Any], parameters: Mapping[str, Any], progress: Progress) -> Any:
    from SlicerSynthReg.api.topology import topological_change
    from SlicerSynthReg.tasks.topology import control_images

    record = TASKS["topology"].parameters(**parameters)
    controls = control_images(inputs["controls"]) if "controls" in inputs else ()
    return topological_change(
        inputs["fixed"], inputs["moving"], controls=controls, parameters=record, progress=progress
    )


def derivation(name: str) -> Callable[..., Any]:
    """Return the function that computes the task `name` from images in memory (see `image_task.Derive`)."""
    return _DERIVATIONS[name]


_DERIVATIONS = {
    "healthy": _healthy,
    "contrast": _contrast,
    "in-context": _context,
    "segment": _segment,
    "topology": _topology,
}


@dataclass(frozen=True)
class TransformParameters:
    """How transforms are written."""

    suffix: str = parameter(str, ".h5", "Of the files.", choices=(".h5", ".nii.gz", ".tfm"))


def _examples_task() -> Task:
    from SynthRegLib.examples_task import examples_nodes

    return examples_nodes


def _export_task() -> Task:
    from SynthRegLib.transform_task import export_transforms

    return export_transforms


def _ct_sample_task() -> Task:
    from SynthRegLib.ct_sample_task import ct_sample

    return ct_sample


def tasks_on_nodes() -> dict[str, TaskSpec]:
    """Return the backend's tasks, and those on nodes."""
    on_nodes = {f"{name}_nodes": nodes_spec(name) for name in _ON_NODES}
    scene = {"scene": _SCENE}
    own = {
        "examples_nodes": TaskSpec("Pairs of nodes to a folder of examples.", scene, NoParameters, _examples_task),
        "export_transforms": TaskSpec("Transform nodes to files for ITK.", scene, TransformParameters, _export_task),
        "ct_sample": TaskSpec("A simulated CT, native and in arterial phase.", {}, NoParameters, _ct_sample_task),
    }
    return {**TASKS, **on_nodes, **own}


if __name__ == "__main__":
    main(tasks_on_nodes())
