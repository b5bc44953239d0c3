"""The healthy brain behind a scan: UNA's table on pasted lesions, its ablations and baselines, and three real cases.

    python Testing/Benchmarks/healthy.py --labels LABEL_MAPS --lesions MASKS --model full=RUN --model no-fluid=RUN2 \\
        --samples 8 --vae-minutes 5 --json healthy.json
    python Testing/Benchmarks/healthy.py --real --model full=una-brains --json real.json

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
from dataclasses import replace
from pathlib import Path
from statistics import mean

import torch
from healthy_real import real_cases
from healthy_scores import detection, in_t1, likeness, regions
from healthy_threshold import differences, marked_from
from peers.vae import VAE, train_vae

from SlicerSynthReg.methods.una.difference import difference
from SlicerSynthReg.methods.una.model import UNA
from SlicerSynthReg.space.harmonic import harmonic
from SlicerSynthReg.synth.healthy import HealthySample, draw_healthy, make_healthy
from SlicerSynthReg.train.healthy import people_of, trained
from SlicerSynthReg.train.healthy_task import JUDGED, HealthyTaskConfig, People
from SlicerSynthReg.weights.registry import read_card

Rows = dict[tuple[str, str], list[dict[str, float]]]
"""(modality, method) -> scores of each sample."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--lesions", type=Path)
    parser.add_argument("--held-out", type=int, default=2)
    parser.add_argument("--cache", type=Path, help="the training's, for a start in seconds")
    parser.add_argument("--model", action="append", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--samples", type=int, default=8, help="of each modality")
    parser.add_argument("--well", type=int, default=0, help="healthy people of each modality, to set the threshold by")
    parser.add_argument("--crop", type=int, nargs=3, default=(72, 88, 72))
    parser.add_argument("--vae-minutes", type=float, default=0.0, help="0 leaves the VAE out")
    parser.add_argument("--real", action="store_true", help="the real cases")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    models = {name: loaded(where) for name, where in (text.split("=", 1) for text in arguments.model)}
    found: dict[str, object] = {}
    config, vae = HealthyTaskConfig(crop=tuple(arguments.crop)), None
    if arguments.labels:
        people = people_of(arguments.labels, arguments.lesions, arguments.held_out, config, arguments.cache)
        if arguments.vae_minutes:
            vae = train_vae(lambda step: healthy_image(people, config, step), arguments.vae_minutes)
        with torch.inference_mode():
            found["pasted"] = table(pasted(people, config, models, vae, arguments.samples))
            if arguments.well:
                found["well"] = {name: well(people, config, one, arguments.well) for name, one in models.items()}
    if arguments.real:
        shared = Path(os.environ.get("SYNTHREG_SHARED", Path(__file__).resolve().parents[3] / "shared")) / "data"
        if shared.is_dir():
            found["real"] = real_cases(shared, models, vae)
        else:
            print(f"The real cases are left out: no folder {shared.name} beside the repository.")
    arguments.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=2))


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


def pasted(people: People, config: HealthyTaskConfig, models: dict[str, UNA], vae: VAE | None, samples: int) -> Rows:
    rows: Rows = defaultdict(list)
    for modality in JUDGED:
        for number in range(samples):
            sample = sample_of(people, config, 20_000_000 + number, modality, 1.0)
            image, other, truth = (v[0, 0] for v in (sample.image, sample.mirrored, sample.target))
            brain, sick = sample.brain[0, 0] > 0.5, sample.anomaly[0, 0] > 0.5
            if int((sick & brain).sum()) < 30:
                continue
            where, well = regions(brain, sick), brain & ~sick
            copied = torch.where(sick, other, image)
            for name, shown in (("no-op", image), ("mirrored", copied), ("in-painting", harmonic(image, sick))):
                rows[modality, name].append(likeness(in_t1(shown, truth, well), truth, where))
            rows[modality, "mirrored"][-1] |= detection((image - other).abs(), sick, brain)
            if vae is not None:
                rebuilt = vae.rebuilt(sample.image)[0, 0]
                scores = likeness(in_t1(rebuilt, truth, well), truth, where)
                rows[modality, "VAE"].append(scores | detection((image - rebuilt).abs(), sick, brain))
            for name, model in models.items():
                found = model(sample.image, sample.mirrored)
                t1 = found.t1[0, 0].clamp_min(0)
                scores = likeness(t1, truth, where) | detection(difference(t1, image, brain), sick, brain)
                learned = detection(found.anomaly_logit[0, 0], sick, brain)
                rows[modality, name].append(scores | {f"{key}, map": value for key, value in learned.items()})
    return rows


def well(people: People, config: HealthyTaskConfig, model: UNA, samples: int) -> dict[str, float]:
    """The threshold that healthy unseen people set, and what it marks in them."""
    found = {
        modality: [
            differences(model, sample_of(people, config, 30_000_000 + number, modality, 0.0))
            for number in range(samples)
        ]
        for modality in JUDGED
    }
    return marked_from(found, config.samples.spacing**3 / 1000)


def table(rows: Rows) -> dict[str, dict[str, dict[str, float]]]:
    """modality -> method -> mean scores."""
    means: dict[str, dict[str, dict[str, float]]] = {}
    for (modality, method), scores in rows.items():
        names = list(dict.fromkeys(name for one in scores for name in one))
        means.setdefault(modality, {})[method] = {
            "samples": len(scores),
            **{name: round(mean(one[name] for one in scores if name in one), 4) for name in names},
        }
    return means


if __name__ == "__main__":
    main()
