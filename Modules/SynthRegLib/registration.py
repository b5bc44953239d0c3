"""A registration of two nodes, put together: what the panel's job does step by step, and the same in one call."""

from __future__ import annotations

from typing import Callable

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
