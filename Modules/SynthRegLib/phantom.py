"""Simulate a head in two contrasts with a known transform between them: no download, no template, numpy only.

Tissue is a function of position: scalp, nose, neck, skull, eyes, CSF, folded cortex, white matter, nuclei. The fixed
image is T1-weighted on 2 mm voxels; the moving image is T2-weighted, deformed, rotated and shifted, on an oblique
left-handed grid of thick slices. A sample for trying the module; it is no substitute for real images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

TISSUES = {1: "fluid", 2: "grey matter", 3: "white matter", 4: "deep nuclei"}
_T1 = {"scalp": 0.85, "skull": 0.08, "fluid": 0.15, "grey": 0.55, "white": 0.80, "nuclei": 0.65}
_T2 = {"scalp": 0.45, "skull": 0.05, "fluid": 1.00, "grey": 0.62, "white": 0.38, "nuclei": 0.50}
_EDGE_MM = 1.2
_LANDMARKS = 12


@dataclass(frozen=True, eq=False)
class Phantom:
    """images: int16 (I, J, K). labels: uint8, see TISSUES. affines: 4x4, index -> RAS mm. points: (N, 3) RAS mm,
    corresponding."""

    fixed: np.ndarray
    moving: np.ndarray
    fixed_labels: np.ndarray
    moving_labels: np.ndarray
    fixed_affine: np.ndarray
    moving_affine: np.ndarray
    fixed_points: np.ndarray
    moving_points: np.ndarray


def make_phantom(voxel_mm: float = 2.0) -> Phantom:
    """Return the pair. voxel_mm: voxel size of the fixed image; the moving image has 0.9 x 0.9 x 1.6 times that."""
    fixed_affine, fixed_shape = _grid(np.eye(3), np.full(3, voxel_mm), np.zeros(3), (176.0, 212.0, 190.0))
    axes = _turn((12.0, 0.0, -8.0)) * np.array([-1.0, 1.0, 1.0])
    spacing = voxel_mm * np.array([0.9, 0.9, 1.6])
    moving_affine, moving_shape = _grid(axes, spacing, np.array([9.0, -8.0, 6.0]), (190.0, 224.0, 200.0))
    rng = np.random.default_rng(20)
    fixed, fixed_labels = _seen(_places(fixed_affine, fixed_shape), _T1, fixed_shape, rng)
    moving, moving_labels = _seen(_back(_places(moving_affine, moving_shape)), _T2, moving_shape, rng)
    directions = rng.standard_normal((_LANDMARKS, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    moving_points = np.array([9.0, -8.0, 6.0]) + directions * np.array([44.0, 56.0, 44.0])
    return Phantom(
        fixed, moving, fixed_labels, moving_labels, fixed_affine, moving_affine, _back(moving_points), moving_points
    )


def make_head(person: int, voxel_mm: float = 2.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return T1 image int16 (I, J, K), labels uint8 and affine of a head; `person` seeds its size, pose and
    deformation."""
    rng = np.random.default_rng(100 + person)
    centre = rng.uniform(-10.0, 10.0, 3)
    affine, shape = _grid(np.eye(3), np.full(3, voxel_mm), centre, (176.0, 212.0, 190.0))
    straight = (_places(affine, shape) - centre) @ _turn(tuple(rng.uniform(-7.0, 7.0, 3))) * rng.uniform(0.93, 1.07, 3)
    phase = rng.uniform(0.0, 2 * np.pi, 3)
    bent = straight + 2.5 * np.sin(straight[:, [1, 2, 0]] / 29.0 + phase)
    image, labels = _seen(bent, _T1, shape, rng)
    return image, labels, affine


def _back(places: np.ndarray) -> np.ndarray:
    """Map (N, 3) points by the known transform, moving RAS mm -> fixed RAS mm."""
    straight = (places - np.array([9.0, -8.0, 6.0])) @ _turn((-6.0, 4.0, 9.0)).T * np.array([0.97, 1.03, 0.98])
    waves = np.sin(straight[:, [1, 2, 0]] / 31.0 + np.array([0.4, 1.9, 3.1]))
    more = np.sin(straight[:, [2, 0, 1]] / 19.0 + np.array([2.2, 0.3, 1.1]))
    return straight + 3.0 * waves + 1.2 * more


def _seen(
    places: np.ndarray, levels: dict[str, float], shape: tuple[int, ...], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the image with bias field and Rician noise, and its labels."""
    shares = _tissues(places)
    signal = sum(levels[name] * share for name, share in shares.items())
    signal = signal * (1.0 + 0.08 * np.sin(places[:, 0] / 60.0 + places[:, 2] / 80.0))
    noise = rng.standard_normal((2, len(signal))) * 0.02
    image = np.hypot(signal + noise[0], noise[1])
    inside = np.stack([shares[name] for name in ("fluid", "grey", "white", "nuclei")])
    labels = np.where(inside.sum(0) > 0.5, inside.argmax(0) + 1, 0)
    return (600.0 * image).astype(np.int16).reshape(shape), labels.astype(np.uint8).reshape(shape)


def _tissues(places: np.ndarray) -> dict[str, np.ndarray]:
    """Return the fraction of each tissue at (N, 3) points, with edges of about a millimetre."""
    folds = _folds(places)
    nose = _ball(places, (0, 92, -42), (10.0, 16.0, 20.0))
    neck = _ball(places, (0, -18, -96), (46.0, 52.0, 60.0))
    head = np.minimum(_ball(places, (0, 0, 0), (76.0, 94.0, 84.0)), np.minimum(nose, neck))
    eyes = np.minimum(_ball(places, (31, 80, -26), (12.0,) * 3), _ball(places, (-31, 80, -26), (12.0,) * 3))
    bone = _ball(places, (0, 0, 1), (70.0, 88.0, 78.0))
    cavity = _ball(places, (0, 0, 2), (65.0, 83.0, 72.0))
    middle = (
        np.abs(places[:, 0] + 0.09 * places[:, 1] - 0.05 * places[:, 2]) - 1.5
    )  # the cleft between the halves, above the nuclei
    cleft = np.maximum(middle, 22.0 - places[:, 2])  # between the halves, above the nuclei
    hind = _ball(places, (0, -46, -38), (42.0, 28.0, 22.0)) + 2.5 * np.sin(places[:, 2] / 2.4) - 1.0
    brain = np.maximum(_ball(places, (0, 0, 2), (62.0, 80.0, 68.0)) + 13.0 * np.maximum(folds - 0.45, 0.0), -cleft)
    core = _ball(places, (0, 0, 2), (52.0, 69.0, 57.0)) + 13.0 * folds
    ventricles = np.minimum(_ball(places, (11, -4, 8), (6.0, 26.0, 9.0)), _ball(places, (-11, -6, 8), (6.5, 24.0, 9.0)))
    nuclei = np.minimum(_ball(places, (23, 6, 2), (8.0, 15.0, 9.0)), _ball(places, (-23, 5, 2), (8.5, 15.0, 9.0)))
    parts = {}
    left = np.ones(len(places))
    for name, distance in (
        ("eyes", eyes),
        ("fluid", ventricles),
        ("nuclei", nuclei),
        ("hind", hind),
        ("white", np.maximum(core, brain + 2.0)),
        ("grey", brain),
        ("cavity", cavity),
        ("skull", bone),
        ("scalp", head),
    ):
        inside = left / (1.0 + np.exp(np.clip(distance / _EDGE_MM * 2.0, -30.0, 30.0)))
        parts[name] = inside
        left = left - inside
    parts["fluid"] = parts["fluid"] + parts.pop("cavity") + parts.pop("eyes")
    parts["grey"] = parts["grey"] + parts.pop("hind")
    return parts


def _folds(places: np.ndarray) -> np.ndarray:
    """Return the gyri: waves of 16 to 30 mm in all directions, about -1.5 to 1.5."""
    rng = np.random.default_rng(4)
    total = np.zeros(len(places))
    for _wave in range(9):
        direction = rng.standard_normal(3)
        direction *= 2 * np.pi / rng.uniform(16.0, 30.0) / np.linalg.norm(direction)
        total += np.sin(places @ direction + rng.uniform(0, 2 * np.pi))
    return total / 2.4


def _ball(places: np.ndarray, centre: tuple[float, ...], radii: tuple[float, ...]) -> np.ndarray:
    """Return the approximate distance in mm to the surface of an ellipsoid, negative inside."""
    scaled = np.linalg.norm((places - np.array(centre)) / np.array(radii), axis=1)
    return (scaled - 1.0) * min(radii)


def _places(affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    index = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), axis=-1).reshape(-1, 3)
    return index @ affine[:3, :3].T + affine[:3, 3]


def _grid(
    axes: np.ndarray, spacing: np.ndarray, centre: np.ndarray, extent: tuple[float, ...]
) -> tuple[np.ndarray, tuple[int, ...]]:
    shape = tuple(int(n) for n in np.ceil(np.array(extent) / spacing))
    affine = np.eye(4)
    affine[:3, :3] = axes * spacing
    affine[:3, 3] = centre - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine, shape


def _turn(degrees: tuple[float, float, float]) -> np.ndarray:
    """Return the 3x3 rotation about x, then y, then z."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x
