"""Jobs of the panel: healthy reconstruction, and registration via it."""

from __future__ import annotations

from dataclasses import asdict

import slicer
from slicer.i18n import tr as _
from SynthRegLib.job import JobSteps
from SynthRegLib.node_checks import image_validation_error, parent_validation_error
from SynthRegLib.node_job import node_job
from SynthRegLib.nodes import write_nodes
from SynthRegLib.registration_inputs import RegistrationNodes
from SynthRegLib.registration_job import registration_job
from SynthRegLib.results import load
from SynthRegLib.settings import Settings

from SlicerSynthReg.errors import RequestError, WeightsError
from SlicerSynthReg.parameters.derived_images import HealthyParameters
from SlicerSynthReg.parameters.registration import RegisterParameters
from SlicerSynthReg.weights.registry import Card, read_card
from SynthHealthyLib.result_nodes import WANTED, add_nodes

MODEL = "una-brains"
"""What the backend takes, where it is installed."""


def card() -> Card | None:
    """Return the card of the network; None if it is missing or unreadable."""
    try:
        return read_card(MODEL)
    except WeightsError:
        return None


def healthy_validation_error(image: slicer.vtkMRMLNode | None) -> str:
    """Return what is missing or invalid, or ""."""
    if card() is None:
        return _(
            "Found no network for healthy reconstruction (una-brains), expected it to be installed. Copy it into "
            "the folder SYNTHREG_WEIGHTS, or train one with: synthreg train healthy."
        )
    if image is None:
        return _("Choose the scan: a CT or MR of a head.")
    return image_validation_error(image) or parent_validation_error(image)


def reference_validation_error(image: slicer.vtkMRMLNode | None, reference: slicer.vtkMRMLNode | None) -> str:
    """Return what is missing or invalid for the registration via the pseudo-healthy image, or ""."""
    if reference is None:
        return _("Choose the reference image.")
    if reference is image:
        return _("Found {name} as scan and as reference, expected two volumes. Choose another reference.").format(
            name=image.GetName()
        )
    return healthy_validation_error(image) or image_validation_error(reference) or parent_validation_error(reference)


def healthy_job(image: slicer.vtkMRMLScalarVolumeNode, parameters: HealthyParameters) -> JobSteps:
    """Return the steps of a reconstruction; its value is HealthyNodes. Raises RequestError."""
    if wrong := healthy_validation_error(image):
        raise RequestError(wrong)
    return node_job(
        "healthy_nodes",
        lambda folder: write_nodes({"image": image}, folder, "image"),
        asdict(parameters),
        lambda result: load(result, WANTED),
        lambda loaded: add_nodes(image, loaded),
    )


def pseudo_healthy_job(
    image: slicer.vtkMRMLScalarVolumeNode, reference: slicer.vtkMRMLScalarVolumeNode, parameters: HealthyParameters
) -> JobSteps:
    """Return the steps of a registration via the healthy reconstruction; its value is RegisteredNodes. Raises
    RequestError."""
    if wrong := reference_validation_error(image, reference):
        raise RequestError(wrong)
    options = RegisterParameters(fill_lesions="moving", device=parameters.device)
    return registration_job(RegistrationNodes(fixed=reference, moving=image), Settings(options=options))
