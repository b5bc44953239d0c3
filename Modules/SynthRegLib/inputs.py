"""What is registered, and what stands in the way: each message says what was found, what was expected, what to do."""

from __future__ import annotations

from dataclasses import dataclass, fields

import slicer
from slicer.i18n import tr as _

from SynthRegLib.checks import fault_of_image, fault_of_labels, fault_of_parent

FEWEST_PAIRS = 3
"""Landmark pairs that tell how a body lies."""


@dataclass(frozen=True)
class RegistrationNodes:
    """fixed stays, moving is moved. masks: segmentation or label map, what counts. labels: the same kinds, to measure
    and to move along. landmarks: the same points in both images, in the same order. initial_transform: the transform
    that, set as the moving image's parent, brings it near the fixed one."""

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
        """Name -> node, those that are there."""
        every = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: node for name, node in every.items() if node is not None}


def missing(nodes: RegistrationNodes) -> str:
    """What the user has yet to choose; "" when nothing is missing."""
    if nodes.fixed is None and nodes.moving is None:
        return _("Choose the fixed image, which stays, and the moving image, which is brought onto it.")
    if nodes.fixed is None:
        return _("Choose the fixed image: the one that stays.")
    if nodes.moving is None:
        return _("Choose the moving image: the one that is brought onto the fixed image.")
    return ""


def fault(nodes: RegistrationNodes) -> str:
    """What is wrong with the chosen nodes, as far as can be told at a glance; "" when nothing is."""
    if nodes.fixed is not None and nodes.fixed is nodes.moving:
        return _(
            "Found {name} as fixed and as moving image, expected two volumes. Choose another one for either."
        ).format(name=nodes.fixed.GetName())
    for role, node in nodes.given().items():
        found = _fault_of(role, node)
        if found:
            return found
    return _fault_of_landmarks(nodes)


def fault_of_landmark_start(nodes: RegistrationNodes) -> str:
    """Whether the landmark pairs can be where the search begins; "" when they can."""
    if nodes.initial_transform is not None:
        return _(
            "Found {name} to start from beside the start from the landmarks, expected one of them. Choose None under "
            "Start from, or uncheck the landmarks."
        ).format(name=nodes.initial_transform.GetName())
    lists = nodes.fixed_landmarks, nodes.moving_landmarks
    count = 0 if None in lists else lists[0].GetNumberOfDefinedControlPoints()
    if count < FEWEST_PAIRS:
        return _(
            "Found {count} landmark pairs to start from, expected at least {fewest}, not in a line. Choose the fixed "
            "and the moving landmarks, place further pairs, or start without them."
        ).format(count=count, fewest=FEWEST_PAIRS)
    return ""


def _fault_of(role: str, node: slicer.vtkMRMLNode) -> str:
    found = fault_of_parent(node) if isinstance(node, slicer.vtkMRMLTransformableNode) else ""
    if found:
        return found
    if role in ("fixed", "moving"):
        return fault_of_image(node)
    if role.endswith(("_mask", "_labels")):
        return fault_of_labels(node)
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
