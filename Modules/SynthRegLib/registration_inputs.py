"""Input nodes of a registration and their validation; messages say found, expected, remedy."""

from __future__ import annotations

from dataclasses import dataclass, fields

import slicer
from slicer.i18n import tr as _

from SynthRegLib.node_checks import image_validation_error, labels_validation_error, parent_validation_error

MIN_LANDMARK_PAIRS = 3
"""Landmark pairs that determine an initial transform."""


@dataclass(frozen=True)
class RegistrationNodes:
    """masks: segmentation or label map of the compared region. labels: segmentation or label map, to measure overlap
    and to resample. landmarks: corresponding points in the same order. initial_transform: transform that, as parent of
    the moving image, aligns it approximately."""

    fixed: slicer.vtkMRMLScalarVolumeNode | None = None
    moving: slicer.vtkMRMLScalarVolumeNode | None = None
    fixed_mask: slicer.vtkMRMLDisplayableNode | None = None
    moving_mask: slicer.vtkMRMLDisplayableNode | None = None
    fixed_labels: slicer.vtkMRMLDisplayableNode | None = None
    moving_labels: slicer.vtkMRMLDisplayableNode | None = None
    fixed_landmarks: slicer.vtkMRMLMarkupsFiducialNode | None = None
    moving_landmarks: slicer.vtkMRMLMarkupsFiducialNode | None = None
    initial_transform: slicer.vtkMRMLTransformNode | None = None

    def given(self) -> dict[str, slicer.vtkMRMLNode]:
        """Return the chosen nodes by field name."""
        every = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: node for name, node in every.items() if node is not None}


def missing_inputs(nodes: RegistrationNodes) -> str:
    """Return what must be chosen, or ""."""
    if nodes.fixed is None and nodes.moving is None:
        return _("Choose the fixed image and the moving image.")
    if nodes.fixed is None:
        return _("Choose the fixed image.")
    if nodes.moving is None:
        return _("Choose the moving image.")
    return ""


def inputs_validation_error(nodes: RegistrationNodes) -> str:
    """Return what is wrong with the chosen nodes, or ""."""
    if nodes.fixed is not None and nodes.fixed is nodes.moving:
        return _(
            "Found {name} as fixed and as moving image, expected two volumes. Choose another one for either."
        ).format(name=nodes.fixed.GetName())
    for role, node in nodes.given().items():
        found = _fault_of(role, node)
        if found:
            return found
    return _fault_of_landmarks(nodes)


def landmark_validation_error(nodes: RegistrationNodes) -> str:
    """Return why the landmarks cannot initialise the registration, or ""."""
    if nodes.initial_transform is not None:
        return _(
            "Found the initial transform {name} and landmark initialization, expected one of them. Choose None as "
            "initial transform, or uncheck the landmark initialization."
        ).format(name=nodes.initial_transform.GetName())
    lists = nodes.fixed_landmarks, nodes.moving_landmarks
    count = 0 if None in lists else lists[0].GetNumberOfDefinedControlPoints()
    if count < MIN_LANDMARK_PAIRS:
        return _(
            "Found {count} landmark pairs for the initialization, expected at least {fewest}, not collinear. Choose "
            "fixed and moving landmarks, place further pairs, or uncheck the landmark initialization."
        ).format(count=count, fewest=MIN_LANDMARK_PAIRS)
    return ""


def _fault_of(role: str, node: slicer.vtkMRMLNode) -> str:
    found = parent_validation_error(node) if isinstance(node, slicer.vtkMRMLTransformableNode) else ""
    if found:
        return found
    if role in ("fixed", "moving"):
        return image_validation_error(node)
    if role.endswith(("_mask", "_labels")):
        return labels_validation_error(node)
    return ""


def _fault_of_landmarks(nodes: RegistrationNodes) -> str:
    fixed, moving = nodes.fixed_landmarks, nodes.moving_landmarks
    if (fixed is None) != (moving is None):
        return _("Found landmarks of one image only, expected the same points in both. Choose the other list, or None.")
    if fixed is None or moving is None:
        return ""
    counts = fixed.GetNumberOfDefinedControlPoints(), moving.GetNumberOfDefinedControlPoints()
    if counts[0] != counts[1] or counts[0] == 0:
        return _(
            "Found {fixed} fixed and {moving} moving landmarks, expected the same number, at least one. Place the "
            "missing points, in the same order."
        ).format(fixed=counts[0], moving=counts[1])
    return ""
