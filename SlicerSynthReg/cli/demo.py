"""Demonstration: registration of a pair with a known transform, synthesised from the MNI152 template of nilearn.

The fixed image is the template (T1, brain only). The moving image shows the same brain in T2-like contrast, deformed by
a smooth diffeomorphism, rotated and translated, on an oblique grid of thick slices. The known transform gives the
moving landmarks and labels.
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

from SlicerSynthReg.errors import RequestError
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.landmarks import Landmarks, write_landmarks
from SlicerSynthReg.io.read import read_image
from SlicerSynthReg.io.write import write_image
from SlicerSynthReg.request import Request, Result
from SlicerSynthReg.spatial.grid import Grid
from SlicerSynthReg.spatial.intensity import subsample
from SlicerSynthReg.spatial.sampling import resize
from SlicerSynthReg.spatial.smoothing import box_mean, gaussian
from SlicerSynthReg.spatial.transform import Affine, Composite, Transform, Velocity
from SlicerSynthReg.synthesis import draw
from SlicerSynthReg.synthesis.deformation import DeformationDraw, velocity_field

TISSUES = {1: "cerebrospinal fluid", 2: "grey matter", 3: "white matter"}
_SEED = 20
_VELOCITY = ((16, 1.0, _SEED), (32, 1.8, _SEED + 1))
_T2_LEVELS = (1.0, 0.62, 0.38)


@dataclass(frozen=True, eq=False)
class DemoPair:
    """Two images of one brain. transform: known, fixed RAS mm -> moving RAS mm. landmarks: corresponding points."""

    fixed: Image
    moving: Image
    fixed_labels: Image
    moving_labels: Image
    fixed_landmarks: Landmarks
    moving_landmarks: Landmarks
    transform: Transform


def run_demo(
    out: Path,
    fixed: Path | None,
    moving: Path | None,
    run: Callable[[Request], Result],
    show: Callable[[Result], None],
) -> None:
    """Register the template's pair, or `fixed` and `moving` if given, into `out`; print measures and files.

    Raises RequestError (code "image-missing") for one image alone.
    """
    if (fixed is None) != (moving is None):
        raise RequestError(
            "Found one image, expected a fixed and a moving one, or neither. Add the other.", code="image-missing"
        )
    if fixed is not None and moving is not None:
        show(run(Request("register", {"fixed": str(fixed), "moving": str(moving)}, str(out))))
        return
    Console().print("Synthesising a pair with a known transform from the MNI152 template ...")
    result = run(Request("register", write_pair(make_demo_pair(), out / "pair"), str(out / "result")))
    show(result)
    Console().print(error_table(result))


def make_demo_pair(spacing: float | None = None) -> DemoPair:
    """Return the template's pair. spacing: mm, of a coarser template."""
    t1, grey, white = (_template(kind, spacing) for kind in ("t1", "gm", "wm"))
    grid = t1.grid
    brain = t1.data[0] > 0
    fluid = ((1.0 - grey.data - white.data).clamp(0, 1)) * brain
    shares = torch.cat([fluid, grey.data * brain, white.data * brain])
    labels = ((shares.argmax(0) + 1) * brain * (shares.sum(0) > 0.3)).int()[None]
    known = _known_transform(grid)
    moving_grid = _moving_grid(known, grid)
    inverse = known.inverse()
    thick = Image(_blur_to_slices(_t2_contrast(t1.data, shares), grid, moving_grid), grid)
    moving = thick.resampled(moving_grid, inverse)
    points = _landmarks(shares, grid)
    return DemoPair(
        fixed=t1,
        moving=Image(_add_bias_and_noise(moving.data), moving_grid),
        fixed_labels=Image(labels, grid, "labels"),
        moving_labels=Image(labels, grid, "labels").resampled(moving_grid, inverse),
        fixed_landmarks=Landmarks(points),
        moving_landmarks=Landmarks(known.map_points(points)),
        transform=known,
    )


def write_pair(pair: DemoPair, folder: Path) -> dict[str, str]:
    """Write the pair into `folder`; return the inputs of a register request."""
    folder.mkdir(parents=True, exist_ok=True)
    inputs = {}
    for name in ("fixed", "moving", "fixed_labels", "moving_labels"):
        inputs[name] = str(folder / f"{name}.nii.gz")
        write_image(getattr(pair, name), inputs[name])
    for name in ("fixed_landmarks", "moving_landmarks"):
        inputs[name] = str(folder / f"{name}.csv")
        write_landmarks(getattr(pair, name), inputs[name])
    return inputs


def error_table(result: Result) -> Table:
    """Return landmark error and Dice before and after, as far as the report has them."""
    table = Table("", "before", "after", title="Compared with the known transform")
    landmarks, overlap = result.report.get("landmarks"), result.report.get("overlap")
    if landmarks:
        table.add_row("landmark error, mean (mm)", *(f"{landmarks[f'tre_{when}']:.2f}" for when in ("before", "after")))
    if overlap:
        table.add_row("Dice, mean", *(f"{overlap[f'dice_{when}']:.3f}" for when in ("before", "after")))
    for label, (before, after) in (overlap or {}).get("per_label", {}).items():
        tissue = TISSUES.get(int(label), label) if str(label).isdigit() else label
        table.add_row(f"Dice, {tissue}", f"{before:.3f}", f"{after:.3f}")
    return table


def _template(kind: str, spacing: float | None) -> Image:
    """Read a template file; nilearn is not imported, which takes seconds."""
    found = importlib.util.find_spec("nilearn")
    places = list(found.submodule_search_locations or ()) if found else []
    files = [file for place in places for file in Path(place).glob(f"datasets/data/mni_icbm152_{kind}_*.nii.gz")]
    if not files:
        raise RequestError(
            "Found no MNI152 template, expected the one that nilearn 0.8 or newer ships. "
            "Install it with: pip install 'slicersynthreg[demo]', or give images of your own by --fixed and --moving.",
            code="template-missing",
        )
    volume = read_image(files[0])
    scaled = Image(volume.data / volume.data.max(), volume.grid, name=kind)
    if spacing is None:
        return scaled
    blur = torch.tensor([(spacing / volume.grid.spacing / 2.355).tolist()])
    return Image(gaussian(scaled.data[None], blur)[0], scaled.grid).resampled(scaled.grid.resampled(spacing))


def _known_transform(grid: Grid) -> Composite:
    """Return a smooth diffeomorphism followed by a rotation of 20 degrees about an oblique axis and a shift of 15
    mm."""
    even = grid.padded_to_multiple(2)
    identity = ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0))
    scale = float(np.cbrt(grid.voxel_count / 8.7e6))  # the same deformation in mm on a coarser grid
    components = tuple((max(2, round(r * scale)), sd * scale, seed) for r, sd, seed in _VELOCITY)
    field = velocity_field([DeformationDraw(components, identity, 7)], even.shape)[0]
    axis = np.array([0.5, 0.3, 0.81]) / np.linalg.norm([0.5, 0.3, 0.81])
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    angle = np.deg2rad(20.0)
    turn = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    matrix = np.eye(4)
    matrix[:3, :3] = turn @ np.diag([1.04, 0.97, 1.02])
    shift = 15.0 * np.array([0.6, -0.64, 0.48])
    matrix[:3, 3] = grid.center_mm + shift - matrix[:3, :3] @ grid.center_mm
    return Composite((Velocity(field, even.downsampled(2)), Affine(matrix)))


def _moving_grid(known: Transform, grid: Grid) -> Grid:
    """Return an oblique, left-handed grid of 1 x 1 x 2.5 template voxels around the moved brain."""
    center = known.map_points(grid.center_mm[None])[0]
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


def _t2_contrast(t1: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """Return (1, I, J, K): each tissue at its T2 intensity, with inverted T1 detail."""
    levels = torch.tensor(_T2_LEVELS).view(3, 1, 1, 1)
    mixed = (shares * levels).sum(0, keepdim=True)
    detail = t1 - box_mean(t1[None], 5)[0]
    brain = (t1 > 0).float()
    return (mixed - 0.5 * detail * brain).clamp(0.0, 1.2) * brain


def _blur_to_slices(image: torch.Tensor, grid: Grid, target: Grid) -> torch.Tensor:
    """Return `image` blurred like the thick slices of `target`, isotropically, since its axes are oblique to `grid`."""
    ratio = float(target.spacing.prod()) ** (1 / 3) / float(grid.spacing.min())
    return gaussian(image[None], torch.full((1, 3), 0.4 * ratio))[0]


def _add_bias_and_noise(image: torch.Tensor) -> torch.Tensor:
    """Return `image` with a smooth bias field and Rician noise, in scanner units."""
    bias = draw.noise([_SEED + 2], (1, 4, 4, 3))
    biased = image * torch.exp(0.12 * resize(bias, tuple(image.shape[1:])))[0]
    real, imaginary = 0.025 * draw.noise([_SEED + 3, _SEED + 4], tuple(image.shape[1:]))
    return (600.0 * ((biased + real) ** 2 + imaginary**2).sqrt()).round()


def _landmarks(shares: torch.Tensor, grid: Grid, count: int = 50) -> np.ndarray:
    """Return (count, 3) RAS mm on the border of grey and white matter, by farthest point sampling."""
    border = (shares[1] > 0.4) & (shares[2] > 0.4)
    index = border.nonzero().double().numpy()
    points = grid.index_to_world(subsample(index, 20_000, at_least=True))
    chosen = [points[np.argmin(np.linalg.norm(points - points.mean(0), axis=1))]]
    distance = np.full(len(points), np.inf)
    while len(chosen) < count:
        distance = np.minimum(distance, np.linalg.norm(points - chosen[-1], axis=1))
        chosen.append(points[int(np.argmax(distance))])
    return np.array(chosen)
