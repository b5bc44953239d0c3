from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
import typer

from SlicerSynthReg.methods.synthmorph.model import Features
from SlicerSynthReg.methods.una.model import UNAConfig
from SlicerSynthReg.nets.unet import UNetConfig
from SlicerSynthReg.space.grid import Grid, index_lattice
from SlicerSynthReg.synth.healthy import HealthyConfig, HealthySample, Labelling, draw_healthy
from SlicerSynthReg.synth.healthy_scan import WHITE_T1, ScannedHead, make_from_scan
from SlicerSynthReg.synth.tissues import ANATOMY
from SlicerSynthReg.train.healthy_scans import scanned_head, scanned_heads
from SlicerSynthReg.train.healthy_task import HealthyTask, HealthyTaskConfig, People
from SlicerSynthReg.volume.volume import Volume, VolumeError
from SlicerSynthReg.volume.write import write_volume

SHAPE = (32, 40, 32)
LABELLING = Labelling.of((0, 2, 3), (0, 1, 2))
STILL = HealthyConfig(sick=1.0, two=0.0, stripped=1.0, reach_mm=(0.0, 0.0, 0.0), misplaced_vox=0.0, plain=0.0)


class ByBrightness:
    """In place of the network: air, cortex, white matter, ventricle by how bright they are."""

    def to(self, device: str) -> ByBrightness:
        return self

    def features(self, image: torch.Tensor) -> Features:
        names = list(ANATOMY)
        structure = torch.zeros(image.shape[2:], dtype=torch.long)
        for name, low in (("ventricles", 0.08), ("cortex", 0.4), ("white matter", 0.85)):
            structure[image[0, 0] > low] = names.index(name)
        return Features(image[0], None, torch.nn.functional.one_hot(structure, len(names)).movedim(-1, 0).float(), {})


def a_t1() -> Volume:
    """A head of 96 x 120 x 96 mm, lying on its side in the file, its middle 5 mm to the right: white matter 700, cortex
    500, and a ventricle of 100 on either side, larger on the left."""
    grid = Grid((64, 76, 64), np.array([[0, 0, 2.0, -59], [0, 2.0, 0, -75], [-2.0, 0, 0, 63], [0, 0, 0, 1]]))
    at = grid.index_to_world(index_lattice(grid.shape).flatten(1).T.numpy()) - [5, 0, 0]
    x, y, z = at.T.reshape(3, *grid.shape)
    radius = np.sqrt((x / 48) ** 2 + (y / 60) ** 2 + (z / 48) ** 2)
    image = np.where(radius < 1, 500.0, 0.0) + np.where(radius < 0.8, 200.0, 0.0)
    for side, size in ((-1, 14), (1, 10)):
        image[((x - side * 16) ** 2 + y**2 + z**2) < size**2] = 100.0
    return Volume(torch.from_numpy(image).float()[None], grid)


def a_mask(grid: Grid) -> Volume:
    """A ball of 12 mm."""
    at = grid.index_to_world(index_lattice(grid.shape).flatten(1).T.numpy()) - [25, 30, 0]
    inside = ((at**2).sum(1) < 12**2).reshape(grid.shape)
    return Volume(torch.from_numpy(inside).int()[None], grid, "labels")


@pytest.fixture(scope="module")
def healthy() -> ScannedHead:
    return scanned_head(a_t1(), None, ByBrightness())


@pytest.fixture
def sick(healthy) -> ScannedHead:
    """The same with a dark ball of 12 mm in it."""
    lattice = index_lattice(tuple(healthy.t1.shape))
    middle = torch.tensor(healthy.t1.shape).view(3, 1, 1, 1) / 2 + torch.tensor([20.0, 30, 0]).view(3, 1, 1, 1)
    ball = ((lattice - middle).square().sum(0) < 12**2).float()
    return dataclasses.replace(healthy, t1=healthy.t1 * (1 - ball) + 0.11 * ball, lesion=ball)


def sample_of(head: ScannedHead, seed: int = 0, config: HealthyConfig = STILL) -> HealthySample:
    generator = torch.Generator().manual_seed(seed)
    record = draw_healthy(head.wanted(config), LABELLING, generator, "T1")
    still = dataclasses.replace(record.artefacts, slices=None, keep=((0.0, 1.0),) * 3)
    return make_from_scan(head, dataclasses.replace(record, artefacts=still), config, SHAPE)


def test_white_matter_lies_at_its_level_and_the_voxels_are_of_one_millimetre(healthy):
    assert healthy.t1.shape == healthy.brain.shape and healthy.lesion is None
    x, y, z = (n // 2 for n in healthy.t1.shape)
    assert float(healthy.t1[x, y, z + 25]) == pytest.approx(WHITE_T1, abs=0.02)
    ml = float(healthy.brain.sum()) / 1000
    assert ml == pytest.approx(4 / 3 * np.pi * 48 * 60 * 48 / 1000, rel=0.1)


def test_the_other_side_is_found_though_the_head_lies_off_the_middle(healthy):
    """What is seen at each voxel's counterpart is like it, but for the ventricle's size; flipped about the middle of
    the voxels it is less so, and at the voxel itself it would be the same."""
    seen = healthy.mirror.image(healthy.t1[None])[0]
    inside = healthy.brain > 0.99
    off = float((seen - healthy.t1)[inside].abs().mean())
    assert 1e-3 < off < 0.03


def test_a_scan_in_health_is_made_sick_and_is_its_own_target(healthy):
    sample = sample_of(healthy)
    well = sample_of(healthy, config=dataclasses.replace(STILL, sick=0.0))
    assert not sample.real and float(sample.anomaly.max()) > 0.5 and not well.anomaly.any()
    assert torch.equal(sample.target, well.target)
    inside = sample.brain > 0.99
    assert float(sample.target[inside].median()) == pytest.approx(WHITE_T1, abs=0.05)
    assert not sample.target[sample.brain == 0].any()
    clear = inside & (sample.anomaly == 0)
    likeness = torch.corrcoef(torch.stack([well.image[clear], well.target[clear]]))[0, 1]
    assert float(likeness) > 0.8  # a T1, but for what a scanner adds


def test_a_lesion_of_its_own_stays_and_the_loss_asks_nothing_there(sick):
    sample = sample_of(sick)
    assert sample.real and int((sample.anomaly > 0.5).sum()) * 8 == pytest.approx(4 / 3 * np.pi * 12**3, rel=0.3)
    assert torch.equal(sample.diseased, sample.target)
    task = HealthyTask(_SMALL, People((), (), LABELLING))
    with torch.no_grad():
        found = task.model(sample.image, sample.mirrored)
    within = (sample.anomaly > 0.999).float()
    assert within.any()
    other = dataclasses.replace(sample, target=sample.target + 9 * within)
    first, second = (task._terms(found, one) for one in (sample, other))
    for name in ("reconstruction", "error"):
        assert float(first[name]) == pytest.approx(float(second[name]), rel=1e-5)
    known = dataclasses.replace(other, real=False)
    assert float(task._terms(found, known)["reconstruction"]) > 1.1 * float(first["reconstruction"])


_SMALL = HealthyTaskConfig(
    net=UNAConfig(UNetConfig(inputs=2, outputs=8, widths=(4, 8, 8)), hidden=8), samples=STILL, crop=SHAPE, scans=1.0
)


def test_a_step_learns_from_a_scan(healthy):
    """There are no label maps at all: with scans at a share of 1 none is asked for."""
    terms = HealthyTask(_SMALL, People((), (), LABELLING, scans=(healthy,))).loss(3)
    terms["loss"].backward()
    assert 0 < float(terms["reconstruction"].detach()) < 10


def test_what_shows_no_brain_is_refused():
    ball = a_mask(a_t1().grid)
    with pytest.raises(VolumeError, match="Found 0.0 litres of brain in a scan, expected 0.3 to 2.5"):
        scanned_head(Volume(ball.data * 700.0, ball.grid), None, ByBrightness())


def test_a_folder_of_scans_and_masks_named_alike(tmp_path):
    for name in ("scans", "masks"):
        (tmp_path / name).mkdir()
    with pytest.raises(typer.BadParameter, match="Found no scan in scans, expected T1 of heads"):
        scanned_heads(tmp_path / "scans", None, ByBrightness())
    volume = a_t1()
    write_volume(volume, tmp_path / "scans" / "a.nii.gz")
    write_volume(a_mask(volume.grid), tmp_path / "masks" / "b.nii.gz")
    with pytest.raises(typer.BadParameter, match=r"without a scan of that name \(b.nii.gz\)"):
        scanned_heads(tmp_path / "scans", tmp_path / "masks", ByBrightness())
    (tmp_path / "masks" / "b.nii.gz").rename(tmp_path / "masks" / "a.nii.gz")
    (head,) = scanned_heads(tmp_path / "scans", tmp_path / "masks", ByBrightness())
    assert head.lesion is not None and float(head.lesion.sum()) == pytest.approx(4 / 3 * np.pi * 12**3, rel=0.1)
