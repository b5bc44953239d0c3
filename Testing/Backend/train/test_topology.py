from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from SlicerSynthReg.methods.topology.model import Explained, TopologyConfig, halved
from SlicerSynthReg.space.grid import index_lattice
from SlicerSynthReg.synth.pathology.pasted import PastedConfig, PastedDraw, draw_pasted, paste
from SlicerSynthReg.train.loop import LoopConfig, Task
from SlicerSynthReg.train.topology import TopologyTask, TopologyTaskConfig
from SlicerSynthReg.weights.registry import available, read_card

from .conftest import SMALL_PAIRS, VALUES
from .test_any_features import a_provenance  # noqa: F401
from .test_command import a_folder_of_maps, asked, trained  # noqa: F401


def a_task(dims: int = 3, maps=None) -> TopologyTask:
    torch.manual_seed(0)
    model = replace(TopologyConfig.comparing(1, dims), widths=(4, 8, 8))
    return TopologyTask(TopologyTaskConfig(model, replace(SMALL_PAIRS, shape=(24, 24, 24)), slices=3, unseen=3), maps)


@pytest.mark.parametrize("dims", [2, 3])
def test_a_few_steps_lower_the_bound(dims):
    task = a_task(dims)
    optimizer = torch.optim.Adam(task.model.parameters(), lr=5e-3)
    losses = []
    for _ in range(12):
        loss = task.loss(1)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] - 0.2


def test_a_step_depends_on_its_number_only():
    losses = [float(a_task().loss(step)["loss"].detach()) for step in (3, 3, 4)]
    assert losses[0] == losses[1] != losses[2]


def test_slices_are_those_of_the_volume():
    task = a_task(2)
    image = index_lattice((8, 6, 20))[2][None, None]
    seen = task._seen(image)
    assert seen.shape == (3, 1, 8, 6) and seen[:, 0, 0, 0].tolist() == [6, 10, 14]


@pytest.mark.parametrize("dims", [2, 3])
def test_validation_is_right_for_one_who_knows_and_one_who_does_not(dims, monkeypatch):
    task = a_task(dims)
    truth = []

    def told(*given):
        sick, changed = paste(*given)
        truth.append(changed)
        return sick, changed

    monkeypatch.setattr("SlicerSynthReg.train.topology.paste", told)

    class Knowing:
        def explain_both(self, i, j, describe):
            u = torch.zeros((len(i), dims, *(n // 2 for n in i.shape[2:])))
            if not truth or self.asked == len(truth):
                return Explained(u, u[:, 0], u[:, 0])
            self.asked = len(truth)
            return Explained(u, halved(task._seen(truth[-1][:, None].float()))[:, 0], u[:, 0])

        asked = 0

    scores = task.validate(Knowing())
    assert scores["auc"] == pytest.approx(1.0, abs=0.01) and scores["jacobian"] == 0.5


def test_an_anomaly_changes_the_image_where_it_lies_and_nowhere_else(seeded):
    """Within the domain, dark where white matter is the brighter, in most draws; exactly the same outside."""
    image = torch.full((1, 1, 24, 24, 24), 0.5)
    white = torch.zeros((1, 24, 24, 24), dtype=torch.bool)
    white[:, 4:20, 4:20, 4:12] = True
    grey = white.flip(3)
    image[:, 0][white] = 0.8
    domain = white | grey
    darker, count = 0, 8
    for seed in range(count):
        record = draw_pasted(PastedConfig(), seeded(seed))
        assert isinstance(record, PastedDraw)
        sick, changed = paste(image, domain, white, grey, record, 2.0)
        assert changed.any() and not (changed & ~domain).any() and changed.float().mean() < 0.1
        assert torch.equal(sick[:, 0][~domain], image[:, 0][~domain])
        darker += float((sick - image)[:, 0][changed].mean()) < 0
    assert darker > count / 2


def test_both_dimensions_and_both_descriptions_are_options(trained: list[tuple[Task, LoopConfig]], tmp_path):  # noqa: F811
    code, said = asked("topology", "--out", tmp_path, "--features", "", "--dims", 2)
    assert code == 0, said
    task = trained[-1][0]
    assert isinstance(task, TopologyTask) and task.config.model.dims == 2 and task.config.model.channels == (1,)
    code, said = asked("topology", "--out", tmp_path, "--features", "no-such-model")
    assert code != 0 and "no-such-model" in said
    if "synthmorph-brains" in available():
        assert asked("topology", "--out", tmp_path)[0] == 0
        task = trained[-1][0]
        seen = task.describe(torch.rand(1, 1, 24, 20, 16))
        assert seen.shape == (1, sum(task.config.model.channels), 12, 10, 8)


def test_people_differ_in_shape_and_look_alike(four_heads):
    """Two people in one contrast, placed alike; where anomalies may lie is the brain."""
    task = a_task(maps=four_heads)
    inside = task.tissue[0]
    assert inside[VALUES.index(2)] and not inside[VALUES.index(24)] and not inside[VALUES.index(515)]
    assert task.tissue[1][VALUES.index(41)] and task.tissue[2][VALUES.index(3)]
    fixed, moving = task._pair(task.people, torch.Generator().manual_seed(0))
    assert not torch.equal(fixed.labels, moving.labels)
    for value in (2, 4):
        at = VALUES.index(value)
        means = [float(view.image[:, 0][view.labels == at].median()) for view in (fixed, moving)]
        assert abs(means[0] - means[1]) < 0.3


def test_a_training_ships(tmp_path, a_provenance):  # noqa: F811
    for dims in (2, 3):
        task = TopologyTask(TopologyTaskConfig(TopologyConfig.comparing(5, dims, "some")), None)
        torch.save({"model": task.model.state_dict(), "step": 1, "scores": {}}, tmp_path / "best.pt")
        words = ("--training", tmp_path, "--provenance", a_provenance, "--to", tmp_path / "w", "--features", "some")
        code, said = asked("ship-topology", "one", *words)
        assert code == 0, said
        card = read_card("one", tmp_path / "w")
        assert TopologyConfig.from_card(card.architecture) == TopologyConfig.comparing(5, dims, "some")
