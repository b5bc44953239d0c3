from __future__ import annotations

import dataclasses
import json
import math

import nibabel
import numpy as np
import pytest
import torch

from SlicerSynthReg.methods.mfm.model import ContrastConfig
from SlicerSynthReg.nets.time_resnet import TimeResNetConfig
from SlicerSynthReg.synth.ct.phantom import PhantomConfig
from SlicerSynthReg.train.augment_slices import SliceAugmentDraw, augmented, draw_slice_augment
from SlicerSynthReg.train.contrast import ContrastTask, ContrastTaskConfig
from SlicerSynthReg.train.ct_pairs import (
    PairPool,
    PhantomSlices,
    SlicePair,
    draw_batch,
    pair_folders,
    read_pair,
)
from SlicerSynthReg.volume.volume import VolumeError

TINY = TimeResNetConfig(widths=(8, 16), down=(1, 1), time=16)
SMALL_PHANTOMS = PhantomSlices((6.0, 7.0), (6.0, 9.0), 250.0, 4, PhantomConfig(zoom=(1.0, 1.0), shared_noise=1.0))


def a_pair(value: int, shape: tuple[int, int, int] = (5, 12, 10)) -> SlicePair:
    """Each pixel tells its patient, slice, row and column; contrast is 1000 more."""
    k, i, j = torch.meshgrid(*[torch.arange(n) for n in shape], indexing="ij")
    native = (value * 5000 + k * 144 + i * 12 + j).to(torch.int16)
    return SlicePair(native, native + 1000)


def numbers_at(pool: PairPool, step: int) -> list[int]:
    return [int(pair.native[0, 0, 0]) // 5000 for pair in pool.at(step)]


def test_a_pool_changes_one_pair_at_a_time_and_forgets_nothing_on_resuming():
    made: list[int] = []

    def make(n: int) -> SlicePair:
        made.append(n)
        return a_pair(n % 6)

    pool = PairPool(make, size=3, reuse=4)
    seen = [numbers_at(pool, step) for step in range(12)]
    assert seen[:4] == [[0, 1, 2]] * 4 and seen[4:8] == [[1, 2, 3]] * 4 and seen[8] == [2, 3, 4]
    assert made == [0, 1, 2, 3, 4]
    assert numbers_at(PairPool(make, size=3, reuse=4), 9) == seen[9]


def test_a_folder_is_gone_through_whole_in_a_new_order_each_time():
    pool = PairPool(a_pair, range(5), size=1, reuse=1)
    turns = [[numbers_at(pool, turn * 5 + n)[0] for n in range(5)] for turn in range(4)]
    assert all(sorted(turn) == [0, 1, 2, 3, 4] for turn in turns) and len({tuple(turn) for turn in turns}) > 1


def test_windows_hold_both_images_of_one_place_with_the_slices_beside_it(seeded):
    batch = draw_batch([a_pair(0), a_pair(1)], 40, 8, 1, seeded(0))
    assert batch.native.shape == batch.contrast.shape == (40, 3, 8, 8)
    assert torch.equal(batch.contrast, batch.native + 1000)
    assert set(batch.native.diff(dim=2).flatten().tolist()) == {12.0}
    steps = {tuple(one.tolist()) for one in batch.native[:, :, 0, 0].diff(dim=1)}
    assert steps == {(144.0, 144.0), (0.0, 144.0), (144.0, 0.0)}
    corners = {int(one) % 144 for one in batch.native[:, 1, 0, 0] - 5000 * (batch.native[:, 1, 0, 0] >= 5000)}
    assert corners <= {i * 12 + j for i in range(5) for j in range(3)} and len(corners) > 8


def test_a_small_slice_lies_in_air(seeded):
    batch = draw_batch([a_pair(0)], 5, 16, 0, seeded(1))
    inside = batch.native >= 0
    assert (inside.sum((1, 2, 3)) == 120).all() and (batch.native[~inside] == -1000).all()


def test_the_same_step_draws_the_same_loss_and_another_step_another():
    torch.manual_seed(0)
    task = ContrastTask(
        ContrastTaskConfig(ContrastConfig("flow", TINY, 1), 2, 32, True), PairPool(SMALL_PHANTOMS.make, size=2), []
    )
    one, again, other = (float(task.loss(step)["loss"].detach()) for step in (3, 3, 30))
    assert one == again != other


def test_a_minute_of_training_beats_the_untouched_image():
    """Whatever the phantom, an untrained network changes nothing: its error is the iodine."""
    torch.manual_seed(0)
    held_out = [SMALL_PHANTOMS.make(1_000_000)]
    model = ContrastConfig("flow", dataclasses.replace(TINY, widths=(16, 16)), 0)
    task = ContrastTask(ContrastTaskConfig(model, 4, 32), PairPool(SMALL_PHANTOMS.make, size=2, reuse=100), held_out)
    untouched = task.validate(task.model.eval())
    truth = held_out[0].contrast.float() - held_out[0].native.float()
    assert untouched["mae_hu_to_native"] == pytest.approx(float(truth.abs().mean()), rel=1e-3)
    optimizer = torch.optim.Adam(task.model.parameters(), 3e-3)
    losses = []
    for step in range(40):
        loss = task.loss(step)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert sum(losses[-10:]) < 0.9 * sum(losses[:10])
    with torch.no_grad():
        trained = task.validate(task.model.eval())
    measures = {f"{name}_to_{to}" for name in ("mae_hu", "ssim", "through_hu") for to in ("native", "contrast")}
    assert set(trained) == measures | {"score"}
    assert trained["score"] == -(trained["mae_hu_to_native"] + trained["mae_hu_to_contrast"]) / 2


def test_pairs_are_read_from_a_folder_each_to_a_patient(tmp_path):
    truth = np.random.default_rng(0).normal(0, 100, (6, 7, 4)).round().astype(np.float32)
    affine = np.diag([-2.0, -2.0, 5.0, 1.0])
    for n, patient in enumerate(("a", "b")):
        (tmp_path / patient).mkdir()
        for name, add in (("native", 0), ("contrast", 50)):
            nibabel.save(nibabel.Nifti1Image(truth + add + n, affine), tmp_path / patient / f"{name}.nii.gz")
    nibabel.save(nibabel.Nifti1Image((truth > 0).astype(np.uint8), affine), tmp_path / "b" / "labels.nii.gz")
    (tmp_path / "notes").mkdir()
    folders = pair_folders(tmp_path)
    assert [folder.name for folder in folders] == ["a", "b"]
    pair = read_pair(folders[1])
    assert torch.equal(pair.native.float(), torch.from_numpy(truth[::-1, ::-1].copy()).permute(2, 0, 1) + 1)
    assert torch.equal(pair.contrast, pair.native + 50)
    assert torch.equal(pair.labels != 0, pair.native > 1) and read_pair(folders[0]).labels is None


def test_a_folder_without_pairs_is_refused(tmp_path):
    with pytest.raises(VolumeError, match="Found no pairs in .* expected a folder for each patient"):
        pair_folders(tmp_path)


def test_flips_and_quarter_turns_move_pixels_and_change_no_value():
    x = torch.arange(16.0).view(1, 4, 4)
    assert torch.equal(augmented(x, SliceAugmentDraw((True, False), 0, None), 0), x.flip(1))
    assert torch.equal(augmented(x, SliceAugmentDraw((False, False), 1, None), 0), torch.rot90(x, 1, (1, 2)))


def test_an_affine_map_moves_by_its_share_of_the_side_and_lets_air_in():
    x = torch.zeros(1, 20, 20)
    x[0, 10, 10] = 100
    right = augmented(x, SliceAugmentDraw((False, False), 0, ((1.0, 0.0, 0.4), (0.0, 1.0, 0.0))), -1000)
    assert float(right[0, 10, 6]) == pytest.approx(100, abs=0.01) and float(right[0, 10, 10]) == pytest.approx(
        0, abs=0.01
    )
    assert torch.allclose(right[0, :, 16:], torch.tensor(-1000.0))


def test_augmentations_stay_within_the_papers_bounds(seeded):
    draws = [draw_slice_augment(seeded(n)) for n in range(300)]
    maps = [one.matrix for one in draws if one.matrix]
    assert 0.6 < len(maps) / 300 < 0.8
    assert 0.4 < sum(one.flips[0] for one in draws) / 300 < 0.6
    assert {one.quarters for one in draws} == {0, 1, 2, 3}
    turns = [math.degrees(math.atan2(m[1][0], m[0][0])) for m in maps]
    assert max(map(abs, turns)) <= 45 and max(map(abs, turns)) > 40
    assert all(math.isclose(m[0][0] * m[1][1] - m[0][1] * m[1][0], 1, rel_tol=1e-9) for m in maps)  # no change of area
    assert max(abs(m[n][2]) for m in maps for n in (0, 1)) <= 0.4


def test_pairs_are_averaged_down_to_the_pixels_asked_for(tmp_path):
    affine = np.diag([-1.0, -0.5, 5.0, 1.0])
    image = np.arange(8 * 8 * 2, dtype=np.float32).reshape(8, 8, 2)
    for name in ("native", "contrast"):
        nibabel.save(nibabel.Nifti1Image(image, affine), tmp_path / f"{name}.nii.gz")
    fine, coarse = read_pair(tmp_path, 0.4), read_pair(tmp_path, 1.0)
    assert fine.native.shape == (2, 8, 8) and coarse.native.shape == (2, 8, 4)
    assert torch.equal(coarse.native.float(), fine.native.float().view(2, 8, 4, 2).mean(3).round())


def test_a_training_is_shipped_and_starts_the_next(tmp_path, monkeypatch):
    """The weights that a training found best come out of the card, and are what a training with --start begins at."""
    from typer.testing import CliRunner

    from SlicerSynthReg.methods.mfm.model import ContrastModel
    from SlicerSynthReg.train import mfm, training
    from SlicerSynthReg.train.training import app
    from SlicerSynthReg.weights.registry import read_card

    monkeypatch.setitem(mfm.NETWORKS, "tiny", TINY)
    torch.manual_seed(4)
    best = ContrastModel(ContrastConfig("flow", TINY, 1))
    torch.save({"model": {k: v.half().float() for k, v in best.state_dict().items()}}, tmp_path / "best.pt")
    said = dict.fromkeys(("training_data", "intended_use", "limits", "modalities", "trained_with"), "so")
    (tmp_path / "said.json").write_text(json.dumps({**said, "spacing_mm": 1.5}))
    shipping = ["ship-contrast", "mfm-tiny", "--training", tmp_path, "--provenance", tmp_path / "said.json"]
    weights = ["--to-folder", tmp_path / "weights", "--network"]
    wrong = CliRunner().invoke(app, [str(word) for word in (*shipping, *weights, "umamba")])
    assert wrong.exit_code == 2 and "weights of another network" in " ".join(wrong.output.split())
    assert CliRunner().invoke(app, [str(word) for word in (*shipping, *weights, "tiny")]).exit_code == 0
    card = read_card("mfm-tiny", tmp_path / "weights")
    assert card.method == mfm.METHOD and card.synthetic_training_only and card.spacing_mm == 1.5
    monkeypatch.setenv("SYNTHREG_WEIGHTS", str(tmp_path / "weights"))
    given: list[ContrastTask] = []
    monkeypatch.setattr(training, "train", lambda task, config, say: given.append(task) or tmp_path / "best.pt")
    monkeypatch.setattr(training, "plot_training", lambda folder: folder)
    monkeypatch.setattr(mfm, "PhantomSlices", lambda **asked: SMALL_PHANTOMS)
    begun = CliRunner().invoke(
        app, ["contrast", "--out", str(tmp_path / "next"), "--start", "mfm-tiny", "--held-out", "1"]
    )
    assert begun.exit_code == 0, begun.output
    expected, found = best.state_dict(), given[0].model.state_dict()
    assert all(torch.equal(found[name], value.half().float()) for name, value in expected.items())


@pytest.mark.parametrize(
    "words, message",
    [
        (["--network", "vit"], "Found network 'vit', expected one of timeresnet"),
        (["--method", "gan"], "Found the method 'gan', expected one of flow"),
        (["--to", "venous"], "Found the direction 'venous'"),
        (["--start", "nothing"], "Found no model named 'nothing'"),
        (["--pairs", "."], "Found no pairs in"),
    ],
)
def test_options_that_cannot_be_are_refused(tmp_path, monkeypatch, words, message):
    from typer.testing import CliRunner

    from SlicerSynthReg.train import mfm  # noqa: F401  registers the command
    from SlicerSynthReg.train.training import app

    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["contrast", "--out", str(tmp_path / "run"), *words], env={"COLUMNS": "200"})
    assert result.exit_code == 2 and message in " ".join(result.output.split())
