"""Register a sequence node frame by frame: input, request, result sequences."""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import slicer
from slicer.i18n import tr as _
from SynthRegLib import results
from SynthRegLib.job import JobSteps
from SynthRegLib.labels import numbering
from SynthRegLib.node_checks import image_validation_error, labels_validation_error, parent_validation_error
from SynthRegLib.node_geometry import MAX_POINTS, ijk_to_ras
from SynthRegLib.node_job import node_job
from SynthRegLib.nodes import SCENE, write_image_like, write_image_node, write_label_layers
from SynthRegLib.registration_results import grid_transform
from SynthRegLib.registration_scene import write_landmarks, write_target_lattice
from SynthRegLib.results import Added, Loaded, NodePlacement, Origin, add, fill
from SynthRegLib.settings import Reference, Settings

from SlicerSynthReg.errors import RequestError
from SlicerSynthReg.parameters.base import parameter_specs
from SlicerSynthReg.parameters.registration import SequenceParameters, reference_frame
from SlicerSynthReg.report.sequence import FAILED
from SlicerSynthReg.request import Result

MAX_SEQUENCE_POINTS = 40_000_000
"""Of the transforms of all frames together: half a gigabyte."""


@dataclass(frozen=True)
class SequenceInput:
    """sequence: of scans. number: the frame of Reference.NUMBER, 0 the first. fixed: of Reference.FIXED. mask,
    landmarks: of the reference; the landmarks are followed through the frames."""

    sequence: slicer.vtkMRMLSequenceNode | None = None
    reference: Reference = Reference.MIDDLE
    number: int = 0
    fixed: slicer.vtkMRMLScalarVolumeNode | None = None
    mask: slicer.vtkMRMLDisplayableNode | None = None
    landmarks: slicer.vtkMRMLMarkupsFiducialNode | None = None

    @property
    def count(self) -> int:
        return self.sequence.GetNumberOfDataNodes()

    @property
    def browser(self) -> slicer.vtkMRMLSequenceBrowserNode | None:
        """The browser of the sequence, or None."""
        return slicer.util.getModuleLogic("Sequences").GetFirstBrowserNodeForSequenceNode(self.sequence)

    @property
    def shown(self) -> slicer.vtkMRMLScalarVolumeNode | None:
        """The proxy volume of the sequence, whose parent transform applies to all frames."""
        browser = self.browser
        return None if browser is None else browser.GetProxyNode(self.sequence)

    def given(self) -> list[slicer.vtkMRMLNode]:
        """Return the nodes that must not be deleted during the run."""
        fixed = self.fixed if self.reference is Reference.FIXED else None
        return [node for node in (self.sequence, fixed, self.mask, self.landmarks) if node is not None]

    def asked(self) -> str | None:
        """Return the backend's name of the reference; None for the fixed image."""
        if self.reference is Reference.FIXED:
            return None
        return str(self.number) if self.reference is Reference.NUMBER else self.reference.value


@dataclass(eq=False)
class RegisteredSequence:
    """moved, forward: sequences of volumes and of transforms (frame to reference), without failed frames. moved_shown,
    forward_shown: their proxy nodes in `browser`. reference: background volume."""

    moved: slicer.vtkMRMLSequenceNode
    forward: slicer.vtkMRMLSequenceNode
    browser: slicer.vtkMRMLSequenceBrowserNode
    moved_shown: slicer.vtkMRMLScalarVolumeNode
    forward_shown: slicer.vtkMRMLGridTransformNode
    reference: slicer.vtkMRMLScalarVolumeNode
    report: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    page: str = ""


def sequence_validation_error(series: SequenceInput, settings: Settings) -> str:
    """Return what is missing or invalid, or ""."""
    if series.sequence is None:
        return _("Choose a sequence.")
    name = series.sequence.GetName()
    if series.count < 2:
        return _("Found {count} frames in {name}, expected two or more. Choose a whole sequence.").format(
            count=series.count, name=name
        )
    for n in range(series.count):
        found = image_validation_error(series.sequence.GetNthDataNode(n))
        if found:
            return _("Frame {number} of {name}: {found}").format(number=n, name=name, found=found)
    if series.reference is Reference.FIXED and series.fixed is None:
        return _("Choose the fixed image above, or another reference.")
    if series.reference is Reference.NUMBER and series.number >= series.count:
        return _("Found frame {number} as reference, expected 0 to {last}. Choose one that {name} has.").format(
            number=series.number, last=series.count - 1, name=name
        )
    if settings.parameters()["fill_lesions"] != "none":
        return _("Found the preset for brains with lesions, expected a preset for sequences. Choose another preset.")
    fixed = series.fixed if series.reference is Reference.FIXED else series.shown
    faults = (
        "" if fixed is None else parent_validation_error(fixed),
        image_validation_error(series.fixed) if series.reference is Reference.FIXED else "",
        "" if series.mask is None else labels_validation_error(series.mask),
    )
    return next((fault for fault in faults if fault), "")


def sequence_job(series: SequenceInput, settings: Settings) -> JobSteps:
    """Return the steps of a sequence registration; its value is RegisteredSequence. Raises RequestError."""
    found = sequence_validation_error(series, settings)
    if found:
        raise RequestError(found)
    shared = parameter_specs(SequenceParameters)
    parameters = {name: value for name, value in settings.parameters().items() if name in shared}
    return node_job(
        "sequence_nodes",
        lambda folder: _write(series, folder),
        {**parameters, "reference": series.asked()},
        _load,
        lambda loaded: _place(series, loaded),
    )


def _write(series: SequenceInput, folder: Path) -> Generator[None, None, dict[str, str]]:
    """Write all frames; see sequence_task."""
    sequence, home = series.sequence, series.shown
    scans = [sequence.GetNthDataNode(n) for n in range(series.count)]
    records: list[dict] = []
    for n, scan in enumerate(scans):
        if n and _lies_like(scan, scans[0]):
            records.append((yield from write_image_like(scan, folder, f"frame{n}", records[0])))
        else:
            records.append((yield from write_image_node(scan, folder, f"frame{n}", home=home)))
    at = 0 if series.reference is Reference.FIXED else reference_frame(series.asked(), series.count) or 0
    record: dict[str, Any] = {"name": sequence.GetName(), "frames": records, "home": at, "fixed": None}
    if series.reference is Reference.FIXED:
        record["fixed"] = yield from write_image_node(series.fixed, folder, "fixed")
        record["fixed_name"] = series.fixed.GetName()
    onto, place = (series.fixed, None) if record["fixed"] else (scans[at], home)
    most = min(MAX_POINTS, MAX_SEQUENCE_POINTS // series.count)
    record["forward"] = yield from write_target_lattice(onto, folder, "forward", place, most)
    mask = series.mask
    record["fixed_mask"] = (
        None if mask is None else (yield from write_label_layers(mask, numbering(mask), folder, "mask"))
    )
    record["fixed_landmarks"] = ""
    if series.landmarks is not None:
        record["fixed_landmarks"] = "landmarks.csv"
        write_landmarks(series.landmarks, folder / "landmarks.csv")
    (folder / SCENE).write_text(json.dumps(record), encoding="utf-8")
    return {"scene": str(folder / SCENE)}


def _lies_like(scan: slicer.vtkMRMLVolumeNode, first: slicer.vtkMRMLVolumeNode) -> bool:
    same = scan.GetImageData().GetDimensions() == first.GetImageData().GetDimensions()
    return same and bool((ijk_to_ras(scan) == ijk_to_ras(first)).all())


def _load(result: Result) -> Loaded:
    rows = [row["frame"] for row in result.report["frames"] if row["status"] != FAILED]
    return results.load(result, tuple(f"{name}_{n:03d}" for n in rows for name in ("moved", "forward")))


def _place(series: SequenceInput, loaded: Loaded) -> Generator[None, None, RegisteredSequence]:
    """Add both sequences to the source's browser; none of their nodes stays after an error or a cancellation."""
    added: Added = []
    try:
        onto = series.fixed.GetName() if series.reference is Reference.FIXED else _("its reference")
        names = {
            "moved": _("{sequence} registered to {reference}"),
            "forward": _("{sequence} to {reference}"),
        }
        made = {}
        for key, text in names.items():
            name = text.format(sequence=series.sequence.GetName(), reference=onto)
            made[key] = add("vtkMRMLSequenceNode", name, added)
            made[key].SetIndexName(series.sequence.GetIndexName())
            made[key].SetIndexUnit(series.sequence.GetIndexUnit())
            made[key].SetIndexType(series.sequence.GetIndexType())
        where = loaded.report["placement"]["fixed"]
        place = NodePlacement(tuple(where["shape"]), np.array(where["affine"]), None)
        onto_node = series.fixed if series.reference is Reference.FIXED else series.sequence
        sources = {"fixed": onto_node, "sequence": series.sequence}
        origin = Origin(sources, None, str(loaded.report.get("run", {}).get("model", "")), loaded.page)
        for row in loaded.report["frames"]:
            if row["status"] == FAILED:
                continue
            n = row["frame"]
            value = series.sequence.GetNthIndexValue(n)
            scan = made["moved"].SetDataNodeAtValue(slicer.vtkMRMLScalarVolumeNode(), value)
            _name(scan, f"{made['moved'].GetName()} {value}", origin)
            fill(scan, loaded.arrays[f"moved_{n:03d}"], place)
            yield
            node = made["forward"].SetDataNodeAtValue(slicer.vtkMRMLGridTransformNode(), value)
            _name(node, f"{made['forward'].GetName()} {value}", origin)
            grid = grid_transform(loaded.report["placement"]["forward"], loaded.arrays[f"forward_{n:03d}"])
            node.SetAndObserveTransformFromParent(grid)
            yield
        return (yield from _show(series, loaded, made["moved"], made["forward"], origin, added))
    except BaseException:
        for node in added:
            slicer.mrmlScene.RemoveNode(node)
        raise


def _name(item: slicer.vtkMRMLNode, name: str, origin: Origin) -> None:
    """Set name and attributes of an item; its proxy node gets them."""
    item.SetName(name)
    for attribute, value in origin.attributes().items():
        item.SetAttribute(attribute, value)


def _show(
    series: SequenceInput,
    loaded: Loaded,
    moved: slicer.vtkMRMLSequenceNode,
    forward: slicer.vtkMRMLSequenceNode,
    origin: Origin,
    added: Added,
) -> Generator[None, None, RegisteredSequence]:
    """Synchronise the sequences with the source; at a failed frame the moved volume is empty and the transform is the
    identity."""
    logic = slicer.util.getModuleLogic("Sequences")
    browser = series.browser
    if browser is None:
        browser = add("vtkMRMLSequenceBrowserNode", series.sequence.GetName(), added)
        browser.SetAndObserveMasterSequenceNodeID(series.sequence.GetID())
    for sequence in (moved, forward):
        browser.AddSynchronizedSequenceNode(sequence)
        browser.SetMissingItemMode(sequence, browser.MissingItemSetToDefault)
        yield
    logic.UpdateProxyNodesFromSequences(browser)
    yield
    source = browser.GetProxyNode(series.sequence)
    shown, transform = browser.GetProxyNode(moved), browser.GetProxyNode(forward)
    added.extend((shown, transform))
    reference = series.fixed if series.reference is Reference.FIXED else source
    in_world = loaded.report["placement"]["fixed"]["in_world"]
    shown.SetAndObserveTransformNodeID(None if in_world else reference.GetTransformNodeID())
    transform.SetAndObserveTransformNodeID(reference.GetTransformNodeID())
    shown.CreateDefaultDisplayNodes()
    results.copy_display(shown, source)
    for node in (moved, forward):
        results.set_origin_attributes(node, origin)
    for node in (moved, forward, shown, transform):
        results.place_beside(node, source)
    return RegisteredSequence(
        moved, forward, browser, shown, transform, reference, loaded.report, loaded.warnings, loaded.page
    )
