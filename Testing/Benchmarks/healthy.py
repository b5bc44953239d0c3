"""The healthy brain behind a scan: UNA's table on pasted lesions, its ablations and baselines, and three real cases.

    python Testing/Benchmarks/healthy.py --labels LABEL_MAPS --lesions MASKS --model full=RUN --model no-fluid=RUN2 \\
        --samples 8 --vae vae.pt --json healthy.json
    python Testing/Benchmarks/healthy.py --real --model full=una-brains --json real.json

The JSON keeps every sample's scores: the same command goes on where it stopped, and measures a further model alone.
--vae FILE is trained for --vae-minutes of the processor where it is not there yet.

--model NAME=FOLDER is a training's folder, or the name of an installed model. The people and masks are those that the
trainings left out. Baselines that cannot change contrast (no-op, mirrored copy, linear in-painting, VAE) are helped:
their intensities are brought to T1 by the best function of intensity, read from the truth where it is healthy; and
in-painting is told where the lesion is. Real cases come from `../shared` (SYNTHREG_SHARED); without it they are left
out, and that is said.
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
from healthy_scores import detection, in_t1, likeness, regions
from healthy_threshold import Found, evidence, thresholds
from peers.vae import VAE, load_vae, train_vae

from SlicerSynthReg.methods.una.difference import difference
from SlicerSynthReg.methods.una.model import UNA
from SlicerSynthReg.space.harmonic import harmonic
from SlicerSynthReg.synth.healthy import HealthySample, draw_healthy, make_healthy
from SlicerSynthReg.train.healthy import people_of, trained
from SlicerSynthReg.train.healthy_task import JUDGED, HealthyTaskConfig, People
from SlicerSynthReg.weights.registry import read_card

Scores = dict[str, float]
Samples = dict[str, dict[str, Scores]]
"""Modality and number of a sample -> method -> its scores."""
SIMPLE = ("no-op", "mirrored", "in-painting")
LEAST_VOXELS = 30
"""Of a lesion in the brain; samples with less are passed over."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--lesions", type=Path)
    parser.add_argument("--held-out", type=int, default=2)
    parser.add_argument("--cache", type=Path, help="the training's, for a start in seconds")
    parser.add_argument("--model", action="append", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--samples", type=int, default=8, help="of each modality")
    parser.add_argument("--threshold", type=int, default=0, help="people of each modality and kind, to set it by")
    parser.add_argument("--crop", type=int, nargs=3, default=(72, 88, 72))
    parser.add_argument("--vae", type=Path, help="file of the VAE's weights; without it the VAE is left out")
    parser.add_argument("--vae-minutes", type=float, default=5.0)
    parser.add_argument("--real", action="store_true", help="the real cases")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    models = {name: loaded(where) for name, where in (text.split("=", 1) for text in arguments.model)}
    found: dict[str, Any] = json.loads(arguments.json.read_text(encoding="utf-8")) if arguments.json.exists() else {}

    def keep(name: str, value: Any) -> None:
        found[name] = value
        arguments.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")

    config, vae = HealthyTaskConfig(crop=tuple(arguments.crop)), None
    if arguments.vae and arguments.vae.exists():
        vae = load_vae(arguments.vae)
    if arguments.labels:
        people = people_of(arguments.labels, arguments.lesions, arguments.held_out, config, arguments.cache)
        if arguments.vae and vae is None:
            vae = train_vae(lambda step: healthy_image(people, config, step), arguments.vae_minutes)
            torch.save(vae.state_dict(), arguments.vae)
        samples: Samples = found.get("samples", {})
        with torch.inference_mode():
            for name, scores in pasted(people, config, models, vae, arguments.samples, samples):
                samples.setdefault(name, {}).update(scores)
                keep("samples", samples)
            if arguments.threshold:
                count = arguments.threshold
                keep("threshold", {name: threshold(people, config, one, count) for name, one in models.items()})
        keep("pasted", table(samples))
    if arguments.real:
        shared = Path(os.environ.get("SYNTHREG_SHARED", Path(__file__).resolve().parents[3] / "shared")) / "data"
        if shared.is_dir():
            with torch.inference_mode():
                keep("real", real_cases(shared, models, vae))
        else:
            print(f"The real cases are left out: no folder {shared.name} beside the repository.")
    print(json.dumps({name: value for name, value in found.items() if name != "samples"}, indent=2))


def loaded(where: str) -> UNA:
    """A training's best network, or an installed model."""
    return trained(Path(where)) if Path(where).is_dir() else UNA.load(read_card(where))


def sample_of(people: People, config: HealthyTaskConfig, seed: int, modality: str, sick: float) -> HealthySample:
    """As in the paper, without further deformation or corruption: an unseen person with an unseen lesion."""
    samples = config.samples
    samples = replace(
        samples,
        sick=sick,
        two=0.0,
        plain=0.0,
        misplaced_vox=0.0,
        reach_mm=(0.0, 0.0, 0.0),
        anomaly=replace(samples.anomaly, masks=1.0),
        appearance=replace(samples.appearance, void=0.0),
        deform=replace(samples.deform, velocity_sd=0.0, rotation_degrees=0.0, scale=0.0, shear=0.0, zoom=(2.0, 2.0)),
        artefacts=replace(samples.artefacts, thick_slices=0.0, crop=0.0),
    )
    generator = torch.Generator().manual_seed(seed)
    person = people.unseen[seed % len(people.unseen)]
    record = draw_healthy(samples, people.labelling, generator, modality)
    return make_healthy(
        person.labels, person.mirror, record, people.labelling, samples, config.crop, people.unseen_masks
    )


def healthy_image(people: People, config: HealthyTaskConfig, step: int) -> torch.Tensor:
    """A training image of the VAE: people of the training, in health, of any modality."""
    generator = torch.Generator().manual_seed(step)
    person = people.known[step % len(people.known)]
    record = draw_healthy(replace(config.samples, sick=0.0), people.labelling, generator)
    return make_healthy(person.labels, person.mirror, record, people.labelling, config.samples, (64, 64, 64)).image


def pasted(
    people: People, config: HealthyTaskConfig, models: dict[str, UNA], vae: VAE | None, samples: int, known: Samples
) -> Iterator[tuple[str, dict[str, Scores]]]:
    """Each sample that is not wholly `known`, with the scores of the methods that it lacks."""
    for number in range(samples):
        for modality in JUDGED:
            name = f"{modality} {number}"
            wanted = {*models, *SIMPLE, *(("VAE",) if vae else ())} - known.get(name, {}).keys()
            if not wanted:
                continue
            sample = sample_of(people, config, 20_000_000 + number, modality, 1.0)
            image, other, truth = (v[0, 0] for v in (sample.image, sample.mirrored, sample.target))
            brain, sick = sample.brain[0, 0] > 0.5, sample.anomaly[0, 0] > 0.5
            if int((sick & brain).sum()) < LEAST_VOXELS:
                continue
            where, well = regions(brain, sick), brain & ~sick
            copied = torch.where(sick, other, image)
            shown = {"no-op": image, "mirrored": copied, "in-painting": harmonic(image, sick)}
            away = {"mirrored": (image - other).abs()}
            if vae is not None and "VAE" in wanted:
                shown["VAE"] = vae.rebuilt(sample.image)[0, 0]
                away["VAE"] = (image - shown["VAE"]).abs()
            scores = {one: likeness(in_t1(shown[one], truth, well), truth, where) for one in shown if one in wanted}
            for one in wanted & away.keys():
                scores[one] |= detection(away[one], sick, brain)
            for one in wanted & models.keys():
                found = models[one](sample.image, sample.mirrored)
                t1 = found.t1[0, 0].clamp_min(0)
                away, probability = difference(t1, image, brain), torch.sigmoid(found.anomaly_logit[0, 0])
                scores[one] = likeness(t1, truth, where) | detection(away * probability, sick, brain)
                for part, seen in (("difference", away), ("learned", probability)):
                    scores[one] |= {f"{key}, {part}": value for key, value in detection(seen, sick, brain).items()}
            yield name, scores


def threshold(people: People, config: HealthyTaskConfig, model: UNA, samples: int) -> list[dict[str, object]]:
    """From how much evidence on is marked, set by other people than those of the table."""

    def people_that_are(sick: float) -> dict[str, list[Found]]:
        first = 30_000_000 + round(sick) * 10_000_000
        return {
            modality: [
                evidence(model, sample_of(people, config, first + number, modality, sick)) for number in range(samples)
            ]
            for modality in JUDGED
        }

    return thresholds(people_that_are(0.0), people_that_are(1.0), config.samples.spacing**3 / 1000)


def table(samples: Samples) -> dict[str, dict[str, Scores]]:
    """modality -> method -> mean scores."""
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
