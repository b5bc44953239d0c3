from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from SlicerSynthReg.methods.synthmorph.model import SynthMorph
from SlicerSynthReg.methods.una.model import UNA, UNAConfig
from SlicerSynthReg.nets.unet import UNet, UNetConfig
from SlicerSynthReg.space.grid import Grid, index_lattice
from SlicerSynthReg.synth.deform import warp_labels
from SlicerSynthReg.synth.healthy import HealthyConfig, Labelling, draw_healthy, make_healthy
from SlicerSynthReg.synth.mirror import Mirror
from SlicerSynthReg.train import healthy
from SlicerSynthReg.train.command import app
from SlicerSynthReg.train.healthy import begin_with, lesion_masks, trained
from SlicerSynthReg.train.healthy_task import ABLATIONS, HealthyTask, HealthyTaskConfig, People, Person, psnr
from SlicerSynthReg.train.mirrors import compared, mirror_of
from SlicerSynthReg.volume.volume import Volume
from SlicerSynthReg.volume.write import write_volume
from SlicerSynthReg.weights.registry import read_card

VALUES = (0, 2, 3, 4, 24, 41, 42, 43, 511)
"""Air; white matter, cortex and ventricle of the left; fluid; the same of the right; skin."""
SMALL = UNAConfig(UNetConfig(inputs=2, outputs=8, widths=(4, 8, 8)), hidden=8)


def a_head(shift: float = 0.0) -> torch.Tensor:
    """(72, 80, 72) uint8 indices of VALUES: two halves, each with a ventricle; the cleft `shift` voxels off the middle,
    the right ventricle larger than the left."""
    x, y, z = (axis - (n - 1) / 2 for axis, n in zip(index_lattice((72, 80, 72)), (72, 80, 72)))
    x = x - shift
    radius = ((x / 27) ** 2 + (y / 32) ** 2 + (z / 27) ** 2).sqrt()
    left = x < 0  # the first axis runs to the right... of the array; sides are told apart by it alone
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
def people() -> People:
    persons = tuple(Person(labels, mirror_of(labels, compared(VALUES))) for labels in (a_head(3.0), a_head(-2.0)))
    lesion = torch.zeros(6, 6, 6)
    lesion[1:5, 1:5, 1:5] = 1
    return People(persons[:1], persons[1:], Labelling.of(VALUES, GROUPS), (lesion,), (lesion,))


@pytest.fixture
def small() -> HealthyTaskConfig:
    samples = HealthyConfig(reach_mm=(2.0, 2.0, 2.0))
    return HealthyTaskConfig(net=SMALL, samples=samples, crop=(32, 40, 32))


def sides_swapped() -> torch.Tensor:
    other = {2: 41, 3: 42, 4: 43, 41: 2, 42: 3, 43: 4}
    return torch.tensor([VALUES.index(other.get(value, value)) for value in VALUES])


def test_a_mirror_map_finds_the_other_side_of_a_lopsided_head(people):
    """Each voxel's counterpart has its label with the sides swapped; a flip about the middle does worse."""
    labels = people.known[0].labels
    lattice = index_lattice(tuple(labels.shape))
    brain = Labelling.of(VALUES, GROUPS).brain[labels.int()]

    def agreement(index: torch.Tensor) -> float:
        there = warp_labels(labels[None], index[None])[0]
        return float((sides_swapped()[there.int()] == labels.int())[brain].float().mean())

    plain = lattice.clone()
    plain[0] = labels.shape[0] - 1 - plain[0]
    assert agreement(people.known[0].mirror.of(lattice)) > max(0.93, agreement(plain) + 0.08)
    assert agreement(lattice) < 0.1


def test_a_sample_is_sick_where_p_says_and_healthy_elsewhere(people):
    config = HealthyConfig(sick=1.0, two=0.0, reach_mm=(0.0, 0.0, 0.0))
    labelling, person = people.labelling, people.known[0]
    record = draw_healthy(config, labelling, torch.Generator().manual_seed(1), "T1")
    anomaly = dataclasses.replace(record.anomalies[0], percentile=93.0, mask=False, time=0.0)
    looks = dataclasses.replace(record.appearance, level=1.5, sign=0, void=False)
    artefacts = dataclasses.replace(record.artefacts, slices=None, keep=((0.0, 1.0),) * 3)
    record = dataclasses.replace(record, anomalies=(anomaly,), appearance=looks, artefacts=artefacts)
    well = dataclasses.replace(record, anomalies=())
    shape = (32, 40, 32)
    sick, healthy = (make_healthy(person.labels, person.mirror, r, labelling, config, shape) for r in (record, well))
    assert torch.equal(sick.target, healthy.target) and not healthy.anomaly.any()
    inside, outside = sick.anomaly > 0.9, sick.anomaly < 0.01
    assert int(inside.sum()) > 100
    assert float((sick.image - healthy.image)[inside].mean()) < -0.2  # darker, as T1 lesions are
    assert float((sick.diseased - sick.target)[inside].mean()) < -0.3
    assert float((sick.image - healthy.image)[outside].abs().mean()) < 0.03
    assert not sick.anomaly[sick.brain == 0].any()
    assert float(sick.target[sick.brain == 0].abs().max()) < 0.25  # nothing but fluid outside the brain


def test_the_mirrored_side_of_a_sample_resembles_it_through_any_warp(people):
    config = HealthyConfig(sick=0.0, plain=0.0, misplaced_vox=0.0, reach_mm=(0.0, 0.0, 0.0))
    person, likeness, unlikeness = people.known[0], [], []
    for seed in range(4):
        record = draw_healthy(config, people.labelling, torch.Generator().manual_seed(seed), "T1")
        s = make_healthy(person.labels, person.mirror, record, people.labelling, config, (32, 40, 32))
        where = s.brain > 0.5
        likeness.append(float((s.target - s.target_mirrored)[where].abs().mean()))
        unlikeness.append(float((s.target - s.target.flip(2))[where].abs().mean()))
    assert max(likeness) < 0.06
    assert np.mean(likeness) < 0.7 * np.mean(unlikeness)


def test_a_step_depends_on_its_number_alone_and_learning_lowers_the_loss(people, small):
    torch.manual_seed(0)
    task = HealthyTask(small, people)
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


def test_the_error_map_learns_alone_and_moves_nothing_else(people, small):
    task = HealthyTask(small, people)
    task.loss(3)["error"].backward()
    head = task.model.maps[2]
    assert head.bias.grad[4] != 0 and not head.bias.grad[:4].any()


def test_validation_sees_every_modality_in_people_left_out(people, small):
    with torch.no_grad():
        scores = HealthyTask(small, people).validate(UNA(SMALL).eval())
    assert {f"{where}_{name}" for where in ("sick", "well") for name in ("T1", "T2", "FLAIR", "CT")} <= set(scores)
    assert scores["score"] == pytest.approx((scores["sick"] + scores["well"]) / 2)
    assert 0 < scores["found"] < 1


def test_each_ablation_leaves_out_its_part(people, small):
    draws = {}
    for name in ABLATIONS:
        config = small.ablated(name)
        draws[name] = [
            draw_healthy(config.samples, people.labelling, torch.Generator().manual_seed(n)) for n in range(30)
        ]
        assert config.net.paired == (name != "single")
        assert (config.contrast == 0) == (name == "no-contrast")
    assert not any(d.anomalies for d in draws["no-fluid"]) and any(d.anomalies for d in draws["none"])
    assert not any(a.mask for d in draws["shapes"] for a in d.anomalies)
    assert any(a.mask for d in draws["none"] for a in d.anomalies)
    with pytest.raises(ValueError, match="Found ablation 'all', expected one of none, no-fluid"):
        small.ablated("all")


def test_one_sided_network_is_blind_to_the_other_side_the_paired_one_is_not():
    image, one, other = torch.rand(3, 1, 1, 16, 16, 16, generator=torch.Generator().manual_seed(0)).unbind(0)
    for paired in (True, False):
        torch.manual_seed(1)
        net = dataclasses.replace(SMALL.net, inputs=2 if paired else 1)
        model = UNA(UNAConfig(net, paired, 8)).eval()
        assert torch.equal(model(image, one).t1, model(image, other).t1) != paired


def test_the_network_starts_from_one_image_features_and_ignores_the_other_side_at_first():
    torch.manual_seed(2)
    features = UNet(dataclasses.replace(SMALL.net, inputs=1)).eval()
    model = UNA(SMALL).eval()
    model.start_from(features.state_dict())
    image, other = torch.rand(2, 1, 1, 16, 16, 16).unbind(0)
    assert torch.allclose(model.net(torch.cat([image, other], 1)), features(image), atol=1e-6)


def test_a_training_goes_on_from_a_healthy_brains_model_or_begins_with_a_registrations_features():
    model = UNA(HealthyTaskConfig().net)
    begin_with(model, read_card("una-brains"))
    shipped = UNA.load(read_card("una-brains")).state_dict()
    assert all(torch.equal(value, shipped[name]) for name, value in model.state_dict().items())
    begin_with(model, read_card("synthmorph-brains"))
    image, other = torch.rand(2, 1, 1, 32, 32, 32).unbind(0)
    brains = SynthMorph.load(read_card("synthmorph-brains"))
    assert torch.allclose(model.net(torch.cat([image, other], 1)), brains.net(image), atol=1e-5)


def test_the_t1_is_base_plus_gain_times_the_image():
    image, other = torch.rand(2, 1, 1, 16, 16, 16).unbind(0)
    found = UNA(SMALL).eval()(image, other)
    assert torch.allclose(found.t1, found.base + found.gain * image, atol=1e-6)


def test_psnr_by_hand():
    assert psnr(torch.tensor([0.5, 0.7]), torch.tensor([0.4, 0.6])) == pytest.approx(20.0, abs=1e-4)


def test_lesion_masks_keep_their_volume_on_any_grid(tmp_path):
    mask = torch.zeros(1, 40, 30, 20, dtype=torch.uint8)
    mask[0, 10:22, 8:20, 6:12] = 1
    affine = np.diag([-1.0, 1.0, 2.0, 1.0])
    write_volume(Volume(mask, Grid((40, 30, 20), affine), "labels"), tmp_path / "a.nii.gz")
    write_volume(Volume(mask * 0, Grid((40, 30, 20), affine), "labels"), tmp_path / "empty.nii.gz")
    (found,) = lesion_masks(tmp_path, 4.0)
    assert float(found.sum()) * 64 == pytest.approx(12 * 12 * 6 * 2, rel=0.1)
    assert max(found.shape) < 10


def test_mirrors_are_kept_for_the_same_maps_only(tmp_path, monkeypatch):
    """What is read back does the same; another head is registered anew."""
    calls: list[int] = []

    def a_mirror(labels: torch.Tensor, structures: torch.Tensor) -> Mirror:
        calls.append(1)
        return Mirror(np.diag([-1.0, 1, 1, 1]), torch.randn(3, 4, 5, 6), 4, (1, 2, 3))

    monkeypatch.setattr(healthy, "mirror_of", a_mirror)
    head, other = a_head(3.0), a_head(-2.0)
    index = torch.rand(3, 50) * 20
    first, again, changed = (
        healthy._mirrors([one], compared(VALUES), tmp_path / "m.mirrors")[0] for one in (head, head, other)
    )
    assert len(calls) == 2
    assert torch.equal(first.of(index), again.of(index)) and not torch.equal(first.of(index), changed.of(index))


def test_a_training_ships_as_a_model(tmp_path):
    torch.manual_seed(0)
    model = UNA(HealthyTaskConfig().net)
    (tmp_path / "run").mkdir()
    torch.save({"model": model.state_dict(), "step": 1, "scores": {}}, tmp_path / "run" / "best.pt")
    provenance = {
        "training_data": "d", "intended_use": "u", "limits": "l", "spacing_mm": 2.0, "modalities": "m",
        "trained_with": "c",
    }  # fmt: skip
    (tmp_path / "p.json").write_text(json.dumps(provenance))
    options = ["--training", tmp_path / "run", "--provenance", tmp_path / "p.json", "--to", tmp_path / "w"]
    done = CliRunner().invoke(app, ["ship-healthy", "una-test", *map(str, options)])
    assert done.exit_code == 0, done.output
    again = trained(tmp_path / "run")
    assert read_card("una-test", tmp_path / "w").method == "UNA"
    assert torch.equal(again.state_dict()["maps.0.weight"], model.state_dict()["maps.0.weight"])
