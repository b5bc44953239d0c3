"""The healthy task: a scan in; its anatomy in health, anomaly map, segmentation, other side and report out."""

from __future__ import annotations

import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import label

from SlicerSynthReg.methods.una.model import UNA
from SlicerSynthReg.report.figure import png_bytes
from SlicerSynthReg.report.healthy import HealthyReport, healthy_page
from SlicerSynthReg.report.healthy_picture import healthy_picture
from SlicerSynthReg.report.html import write_page
from SlicerSynthReg.request import Progress, Request, TaskOutcome, shown_name
from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.space.pieces import without_crumbs
from SlicerSynthReg.tasks.device import set_up
from SlicerSynthReg.tasks.filling import filled
from SlicerSynthReg.tasks.healing import Healed, HealingConfig, detailed, heal, other_side
from SlicerSynthReg.tasks.healthy_parameters import HealthyParameters
from SlicerSynthReg.tasks.loaded import loaded, registration_network
from SlicerSynthReg.tasks.machine import peak_memory_mb, version_of_synthreg
from SlicerSynthReg.tasks.model import chosen_card, healthy_card
from SlicerSynthReg.tasks.parameters import recorded
from SlicerSynthReg.tasks.reading import read_image
from SlicerSynthReg.tasks.stopwatch import Stopwatch
from SlicerSynthReg.volume.volume import Volume
from SlicerSynthReg.volume.write import write_volume

FINE_MM = 1.0
CRUMB_ML = 0.03
"""Four of the network's voxels."""
CONFIDENT = 0.1
"""Expected error at which confidence has fallen to 1 / e."""


def healthy_task(request: Request, workspace: Path, progress: Progress) -> TaskOutcome:
    """One reconstruction; every file lies in `workspace`."""
    parameters = HealthyParameters(**request.parameters)
    device = set_up(parameters).type
    card = healthy_card(parameters.model)
    watch = Stopwatch(progress)
    watch.stage("reading", 0.01)
    scan = read_image(Path(request.inputs["image"]), parameters, parameters.frame, parameters.series)
    config = HealingConfig(parameters.modality, parameters.mirror, device)
    watch.end()
    healed = heal(
        loaded(UNA, card),
        registration_network(chosen_card(None)),
        card.spacing_mm,
        scan,
        config,
        lambda share, text: progress(0.03 + 0.8 * share, text),
    )
    watch.seconds.update(healed.seconds)
    watch.stage("writing", 0.84)
    results = on_grid(healed, scan, scan.grid if parameters.grid == "input" else healed.t1.grid.resampled(FINE_MM))
    with ThreadPoolExecutor(2) as beside:  # compressing and drawing leave the interpreter to each other
        drawn = beside.submit(_picture, results)
        outputs = _write(results, parameters.threshold, workspace, beside)
        if parameters.filled:
            outputs["filled"] = "filled.nii.gz"
            write_volume(filled(healed, scan, loaded(UNA, card)), workspace / outputs["filled"])
        watch.stage("report", 0.94)
        report = _measured(request, parameters, healed, results, card.name, config.device)
        picture = drawn.result()
    watch.end()
    report = dataclasses.replace(report, stages={name: round(s, 3) for name, s in watch.seconds.items()})
    (workspace / "picture.png").write_bytes(picture)
    write_page(healthy_page(report, picture, card), workspace / "report.html")
    (workspace / "healthy.json").write_text(json.dumps(dataclasses.asdict(report), indent=2) + "\n", encoding="utf-8")
    outputs |= {"picture": "picture.png", "page": "report.html", "record": "healthy.json"}
    return TaskOutcome(outputs, dataclasses.asdict(report), list(healed.warnings))


@dataclasses.dataclass(frozen=True, eq=False)
class OnGrid:
    """What is written, on one grid. scan: the patient's, there. mirrored: its other side, in its own intensities."""

    scan: Volume
    healthy: Volume
    anomaly: Volume
    difference: Volume
    error: Volume
    brain: Volume
    mirrored: Volume | None

    @property
    def voxel_ml(self) -> float:
        return float(abs(np.linalg.det(self.brain.grid.affine[:3, :3]))) / 1000

    def marked(self, threshold: float) -> torch.Tensor:
        """(I, J, K) bool: where the anomaly map reaches the threshold, pieces that are too small for the network left
        out."""
        return without_crumbs((self.anomaly.data[0] >= threshold) & (self.brain.data[0] > 0), CRUMB_ML / self.voxel_ml)


def on_grid(healed: Healed, scan: Volume, grid: Grid) -> OnGrid:
    """All results on `grid`; the healthy T1 with the detail that the scan has there. Everything is 0 where the scan has
    no voxels or there is no brain."""
    first = Volume(scan.data[:1].float(), scan.grid, name=scan.name)
    healthy = detailed(healed, first, grid)
    inside = (healed.brain.resampled(grid).data > 0.5) & (healthy.data > 0)

    def seen(volume: Volume) -> Volume:
        return Volume(volume.resampled(grid).data * inside, grid, name=scan.name)

    return OnGrid(
        scan=first.resampled(grid),
        healthy=healthy,
        anomaly=Volume(seen(healed.anomaly).data.clamp(0, 1), grid, name=scan.name),
        difference=seen(healed.difference),
        error=seen(healed.error),
        brain=Volume(inside.float(), grid, name=scan.name),
        mirrored=other_side(healed, first, grid),
    )


def _picture(results: OnGrid) -> bytes:
    return png_bytes(healthy_picture(results.scan, results.healthy, results.anomaly, results.error, results.brain))


def _write(results: OnGrid, threshold: float, folder: Path, beside: ThreadPoolExecutor) -> dict[str, str]:
    confidence = torch.exp(-results.error.data / CONFIDENT) * (results.brain.data > 0)
    marked = results.marked(threshold)[None]
    volumes = {
        "healthy": results.healthy,
        "anomaly": results.anomaly,
        "segmentation": Volume(marked.to(torch.uint8), results.brain.grid, "labels", results.healthy.name),
        "difference": results.difference,
        "confidence": Volume(confidence, results.brain.grid, name=results.healthy.name),
        "mirrored": results.mirrored,
    }
    there = {name: volume for name, volume in volumes.items() if volume is not None}
    files = {name: f"{name}.nii.gz" for name in there}
    for written in [beside.submit(write_volume, volume, folder / files[name]) for name, volume in there.items()]:
        written.result()
    return files


def _measured(
    request: Request, parameters: HealthyParameters, healed: Healed, results: OnGrid, model: str, device: str
) -> HealthyReport:
    inside, marked, ml = results.brain.data[0] > 0, results.marked(parameters.threshold), results.voxel_ml
    pieces, count = label(marked.numpy())
    sizes = np.bincount(pieces.flat)[1:] * ml
    error = results.error.data[0]
    well, sick = error[inside & ~marked], error[marked]
    return HealthyReport(
        image=shown_name(request.inputs["image"]),
        model=model,
        modality=healed.modality,
        config={k: v for k, v in recorded(HealthyParameters, request.parameters).items() if v is not None},
        stages={},
        brain_ml=float(inside.sum()) * ml,
        anomaly_ml=float(sizes.sum()),
        largest_ml=float(sizes.max(initial=0.0)),
        pieces=int(count),
        error_well=float(well.mean()) if len(well) else None,
        error_sick=float(sick.mean()) if len(sick) else None,
        likeness=_likeness(healed),
        warnings=healed.warnings,
        largest_at_mm=_middle(pieces == int(sizes.argmax()) + 1, results.brain.grid) if count else None,
        peak_memory_mb=peak_memory_mb(),
        device=device,
        version=version_of_synthreg(),
    )


def _middle(piece: np.ndarray, grid: Grid) -> tuple[float, ...]:
    """RAS mm of the voxel of `piece` (I, J, K) that is nearest to its centre."""
    index = np.argwhere(piece)
    nearest = index[((index - index.mean(0)) ** 2).sum(1).argmin()]
    return tuple(round(float(mm), 1) for mm in grid.index_to_world(nearest[None])[0])


def _likeness(healed: Healed) -> float | None:
    """Correlation of the scan with its other side, in the brain."""
    where = (healed.brain.data > 0) & (healed.mirrored.data > 0)
    if healed.mirror is None or int(where.sum()) < 100:
        return None
    value = torch.corrcoef(torch.stack([healed.scan.data[where], healed.mirrored.data[where]]))[0, 1]
    return float(value) if bool(torch.isfinite(value)) else None
