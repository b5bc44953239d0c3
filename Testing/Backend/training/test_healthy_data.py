from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from SlicerSynthReg.errors import ImageError
from SlicerSynthReg.healthy.una import UNAConfig
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.write import write_image
from SlicerSynthReg.networks.unet import UNetConfig
from SlicerSynthReg.registration.synthmorph import NetworkFeatures
from SlicerSynthReg.spatial.grid import Grid, index_lattice
from SlicerSynthReg.synthesis.lesion_head import LabelProperties, UNASample, UNASampleConfig, draw_una_sample
from SlicerSynthReg.synthesis.lesion_scan import WHITE_T1, T1Head, make_una_sample_from_t1
from SlicerSynthReg.synthesis.tissues import STRUCTURES
from SlicerSynthReg.training.healthy import HealthyTask, HealthyTaskConfig, HealthyTrainingData
from SlicerSynthReg.training.healthy_data import prepare_t1_scan, read_t1_scans

SHAPE = (32, 40, 32)
LABELLING = LabelProperties.from_values((0, 2, 3), (0, 1, 2))
UNDEFORMED = UNASampleConfig(
    lesion_probability=1.0,
    second_lesion_probability=0.0,
    skull_strip_probability=1.0,
    reach_mm=(0.0, 0.0, 0.0),
    mirror_error_vox=0.0,
    affine_mirror_probability=0.0,
)


class ThresholdNetwork:
    """In place of the network: background, ventricle, cortex and white matter by intensity thresholds."""

    def to(self, device: str) -> ThresholdNetwork:
        return self

    def features(self, image: torch.Tensor) -> NetworkFeatures:
        names = list(STRUCTURES)
        structure = torch.zeros(image.shape[2:], dtype=torch.long)
        for name, low in (("ventricles", 0.08), ("cortex", 0.4), ("white matter", 0.85)):
            structure[image[0, 0] > low] = names.index(name)
        return NetworkFeatures(
            image[0], None, torch.nn.functional.one_hot(structure, len(names)).movedim(-1, 0).float(), {}
        )


def make_t1() -> Image:
    """Return a head of 96 x 120 x 96 mm on a rotated grid, its centre 5 mm to the right: white matter 700, cortex 500,
    and a ventricle of 100 in each hemisphere, larger on the left."""
    grid = Grid((64, 76, 64), np.array([[0, 0, 2.0, -59], [0, 2.0, 0, -75], [-2.0, 0, 0, 63], [0, 0, 0, 1]]))
    at = grid.index_to_world(index_lattice(grid.shape).flatten(1).T.numpy()) - [5, 0, 0]
    x, y, z = at.T.reshape(3, *grid.shape)
    radius = np.sqrt((x / 48) ** 2 + (y / 60) ** 2 + (z / 48) ** 2)
    image = np.where(radius < 1, 500.0, 0.0) + np.where(radius < 0.8, 200.0, 0.0)
    for side, size in ((-1, 14), (1, 10)):
        image[((x - side * 16) ** 2 + y**2 + z**2) < size**2] = 100.0
    return Image(torch.from_numpy(image).float()[None], grid)


def make_mask(grid: Grid) -> Image:
    """Return the mask of a ball of 12 mm radius."""
    at = grid.index_to_world(index_lattice(grid.shape).flatten(1).T.numpy()) - [25, 30, 0]
    inside = ((at**2).sum(1) < 12**2).reshape(grid.shape)
    return Image(torch.from_numpy(inside).int()[None], grid, "labels")


@pytest.fixture(scope="module")
def healthy() -> T1Head:
    return prepare_t1_scan(make_t1(), None, ThresholdNetwork())


@pytest.fixture
def with_lesion(healthy) -> T1Head:
    """The same with a dark ball of 12 mm radius."""
    lattice = index_lattice(tuple(healthy.t1.shape))
    middle = torch.tensor(healthy.t1.shape).view(3, 1, 1, 1) / 2 + torch.tensor([20.0, 30, 0]).view(3, 1, 1, 1)
    ball = ((lattice - middle).square().sum(0) < 12**2).float()
    return dataclasses.replace(healthy, t1=healthy.t1 * (1 - ball) + 0.11 * ball, lesion=ball)


def make_sample(head: T1Head, seed: int = 0, config: UNASampleConfig = UNDEFORMED) -> UNASample:
    generator = torch.Generator().manual_seed(seed)
    record = draw_una_sample(head.sample_config(config), LABELLING, generator, "T1")
    artefacts = dataclasses.replace(record.artefacts, slices=None, keep=((0.0, 1.0),) * 3)
    return make_una_sample_from_t1(head, dataclasses.replace(record, artefacts=artefacts), config, SHAPE)


def test_white_matter_is_scaled_and_voxels_are_of_one_millimetre(healthy):
    assert healthy.t1.shape == healthy.brain.shape and healthy.lesion is None
    x, y, z = (n // 2 for n in healthy.t1.shape)
    assert float(healthy.t1[x, y, z + 25]) == pytest.approx(WHITE_T1, abs=0.02)
    ml = float(healthy.brain.sum()) / 1000
    assert ml == pytest.approx(4 / 3 * np.pi * 48 * 60 * 48 / 1000, rel=0.1)


def test_the_mirror_map_of_an_off_centre_scan_finds_the_contralateral_side(healthy):
    """Intensities at each voxel's counterpart are similar up to the ventricles' size, but not identical."""
    mirrored = healthy.mirror.apply(healthy.t1[None])[0]
    inside = healthy.brain > 0.99
    difference = float((mirrored - healthy.t1)[inside].abs().mean())
    assert 1e-3 < difference < 0.03


def test_a_healthy_scan_gets_a_synthetic_lesion_and_is_its_own_target(healthy):
    sample = make_sample(healthy)
    normal = make_sample(healthy, config=dataclasses.replace(UNDEFORMED, lesion_probability=0.0))
    assert not sample.real_lesion and float(sample.anomaly.max()) > 0.5 and not normal.anomaly.any()
    assert torch.equal(sample.target, normal.target)
    inside = sample.brain > 0.99
    assert float(sample.target[inside].median()) == pytest.approx(WHITE_T1, abs=0.05)
    assert not sample.target[sample.brain == 0].any()
    clear = inside & (sample.anomaly == 0)
    correlation = torch.corrcoef(torch.stack([normal.image[clear], normal.target[clear]]))[0, 1]
    assert float(correlation) > 0.8


def test_the_loss_ignores_the_target_under_a_real_lesion(with_lesion):
    sample = make_sample(with_lesion)
    assert sample.real_lesion and int((sample.anomaly > 0.5).sum()) * 8 == pytest.approx(4 / 3 * np.pi * 12**3, rel=0.3)
    assert torch.equal(sample.diseased, sample.target)
    task = HealthyTask(_SMALL, HealthyTrainingData((), (), LABELLING))
    with torch.no_grad():
        found = task.model(sample.image, sample.mirrored)
    within = (sample.anomaly > 0.999).float()
    assert within.any()
    other = dataclasses.replace(sample, target=sample.target + 9 * within)
    first, second = (task.terms(found, one) for one in (sample, other))
    for name in ("reconstruction", "error"):
        assert float(first[name]) == pytest.approx(float(second[name]), rel=1e-5)
    known = dataclasses.replace(other, real_lesion=False)
    assert float(task.terms(found, known)["reconstruction"]) > 1.1 * float(first["reconstruction"])


_SMALL = HealthyTaskConfig(
    net=UNAConfig(UNetConfig(inputs=2, outputs=8, widths=(4, 8, 8)), hidden=8),
    samples=UNDEFORMED,
    crop=SHAPE,
    scan_probability=1.0,
)


def test_a_step_on_a_scan_needs_no_label_maps(healthy):
    terms = HealthyTask(_SMALL, HealthyTrainingData((), (), LABELLING, scans=(healthy,))).loss(3)
    terms["loss"].backward()
    assert 0 < float(terms["reconstruction"].detach()) < 10


def test_a_scan_without_a_brain_is_refused():
    ball = make_mask(make_t1().grid)
    with pytest.raises(ImageError) as refused:
        prepare_t1_scan(Image(ball.data * 700.0, ball.grid), None, ThresholdNetwork())
    assert refused.value.code == "not-a-brain"


def test_scans_and_lesion_masks_are_matched_by_file_name(tmp_path):
    for name in ("scans", "masks"):
        (tmp_path / name).mkdir()
    with pytest.raises(ImageError) as refused:
        read_t1_scans(tmp_path / "scans", None, ThresholdNetwork())
    assert refused.value.code == "scans-missing"
    volume = make_t1()
    write_image(volume, tmp_path / "scans" / "a.nii.gz")
    write_image(make_mask(volume.grid), tmp_path / "masks" / "b.nii.gz")
    with pytest.raises(ImageError) as refused:
        read_t1_scans(tmp_path / "scans", tmp_path / "masks", ThresholdNetwork())
    assert refused.value.code == "mask-without-scan"
    (tmp_path / "masks" / "b.nii.gz").rename(tmp_path / "masks" / "a.nii.gz")
    (head,) = read_t1_scans(tmp_path / "scans", tmp_path / "masks", ThresholdNetwork())
    assert head.lesion is not None and float(head.lesion.sum()) == pytest.approx(4 / 3 * np.pi * 12**3, rel=0.1)
