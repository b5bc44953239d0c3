"""The image pairs of the registration benchmark.

The two images of a pair show different subjects. The moving labels lie on the grid of the moving image, the
fixed labels on the grid of the fixed image, and both number the same structures.

Kinds
-----
T1-T1
    2 mm whole-head T1 of elderly subjects, mostly across the two scanner groups; 148 regions.
FLAIR-T1
    2 mm FLAIR of one subject to the T1 of another. The regions were drawn on the T1, so only subjects
    whose FLAIR agrees with their T1 in world space may move; their T1 labels are brought to the
    FLAIR grid by nearest neighbour in world space.
T1-T1-1mm
    1 mm skull-stripped T1, FreeSurfer aseg labels, both directions.

The volumes are not part of the project: the folder that holds them is named by the environment
variable SYNTHREG_SHARED and is ``../shared`` from the repository root when that is unset.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.processing import resample_from_to

REPOSITORY = Path(__file__).resolve().parents[2]

# (moving subject, fixed subject), ordered so that the first few are already varied.
T1_PAIRS = (
    ("01", "05"),
    ("05", "02"),
    ("03", "06"),
    ("06", "04"),
    ("07", "08"),
    ("08", "09"),
    ("10", "05"),
    ("02", "10"),
)
FLAIR_PAIRS = (
    ("02", "06"),
    ("07", "01"),
    ("04", "08"),
    ("09", "03"),
    ("01", "05"),
    ("10", "04"),
    ("07", "06"),
    ("01", "10"),
)
FLAIR_AGREES_WITH_T1 = frozenset(("01", "02", "04", "07", "09", "10"))
ASEG_SUBJECTS = ("l2r_subject1", "vxm_test_scan")
KINDS = ("T1-T1", "FLAIR-T1", "T1-T1-1mm")


@dataclass(frozen=True)
class Pair:
    """One registration: files only, nothing loaded."""

    name: str
    kind: str
    fixed: Path
    moving: Path
    fixed_labels: Path
    moving_labels: Path


def shared_folder() -> Path:
    """Folder of the development volumes.

    Raises
    ------
    FileNotFoundError
        When the folder has no ``data`` inside it.
    """
    shared = Path(os.environ.get("SYNTHREG_SHARED", REPOSITORY.parent / "shared"))
    if not (shared / "data").is_dir():
        raise FileNotFoundError(
            f"Found no folder {shared / 'data'}; expected the development volumes there. "
            "Set SYNTHREG_SHARED to the folder that contains 'data'."
        )
    return shared


def labels_on_image_grid(labels: Path, image: Path, out: Path) -> Path:
    """Write `labels` on the grid of `image`, nearest neighbour in world space, once.

    Returns `out`; an existing `out` is kept. Voxels of `image` outside `labels` become 0.
    """
    if out.exists():
        return out
    out.parent.mkdir(parents=True, exist_ok=True)
    target = nib.Nifti1Image.from_filename(image)
    moved = resample_from_to(nib.Nifti1Image.from_filename(labels), (target.shape, target.affine), order=0, cval=0)
    partial = out.with_name(f"partial_{out.name}")
    nib.save(nib.Nifti1Image(np.asarray(moved.dataobj).astype(np.int16), target.affine), partial)
    os.replace(partial, out)
    return out


def t1_pairs(data: Path) -> list[Pair]:
    """2 mm T1 of one subject to the T1 of another."""
    folder = data / "a_brain_T1_FLAIR_nichart"
    return [
        Pair(
            name=f"T1_{moving}_to_T1_{fixed}",
            kind="T1-T1",
            fixed=folder / f"Subj{fixed}_T1.nii.gz",
            moving=folder / f"Subj{moving}_T1.nii.gz",
            fixed_labels=folder / f"Subj{fixed}_T1_dlmuse.nii.gz",
            moving_labels=folder / f"Subj{moving}_T1_dlmuse.nii.gz",
        )
        for moving, fixed in T1_PAIRS
    ]


def flair_pairs(data: Path, derived: Path) -> list[Pair]:
    """2 mm FLAIR of one subject to the T1 of another; `derived` receives the labels on FLAIR grids."""
    folder = data / "a_brain_T1_FLAIR_nichart"
    pairs = []
    for moving, fixed in FLAIR_PAIRS:
        if moving not in FLAIR_AGREES_WITH_T1:
            raise ValueError(
                f"Found FLAIR of subject {moving} as a moving image; expected one of "
                f"{sorted(FLAIR_AGREES_WITH_T1)}, whose T1 labels are valid for the FLAIR."
            )
        flair = folder / f"Subj{moving}_FLAIR.nii.gz"
        pairs.append(
            Pair(
                name=f"FLAIR_{moving}_to_T1_{fixed}",
                kind="FLAIR-T1",
                fixed=folder / f"Subj{fixed}_T1.nii.gz",
                moving=flair,
                fixed_labels=folder / f"Subj{fixed}_T1_dlmuse.nii.gz",
                moving_labels=labels_on_image_grid(
                    folder / f"Subj{moving}_T1_dlmuse.nii.gz",
                    flair,
                    derived / f"Subj{moving}_FLAIR_dlmuse.nii.gz",
                ),
            )
        )
    return pairs


def aseg_pairs(data: Path) -> list[Pair]:
    """The two 1 mm brains, in both directions."""
    folder = data / "a_brain_T1_aseg"
    return [
        Pair(
            name=f"{moving}_to_{fixed}",
            kind="T1-T1-1mm",
            fixed=folder / f"{fixed}_T1_brain.nii.gz",
            moving=folder / f"{moving}_T1_brain.nii.gz",
            fixed_labels=folder / f"{fixed}_aseg.nii.gz",
            moving_labels=folder / f"{moving}_aseg.nii.gz",
        )
        for moving, fixed in (ASEG_SUBJECTS, ASEG_SUBJECTS[::-1])
    ]


def benchmark_pairs(derived: Path) -> list[Pair]:
    """All pairs, T1-T1 first; label maps that have to be derived are written in `derived`."""
    data = shared_folder() / "data"
    return [*t1_pairs(data), *flair_pairs(data, derived), *aseg_pairs(data)]
