"""Healthy reconstruction: UNA's table on synthetic lesions, its ablations and baselines, and four real cases.

    python Testing/Benchmarks/healthy.py --labels LABEL_MAPS --lesions MASKS --model full=RUN --model no-lesions=RUN2 \\
        --samples 8 --vae vae.pt --json healthy.json
    python Testing/Benchmarks/healthy.py --real --model full=una-brains --json real.json

The JSON keeps every sample's scores: the same command resumes an interrupted run, or adds a model. --vae FILE is
trained for --vae-minutes of processor time if it does not exist.

--model NAME=FOLDER is a training folder, or the name of an installed model. The subjects and masks are the trainings'
validation cases. The intensities of baselines that cannot change contrast (no-op, mirrored copy, harmonic inpainting,
VAE) are mapped to T1 by the best function of intensity, estimated from the truth in normal tissue; inpainting gets the
lesion mask. Real cases come from `../shared` (SYNTHREG_SHARED); without it they are skipped with a message.
"""

from __future__ import annotations

import argparse
import json
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from healthy_real import real_cases
from healthy_scores import detection, image_scores, map_to_t1, regions
from healthy_threshold import Evidence, evidence, thresholds
from peers.vae import VAE, load_vae, train_vae

from SlicerSynthReg.healthy.anomaly_map import normalised_difference
from SlicerSynthReg.healthy.una import UNA
from SlicerSynthReg.spatial.laplace import laplace_inpaint
from SlicerSynthReg.synthesis.lesion_head import UNASample, draw_una_sample, make_una_sample
from SlicerSynthReg.training.healthy import VALIDATION_MODALITIES, HealthyTaskConfig, HealthyTrainingData
from SlicerSynthReg.training.healthy_command import load_best_una
from SlicerSynthReg.training.healthy_data import read_training_data
from SlicerSynthReg.weights.registry import read_card

Scores = dict[str, float]
Samples = dict[str, dict[str, Scores]]
"""Modality and number of a sample -> method -> its scores."""
SIMPLE = ("no-op", "mirrored", "in-painting")
MIN_LESION_VOXELS = 30
"""Samples with a smaller lesion in the brain are skipped."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--lesions", type=Path)
    parser.add_argument("--held-out", type=int, default=2)
    parser.add_argument("--cache", type=Path, help="the training's, for a start in seconds")
    parser.add_argument("--model", action="append", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--samples", type=int, default=8, help="of each modality")
    parser.add_argument(
        "--threshold", type=int, default=0, help="subjects of each modality and kind that it is fitted on"
    )
    parser.add_argument("--crop", type=int, nargs=3, default=(72, 88, 72))
    parser.add_argument("--vae", type=Path, help="file of the VAE's weights; without it the VAE is left out")
    parser.add_argument("--vae-minutes", type=float, default=5.0)
    parser.add_argument("--real", action="store_true", help="the real cases")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    models = {name: loaded(where) for name, where in (text.split("=", 1) for text in arguments.model)}
    results: dict[str, Any] = json.loads(arguments.json.read_text(encoding="utf-8")) if arguments.json.exists() else {}

    def keep(name: str, value: Any) -> None:
        results[name] = value
        arguments.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")

    config, vae = HealthyTaskConfig(crop=tuple(arguments.crop)), None
    if arguments.vae and arguments.vae.exists():
        vae = load_vae(arguments.vae)
    if arguments.labels:
        held_out, count = arguments.held_out, config.samples
        data = read_training_data(arguments.labels, arguments.lesions, held_out, count, arguments.cache)
        if arguments.vae and vae is None:
            vae = train_vae(lambda step: healthy_image(data, config, step), arguments.vae_minutes)
            torch.save(vae.state_dict(), arguments.vae)
        samples: Samples = results.get("samples", {})
        with torch.inference_mode():
            for name, scores in pasted(data, config, models, vae, arguments.samples, samples):
                samples.setdefault(name, {}).update(scores)
                keep("samples", samples)
            if arguments.threshold:
                count = arguments.threshold
                keep("threshold", {name: threshold(data, config, one, count) for name, one in models.items()})
        keep("pasted", table(samples))
    if arguments.real:
        shared = Path(os.environ.get("SYNTHREG_SHARED", Path(__file__).resolve().parents[3] / "shared")) / "data"
        if shared.is_dir():
            with torch.inference_mode():
                keep("real", real_cases(shared, models, vae))
        else:
            print(f"The real cases are left out: no folder {shared.name} beside the repository.")
    print(json.dumps({name: value for name, value in results.items() if name != "samples"}, indent=2))


def loaded(where: str) -> UNA:
    """Return the best network of a training folder, or an installed model."""
    return load_best_una(Path(where)) if Path(where).is_dir() else UNA.load(read_card(where))


def sample_of(
    data: HealthyTrainingData, config: HealthyTaskConfig, seed: int, modality: str, lesion: float
) -> UNASample:
    """Return a validation subject with a validation lesion, without deformation or artefacts, as in the paper."""
    samples = config.samples
    samples = replace(
        samples,
        lesion_probability=lesion,
        second_lesion_probability=0.0,
        affine_mirror_probability=0.0,
        mirror_error_vox=0.0,
        reach_mm=(0.0, 0.0, 0.0),
        anomaly=replace(samples.anomaly, mask_probability=1.0),
        appearance=replace(samples.appearance, void_probability=0.0),
        deform=replace(samples.deform, velocity_sd=0.0, rotation_degrees=0.0, scale=0.0, shear=0.0, zoom=(2.0, 2.0)),
        artefacts=replace(samples.artefacts, thick_slices=0.0, crop=0.0),
    )
    generator = torch.Generator().manual_seed(seed)
    subject = data.validation[seed % len(data.validation)]
    record = draw_una_sample(samples, data.labelling, generator, modality)
    return make_una_sample(subject, record, data.labelling, samples, config.crop, data.validation_masks)


def healthy_image(data: HealthyTrainingData, config: HealthyTaskConfig, step: int) -> torch.Tensor:
    """Return a training image of the VAE: a healthy training subject in any modality."""
    generator = torch.Generator().manual_seed(step)
    subject = data.training[step % len(data.training)]
    record = draw_una_sample(replace(config.samples, lesion_probability=0.0), data.labelling, generator)
    return make_una_sample(subject, record, data.labelling, config.samples, (64, 64, 64)).image


def pasted(
    data: HealthyTrainingData,
    config: HealthyTaskConfig,
    models: dict[str, UNA],
    vae: VAE | None,
    samples: int,
    known: Samples,
) -> Iterator[tuple[str, dict[str, Scores]]]:
    """Yield each sample with the scores of the methods that `known` lacks."""
    for number in range(samples):
        for modality in VALIDATION_MODALITIES:
            name = f"{modality} {number}"
            wanted = {*models, *SIMPLE, *(("VAE",) if vae else ())} - known.get(name, {}).keys()
            if not wanted:
                continue
            sample = sample_of(data, config, 20_000_000 + number, modality, 1.0)
            image, other, truth = (v[0, 0] for v in (sample.image, sample.mirrored, sample.target))
            brain, lesion = sample.brain[0, 0] > 0.5, sample.anomaly[0, 0] > 0.5
            if int((lesion & brain).sum()) < MIN_LESION_VOXELS:
                continue
            where, normal = regions(brain, lesion), brain & ~lesion
            copied = torch.where(lesion, other, image)
            images = {"no-op": image, "mirrored": copied, "in-painting": laplace_inpaint(image, lesion)}
            differences = {"mirrored": (image - other).abs()}
            if vae is not None and "VAE" in wanted:
                images["VAE"] = vae.reconstruct(sample.image)[0, 0]
                differences["VAE"] = (image - images["VAE"]).abs()
            scores = {
                one: image_scores(map_to_t1(images[one], truth, normal), truth, where)
                for one in images
                if one in wanted
            }
            for one in wanted & differences.keys():
                scores[one] |= detection(differences[one], lesion, brain)
            for one in wanted & models.keys():
                output = models[one](sample.image, sample.mirrored)
                t1 = output.t1[0, 0].clamp_min(0)
                difference = normalised_difference(t1, image, brain)
                probability = torch.sigmoid(output.anomaly_logit[0, 0])
                scores[one] = image_scores(t1, truth, where) | detection(difference * probability, lesion, brain)
                for part, values in (("difference", difference), ("learned", probability)):
                    scores[one] |= {f"{key}, {part}": score for key, score in detection(values, lesion, brain).items()}
            yield name, scores


def threshold(
    data: HealthyTrainingData, config: HealthyTaskConfig, model: UNA, samples: int
) -> list[dict[str, object]]:
    """Return the thresholds of the evidence, fitted on other subjects than those of the table."""

    def subjects(lesion: float) -> dict[str, list[Evidence]]:
        first = 30_000_000 + round(lesion) * 10_000_000
        return {
            modality: [
                evidence(model, sample_of(data, config, first + number, modality, lesion)) for number in range(samples)
            ]
            for modality in VALIDATION_MODALITIES
        }

    return thresholds(subjects(0.0), subjects(1.0), config.samples.spacing**3 / 1000)


def table(samples: Samples) -> dict[str, dict[str, Scores]]:
    """Return modality -> method -> mean scores."""
    rows: dict[tuple[str, str], list[Scores]] = defaultdict(list)
    for name, methods in samples.items():
        for method, scores in methods.items():
            rows[name.split()[0], method].append(scores)
    means: dict[str, dict[str, Scores]] = {}
    for (modality, method), scores in rows.items():
        names = list(dict.fromkeys(name for one in scores for name in one))
        means.setdefault(modality, {})[method] = {
            "samples": len(scores),
            **{name: round(mean(one[name] for one in scores if name in one), 4) for name in names},
        }
    return means


if __name__ == "__main__":
    main()
