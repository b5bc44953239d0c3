"""Tissues in CT: native HU with its variation, texture and contrast kinetics."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from SlicerSynthReg.spatial.sampling import resize, sample
from SlicerSynthReg.spatial.smoothing import gaussian
from SlicerSynthReg.synthesis import draw

STEP_MM = 2.5
SMOOTH_VOX = 1.0
"""On the lattice of the smooth fields, which is twice as coarse."""
MARGIN_MM = 30.0


@dataclass(frozen=True)
class Tissue:
    """hu: typical native value. spread: SD between persons. fine, coarse: SD in HU of texture of about 3 and 10 mm.
    uptake: name in bolus.KINETICS, "aorta", or "" for none. heterogeneity: relative SD of the enhancement."""

    hu: float
    spread: float = 0.0
    fine: float = 0.0
    coarse: float = 0.0
    uptake: str = ""
    heterogeneity: float = 0.0


TISSUES: dict[str, Tissue] = {
    "air": Tissue(-1000),
    "table": Tissue(-930, 30),
    "table cover": Tissue(-60, 110),
    "skin": Tissue(15, 10, 12, 6, "muscle"),
    "fat": Tissue(-106, 5, 4, 5),
    "mesenteric fat": Tissue(-100, 6, 10, 9),
    "muscle": Tissue(50, 8, 12, 9, "muscle", 0.3),
    "fascia": Tissue(-30, 15, 8, 5),
    "cortical bone": Tissue(480, 120, 70, 90),
    "cancellous bone": Tissue(165, 55, 28, 14, "marrow"),
    "cartilage": Tissue(105, 20, 18, 22),
    "disc": Tissue(80, 12, 6, 7),
    "canal": Tissue(22, 6, 5, 4),
    "lung": Tissue(-850, 35, 25, 20),
    "diaphragm": Tissue(48, 5, 6, 4, "muscle"),
    "bronchus": Tissue(-960),
    "lung vessel": Tissue(42, 4, 0, 0, "aorta"),
    "myocardium": Tissue(44, 4, 5, 3, "myocardium", 0.1),
    "heart": Tissue(42, 5, 2, 2, "aorta", 0.05),
    "aorta": Tissue(42, 5, 1.5, 1, "aorta", 0.02),
    "artery wall": Tissue(44, 4, 2, 1, "muscle"),
    "plaque": Tissue(420, 150, 60, 60),
    "portal vein": Tissue(42, 5, 1.5, 1, "portal vein", 0.05),
    "hepatic vein": Tissue(42, 5, 1.5, 1, "hepatic vein", 0.05),
    "renal vein": Tissue(42, 5, 1.5, 1, "renal vein", 0.1),
    "upper vena cava": Tissue(42, 5, 1.5, 1, "upper vena cava", 0.25),
    "lower vena cava": Tissue(42, 5, 1.5, 1, "lower vena cava", 0.15),
    "liver": Tissue(57, 9, 4.5, 3.5, "liver", 0.1),
    "spleen": Tissue(48, 4, 3.5, 2.5, "spleen", 0.25),
    "pancreas": Tissue(38, 6, 13, 9, "pancreas", 0.15),
    "renal cortex": Tissue(34, 4, 4, 2, "renal cortex", 0.06),
    "renal medulla": Tissue(32, 4, 4, 2, "renal medulla", 0.1),
    "renal sinus": Tissue(-70, 18, 14, 14),
    "urine": Tissue(6, 4, 2, 1),
    "adrenal": Tissue(22, 10, 4, 2, "adrenal"),
    "gallbladder": Tissue(9, 6, 2.5, 2),
    "gallstone": Tissue(130, 60, 20, 10),
    "organ wall": Tissue(36, 5, 5, 3, "bowel wall", 0.15),
    "fluid": Tissue(12, 8, 4, 5),
    "chyme": Tissue(38, 14, 16, 18),
    "faeces": Tissue(-60, 60, 130, 110),
    "gas": Tissue(-985, 8, 3),
    "oral contrast": Tissue(260, 70, 12, 15),
    "cyst": Tissue(6, 4, 2, 1),
    "hypervascular": Tissue(42, 6, 4, 3, "hypervascular", 0.2),
    "hypovascular": Tissue(36, 6, 4, 4, "hypovascular", 0.2),
    "calculus": Tissue(600, 200),
}
TISSUE_INDEX = {name: n for n, name in enumerate(TISSUES)}

SAME_TISSUE = {
    "artery wall": "aorta", "heart": "aorta", "lung vessel": "aorta", "portal vein": "aorta", "hepatic vein": "aorta",
    "renal vein": "aorta", "upper vena cava": "aorta", "lower vena cava": "aorta",
}  # fmt: skip
"""Tissue -> tissue of the same native HU: blood."""


def draw_tissues(generator: torch.Generator) -> tuple[float, ...]:
    """Draw the native HU of each tissue of one person, in the order of TISSUES."""
    values = {name: tissue.hu + draw.normal(generator, tissue.spread) for name, tissue in TISSUES.items()}
    if draw.chance(generator, 0.2):
        values["liver"] = draw.uniform(generator, 5.0, 45.0)  # fatty liver: the vessels stand out bright
    values.update({name: values[source] for name, source in SAME_TISSUE.items()})
    values["air"], values["gas"] = -1000.0, min(values["gas"], -950.0)
    return tuple(values.values())


def sample_textures(seed: int, center_z: float, points: torch.Tensor) -> torch.Tensor:
    """Return texture fields (3, I, J, K) of SD about 1 at body points (3, I, J, K), mm: fine (3 mm) and two smooth ones
    (10 mm). Both scans of a patient share them."""
    half_height = float((points[2] - center_z).abs().max()) + STEP_MM
    extent = (440.0, 340.0, 2 * math.ceil(half_height / MARGIN_MM) * MARGIN_MM)
    shape = tuple(math.ceil(mm / STEP_MM) for mm in extent)
    fine = draw.noise([seed], (1, *shape), points.device) / 0.6
    smooth = gaussian(draw.noise([seed + 1], (2, *(n // 2 for n in shape)), points.device), SMOOTH_VOX)
    smooth = resize(smooth / smooth.std(), shape)
    fields = torch.cat([fine, smooth], dim=1)
    middle = [(n - 1) / 2 for n in shape]
    index = torch.stack([(p - s) / STEP_MM + m for p, s, m in zip(points, (0.0, 0.0, center_z), middle)])
    return sample(fields, index[None], padding="border")[0]
