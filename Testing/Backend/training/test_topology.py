from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from SlicerSynthReg.spatial.grid import index_lattice
from SlicerSynthReg.synthesis.pathology.pasted_lesions import (
    PastedLesionConfig,
    PastedLesionDraw,
    draw_pasted_lesion,
    paste_lesion,
)
from SlicerSynthReg.topology.variational import TopologyConfig, VariationalBound, half_resolution
from SlicerSynthReg.training.topology import TopologyTask, TopologyTaskConfig
from SlicerSynthReg.weights.registry import available, read_card

from .conftest import SMALL_PAIRS, VALUES


def make_task(dims: int = 3, maps=None) -> TopologyTask:
    torch.manual_seed(0)
    model = replace(TopologyConfig.for_channels(1, dims), widths=(4, 8, 8))
    return TopologyTask(
        TopologyTaskConfig(model, replace(SMALL_PAIRS, shape=(24, 24, 24)), slices=3, validation_pairs=3), maps
    )


@pytest.mark.parametrize("dims", [2, 3])
def test_a_few_steps_lower_the_bound(dims):
    task = make_task(dims)
    optimizer = torch.optim.Adam(task.model.parameters(), lr=5e-3)
    losses = []
    for _ in range(12):
        loss = task.loss(1)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] - 0.2


def test_the_loss_depends_on_the_step_number_only():
    losses = [float(make_task().loss(step)["loss"].detach()) for step in (3, 3, 4)]
    assert losses[0] == losses[1] != losses[2]


def test_slices_are_axial_slices_of_the_middle_part():
    task = make_task(2)
    image = index_lattice((8, 6, 20))[2][None, None]
    slices = task.volumes_or_slices(image)
    assert slices.shape == (3, 1, 8, 6) and slices[:, 0, 0, 0].tolist() == [6, 10, 14]


@pytest.mark.parametrize("dims", [2, 3])
def test_validation_is_one_for_the_true_map_and_half_for_a_constant_one(dims, monkeypatch):
    task = make_task(dims)
    truth = []

    def record(*arguments):
        lesion, changed = paste_lesion(*arguments)
        truth.append(changed)
        return lesion, changed

    monkeypatch.setattr("SlicerSynthReg.training.topology.paste_lesion", record)

    class TrueMap:
        def symmetric_bound(self, i, j, describe):
            u = torch.zeros((len(i), dims, *(n // 2 for n in i.shape[2:])))
            if not truth or self.used == len(truth):
                return VariationalBound(u, u[:, 0], u[:, 0])
            self.used = len(truth)
            return VariationalBound(
                u, half_resolution(task.volumes_or_slices(truth[-1][:, None].float()))[:, 0], u[:, 0]
            )

        used = 0

    scores = task.validate(TrueMap())
    assert scores["auc"] == pytest.approx(1.0, abs=0.01) and scores["jacobian"] == 0.5


def test_a_pasted_lesion_changes_the_image_within_its_mask_only(seeded):
    """Within the domain, dark where white matter is the brighter, in most draws; exactly the same outside."""
    image = torch.full((1, 1, 24, 24, 24), 0.5)
    white = torch.zeros((1, 24, 24, 24), dtype=torch.bool)
    white[:, 4:20, 4:20, 4:12] = True
    grey = white.flip(3)
    image[:, 0][white] = 0.8
    domain = white | grey
    darker, count = 0, 8
    for seed in range(count):
        record = draw_pasted_lesion(PastedLesionConfig(), seeded(seed))
        assert isinstance(record, PastedLesionDraw)
        lesion, changed = paste_lesion(image, domain, white, grey, record, 2.0)
        assert changed.any() and not (changed & ~domain).any() and changed.float().mean() < 0.1
        assert torch.equal(lesion[:, 0][~domain], image[:, 0][~domain])
        darker += float((lesion - image)[:, 0][changed].mean()) < 0
    assert darker > count / 2


def test_dimensions_and_features_are_options(synthreg_train, trainings, tmp_path):
    code, output = synthreg_train("topology", "--out", tmp_path, "--feature-model", "", "--dims", 2)
    assert code == 0, output
    task = trainings[-1][0]
    assert isinstance(task, TopologyTask) and task.config.model.dims == 2 and task.config.model.channels == (1,)
    code, output = synthreg_train("topology", "--out", tmp_path, "--feature-model", "no-such-model")
    assert code != 0 and "no-such-model" in output
    if "synthmorph-brains" in available():
        assert synthreg_train("topology", "--out", tmp_path)[0] == 0
        task = trainings[-1][0]
        features = task.describe(torch.rand(1, 1, 24, 20, 16))
        assert features.shape == (1, sum(task.config.model.channels), 12, 10, 8)


def test_pairs_differ_in_shape_and_have_one_contrast(four_heads):
    """Two subjects in one contrast, affinely aligned; lesions may lie in the brain."""
    task = make_task(maps=four_heads)
    inside = task.tissue[0]
    assert inside[VALUES.index(2)] and not inside[VALUES.index(24)] and not inside[VALUES.index(515)]
    assert task.tissue[1][VALUES.index(41)] and task.tissue[2][VALUES.index(3)]
    fixed, moving = task.pair(task.training, torch.Generator().manual_seed(0))
    assert not torch.equal(fixed.labels, moving.labels)
    for value in (2, 4):
        at = VALUES.index(value)
        means = [float(view.image[:, 0][view.labels == at].median()) for view in (fixed, moving)]
        assert abs(means[0] - means[1]) < 0.3


def test_a_training_is_exported(synthreg_train, write_checkpoint, provenance_file, tmp_path):
    for dims in (2, 3):
        task = TopologyTask(TopologyTaskConfig(TopologyConfig.for_channels(5, dims, "some")), None)
        folder = write_checkpoint(f"run-{dims}", task.model)
        arguments = ("--training", folder, "--provenance", provenance_file, "--out", tmp_path / "w")
        code, output = synthreg_train("export-topology", "one", *arguments, "--feature-model", "some")
        assert code == 0, output
        card = read_card("one", tmp_path / "w")
        assert TopologyConfig.from_card(card.architecture) == TopologyConfig.for_channels(5, dims, "some")
