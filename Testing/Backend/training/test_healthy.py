from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from SlicerSynthReg.healthy.una import UNA, UNAConfig
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.write import write_image
from SlicerSynthReg.networks.unet import UNet, UNetConfig
from SlicerSynthReg.registration.synthmorph import SynthMorph
from SlicerSynthReg.spatial.grid import Grid, index_lattice
from SlicerSynthReg.synthesis.deformation import warp_labels
from SlicerSynthReg.synthesis.lesion_head import (
    LabelledSubject,
    LabelProperties,
    UNASampleConfig,
    draw_una_sample,
    make_una_sample,
)
from SlicerSynthReg.synthesis.mirror import Mirror
from SlicerSynthReg.training import healthy_data
from SlicerSynthReg.training.healthy import ABLATIONS, HealthyTask, HealthyTaskConfig, HealthyTrainingData, masked_psnr
from SlicerSynthReg.training.healthy_command import initialise_weights, load_best_una
from SlicerSynthReg.training.healthy_data import read_lesion_masks, register_to_mirror_image, symmetry_groups
from SlicerSynthReg.weights.registry import read_card

VALUES = (0, 2, 3, 4, 24, 41, 42, 43, 511)
"""Background; white matter, cortex and ventricle of the left; fluid; the same of the right; skin."""
SMALL = UNAConfig(UNetConfig(inputs=2, outputs=8, widths=(4, 8, 8)), hidden=8)


def make_head(shift: float = 0.0) -> torch.Tensor:
    """Return (72, 80, 72) uint8 indices of VALUES: two hemispheres, each with a ventricle, larger on the right; the
    midline lies `shift` voxels off the centre."""
    x, y, z = (axis - (n - 1) / 2 for axis, n in zip(index_lattice((72, 80, 72)), (72, 80, 72)))
    x = x - shift
    radius = ((x / 27) ** 2 + (y / 32) ** 2 + (z / 27) ** 2).sqrt()
    left = x < 0
    labels = torch.zeros(x.shape, dtype=torch.uint8)
    labels[radius < 1.25] = VALUES.index(511)
    labels[radius < 1.12] = VALUES.index(24)
    for side, numbers, size in ((left, (2, 3, 4), 6.0), (~left, (41, 42, 43), 8.0)):
        labels[(radius < 1.0) & side] = VALUES.index(numbers[1])
        labels[(radius < 0.82) & side] = VALUES.index(numbers[0])
        ventricle = ((x.abs() - 10) / size) ** 2 + (y / (2 * size)) ** 2 + (z / size) ** 2 < 1
        labels[ventricle & side] = VALUES.index(numbers[2])
    return labels


GROUPS = (0, 1, 2, 3, 4, 1, 2, 3, 5)


@pytest.fixture(scope="module")
def data() -> HealthyTrainingData:
    groups = symmetry_groups(VALUES)
    heads = (make_head(3.0), make_head(-2.0))
    subjects = tuple(LabelledSubject(labels, register_to_mirror_image(labels, groups)) for labels in heads)
    lesion = torch.zeros(6, 6, 6)
    lesion[1:5, 1:5, 1:5] = 1
    return HealthyTrainingData(
        subjects[:1], subjects[1:], LabelProperties.from_values(VALUES, GROUPS), (lesion,), (lesion,)
    )


@pytest.fixture
def small() -> HealthyTaskConfig:
    samples = UNASampleConfig(reach_mm=(2.0, 2.0, 2.0))
    return HealthyTaskConfig(net=SMALL, samples=samples, crop=(32, 40, 32))


def swapped_sides() -> torch.Tensor:
    other = {2: 41, 3: 42, 4: 43, 41: 2, 42: 3, 43: 4}
    return torch.tensor([VALUES.index(other.get(value, value)) for value in VALUES])


def test_the_mirror_map_finds_the_contralateral_side_of_an_asymmetric_head(data):
    """Each voxel's counterpart has its label with the sides swapped; a flip about the centre does worse."""
    labels = data.training[0].labels
    lattice = index_lattice(tuple(labels.shape))
    brain = LabelProperties.from_values(VALUES, GROUPS).brain[labels.int()]

    def agreement(index: torch.Tensor) -> float:
        counterpart = warp_labels(labels[None], index[None])[0]
        return float((swapped_sides()[counterpart.int()] == labels.int())[brain].float().mean())

    flipped = lattice.clone()
    flipped[0] = labels.shape[0] - 1 - flipped[0]
    assert agreement(data.training[0].mirror.map_index(lattice)) > max(0.93, agreement(flipped) + 0.08)
    assert agreement(lattice) < 0.1


def test_a_sample_has_lesions_where_p_is_high_and_is_normal_elsewhere(data):
    config = UNASampleConfig(lesion_probability=1.0, second_lesion_probability=0.0, reach_mm=(0.0, 0.0, 0.0))
    labelling, subject = data.labelling, data.training[0]
    record = draw_una_sample(config, labelling, torch.Generator().manual_seed(1), "T1")
    anomaly = dataclasses.replace(record.anomalies[0], percentile=93.0, mask=False, time=0.0)
    appearance = dataclasses.replace(record.appearance, level=1.5, sign=0, void=False)
    artefacts = dataclasses.replace(record.artefacts, slices=None, keep=((0.0, 1.0),) * 3)
    record = dataclasses.replace(record, anomalies=(anomaly,), appearance=appearance, artefacts=artefacts)
    normal = dataclasses.replace(record, anomalies=())
    shape = (32, 40, 32)
    lesion, healthy = (make_una_sample(subject, r, labelling, config, shape) for r in (record, normal))
    assert torch.equal(lesion.target, healthy.target) and not healthy.anomaly.any()
    inside, outside = lesion.anomaly > 0.9, lesion.anomaly < 0.01
    assert int(inside.sum()) > 100
    assert float((lesion.image - healthy.image)[inside].mean()) < -0.2  # lesions are dark in T1
    assert float((lesion.diseased - lesion.target)[inside].mean()) < -0.3
    assert float((lesion.image - healthy.image)[outside].abs().mean()) < 0.03
    assert not lesion.anomaly[lesion.brain == 0].any()
    assert float(lesion.target[lesion.brain == 0].abs().max()) < 0.25  # fluid at most outside the brain


def test_the_mirrored_target_resembles_the_target_through_any_deformation(data):
    config = UNASampleConfig(
        lesion_probability=0.0, affine_mirror_probability=0.0, mirror_error_vox=0.0, reach_mm=(0.0, 0.0, 0.0)
    )
    subject, mirrored, flipped = data.training[0], [], []
    for seed in range(4):
        record = draw_una_sample(config, data.labelling, torch.Generator().manual_seed(seed), "T1")
        s = make_una_sample(subject, record, data.labelling, config, (32, 40, 32))
        brain = s.brain > 0.5
        mirrored.append(float((s.target - s.target_mirrored)[brain].abs().mean()))
        flipped.append(float((s.target - s.target.flip(2))[brain].abs().mean()))
    assert max(mirrored) < 0.06
    assert np.mean(mirrored) < 0.7 * np.mean(flipped)


def test_the_loss_depends_on_the_step_number_only_and_training_lowers_it(data, small):
    torch.manual_seed(0)
    task = HealthyTask(small, data)
    first = task.loss(5)
    assert {"loss", "reconstruction", "contrast", "anomaly", "error"} == set(first)
    assert float(task.loss(5)["loss"].detach()) == float(first["loss"].detach()) != float(task.loss(6)["loss"].detach())
    optimizer = torch.optim.Adam(task.model.parameters(), 1e-2)
    for _ in range(8):
        optimizer.zero_grad()
        loss = task.loss(5)
        loss["loss"].backward()
        optimizer.step()
    assert float(loss["reconstruction"].detach()) < 0.7 * float(first["reconstruction"].detach())


def test_the_error_loss_trains_the_error_map_only(data, small):
    task = HealthyTask(small, data)
    task.loss(3)["error"].backward()
    head = task.model.maps[2]
    assert head.bias.grad[4] != 0 and not head.bias.grad[:4].any()


def test_validation_scores_every_modality(data, small):
    with torch.no_grad():
        scores = HealthyTask(small, data).validate(UNA(SMALL).eval())
    assert {f"{region}_{name}" for region in ("lesion", "normal") for name in ("T1", "T2", "FLAIR", "CT")} <= set(
        scores
    )
    assert scores["score"] == pytest.approx((scores["lesion"] + scores["normal"]) / 2)
    assert 0 < scores["average_precision"] < 1


def test_each_ablation_removes_its_part(data, small):
    draws = {}
    for name in ABLATIONS:
        config = small.ablated(name)
        draws[name] = [
            draw_una_sample(config.samples, data.labelling, torch.Generator().manual_seed(n)) for n in range(30)
        ]
        assert config.net.paired == (name != "single-sided")
        assert (config.losses.contrast == 0) == (name == "no-contrast")
    assert not any(d.anomalies for d in draws["no-lesions"]) and any(d.anomalies for d in draws["none"])
    assert not any(a.mask for d in draws["noise-lesions"] for a in d.anomalies)
    assert any(a.mask for d in draws["none"] for a in d.anomalies)
    with pytest.raises(ValueError, match="Found ablation 'all'"):
        small.ablated("all")


def test_only_the_paired_network_depends_on_the_contralateral_image():
    image, one, other = torch.rand(3, 1, 1, 16, 16, 16, generator=torch.Generator().manual_seed(0)).unbind(0)
    for paired in (True, False):
        torch.manual_seed(1)
        net = dataclasses.replace(SMALL.net, inputs=2 if paired else 1)
        model = UNA(UNAConfig(net, paired, 8)).eval()
        assert torch.equal(model(image, one).t1, model(image, other).t1) != paired


def test_the_network_initialised_from_features_ignores_the_contralateral_image():
    torch.manual_seed(2)
    features = UNet(dataclasses.replace(SMALL.net, inputs=1)).eval()
    model = UNA(SMALL).eval()
    model.initialise_from(features.state_dict())
    image, other = torch.rand(2, 1, 1, 16, 16, 16).unbind(0)
    assert torch.allclose(model.net(torch.cat([image, other], 1)), features(image), atol=1e-6)


def test_weights_are_initialised_from_una_or_from_registration_features():
    model = UNA(HealthyTaskConfig().net)
    initialise_weights(model, read_card("una-brains"))
    installed = UNA.load(read_card("una-brains")).state_dict()
    assert all(torch.equal(value, installed[name]) for name, value in model.state_dict().items())
    initialise_weights(model, read_card("synthmorph-brains"))
    image, other = torch.rand(2, 1, 1, 32, 32, 32).unbind(0)
    brains = SynthMorph.load(read_card("synthmorph-brains"))
    assert torch.allclose(model.net(torch.cat([image, other], 1)), brains.net(image), atol=1e-5)


def test_the_t1_is_base_plus_gain_times_the_image():
    image, other = torch.rand(2, 1, 1, 16, 16, 16).unbind(0)
    output = UNA(SMALL).eval()(image, other)
    assert torch.allclose(output.t1, output.base + output.gain * image, atol=1e-6)


def test_psnr_by_hand():
    assert masked_psnr(torch.tensor([0.5, 0.7]), torch.tensor([0.4, 0.6])) == pytest.approx(20.0, abs=1e-4)


def test_lesion_masks_keep_their_volume_at_another_resolution(tmp_path):
    mask = torch.zeros(1, 40, 30, 20, dtype=torch.uint8)
    mask[0, 10:22, 8:20, 6:12] = 1
    affine = np.diag([-1.0, 1.0, 2.0, 1.0])
    write_image(Image(mask, Grid((40, 30, 20), affine), "labels"), tmp_path / "a.nii.gz")
    write_image(Image(mask * 0, Grid((40, 30, 20), affine), "labels"), tmp_path / "empty.nii.gz")
    (resampled,) = read_lesion_masks(tmp_path, 4.0)
    assert float(resampled.sum()) * 64 == pytest.approx(12 * 12 * 6 * 2, rel=0.1)
    assert max(resampled.shape) < 10


def test_cached_mirrors_are_used_for_the_same_maps_only(tmp_path, monkeypatch):
    """The cached map equals the computed one; another head is registered again."""
    calls: list[int] = []

    def random_mirror(labels: torch.Tensor, groups: torch.Tensor) -> Mirror:
        calls.append(1)
        return Mirror(np.diag([-1.0, 1, 1, 1]), torch.randn(3, 4, 5, 6), 4, (1, 2, 3))

    monkeypatch.setattr(healthy_data, "register_to_mirror_image", random_mirror)
    head, other = make_head(3.0), make_head(-2.0)
    index = torch.rand(3, 50) * 20
    first, again, changed = (
        healthy_data._mirrors([one], symmetry_groups(VALUES), tmp_path / "m.mirrors")[0] for one in (head, head, other)
    )
    assert len(calls) == 2
    assert torch.equal(first.map_index(index), again.map_index(index)) and not torch.equal(
        first.map_index(index), changed.map_index(index)
    )


def test_a_training_is_exported(synthreg_train, write_checkpoint, provenance_file, tmp_path):
    torch.manual_seed(0)
    model = UNA(HealthyTaskConfig().net)
    folder = write_checkpoint("run", model)
    arguments = ("--training", folder, "--provenance", provenance_file, "--out", tmp_path / "w")
    code, output = synthreg_train("export-healthy", "una-test", *arguments)
    assert code == 0, output
    assert read_card("una-test", tmp_path / "w").method == "UNA"
    again = load_best_una(folder).state_dict()
    assert torch.equal(again["maps.0.weight"], model.state_dict()["maps.0.weight"])
