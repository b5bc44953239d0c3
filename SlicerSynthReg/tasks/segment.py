"""The segment task: an image in, the labels of a fine-tuned model and its doubt out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from SlicerSynthReg.evaluate.overlap import overlap
from SlicerSynthReg.evaluate.uncertainty import entropy
from SlicerSynthReg.methods.finetune.model import FineTuned
from SlicerSynthReg.request import Progress, Request, TaskOutcome
from SlicerSynthReg.tasks.device import set_up
from SlicerSynthReg.tasks.finetune_parameters import SegmentParameters
from SlicerSynthReg.tasks.loaded import loaded
from SlicerSynthReg.tasks.model import segmenter_card
from SlicerSynthReg.tasks.reading import read_image
from SlicerSynthReg.volume.brightness import Brightness, raw
from SlicerSynthReg.volume.read import read_volume
from SlicerSynthReg.volume.volume import Volume
from SlicerSynthReg.volume.write import write_volume


def segment_task(request: Request, workspace: Path, progress: Progress) -> TaskOutcome:
    """Label map and entropy (in bits) on the image's grid."""
    parameters = SegmentParameters(**request.parameters)
    device = set_up(parameters)
    card = segmenter_card(parameters.model)
    image = read_image(request.inputs["image"], parameters, parameters.frame, parameters.series)
    progress(0.1, "segmenting")
    model = loaded(FineTuned, card).to(device)
    grid = image.grid.aligned_to_ras(card.spacing_mm)
    with torch.inference_mode():
        found = model.probabilities(Brightness(model.config.knots).of(raw(image, grid)[0]))
    progress(0.8, "writing")
    seen = Volume(found, grid).resampled(image.grid).data
    seen[0] += (1 - seen.sum(0)).clamp_min(0)  # beyond the grid there is background
    values = torch.tensor((0, *model.config.labels), dtype=torch.int32)
    labels = Volume(values[seen.argmax(0)][None], image.grid, "labels")
    outputs = {"labels": "labels.nii.gz", "doubt": "doubt.nii.gz"}
    write_volume(labels, workspace / outputs["labels"])
    write_volume(Volume(entropy(seen)[None].clamp_min(0), image.grid), workspace / outputs["doubt"])
    millilitres = abs(float(np.linalg.det(image.grid.affine[:3, :3]))) / 1000
    volumes = {str(k): round(int((labels.data == k).sum()) * millilitres, 3) for k in model.config.labels}
    report: dict = {"model": card.name, "labels": list(model.config.labels), "volumes_ml": volumes}
    if "truth" in request.inputs:
        truth = read_volume(request.inputs["truth"], "labels", allow_degenerate=True)
        image.grid.require_same(truth.grid, "the truth")
        report["dice"] = {str(k): v for k, v in overlap(truth, labels, model.config.labels).per_label.items()}
    warnings = [] if bool((labels.data != 0).any()) else ["Nothing was found in the image."]
    return TaskOutcome(outputs, report, warnings)
