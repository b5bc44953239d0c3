"""A training sample of UNA from a real T1: the scan is its own target (UNA, section 4 and equation 7).

A scan in health is made sick as label maps are, and its healthy anatomy is known everywhere. One with a lesion of its
own stays as it is: under the lesion the target is unknown, which the loss is told.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from SlicerSynthReg.space.sampling import sample
from SlicerSynthReg.synth.deform import warp_index
from SlicerSynthReg.synth.healthy import Head, HealthyConfig, HealthyDraw, HealthySample, scanned_sick
from SlicerSynthReg.synth.mirror import Mirror

WHITE_T1, GREY_T1 = 0.8, 0.6


@dataclass(frozen=True, eq=False)
class ScannedHead:
    """One T1 in RAS, 1 mm, all (I, J, K). t1: air at 0, white matter at 0.8, as fine as a sample's voxels show it.
    brain, lesion: share of each voxel; lesion: None for a brain in health."""

    t1: torch.Tensor
    brain: torch.Tensor
    lesion: torch.Tensor | None
    mirror: Mirror

    def to(self, device: str) -> ScannedHead:
        lesion = None if self.lesion is None else self.lesion.to(device)
        return ScannedHead(self.t1.to(device), self.brain.to(device), lesion, self.mirror)

    def wanted(self, config: HealthyConfig) -> HealthyConfig:
        """How its samples are drawn: what is sick already is not made sick."""
        return config if self.lesion is None else replace(config, sick=0.0)


def make_from_scan(
    scan: ScannedHead,
    record: HealthyDraw,
    config: HealthyConfig,
    shape: tuple[int, int, int],
    masks: tuple[torch.Tensor, ...] = (),
) -> HealthySample:
    """One sample (B = 1) of `shape`; record: drawn as T1 by `scan.wanted(config)`. masks: as in `make_healthy`."""
    device, size = scan.t1.device, tuple(scan.t1.shape)
    index = warp_index([record.deform], size, shape, device)
    lesion = torch.zeros_like(scan.t1) if scan.lesion is None else scan.lesion
    t1, brain, lesion = sample(torch.stack([scan.t1, scan.brain, lesion])[None], index).split(1, 1)
    one = torch.full((1,), 255.0, device=device)
    head = Head(
        image=255 * (t1 * brain if record.stripped else t1),
        target=t1 * brain,
        brain=brain,
        lesion=lesion * brain,
        white=WHITE_T1 * one,
        grey=GREY_T1 * one,
        white_t1=WHITE_T1,
        real=scan.lesion is not None,
    )
    return scanned_sick(head, index[0], size, scan.mirror, record, config, masks)
