"""CT phantoms: seconds to make one, and how well the aorta and the phase are found in them without a network.

Patients are drawn by their number, so a run can be repeated. Printed: processor seconds a slab; for native and contrast
scans the share where an aorta is claimed, where the claimed phase is right, and how far its line is from the true one.
"""

from __future__ import annotations

import argparse
import time
from statistics import median

import numpy as np
import torch
from rich import print as show

from SlicerSynthReg.io.image import Image
from SlicerSynthReg.metrics.aorta import detect_aorta
from SlicerSynthReg.metrics.ct_check import classify_phase
from SlicerSynthReg.synthesis.ct.organs import ORGANS
from SlicerSynthReg.synthesis.ct.phantom import CTPair, PhantomConfig, draw_phantom, make_phantom


def true_line(pair: CTPair) -> np.ndarray:
    """(N, 3) RAS mm: the aorta's middle in each slice that shows it."""
    inside = (pair.labels == ORGANS["aorta"]).nonzero().numpy()
    return np.array([pair.grid.index_to_world(inside[inside[:, 2] == k]).mean(0) for k in np.unique(inside[:, 2])])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patients", type=int, default=20)
    parser.add_argument("--first", type=int, default=5000, help="number of the first patient")
    parser.add_argument("--shape", type=int, nargs=3, default=(192, 192, 16))
    parser.add_argument("--spacing", type=float, nargs=3, default=(2.0, 2.0, 5.0))
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    config = PhantomConfig(shape=tuple(given.shape), spacing_mm=tuple(given.spacing))
    seconds: list[float] = []
    found: dict[str, list[tuple[bool, bool, float]]] = {"native": [], "contrast": []}
    for number in range(given.first, given.first + given.patients):
        begin = time.process_time()
        pair = make_phantom(draw_phantom(config, torch.Generator().manual_seed(number)))
        seconds.append(time.process_time() - begin)
        line = true_line(pair)
        for phase in found:
            aorta = detect_aorta(Image(getattr(pair, phase)[None], pair.grid))
            if aorta is None or not aorta.reliable:
                found[phase].append((False, False, float("nan")))
                continue
            away = np.linalg.norm(line[:, None] - aorta.centerline_mm[None], axis=2).min(0)
            found[phase].append((True, classify_phase(aorta.hu)[0] == phase, float(np.median(away))))
    report: dict[str, object] = {"patients": given.patients, "cpu s a slab": round(median(seconds), 3)}
    for phase, rows in found.items():
        claimed = [row for row in rows if row[0]]
        report[f"{phase}: aorta claimed"] = f"{len(claimed)} of {len(rows)}"
        report[f"{phase}: phase right among these"] = f"{sum(row[1] for row in claimed)} of {len(claimed)}"
        report[f"{phase}: median distance mm"] = round(median(row[2] for row in claimed), 1) if claimed else None
    show(report)


if __name__ == "__main__":
    main()
