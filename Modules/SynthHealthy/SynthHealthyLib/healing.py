"""From a scan's node to the nodes of its anatomy in health: what the panel's jobs do."""

from __future__ import annotations

import slicer
from slicer.i18n import tr as _
from SynthRegLib.checks import fault_of_image, fault_of_parent
from SynthRegLib.inputs import RegistrationNodes
from SynthRegLib.job import Work
from SynthRegLib.nodes import write_nodes
from SynthRegLib.registration import work_for
from SynthRegLib.results import load
from SynthRegLib.work import nodes_work

from SlicerSynthReg.request import RequestError
from SlicerSynthReg.weights.registry import Card, WeightsError, read_card
from SynthHealthyLib.made import WANTED, place
from SynthHealthyLib.settings import HealthySettings, ThroughHealth

MODEL = "una-brains"
"""What the backend takes, where it is installed."""


def card() -> Card | None:
    """Of the network that reconstructs; None where it is not installed, or cannot be read."""
    try:
        return read_card(MODEL)
    except WeightsError:
        return None


def fault(image: slicer.vtkMRMLNode | None) -> str:
    """What stands in the way of a reconstruction, as far as can be told at a glance; "" when nothing does."""
    if card() is None:
        return _(
            "Found no network for the healthy brain (una-brains), expected it among the installed ones. Put it into "
            "the folder that SYNTHREG_WEIGHTS names, or train one with: synthreg train healthy."
        )
    if image is None:
        return _("Choose the scan: CT or MR of a head, of any contrast.")
    return fault_of_image(image) or fault_of_parent(image)


def fault_of_reference(image: slicer.vtkMRMLNode | None, reference: slicer.vtkMRMLNode | None) -> str:
    """The same of a registration through health."""
    if reference is None:
        return _("Choose the reference brain, onto which the scan is brought.")
    if reference is image:
        return _("Found {name} as scan and as reference, expected two volumes. Choose another reference.").format(
            name=image.GetName()
        )
    return fault(image) or fault_of_image(reference) or fault_of_parent(reference)


def healing_work(image: slicer.vtkMRMLScalarVolumeNode, settings: HealthySettings) -> Work:
    """A Made at its end. Raises RequestError when the scan cannot be used as it is."""
    if wrong := fault(image):
        raise RequestError(wrong)
    return nodes_work(
        "healthy_nodes",
        lambda folder: write_nodes({"image": image}, folder, "image"),
        settings.parameters(),
        lambda result: load(result, WANTED),
        lambda loaded: place(image, loaded),
    )


def through_health_work(
    image: slicer.vtkMRMLScalarVolumeNode, reference: slicer.vtkMRMLScalarVolumeNode, settings: HealthySettings
) -> Work:
    """Register the scan onto the reference by its healthy reconstruction; a Registered at its end, as SynthRegister's.
    Raises RequestError."""
    if wrong := fault_of_reference(image, reference):
        raise RequestError(wrong)
    return work_for(RegistrationNodes(fixed=reference, moving=image), ThroughHealth(device=settings.device))
