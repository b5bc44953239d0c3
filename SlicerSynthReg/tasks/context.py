"""The context task: a few example pairs and a target in; what the examples do, done to the target, out."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch

from SlicerSynthReg.evaluate.overlap import overlap
from SlicerSynthReg.methods.neuralizer.examples import roughness
from SlicerSynthReg.methods.neuralizer.model import Neuralizer
from SlicerSynthReg.methods.neuralizer.readout import ReadoutConfig
from SlicerSynthReg.methods.neuralizer.slices import AskConfig
from SlicerSynthReg.methods.uncertainty.ranking import CaseDoubt
from SlicerSynthReg.report.context import ContextReport, context_page, context_picture
from SlicerSynthReg.report.figure import png_bytes
from SlicerSynthReg.report.html import write_page
from SlicerSynthReg.request import Progress, Request, RequestError, TaskOutcome, shown_name
from SlicerSynthReg.space.transform import Transform
from SlicerSynthReg.tasks.context_answer import Judged, answered, judged
from SlicerSynthReg.tasks.context_bring import likeness
from SlicerSynthReg.tasks.context_frame import Frame, build_frame
from SlicerSynthReg.tasks.context_inputs import read_pairs, wanted_labels
from SlicerSynthReg.tasks.context_pairs import PairPaths, find_pairs, read_legend
from SlicerSynthReg.tasks.context_parameters import PLANES, ContextParameters
from SlicerSynthReg.tasks.context_samples import case_doubt
from SlicerSynthReg.tasks.device import set_up
from SlicerSynthReg.tasks.loaded import loaded
from SlicerSynthReg.tasks.model import context_card
from SlicerSynthReg.tasks.stopwatch import Stopwatch
from SlicerSynthReg.volume.read import read_volume
from SlicerSynthReg.volume.volume import Volume
from SlicerSynthReg.volume.write import write_volume

UNLIKE_SHARE, UNLIKE = 0.6, 0.2
"""Likeness of the target below which a warning is given: as share of the examples' among each other, and absolute."""
CONTRADICTING = 0.3
ASKED = 4
"""Examples that are asked about to find the mixture, where not all are checked."""


THIN_MM = 1.25
"""Slices of examples that lie so near are alike: every other one tells as much in half the time."""


@dataclass(frozen=True, eq=False)
class Answer:
    """On the target's grid. volume: labels or image; doubt: entropy of the answer, 0 to 1, None for images."""

    volume: Volume
    doubt: Volume | None


def context_task(request: Request, workspace: Path, progress: Progress) -> TaskOutcome:
    """Apply a set of examples to one target; every file lies in `workspace`."""
    parameters = ContextParameters(**request.parameters)
    device = set_up(parameters)
    card = context_card(parameters.model)
    paths = find_pairs(Path(request.inputs["examples"]))
    target = _target(request, paths)
    model = loaded(Neuralizer, card).to(device)
    watch = Stopwatch(progress)
    with torch.inference_mode():
        watch.stage("examples", 0.02)
        asked = parameters.answer, parameters.labels, parameters.spacing_mm, parameters.alignment, parameters.absent
        frame = _frame(tuple(paths), _key(paths), *asked, device.type)
        config = _config(parameters, frame)
        watch.stage("aligning the target", 0.35)
        through, notes = frame.bring(target[0], parameters.alignment, device.type)
        x = frame.on_grid(target, through)
        watch.stage("checking the examples", 0.4)
        checked = len(frame.examples) if parameters.check_examples else ASKED
        told = _judged(model, frame, config, parameters.way, checked)
        agreed = parameters.check_examples and len(frame.examples) > 2
        agreement = dict(zip(frame.names, told.agreement)) if agreed else {}
        watch.stage("asking", 0.5)
        share, labels = told.share, bool(frame.labels)
        found = answered(
            model, x, frame.examples, config, share, labels, lambda done: progress(0.5 + 0.2 * done, "asking")
        )
        doubts = _doubts(model, x, frame, config, share, parameters.samples, watch, progress)
    watch.stage("writing", 0.92)
    answer = _on_target(found, frame, target[0], through)
    alike = sum(likeness(x[0], e.x[0]) for e in frame.examples) / len(frame.examples)
    dice, psnr = _compared(request, answer.volume, frame)
    outputs = {"labels" if frame.labels else "image": "labels.nii.gz" if frame.labels else "image.nii.gz"}
    write_volume(answer.volume, workspace / next(iter(outputs.values())))
    if answer.doubt is not None:
        outputs["doubt"] = "doubt.nii.gz"
        write_volume(answer.doubt, workspace / outputs["doubt"])
    watch.end()
    report = ContextReport(
        target=shown_name(request.inputs["target"]),
        model=card.name,
        examples=frame.names,
        labels=frame.labels,
        likeness=alike,
        likeness_of_examples=frame.likeness,
        agreement=agreement,
        patches=share,
        volumes_ml=_volumes(answer.volume, frame),
        roughness=_roughness(found, frame, config),
        dice=dice,
        psnr=psnr,
        settings=dataclasses.asdict(parameters),
        stages={name: round(seconds, 3) for name, seconds in watch.seconds.items()},
        warnings=(*frame.notes, *(f"Target: {text}" for text in notes), *_warnings(alike, frame, agreement, found)),
        called={
            str(k): one.name for k, one in read_legend(Path(request.inputs["examples"])).items() if k in frame.labels
        },
        doubts=dataclasses.asdict(doubts) if doubts else None,
    )
    picture = png_bytes(context_picture(x[0], found, frame.examples, frame.names, bool(frame.labels)))
    (workspace / "picture.png").write_bytes(picture)
    write_page(context_page(report, picture, card), workspace / "report.html")
    (workspace / "context.json").write_text(json.dumps(dataclasses.asdict(report), indent=2) + "\n", encoding="utf-8")
    outputs |= {"picture": "picture.png", "page": "report.html", "record": "context.json"}
    return TaskOutcome(outputs, dataclasses.asdict(report), list(report.warnings))


def _key(paths: list[PairPaths]) -> tuple:
    """Changes when a file of the examples does."""
    files = [path for pair in paths for path in (*pair.inputs, pair.output)]
    return tuple((str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in files)


@lru_cache(maxsize=1)
def _frame(
    paths: tuple[PairPaths, ...],
    key: tuple,
    answer: str,
    labels: str,
    spacing: float | None,
    alignment: str,
    absent: bool,
    device: str,
) -> Frame:
    """Aligned examples; the last set is kept, so that its next target need not wait for it again."""
    pairs = read_pairs(paths, answer)
    masks = all(pair.output.kind == "labels" for pair in pairs)
    return build_frame(pairs, wanted_labels(pairs, labels) if masks else (), spacing, alignment, device, absent)


def _target(request: Request, paths: list[PairPaths]) -> tuple[Volume, ...]:
    given = [request.inputs[name] for name in ("target", "target2", "target3") if name in request.inputs]
    wanted = len(paths[0].inputs)
    if len(given) != wanted:
        raise RequestError(
            f"Found {len(given)} images of the target and {wanted} in each example, expected the same number, in the "
            "same order. Add target2 and target3, or leave columns of the table out."
        )
    return tuple(read_volume(path) for path in given)


def _config(parameters: ContextParameters, frame: Frame) -> AskConfig:
    thin = parameters.spread > 0 and float(frame.grid.spacing.max()) <= THIN_MM
    apart = 2 if thin and len(frame.examples) >= parameters.size else 1
    readout = ReadoutConfig() if parameters.readout else None
    planes = PLANES[parameters.plane]
    return AskConfig(planes, parameters.size, parameters.spread, apart, parameters.neighbours, readout=readout)


def _on_target(found: torch.Tensor, frame: Frame, target: Volume, through: Transform | None) -> Answer:
    back = None if through is None else through.inverse()
    shares = Volume(found, frame.grid).resampled(target.grid, back).data
    if not frame.labels:
        low, high = frame.scale
        inside = Volume(torch.ones(1, *frame.grid.shape), frame.grid).resampled(target.grid, back).data
        return Answer(Volume((low + (high - low) * shares) * (inside > 0.5), target.grid), None)
    best, which = shares.max(0)
    values = torch.tensor(frame.labels, dtype=torch.int32)[which]
    labels = torch.where(best > 0.5, values, torch.zeros_like(values))[None]
    return Answer(Volume(labels, target.grid, "labels"), Volume(doubt_of(best)[None], target.grid))


def doubt_of(p: torch.Tensor) -> torch.Tensor:
    """Of a yes with probability p, in bits: 0 where certain, 1 at one half."""
    p = p.clamp(1e-6, 1 - 1e-6)
    return -(p * p.log2() + (1 - p) * (1 - p).log2())


@lru_cache(maxsize=1)
def _judged(model: Neuralizer, frame: Frame, config: AskConfig, way: str, most: int) -> Judged:
    """Kept with the frame, for its next target."""
    return judged(model, frame.examples, config, way, bool(frame.labels), most)


def _roughness(found: torch.Tensor, frame: Frame, config: AskConfig) -> float | None:
    """Of the answer across the slices, over the examples': above 1 it flickers from slice to slice more than they."""
    if not frame.labels:
        return None
    axis = config.planes[0]
    examples = [roughness(e.y.amax(0) > 0.5, axis) for e in frame.examples]
    usual = [value for value in examples if math.isfinite(value) and value > 0]
    own = roughness(found.amax(0) > 0.5, axis)
    return own / (sum(usual) / len(usual)) if usual and math.isfinite(own) else None


def _doubts(
    model: Neuralizer,
    x: torch.Tensor,
    frame: Frame,
    config: AskConfig,
    share: float,
    samples: int,
    watch: Stopwatch,
    progress: Progress,
) -> CaseDoubt | None:
    """None where it was not asked for, for images, and for a single example, of which there is no half."""
    if samples < 2 or not frame.labels or len(frame.examples) < 2:
        return None
    watch.stage("asking again", 0.7)
    return case_doubt(
        model, x, frame.examples, config, share, samples, lambda s: progress(0.7 + 0.2 * s, "asking again")
    )


def _volumes(answer: Volume, frame: Frame) -> dict[str, float]:
    voxel = abs(float(torch.linalg.det(torch.tensor(answer.grid.affine[:3, :3])))) / 1000
    return {str(value): round(int((answer.data == value).sum()) * voxel, 3) for value in frame.labels}


def _compared(request: Request, answer: Volume, frame: Frame) -> tuple[dict[str, float] | None, float | None]:
    """Dice of each label, or PSNR over the truth's range, where the truth was given."""
    if "truth" not in request.inputs:
        return None, None
    if frame.labels:
        truth = read_volume(request.inputs["truth"], "labels", allow_degenerate=True)
        answer.grid.require_same(truth.grid, "the truth")
        return {str(k): v for k, v in overlap(truth, answer, labels=frame.labels).per_label.items()}, None
    truth = read_volume(request.inputs["truth"])
    answer.grid.require_same(truth.grid, "the truth")
    error = float(((truth.data[:1] - answer.data) ** 2).mean())
    reach = float(truth.data[:1].max() - truth.data[:1].min())
    return None, 10 * math.log10(reach**2 / max(error, 1e-12 * reach**2))


def _warnings(alike: float, frame: Frame, agreement: dict[str, float], found: torch.Tensor) -> list[str]:
    told = []
    usual = frame.likeness
    if alike < UNLIKE or (usual is not None and alike < UNLIKE_SHARE * usual):
        among = "" if usual is None else f"; the examples among each other: {usual:.2f}"
        told.append(
            f"The target looks unlike the examples (likeness {alike:.2f}{among}). Add examples of its kind, or check "
            "the alignment in the picture."
        )
    if len(frame.examples) == 1:
        told.append("One example only: results vary with which one it is. A few more make them steadier.")
    for name, dice in agreement.items():
        if dice < CONTRADICTING and max(agreement.values()) > 2 * CONTRADICTING:
            told.append(f"The example {name} contradicts the others (Dice {dice:.2f}). Is it drawn by the same rules?")
    for place, value in enumerate(frame.labels):
        shown = sum(bool((e.y[place] != 0).any()) for e in frame.examples)
        if shown < len(frame.examples):
            asked = sum(place not in e.untold for e in frame.examples)
            rest = " The others show other labels, so it counts as not drawn there; if it is truly absent, say absent."
            told.append(
                f"Label {value} is in {shown} of {len(frame.examples)} examples only."
                + rest * (asked < len(frame.examples))
            )
    if frame.labels and not bool((found > 0.5).any()):
        told.append("Nothing was found in the target.")
    return told
