"""A pair with a known answer, made from the MNI152 template that nilearn ships, and its registration.

The fixed image is the template (T1, brain only). The moving image shows the same brain as T2 would (fluid bright, white
matter dark), deformed by a smooth diffeomorphism, turned and shifted, on an oblique grid of thick slices. As the map
between them is known, so are the moving positions of the landmarks and the moving labels.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from SlicerSynthReg.request import Request, RequestError, Result
from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.space.sampling import resize
from SlicerSynthReg.space.smoothing import box_mean, gaussian
from SlicerSynthReg.space.transform import Affine, Composite, Transform, Velocity
from SlicerSynthReg.synth import draw
from SlicerSynthReg.synth.deform import DeformDraw, velocity_field
from SlicerSynthReg.volume.landmarks import Landmarks, write_landmarks
from SlicerSynthReg.volume.read import read_volume
from SlicerSynthReg.volume.volume import Volume
from SlicerSynthReg.volume.write import write_volume

TISSUES = {1: "cerebrospinal fluid", 2: "grey matter", 3: "white matter"}
_SEED = 20
_VELOCITY = ((16, 1.0, _SEED), (32, 1.8, _SEED + 1))
_T2_LEVELS = (1.0, 0.62, 0.38)


@dataclass(frozen=True, eq=False)
class Pair:
    """Two images of one brain. truth: fixed world -> moving world; points: the same places in both."""

    fixed: Volume
    moving: Volume
    fixed_labels: Volume
    moving_labels: Volume
    fixed_points: Landmarks
    moving_points: Landmarks
    truth: Transform


def run_demo(
    out: Path,
    fixed: Path | None,
    moving: Path | None,
    run: Callable[[Request], Result],
    show: Callable[[Result], None],
) -> None:
    """Register the template's pair, or `fixed` and `moving` where given, to `out`; print figures and files."""
    if (fixed is None) != (moving is None):
        raise RequestError("Found one image, expected a fixed and a moving one, or neither. Add the other.")
    if fixed is not None and moving is not None:
        show(run(Request("register", {"fixed": str(fixed), "moving": str(moving)}, str(out))))
        return
    Console().print("Making a pair with a known answer from the MNI152 template ...")
    result = run(Request("register", write_pair(make_pair(), out / "pair"), str(out / "result")))
    show(result)
    Console().print(figures(result))


def make_pair(spacing: float | None = None) -> Pair:
    """The template's pair; spacing: mm of a coarser template, for trials."""
    t1, grey, white = (_template(kind, spacing) for kind in ("t1", "gm", "wm"))
    grid = t1.grid
    brain = t1.data[0] > 0
    fluid = ((1.0 - grey.data - white.data).clamp(0, 1)) * brain
    shares = torch.cat([fluid, grey.data * brain, white.data * brain])
    labels = ((shares.argmax(0) + 1) * brain * (shares.sum(0) > 0.3)).int()[None]
    truth = _truth(grid)
    moving_grid = _moving_grid(truth, grid)
    back = truth.inverse()
    thick = Volume(_slice_profile(_as_t2(t1.data, shares), grid, moving_grid), grid)
    moving = thick.resampled(moving_grid, back)
    points = _landmarks(shares, grid)
    return Pair(
        fixed=t1,
        moving=Volume(_scanned(moving.data), moving_grid),
        fixed_labels=Volume(labels, grid, "labels"),
        moving_labels=Volume(labels, grid, "labels").resampled(moving_grid, back),
        fixed_points=Landmarks(points),
        moving_points=Landmarks(truth.map_points(points)),
        truth=truth,
    )


def write_pair(pair: Pair, folder: Path) -> dict[str, str]:
    """Files in `folder`; returns the inputs of a register request."""
    folder.mkdir(parents=True, exist_ok=True)
    inputs = {}
    for name in ("fixed", "moving", "fixed_labels", "moving_labels"):
        inputs[name] = str(folder / f"{name}.nii.gz")
        write_volume(getattr(pair, name), inputs[name])
    for name, points in (("fixed_landmarks", pair.fixed_points), ("moving_landmarks", pair.moving_points)):
        inputs[name] = str(folder / f"{name}.csv")
        write_landmarks(points, inputs[name])
    return inputs


def figures(result: Result) -> Table:
    """Before and after, as far as the report has them."""
    report = result.report
    table = Table("", "before", "after", title="Against the known answer")
    for text, name, form in (("landmark error, mean (mm)", "tre", ".2f"), ("Dice, mean", "dice", ".3f")):
        before, after = report.get(f"{name}_before"), report.get(f"{name}_after")
        if before is not None and after is not None:
            table.add_row(text, format(before, form), format(after, form))
    for label, (before, after) in (report.get("per_label") or {}).items():
        tissue = TISSUES.get(int(label), label) if str(label).isdigit() else label
        table.add_row(f"Dice, {tissue}", f"{before:.3f}", f"{after:.3f}")
    return table


def _template(kind: str, spacing: float | None) -> Volume:
    """Found without importing nilearn, which would take seconds."""
    found = importlib.util.find_spec("nilearn")
    places = list(found.submodule_search_locations or ()) if found else []
    files = [file for place in places for file in Path(place).glob(f"datasets/data/mni_icbm152_{kind}_*.nii.gz")]
    if not files:
        raise RequestError(
            "Found no MNI152 template, expected the one that nilearn 0.8 or newer ships. "
            "Install it with: pip install 'slicersynthreg[demo]', or give images of your own by --fixed and --moving."
        )
    volume = read_volume(files[0])
    scaled = Volume(volume.data / volume.data.max(), volume.grid, name=kind)
    if spacing is None:
        return scaled
    blur = torch.tensor([(spacing / volume.grid.spacing / 2.355).tolist()])
    return Volume(gaussian(scaled.data[None], blur)[0], scaled.grid).resampled(scaled.grid.resampled(spacing))


def _truth(grid: Grid) -> Composite:
    """Smooth diffeomorphism, then 20 degrees about an oblique axis and 15 mm, about the centre of the head."""
    even = grid.padded_to_multiple(2)
    identity = ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0))
    scale = float(np.cbrt(grid.voxel_count / 8.7e6))  # the same brain on a coarser grid: the same waves, in mm
    components = tuple((max(2, round(r * scale)), sd * scale, seed) for r, sd, seed in _VELOCITY)
    field = velocity_field([DeformDraw(components, identity, 7)], even.shape)[0]
    axis = np.array([0.5, 0.3, 0.81]) / np.linalg.norm([0.5, 0.3, 0.81])
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    angle = np.deg2rad(20.0)
    turn = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    matrix = np.eye(4)
    matrix[:3, :3] = turn @ np.diag([1.04, 0.97, 1.02])
    shift = 15.0 * np.array([0.6, -0.64, 0.48])
    matrix[:3, 3] = grid.center_mm + shift - matrix[:3, :3] @ grid.center_mm
    return Composite((Velocity(field, even.scaled_down(2)), Affine(matrix)))


def _moving_grid(truth: Transform, grid: Grid) -> Grid:
    """Oblique, 1 x 1 x 2.5 of the template's voxels, stored left-handed, around the moved brain."""
    center = truth.map_points(grid.center_mm[None])[0]
    tilt, yaw = np.deg2rad(12.0), np.deg2rad(-8.0)
    pitch = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    turn = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
    spacing = float(grid.spacing.min()) * np.array([1.0, 1.0, 2.5])
    axes = turn @ pitch @ np.diag([-1.0, 1.0, 1.0]) * spacing
    i, j, k = (int(n) for n in np.ceil(np.array([200.0, 230.0, 200.0]) / spacing))
    affine = np.eye(4)
    affine[:3, :3] = axes
    affine[:3, 3] = center - axes @ ((np.array([i, j, k]) - 1) / 2)
    return Grid((i, j, k), affine)


def _as_t2(t1: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """(1, I, J, K): each tissue at its level in T2, its fine structure inverted."""
    levels = torch.tensor(_T2_LEVELS).view(3, 1, 1, 1)
    mixed = (shares * levels).sum(0, keepdim=True)
    detail = t1 - box_mean(t1[None], 5)[0]
    brain = (t1 > 0).float()
    return (mixed - 0.5 * detail * brain).clamp(0.0, 1.2) * brain


def _slice_profile(image: torch.Tensor, grid: Grid, target: Grid) -> torch.Tensor:
    """Blurred as thick slices of `target` average; isotropically, since its axes are oblique to `grid`."""
    ratio = float(target.spacing.prod()) ** (1 / 3) / float(grid.spacing.min())
    return gaussian(image[None], torch.full((1, 3), 0.4 * ratio))[0]


def _scanned(image: torch.Tensor) -> torch.Tensor:
    """With a smooth bias field and Rician noise, in scanner units."""
    bias = draw.noise([_SEED + 2], (1, 4, 4, 3))
    biased = image * torch.exp(0.12 * resize(bias, tuple(image.shape[1:])))[0]
    real, imaginary = 0.025 * draw.noise([_SEED + 3, _SEED + 4], tuple(image.shape[1:]))
    return (600.0 * ((biased + real) ** 2 + imaginary**2).sqrt()).round()


def _landmarks(shares: torch.Tensor, grid: Grid, count: int = 50) -> np.ndarray:
    """(count, 3) RAS mm on the border of grey and white matter, each as far from the earlier ones as can be."""
    border = (shares[1] > 0.4) & (shares[2] > 0.4)
    index = border.nonzero().double().numpy()
    points = grid.index_to_world(index[:: max(1, len(index) // 20000)])
    chosen = [points[np.argmin(np.linalg.norm(points - points.mean(0), axis=1))]]
    distance = np.full(len(points), np.inf)
    while len(chosen) < count:
        distance = np.minimum(distance, np.linalg.norm(points - chosen[-1], axis=1))
        chosen.append(points[int(np.argmax(distance))])
    return np.array(chosen)
