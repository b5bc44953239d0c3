"""A training sample of UNA from a real T1: the scan is its own target (UNA, section 4 and equation 7).

A healthy scan gets synthetic anomalies as label maps do, and its healthy anatomy is known everywhere. A scan with a
lesion of its own keeps it; under the lesion the target is unknown, which the loss takes into account.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from SlicerSynthReg.spatial.sampling import sample
from SlicerSynthReg.synthesis.deformation import warp_index
from SlicerSynthReg.synthesis.lesion_head import (
    RenderedHead,
    SourceSampling,
    UNASample,
    UNASampleConfig,
    UNASampleDraw,
    simulate_lesion_scan,
)
from SlicerSynthReg.synthesis.mirror import Mirror

WHITE_T1, GREY_T1 = 0.8, 0.6


@dataclass(frozen=True, eq=False)
class T1Head:
    """One T1 in RAS, 1 mm, all (I, J, K). t1: air at 0, white matter at 0.8, smoothed to a sample's voxel size. brain,
    lesion: fraction of each voxel; lesion None for a healthy brain."""

    t1: torch.Tensor
    brain: torch.Tensor
    lesion: torch.Tensor | None
    mirror: Mirror

    def to(self, device: str) -> T1Head:
        """Return the head with its images on `device`."""
        lesion = None if self.lesion is None else self.lesion.to(device)
        return T1Head(self.t1.to(device), self.brain.to(device), lesion, self.mirror)

    def sample_config(self, config: UNASampleConfig) -> UNASampleConfig:
        """Return the configuration of its samples: no synthetic anomaly in a brain with a lesion."""
        return config if self.lesion is None else replace(config, lesion_probability=0.0)


def make_una_sample_from_t1(
    scan: T1Head,
    record: UNASampleDraw,
    config: UNASampleConfig,
    shape: tuple[int, int, int],
    masks: tuple[torch.Tensor, ...] = (),
) -> UNASample:
    """Return one sample (B = 1) of `shape`.

    record: drawn as T1 by `scan.sample_config(config)`. masks: as in `make_una_sample`.
    """
    device, size = scan.t1.device, tuple(scan.t1.shape)
    index = warp_index([record.deform], size, shape, device)
    lesion = torch.zeros_like(scan.t1) if scan.lesion is None else scan.lesion
    t1, brain, lesion = sample(torch.stack([scan.t1, scan.brain, lesion])[None], index).split(1, 1)
    maximum = torch.full((1,), 255.0, device=device)
    head = RenderedHead(
        image=255 * (t1 * brain if record.skull_stripped else t1),
        target=t1 * brain,
        brain=brain,
        lesion=lesion * brain,
        white=WHITE_T1 * maximum,
        grey=GREY_T1 * maximum,
        white_t1=WHITE_T1,
        real_lesion=scan.lesion is not None,
    )
    return simulate_lesion_scan(head, SourceSampling(index[0], size, scan.mirror), record, config, masks)
