"""Contrast bolus kinetics: enhancement of each tissue in HU by seconds after the start of injection.

The aorta follows a gamma-variate first pass and a decaying recirculation; a tissue is one compartment fed by it,
dC/dt = flow Ca(t - delay) - C / transit. Parameters were fitted to typical enhancement at 35 s (late arterial) and 70 s
(portal venous).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from SlicerSynthReg.synthesis import draw

MAX_TIME_S = 300


@dataclass(frozen=True)
class TissueKinetics:
    """One-compartment model. delay, transit (mean transit time): s. flow: 1/s."""

    delay: float
    transit: float
    flow: float


KINETICS: dict[str, TissueKinetics] = {
    "renal cortex": TissueKinetics(8, 12, 0.0778),
    "renal medulla": TissueKinetics(12, 48, 0.0202),
    "spleen": TissueKinetics(5, 16, 0.0317),
    "pancreas": TissueKinetics(7, 12, 0.0293),
    "liver": TissueKinetics(13, 48, 0.00887),
    "muscle": TissueKinetics(6, 250, 0.00148),
    "bowel wall": TissueKinetics(5, 24, 0.01327),
    "marrow": TissueKinetics(0, 150, 0.00155),
    "adrenal": TissueKinetics(7, 16, 0.01726),
    "myocardium": TissueKinetics(7, 12, 0.0401),
    "heart": TissueKinetics(3, 8, 0.1113),
    "portal vein": TissueKinetics(7, 150, 0.01489),
    "hepatic vein": TissueKinetics(17, 150, 0.01428),
    "renal vein": TissueKinetics(12, 8, 0.1076),
    "upper vena cava": TissueKinetics(16, 3, 0.2079),
    "lower vena cava": TissueKinetics(16, 250, 0.00583),
    "hypervascular": TissueKinetics(6, 14, 0.0290),
    "hypovascular": TissueKinetics(10, 120, 0.0035),
}
"""Without the aorta, the input of all of them."""


@dataclass(frozen=True)
class BolusConfig:
    """Bounds of uniform draws. peak: HU of the first pass in the aorta. arrival: s. rise: s from arrival to peak.
    log_sd: SD of the logarithm of the factor of each tissue."""

    peak: tuple[float, float] = (190.0, 380.0)
    arrival: tuple[float, float] = (9.0, 15.0)
    rise: tuple[float, float] = (12.0, 19.0)
    log_sd: float = 0.15


@dataclass(frozen=True)
class BolusDraw:
    """One injection in one person. factors: by tissue, in the order of KINETICS."""

    peak: float
    arrival: float
    rise: float
    factors: tuple[float, ...]


def draw_bolus(config: BolusConfig, generator: torch.Generator) -> BolusDraw:
    """Draw one injection."""
    return BolusDraw(
        draw.uniform(generator, *config.peak),
        draw.uniform(generator, *config.arrival),
        draw.uniform(generator, *config.rise),
        tuple(math.exp(draw.normal(generator, config.log_sd)) for _ in KINETICS),
    )


def aorta_hu(bolus: BolusDraw, seconds: np.ndarray) -> np.ndarray:
    """Return the enhancement of the aorta in HU at each time in s."""
    since = np.clip(np.asarray(seconds, dtype=float) - bolus.arrival, 0.0, None)
    x = since / bolus.rise
    first_pass = x**3 * np.exp(3 * (1 - x))
    return bolus.peak * (first_pass + 0.55 * (1 - np.exp(-since / 25)) * np.exp(-since / 180))


def enhancement_hu(bolus: BolusDraw, time_s: float) -> dict[str, float]:
    """Return the enhancement in HU of "aorta" and each tissue of KINETICS at `time_s` (at most MAX_TIME_S)."""
    step = 0.5
    seconds = np.arange(0.0, min(time_s, MAX_TIME_S) + step / 2, step)
    enhancement = {"aorta": float(aorta_hu(bolus, np.array([time_s]))[0])}
    for (tissue, uptake), factor in zip(KINETICS.items(), bolus.factors):
        fed = aorta_hu(bolus, seconds - uptake.delay)
        kept = fed * np.exp((seconds - seconds[-1]) / uptake.transit)
        integral = step * (kept.sum() - 0.5 * (kept[0] + kept[-1]))
        enhancement[tissue] = float(factor * uptake.flow * integral)
    return enhancement
