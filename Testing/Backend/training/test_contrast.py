from __future__ import annotations

import dataclasses
import math

import nibabel
import numpy as np
import pytest
import torch

from SlicerSynthReg.contrast.mfm import ContrastConfig, ContrastModel
from SlicerSynthReg.errors import ImageError
from SlicerSynthReg.networks.time_resnet import TimeResNetConfig
from SlicerSynthReg.synthesis.ct.phantom import PhantomConfig
from SlicerSynthReg.training import contrast_command
from SlicerSynthReg.training.contrast import ContrastTask, ContrastTaskConfig
from SlicerSynthReg.training.ct_pairs import (
    PairPool,
    PhantomSlices,
    SliceAugmentationDraw,
    SlicePair,
    augment_slices,
    draw_batch,
    draw_slice_augmentation,
    pair_folders,
    read_pair,
)
from SlicerSynthReg.weights.registry import read_card

TINY = TimeResNetConfig(widths=(8, 16), encoder_blocks=(1, 1), time_channels=16)
SMALL_PHANTOMS = PhantomSlices((6.0, 7.0), (6.0, 9.0), 250.0, 4, PhantomConfig(zoom=(1.0, 1.0), shared_noise=1.0))


def make_pair(value: int, shape: tuple[int, int, int] = (5, 12, 10)) -> SlicePair:
    """Each pixel encodes patient, slice, row and column; the contrast image is 1000 HU higher."""
    k, i, j = torch.meshgrid(*[torch.arange(n) for n in shape], indexing="ij")
    native = (value * 5000 + k * 144 + i * 12 + j).to(torch.int16)
    return SlicePair(native, native + 1000)


def numbers_at(pool: PairPool, step: int) -> list[int]:
    return [int(pair.native[0, 0, 0]) // 5000 for pair in pool.at(step)]


def test_a_pool_replaces_one_pair_at_a_time_and_depends_on_the_step_only():
    made: list[int] = []

    def make(n: int) -> SlicePair:
        made.append(n)
        return make_pair(n % 6)

    pool = PairPool(make, size=3, reuse=4)
    seen = [numbers_at(pool, step) for step in range(12)]
    assert seen[:4] == [[0, 1, 2]] * 4 and seen[4:8] == [[1, 2, 3]] * 4 and seen[8] == [2, 3, 4]
    assert made == [0, 1, 2, 3, 4]
    assert numbers_at(PairPool(make, size=3, reuse=4), 9) == seen[9]


def test_each_pass_visits_all_pairs_in_a_new_order():
    pool = PairPool(make_pair, range(5), size=1, reuse=1)
    turns = [[numbers_at(pool, turn * 5 + n)[0] for n in range(5)] for turn in range(4)]
    assert all(sorted(turn) == [0, 1, 2, 3, 4] for turn in turns) and len({tuple(turn) for turn in turns}) > 1


def test_crops_are_of_one_position_in_both_images_with_adjacent_slices(seeded):
    batch = draw_batch([make_pair(0), make_pair(1)], 40, 8, 1, seeded(0))
    assert batch.native.shape == batch.contrast.shape == (40, 3, 8, 8)
    assert torch.equal(batch.contrast, batch.native + 1000)
    assert set(batch.native.diff(dim=2).flatten().tolist()) == {12.0}
    steps = {tuple(one.tolist()) for one in batch.native[:, :, 0, 0].diff(dim=1)}
    assert steps == {(144.0, 144.0), (0.0, 144.0), (144.0, 0.0)}
    corners = {int(one) % 144 for one in batch.native[:, 1, 0, 0] - 5000 * (batch.native[:, 1, 0, 0] >= 5000)}
    assert corners <= {i * 12 + j for i in range(5) for j in range(3)} and len(corners) > 8


def test_a_small_slice_is_surrounded_by_air(seeded):
    batch = draw_batch([make_pair(0)], 5, 16, 0, seeded(1))
    inside = batch.native >= 0
    assert (inside.sum((1, 2, 3)) == 120).all() and (batch.native[~inside] == -1000).all()


def test_the_loss_depends_on_the_step_number_only():
    torch.manual_seed(0)
    task = ContrastTask(
        ContrastTaskConfig(ContrastConfig("flow", TINY, 1), 2, 32, True), PairPool(SMALL_PHANTOMS.make, size=2), []
    )
    one, again, other = (float(task.loss(step)["loss"].detach()) for step in (3, 3, 30))
    assert one == again != other


def test_training_lowers_the_loss_and_validation_starts_at_the_unchanged_image():
    """An untrained network changes nothing: its error is the contrast enhancement."""
    torch.manual_seed(0)
    validation = [SMALL_PHANTOMS.make(1_000_000)]
    model = ContrastConfig("flow", dataclasses.replace(TINY, widths=(16, 16)), 0)
    task = ContrastTask(ContrastTaskConfig(model, 4, 32), PairPool(SMALL_PHANTOMS.make, size=2, reuse=100), validation)
    unchanged = task.validate(task.model.eval())
    truth = validation[0].contrast.float() - validation[0].native.float()
    assert unchanged["mae_hu_to_native"] == pytest.approx(float(truth.abs().mean()), rel=1e-3)
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
    measures = {f"{name}_to_{to}" for name in ("mae_hu", "ssim", "through_plane_hu") for to in ("native", "arterial")}
    assert set(trained) == measures | {"score"}
    assert trained["score"] == -(trained["mae_hu_to_native"] + trained["mae_hu_to_arterial"]) / 2


def test_each_folder_of_a_patient_is_a_pair(tmp_path):
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
    with pytest.raises(ImageError) as refused:
        pair_folders(tmp_path)
    assert refused.value.code == "pairs-missing"


def test_flips_and_rotations_by_90_degrees_keep_all_values():
    x = torch.arange(16.0).view(1, 4, 4)
    assert torch.equal(augment_slices(x, SliceAugmentationDraw((True, False), 0, None), 0), x.flip(1))
    assert torch.equal(augment_slices(x, SliceAugmentationDraw((False, False), 1, None), 0), torch.rot90(x, 1, (1, 2)))


def test_an_affine_map_shifts_by_a_fraction_of_the_side_and_fills_with_air():
    x = torch.zeros(1, 20, 20)
    x[0, 10, 10] = 100
    right = augment_slices(x, SliceAugmentationDraw((False, False), 0, ((1.0, 0.0, 0.4), (0.0, 1.0, 0.0))), -1000)
    assert float(right[0, 10, 6]) == pytest.approx(100, abs=0.01) and float(right[0, 10, 10]) == pytest.approx(
        0, abs=0.01
    )
    assert torch.allclose(right[0, :, 16:], torch.tensor(-1000.0))


def test_augmentations_stay_within_the_papers_bounds(seeded):
    draws = [draw_slice_augmentation(seeded(n)) for n in range(300)]
    maps = [one.matrix for one in draws if one.matrix]
    assert 0.6 < len(maps) / 300 < 0.8
    assert 0.4 < sum(one.flips[0] for one in draws) / 300 < 0.6
    assert {one.rotations for one in draws} == {0, 1, 2, 3}
    angles = [math.degrees(math.atan2(m[1][0], m[0][0])) for m in maps]
    assert max(map(abs, angles)) <= 45 and max(map(abs, angles)) > 40
    assert all(math.isclose(m[0][0] * m[1][1] - m[0][1] * m[1][0], 1, rel_tol=1e-9) for m in maps)  # area is kept
    assert max(abs(m[n][2]) for m in maps for n in (0, 1)) <= 0.4


def test_pairs_are_downsampled_to_the_requested_pixel_size(tmp_path):
    affine = np.diag([-1.0, -0.5, 5.0, 1.0])
    image = np.arange(8 * 8 * 2, dtype=np.float32).reshape(8, 8, 2)
    for name in ("native", "contrast"):
        nibabel.save(nibabel.Nifti1Image(image, affine), tmp_path / f"{name}.nii.gz")
    fine, coarse = read_pair(tmp_path, 0.4), read_pair(tmp_path, 1.0)
    assert fine.native.shape == (2, 8, 8) and coarse.native.shape == (2, 8, 4)
    assert torch.equal(coarse.native.float(), fine.native.float().view(2, 8, 4, 2).mean(3).round())


def test_an_exported_training_is_a_pretrained_model(
    synthreg_train, trainings, write_checkpoint, provenance_file, tmp_path, monkeypatch
):
    """The exported weights are the best of the training, and the start of one with --pretrained-model."""
    monkeypatch.setitem(contrast_command.SLICE_NETWORKS, "tiny", TINY)
    torch.manual_seed(4)
    model = ContrastModel(ContrastConfig("flow", TINY, 1))
    weights = tmp_path / "weights"
    arguments = ("--training", write_checkpoint("run", model), "--provenance", provenance_file, "--out", weights)
    code, output = synthreg_train("export-contrast", "mfm-tiny", *arguments, "--network", "umamba")
    assert code == 2 and "weights of another network" in output
    assert synthreg_train("export-contrast", "mfm-tiny", *arguments, "--network", "tiny")[0] == 0
    card = read_card("mfm-tiny", weights)
    assert card.method == contrast_command.METHOD and card.synthetic_training_only and card.spacing_mm == 2.0
    monkeypatch.setenv("SYNTHREG_WEIGHTS", str(weights))
    monkeypatch.setattr(contrast_command, "PhantomSlices", lambda **options: SMALL_PHANTOMS)
    arguments = ("--out", tmp_path / "next", "--pretrained-model", "mfm-tiny", "--validation-cases", 1)
    code, output = synthreg_train("contrast", *arguments)
    assert code == 0, output
    initial = trainings[0][0].model.state_dict()
    assert all(torch.equal(initial[name], value.half().float()) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("--network", "vit"), "Found network 'vit', expected one of timeresnet"),
        (("--method", "gan"), "'gan', expected one of flow"),
        (("--target-phase", "venous"), "'venous', expected one of native"),
        (("--pretrained-model", "nothing"), "Found no model named 'nothing'"),
        (("--pairs", "."), "Found no pairs in"),
    ],
)
def test_invalid_options_are_usage_errors(synthreg_train, trainings, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, output = synthreg_train("contrast", "--out", tmp_path / "r", *arguments)
    assert code == 2 and message in output and trainings == []
