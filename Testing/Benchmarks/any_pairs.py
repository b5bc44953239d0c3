"""The image pairs of the benchmark beyond the brain: chest CT, T1 and CT, abdominal CT, prostate MR and ultrasound.

Kinds
-----
thorax
    One chest CT and the same, breathing by a known field; 120 landmark pairs, both directions.
T1-CT
    CT template as it is, T1 template moved in a known way (`KNOWN`): rotated, scaled, deformed. Within the skull both
    templates agree to 1 or 2 mm, which no method can go below (at the skin they differ by 4). Points: every 12 mm
    within the skull.
abdomen
    Native CT of one patient and portal CT of another, both directions; Dice of the liver.
prostate
    Ultrasound stays, MR of the same patient moves: Dice of the gland; distance of the centres of
    up to two more structures.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from pairs import shared_folder
from scipy.ndimage import binary_erosion, gaussian_filter, label, map_coordinates
from scipy.spatial.transform import Rotation

KINDS = ("thorax", "T1-CT", "abdomen", "prostate")
KNOWN = {
    # degrees about R, A, S; translation in mm; scaling; largest displacement in mm
    "turned": ((8, -10, 14), (12, -9, 15), 1.0, 0.0),
    "stretched": ((-6, 4, -9), (-10, 14, 6), 1.08, 0.0),
    "bent": ((5, 6, -8), (6, 8, -12), 0.95, 9.0),
}
LPS_TO_RAS = np.array([-1.0, -1.0, 1.0])
"""LPS to RAS and back."""


@dataclass(frozen=True)
class Case:
    """One registration: files only. points: CSV of fixed and moving points in RAS mm (fx, fy, fz, mx, my, mz);
    preset: anatomy given to synthreg."""

    name: str
    kind: str
    fixed: Path
    moving: Path
    preset: str
    fixed_labels: Path | None = None
    moving_labels: Path | None = None
    points: Path | None = None


def write_once(path: Path, write: Callable[[Path], None]) -> Path:
    """Return `path`; write it, atomically, if it does not exist."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"partial_{path.name}")
        write(partial)
        os.replace(partial, path)
    return path


def write_points(fixed: np.ndarray, moving: np.ndarray, path: Path) -> None:
    np.savetxt(path, np.hstack([fixed, moving]), "%.3f", ",", header="fx,fy,fz,mx,my,mz", comments="")


def read_points(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Fixed and moving points (N, 3), RAS mm."""
    with path.open(newline="") as file:
        rows = np.array([[float(x) for x in row] for row in list(csv.reader(file))[1:]])
    return rows[:, :3], rows[:, 3:]


def thorax_cases(data: Path, derived: Path) -> list[Case]:
    folder = data / "c_thorax_LIDC0314_synthmotion_2p5mm"
    fixed, moving = (points * LPS_TO_RAS for points in read_points(folder / "landmarks_LPS_fixed_moving.csv"))
    breathing, real = folder / "fixed_synthmotion.nii.gz", folder / "moving_real.nii.gz"
    forth = write_once(derived / "thorax_forth.csv", lambda path: write_points(fixed, moving, path))
    back = write_once(derived / "thorax_back.csv", lambda path: write_points(moving, fixed, path))
    return [
        Case("thorax", "thorax", breathing, real, "ct", points=forth),
        Case("thorax_reversed", "thorax", real, breathing, "ct", points=back),
    ]


def apply_known_transform(image: Path, name: str) -> tuple[nib.Nifti1Image, Callable[[np.ndarray], np.ndarray]]:
    """Return the image, transformed as in `KNOWN`, on its own grid, and the map of its points to the original, RAS mm.

    x -> R s (x - c) + c + t + b(x - c): b a smooth random field, seeded by the name.
    """
    angles, shift, stretch, bend = KNOWN[name]
    source = nib.Nifti1Image.from_filename(image)
    data, affine = np.asarray(source.dataobj, dtype=np.float32), source.affine
    center = (affine @ [*((np.array(data.shape) - 1) / 2), 1])[:3]
    turn = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() * stretch
    noise = np.random.default_rng(len(name)).standard_normal((3, *data.shape))
    field = np.stack([gaussian_filter(one, 10, mode="wrap") for one in noise])
    field *= bend / np.linalg.norm(field, axis=0).max()

    def to_original(points: np.ndarray) -> np.ndarray:
        index = np.linalg.solve(affine[:3, :3], (points - affine[:3, 3]).T)
        bent = np.stack([map_coordinates(one, index, order=1, mode="nearest") for one in field], 1)
        return (points - center) @ turn.T + center + shift + bent

    index = np.indices(data.shape).reshape(3, -1)
    world = (affine[:3, :3] @ index).T + affine[:3, 3]
    there = np.linalg.solve(affine[:3, :3], (to_original(world) - affine[:3, 3]).T)
    moved = map_coordinates(data, there, order=1, cval=float(data.min())).reshape(data.shape)
    return nib.Nifti1Image(moved, affine), to_original


def intracranial_region(ct: nib.Nifti1Image) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function: which points (N, 3), RAS mm, lie in the largest soft-tissue component inside the skull."""
    hounsfield = gaussian_filter(np.asarray(ct.dataobj, dtype=np.float32), 0.5)
    pieces, _ = label(binary_erosion((hounsfield > -20) & (hounsfield < 90), iterations=3))
    sizes = np.bincount(pieces.ravel())
    inside = pieces == 1 + sizes[1:].argmax()

    def within(points: np.ndarray) -> np.ndarray:
        index = np.linalg.solve(ct.affine[:3, :3], (points - ct.affine[:3, 3]).T)
        return map_coordinates(inside.astype(np.float32), index, order=0) > 0.5

    return within


def known_cases(data: Path, derived: Path) -> list[Case]:
    """Return cases with the transformed T1 as fixed image. The map to the original T1, and so to the CT, is known."""
    t1, ct = data / "b_MR_CT" / "sct1_unsmooth_96.nii.gz", data / "b_MR_CT" / "scct_unsmooth_96.nii.gz"
    inside_skull = intracranial_region(nib.Nifti1Image.from_filename(ct))
    cases = []
    for name in KNOWN:
        image, to_original = apply_known_transform(t1, name)
        step = np.maximum(np.round(12 / np.array(image.header.get_zooms()[:3])), 1).astype(int)
        index = np.indices(image.shape)[:, :: step[0], :: step[1], :: step[2]].reshape(3, -1).T
        points = index @ image.affine[:3, :3].T + image.affine[:3, 3]
        points = points[inside_skull(to_original(points))]
        fixed = write_once(derived / f"T1_{name}.nii.gz", lambda path, image=image: nib.save(image, path))
        truth = write_once(
            derived / f"T1_{name}.csv",
            lambda path, points=points, to_original=to_original: write_points(points, to_original(points), path),
        )
        cases.append(Case(f"T1_{name}_CT", "T1-CT", fixed, ct, "mr-ct", points=truth))
    return cases


def abdomen_cases(data: Path, derived: Path) -> list[Case]:
    """Livers: number 5 of the automatic labels of the native scan, the manual mask of the portal one."""
    folder = data / "e_abdomenCT"

    def liver(source: Path, number: int) -> Callable[[Path], None]:
        image = nib.Nifti1Image.from_filename(source)
        mask = (np.asarray(image.dataobj) == number).astype(np.int16)
        return lambda path: nib.save(nib.Nifti1Image(mask, image.affine), path)

    native, portal = folder / "native_TSexample_3mm.nii.gz", folder / "portal_CHAOS_set3.nii.gz"
    native_liver = write_once(
        derived / "native_liver.nii.gz", liver(folder / "native_TSexample_3mm_tslabels.nii.gz", 5)
    )
    portal_liver = write_once(derived / "portal_liver.nii.gz", liver(folder / "portal_CHAOS_set3_liver.nii.gz", 1))
    return [
        Case("portal_to_native", "abdomen", native, portal, "ct", native_liver, portal_liver),
        Case("native_to_portal", "abdomen", portal, native, "ct", portal_liver, native_liver),
    ]


def prostate_cases(data: Path, derived: Path, numbers: Sequence[int] = tuple(range(8))) -> list[Case]:
    folder = data / "f_prostate_MR_US"
    cases = []
    for number in numbers:
        name = f"case{number:06d}.nii.gz"
        marks = {side: nib.Nifti1Image.from_filename(folder / f"{side}_labels" / name) for side in ("us", "mr")}
        labels = {side: np.asarray(image.dataobj) > 0.5 for side, image in marks.items()}
        labels = {side: one.reshape(*one.shape[:3], -1) for side, one in labels.items()}
        channels = range(1, min(one.shape[3] for one in labels.values()))
        shown = [n for n in channels if all(one[..., n].any() for one in labels.values())]
        glands, centers = {}, {}
        for side, image in marks.items():
            gland = nib.Nifti1Image(labels[side][..., 0].astype(np.int16), image.affine)
            glands[side] = write_once(derived / f"{side}_gland_{name}", lambda path, gland=gland: nib.save(gland, path))
            index = np.array([np.argwhere(labels[side][..., channel]).mean(0) for channel in shown]).reshape(-1, 3)
            centers[side] = index @ image.affine[:3, :3].T + image.affine[:3, 3]
        points = None
        if shown:
            points = write_once(
                derived / f"prostate{number}.csv",
                lambda path, centers=centers: write_points(centers["us"], centers["mr"], path),
            )
        files = folder / "us_images" / name, folder / "mr_images" / name
        cases.append(Case(f"prostate{number}", "prostate", *files, "other", glands["us"], glands["mr"], points))
    return cases


def any_cases(derived: Path) -> list[Case]:
    """All cases; `derived` receives derived files."""
    data = shared_folder() / "data"
    makers = (thorax_cases, known_cases, abdomen_cases, prostate_cases)
    return [case for make in makers for case in make(data, derived)]
