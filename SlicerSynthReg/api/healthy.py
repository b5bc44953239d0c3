"""Healthy reconstruction in memory: `reconstruct_healthy`."""

from __future__ import annotations

import dataclasses
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.ndimage import label

from SlicerSynthReg.api.images import ImageLike, as_image, image_name
from SlicerSynthReg.api.options import resolve_parameters
from SlicerSynthReg.healthy.lesion_filled_inputs import fill_lesions
from SlicerSynthReg.healthy.pipeline import (
    HealthyModel,
    MirroredScan,
    ReconstructionConfig,
    UNAResult,
    contralateral_image,
    high_resolution_t1,
    run_una,
)
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.write import write_images
from SlicerSynthReg.parameters.base import recorded
from SlicerSynthReg.parameters.derived_images import HealthyParameters
from SlicerSynthReg.progress import Progress, Stopwatch, no_progress, sub_progress
from SlicerSynthReg.report.figure import png_bytes
from SlicerSynthReg.report.healthy import (
    AnomalyMeasures,
    ExpectedError,
    HealthyReport,
    healthy_page,
    healthy_picture,
)
from SlicerSynthReg.report.html import write_page
from SlicerSynthReg.report.record import RunRecord
from SlicerSynthReg.runtime import peak_memory_mb, select_device, synthreg_version
from SlicerSynthReg.spatial.grid import Grid
from SlicerSynthReg.spatial.morphology import remove_small
from SlicerSynthReg.weights.registry import Card
from SlicerSynthReg.weights.selection import healthy_card

RESULT_SPACING_MM = 1.0
MIN_COMPONENT_ML = 0.03
"""Volume of four voxels of the network."""
CONFIDENCE_SCALE = 0.1
"""Expected error at which the confidence is 1 / e."""


@dataclass(frozen=True, eq=False)
class HealthyReconstruction:
    """Result of `reconstruct_healthy`; all images but `inpainted` on one grid, 0 outside the reconstructed brain.

    scan: the input. t1: healthy T1, white matter at 0.8. anomaly: anomaly map, 0 to 1. mask: label map, 1 where the
    anomaly map reaches the threshold. difference: between scan and T1 in the scan's contrast, in SDs. expected_error:
    expected absolute error of the T1. brain: 1 inside. mirrored: the contralateral side in the scan's intensities, None
    without mirroring. inpainted: the scan with its anomalies inpainted, on the scan's grid, None unless requested.
    """

    scan: Image
    t1: Image
    anomaly: Image
    mask: Image
    difference: Image
    expected_error: Image
    brain: Image
    mirrored: Image | None
    inpainted: Image | None
    report: HealthyReport
    card: Card

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings of the run, as in the report."""
        return self.report.warnings

    @property
    def confidence(self) -> Image:
        """Return the confidence in the T1, exp(-expected error / CONFIDENCE_SCALE), 0 to 1; 0 outside the brain."""
        values = torch.exp(-self.expected_error.data / CONFIDENCE_SCALE) * (self.brain.data > 0)
        return Image(values, self.brain.grid, name=self.t1.name)

    @property
    def images(self) -> dict[str, Image]:
        """Every image of the result by its output name."""
        images = {
            "healthy": self.t1,
            "anomaly": self.anomaly,
            "segmentation": self.mask,
            "difference": self.difference,
            "confidence": self.confidence,
            "mirrored": self.mirrored,
            "inpainted": self.inpainted,
        }
        return {name: image for name, image in images.items() if image is not None}

    def save(self, folder: str | os.PathLike[str], images: bool = True) -> dict[str, str]:
        """Write the images, if wanted, picture, page and record into `folder`; return output name -> file name. Raises
        OSError."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(1) as pool:  # compression and drawing release the interpreter
            picture = pool.submit(self._picture)
            files = write_images(self.images, folder) if images else {}
        (folder / "picture.png").write_bytes(picture.result())
        write_page(healthy_page(self.report, picture.result(), self.card), folder / "report.html")
        record = json.dumps(dataclasses.asdict(self.report), indent=2) + "\n"
        (folder / "healthy.json").write_text(record, encoding="utf-8")
        return {**files, "picture": "picture.png", "page": "report.html", "record": "healthy.json"}

    def _picture(self) -> bytes:
        return png_bytes(healthy_picture(self.scan, self.t1, self.anomaly, self.expected_error, self.brain))


def reconstruct_healthy(
    image: ImageLike,
    *,
    parameters: HealthyParameters | None = None,
    progress: Progress = no_progress,
    **options: Any,
) -> HealthyReconstruction:
    """Reconstruct the healthy T1 of a head scan of any contrast, with its anomaly map (UNA).

    image: CT or MR of a head, anything `as_image` takes. options: fields of HealthyParameters. Raises ImageError,
    BrainNotFound, WeightsError, RequestError.
    """
    parameters = resolve_parameters(HealthyParameters, parameters, options)
    device = select_device(parameters.device, parameters.threads).type
    card = healthy_card(parameters.model)
    watch = Stopwatch(progress)
    watch.stage("reading", 0.01)
    scan = as_image(image, frame=parameters.frame, series=parameters.series, **parameters.read_options())
    watch.end()
    model = HealthyModel.load(card)
    config = ReconstructionConfig(parameters.modality, parameters.mirror, device)
    result = run_una(model, scan, config, sub_progress(progress, 0.03, 0.85))
    watch.seconds.update(result.seconds)
    watch.stage("resampling", 0.86)
    working = result.maps.t1.grid
    grid = scan.grid if parameters.grid == "input" else working.resampled(RESULT_SPACING_MM)
    images = _images_on(result, scan, grid, parameters.threshold)
    inpainted = None
    if parameters.inpaint:
        watch.stage("inpainting", 0.93)
        inpainted = fill_lesions(result, scan, model.una)
    watch.end()
    run = RunRecord(
        model=card.name,
        parameters={
            k: v for k, v in recorded(HealthyParameters, dataclasses.asdict(parameters)).items() if v is not None
        },
        stages={name: round(seconds, 3) for name, seconds in watch.seconds.items()},
        peak_memory_mb=peak_memory_mb(),
        device=device,
        version=synthreg_version(),
    )
    report = HealthyReport(
        image=image_name(image, "image"),
        modality=result.scan.scale.modality,
        brain_ml=float(images["brain"].data.sum()) * _voxel_ml(grid),
        anomaly=anomaly_measures(images["mask"]),
        expected_error=_expected_error(images),
        mirror_correlation=_mirror_correlation(result.scan, result.maps.brain),
        run=run,
        warnings=result.warnings,
    )
    mirrored = contralateral_image(result, scan, grid)
    return HealthyReconstruction(**images, mirrored=mirrored, inpainted=inpainted, report=report, card=card)


def anomaly_measures(mask: Image) -> AnomalyMeasures:
    """Return volumes of the connected components of `mask` (label map), and the location of the largest."""
    components, count = label(mask.data[0].numpy() > 0)
    sizes = np.bincount(components.flat)[1:] * _voxel_ml(mask.grid)
    centre = _central_voxel_mm(components == int(sizes.argmax()) + 1, mask.grid) if count else None
    return AnomalyMeasures(float(sizes.sum()), int(count), float(sizes.max(initial=0.0)), centre)


def _images_on(result: UNAResult, scan: Image, grid: Grid, threshold: float) -> dict[str, Image]:
    """Return all results on `grid`, 0 outside the brain and outside the field of view."""
    maps, name = result.maps, scan.name
    t1 = high_resolution_t1(result, scan, grid)
    inside = (maps.brain.resampled(grid).data > 0.5) & (t1.data > 0)

    def masked(image: Image) -> torch.Tensor:
        return image.resampled(grid).data * inside

    anomaly = masked(maps.anomaly).clamp(0, 1)
    marked = remove_small(((anomaly >= threshold) & inside)[0], MIN_COMPONENT_ML / _voxel_ml(grid))
    return {
        "scan": Image(scan.data[:1].float(), scan.grid, name=name).resampled(grid),
        "t1": t1,
        "anomaly": Image(anomaly, grid, name=name),
        "mask": Image(marked[None].to(torch.uint8), grid, "labels", name),
        "difference": Image(masked(maps.difference), grid, name=name),
        "expected_error": Image(masked(maps.error), grid, name=name),
        "brain": Image(inside.float(), grid, name=name),
    }


def _voxel_ml(grid: Grid) -> float:
    return float(abs(np.linalg.det(grid.affine[:3, :3]))) / 1000


def _expected_error(images: dict[str, Image]) -> ExpectedError:
    error, lesion, brain = images["expected_error"].data, images["mask"].data > 0, images["brain"].data > 0
    means = [float(values.mean()) if len(values) else None for values in (error[brain & ~lesion], error[lesion])]
    return ExpectedError(*means)


def _central_voxel_mm(component: np.ndarray, grid: Grid) -> tuple[float, ...]:
    """Return the RAS mm of the voxel of `component` (I, J, K) bool that is nearest to its centroid."""
    index = np.argwhere(component)
    nearest = index[((index - index.mean(0)) ** 2).sum(1).argmin()]
    return tuple(round(float(mm), 1) for mm in grid.index_to_world(nearest[None])[0])


def _mirror_correlation(scan: MirroredScan, brain: Image) -> float | None:
    """Return the correlation of the scan with its contralateral side in the brain; None without mirroring."""
    inside = (brain.data > 0) & (scan.mirrored.data > 0)
    if scan.transform is None or int(inside.sum()) < 100:
        return None
    value = torch.corrcoef(torch.stack([scan.image.data[inside], scan.mirrored.data[inside]]))[0, 1]
    return float(value) if bool(torch.isfinite(value)) else None
