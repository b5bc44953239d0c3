"""voxelmorph and neurite as a peer: seconds to make one SynthMorph training pair on the CPU.

Release 0.3.4 of both (PyTorch) has the parts but no whole generator: ``voxelmorph.random_transform``
draws an affine and an integrated velocity field, ``voxelmorph.spatial_transform`` moves the labels,
``neurite.sample_image_from_labels`` draws a Gaussian per label, ``neurite.gaussian_smoothing`` blurs,
``neurite.fractal_noise`` is the log of the bias field. Gamma and min-max scaling have no function
there and are written out. The faster of the library's own variants is used wherever it offers two
(upsampled noise, separable blur). One pair = two images and two label maps from one label map.

Prints one JSON object: shape, threads, wall and processor seconds of each pair and their
medians. Reading is not counted.
Source: Hoffmann et al. 2022, IEEE TMI 41(3), table of the synthesis ranges.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import neurite as ne
import nibabel as nib
import numpy as np
import torch
import voxelmorph as vxm


def random_number(low: float, high: float) -> float:
    """Uniform draw from torch's generator."""
    return float(torch.empty(()).uniform_(low, high))


def warp_labels(labels: torch.Tensor) -> torch.Tensor:
    """Labels (I,J,K) under a random affine and a random diffeomorphism."""
    transform = vxm.random_transform(
        labels.shape,
        max_translation=10.0,
        max_rotation=10.0,
        max_scaling=1.1,
        warp_integrations=5,
        warp_scales_range=(8, 32),
        warp_magnitude_range=(0, 3),
        fractal_mode="upsample",
    )
    return vxm.spatial_transform(labels, transform, mode="nearest")


def synthesise_image(labels: torch.Tensor) -> torch.Tensor:
    """Image (I,J,K) in [0, 1]: Gaussian per label, blur, bias field, min-max scaling, gamma."""
    image = ne.sample_image_from_labels(labels, mean_range=(0.1, 0.9), noise_std=random_number(0.02, 0.1))
    image = ne.gaussian_smoothing(image, sigma=random_number(0.1, 1.0), method="separable")
    log_bias = ne.fractal_noise(labels.shape, scales=40, magnitude=random_number(0.0, 0.3), method="upsample")
    image = image * log_bias.exp()
    image = (image - image.min()) / (image.max() - image.min())
    return image ** float(np.exp(random_number(-0.25, 0.25)))


def training_pair(labels: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Fixed image, fixed labels, moving image, moving labels, each (I,J,K)."""
    fixed, moving = warp_labels(labels), warp_labels(labels)
    return synthesise_image(fixed), fixed, synthesise_image(moving), moving


def center_crop(labels: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Return the central `shape` voxels of `labels`, zero where `labels` is smaller."""
    padding = [(max(0, -(-(want - have) // 2)),) * 2 for want, have in zip(shape, labels.shape)]
    padded = np.pad(labels, padding)
    starts = [(have - want) // 2 for want, have in zip(shape, padded.shape)]
    return padded[tuple(slice(start, start + want) for start, want in zip(starts, shape))]


def main() -> None:
    """Make `--pairs` pairs after one that is not counted, and print their seconds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=Path, required=True, help="label map, NIfTI")
    parser.add_argument("--shape", type=int, nargs=3, default=(160, 160, 160))
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    volume = np.asarray(nib.Nifti1Image.from_filename(given.labels).dataobj).astype(np.int16)
    labels = torch.from_numpy(center_crop(volume, given.shape).copy())
    seconds, cpu_seconds = [], []
    with torch.no_grad():
        training_pair(labels)
        for _ in range(given.pairs):
            begin, cpu_begin = time.perf_counter(), time.process_time()
            training_pair(labels)
            seconds.append(time.perf_counter() - begin)
            cpu_seconds.append(time.process_time() - cpu_begin)
    print(
        json.dumps(
            {
                "method": "voxelmorph",
                "shape": list(labels.shape),
                "labels": len(labels.unique()),
                "threads": given.threads,
                "seconds": seconds,
                "cpu_seconds": cpu_seconds,
                "median_seconds": median(seconds),
                "median_cpu_seconds": median(cpu_seconds),
            }
        )
    )


if __name__ == "__main__":
    main()
