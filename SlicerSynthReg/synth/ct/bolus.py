"""How iodine arrives: Hounsfield units that each tissue gains, by seconds after the start of the injection.

The aorta follows a gamma-variate first pass and a recirculation that decays; a tissue is one compartment fed by it,
dC/dt = flow Ca(t - delay) - C / transit. The numbers were fitted to the usual enhancement at 35 s (late arterial) and
70 s (portal venous).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from SlicerSynthReg.synth import draw

LONGEST_S = 300


@dataclass(frozen=True)
class Uptake:
    """delay, transit: seconds. flow: 1/s."""

    delay: float
    transit: float
    flow: float


UPTAKES: dict[str, Uptake] = {
    "renal cortex": Uptake(8, 12, 0.0778),
    "renal medulla": Uptake(12, 48, 0.0202),
    "spleen": Uptake(5, 16, 0.0317),
    "pancreas": Uptake(7, 12, 0.0293),
    "liver": Uptake(13, 48, 0.00887),
    "muscle": Uptake(6, 250, 0.00148),
    "bowel wall": Uptake(5, 24, 0.01327),
    "marrow": Uptake(0, 150, 0.00155),
    "adrenal": Uptake(7, 16, 0.01726),
    "myocardium": Uptake(7, 12, 0.0401),
    "heart": Uptake(3, 8, 0.1113),
    "portal vein": Uptake(7, 150, 0.01489),
    "hepatic vein": Uptake(17, 150, 0.01428),
    "renal vein": Uptake(12, 8, 0.1076),
    "upper vena cava": Uptake(16, 3, 0.2079),
    "lower vena cava": Uptake(16, 250, 0.00583),
    "hypervascular": Uptake(6, 14, 0.0290),
    "hypovascular": Uptake(10, 120, 0.0035),
}
"""The aorta is not among them: it is what feeds them."""


@dataclass(frozen=True)
class BolusConfig:
    """Bounds of uniform draws. peak: HU of the first pass in the aorta; arrival: s; rise: s from arrival to peak.
    person: SD of the logarithm of each tissue's own factor."""

    peak: tuple[float, float] = (190.0, 380.0)
    arrival: tuple[float, float] = (9.0, 15.0)
    rise: tuple[float, float] = (12.0, 19.0)
    person: float = 0.15


@dataclass(frozen=True)
class BolusDraw:
    """One injection in one person. factors: by tissue, in the order of `UPTAKES`."""

    peak: float
    arrival: float
    rise: float
    factors: tuple[float, ...]


def draw_bolus(config: BolusConfig, generator: torch.Generator) -> BolusDraw:
    return BolusDraw(
        draw.uniform(generator, *config.peak),
        draw.uniform(generator, *config.arrival),
        draw.uniform(generator, *config.rise),
        tuple(math.exp(draw.normal(generator, config.person)) for _ in UPTAKES),
    )


def aorta_hu(bolus: BolusDraw, seconds: np.ndarray) -> np.ndarray:
    """HU above native in the aorta at each time."""
    since = np.clip(np.asarray(seconds, dtype=float) - bolus.arrival, 0.0, None)
    x = since / bolus.rise
    first_pass = x**3 * np.exp(3 * (1 - x))
    return bolus.peak * (first_pass + 0.55 * (1 - np.exp(-since / 25)) * np.exp(-since / 180))


def enhancement(bolus: BolusDraw, time_s: float) -> dict[str, float]:
    """HU that each of `UPTAKES`, and "aorta", gains at `time_s` (at most LONGEST_S); 0 before the contrast comes."""
    step = 0.5
    seconds = np.arange(0.0, min(time_s, LONGEST_S) + step / 2, step)
    gained = {"aorta": float(aorta_hu(bolus, np.array([time_s]))[0])}
    for (tissue, uptake), factor in zip(UPTAKES.items(), bolus.factors):
        fed = aorta_hu(bolus, seconds - uptake.delay)
        kept = fed * np.exp((seconds - seconds[-1]) / uptake.transit)
        integral = step * (kept.sum() - 0.5 * (kept[0] + kept[-1]))
        gained[tissue] = float(factor * uptake.flow * integral)
    return gained
