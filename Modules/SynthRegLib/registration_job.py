"""Register two nodes: the steps of the panel's job, and a synchronous call."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import Callable

import slicer
from slicer.i18n import tr as _

from SlicerSynthReg.errors import RequestError
from SlicerSynthReg.progress import Progress, no_progress
from SlicerSynthReg.request import Request, Result
from SynthRegLib.job import JobSteps
from SynthRegLib.node_job import node_job, run_sync
from SynthRegLib.registration_inputs import (
    RegistrationNodes,
    inputs_validation_error,
    landmark_validation_error,
    missing_inputs,
)
from SynthRegLib.registration_results import RegisteredNodes, add_nodes, load_results
from SynthRegLib.registration_scene import write_scene
from SynthRegLib.settings import Settings


def registration_validation_error(nodes: RegistrationNodes, settings: Settings) -> str:
    """Return what is missing or invalid, or ""."""
    found = missing_inputs(nodes) or inputs_validation_error(nodes)
    return found or (landmark_validation_error(nodes) if settings.options.landmark_start else "")


def registration_job(nodes: RegistrationNodes, settings: Settings) -> JobSteps:
    """Return the steps of a registration. Raises RequestError for invalid nodes."""
    found = registration_validation_error(nodes, settings)
    if found:
        raise RequestError(found)
    return node_job(
        "register_nodes",
        lambda folder: write_scene(nodes, folder),
        settings.parameters(),
        lambda result: load_results(result, settings.wanted()),
        lambda loaded: add_nodes(nodes, loaded),
    )


def refinement_job(nodes: RegistrationNodes, settings: Settings, forward: slicer.vtkMRMLTransformNode) -> JobSteps:
    """Return the steps of a registration initialised by an earlier one of the pair; the new transforms include both.

    forward: of the earlier result, moving to fixed. Nodes of the moving side are placed under it while they are read.
    Raises RequestError.
    """
    home = nodes.moving.GetTransformNodeID()
    side = [node for role, node in nodes.given().items() if role.startswith("moving")]
    apart = [node.GetName() for node in side if node.GetTransformNodeID() != home]
    if apart:
        raise RequestError(
            _(
                "Found {names} under another transform than the moving image, expected both under the same. Put them "
                "there in the module Data, or choose None."
            ).format(names=", ".join(apart))
        )
    options = replace(settings.options, landmark_start=False)
    work = registration_job(replace(nodes, initial_transform=forward), replace(settings, options=options))

    def prepare() -> Generator[None, None, Request]:
        try:
            for node in side:
                node.SetAndObserveTransformNodeID(forward.GetID())
            return (yield from work.prepare())
        finally:
            for node in side:
                node.SetAndObserveTransformNodeID(home)

    return replace(work, prepare=prepare)


def register(
    nodes: RegistrationNodes,
    settings: Settings,
    run: Callable[[Request, Progress], Result],
    progress: Progress = no_progress,
) -> RegisteredNodes:
    """Register synchronously and return the result nodes. run: as WorkerClient.run.

    Raises RequestError; the scene is then unchanged.
    """
    return run_sync(registration_job(nodes, settings), run, progress)
