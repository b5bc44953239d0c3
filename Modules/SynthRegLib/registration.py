"""A registration of two nodes, put together: what the panel's job does step by step, and the same in one call."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import Callable

import slicer
from slicer.i18n import tr as _

from SlicerSynthReg.request import Progress, Request, RequestError, Result, silent
from SynthRegLib.inputs import RegistrationNodes, fault, fault_of_landmark_start, missing
from SynthRegLib.job import Work
from SynthRegLib.registered import Registered, load, place
from SynthRegLib.scene import write_scene
from SynthRegLib.settings import Settings
from SynthRegLib.work import at_once, nodes_work


def wrong(nodes: RegistrationNodes, settings: Settings) -> str:
    """What is missing, or wrong with what is chosen; "" when it can be registered as far as can be told at a glance."""
    found = missing(nodes) or fault(nodes)
    return found or (fault_of_landmark_start(nodes) if settings.landmark_start else "")


def work_for(nodes: RegistrationNodes, settings: Settings) -> Work:
    """What a Job does. Raises RequestError when the nodes cannot be registered as they are."""
    found = wrong(nodes, settings)
    if found:
        raise RequestError(found)
    return nodes_work(
        "register_nodes",
        lambda folder: write_scene(nodes, folder),
        settings.parameters(),
        lambda result: load(result, settings.wanted()),
        lambda loaded: place(nodes, loaded),
    )


def work_after(nodes: RegistrationNodes, settings: Settings, forward: slicer.vtkMRMLTransformNode) -> Work:
    """The same from where an earlier registration of the pair ended; the new transforms hold both.

    forward: of the earlier one, moving to fixed. What belongs to the moving image lies under it while it is read, and
    where it lay after that. Raises RequestError as work_for.
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
    work = work_for(replace(nodes, initial_transform=forward), replace(settings, landmark_start=False))

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
    progress: Progress = silent,
) -> Registered:
    """Everything at once, for scripts: returns when the nodes are in the scene. run: as WorkerClient.run.

    Raises RequestError (found, expected, remedy); the scene is then as before.
    """
    return at_once(work_for(nodes, settings), run, progress)
