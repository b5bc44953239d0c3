"""How SynthRegister's panel behaves while the shipped registration runs, on the sample pair.

    python Testing/Benchmarks/panel.py [--shots FOLDER] [--sample-mm 4]

in an environment with the host's packages. Printed are the time to open, the longest time that the window stood still
(over the sample, two runs and a cancelled one), how long the first and the second run wait for the worker, and how long
a cancel takes until no process of the run is left. --shots keeps pictures of panel and views.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def seconds_until(panel: Any, condition: Any, limit: float) -> float:
    begun = time.monotonic()
    panel.wait_until(condition)
    return time.monotonic() - begun


def gone(process: Any) -> bool:
    return not process.is_running() or process.status() == "zombie"


def measure(shots: Path | None, sample_mm: float) -> dict[str, str]:
    import psutil
    from slicerhost import opened, views
    from slicerhost.installed import module_folder

    from Testing.Benchmarks.stall import stall_meter

    def keep(picture: Any, name: str) -> None:
        if shots:
            picture(shots / f"{name}.png")

    found = {}
    module_folder()
    with opened("SynthRegister") as panel:
        found["panel open, s"] = f"{panel.seconds_to_open:.2f}"
        found["torch loaded by then"] = "yes" if "torch" in sys.modules else "no"
        keep(panel.screenshot, "panel-idle")
        from SynthRegLib import display
        from SynthRegLib.node_job import run_steps
        from SynthRegLib.phantom import make_phantom
        from SynthRegLib.sample_nodes import add_sample

        nodes = run_steps(add_sample(make_phantom(sample_mm)))
        panel.select("fixedSelector", nodes.fixed)
        keep(panel.screenshot, "panel-missing-input")
        panel.select("movingSelector", nodes.moving)
        panel.expand("guidesCollapsibleButton")
        for role in ("fixed", "moving"):
            panel.select(f"{role}LabelsSelector", getattr(nodes, f"{role}_labels"))
            panel.select(f"{role}LandmarksSelector", getattr(nodes, f"{role}_landmarks"))
        display.show_pair(nodes.fixed, nodes.moving, 0.5)
        keep(views.screenshot, "views-before")
        for run in ("first", "second"):
            with stall_meter() as stall:
                panel.click("applyButton")
                started = seconds_until(panel, lambda: panel.text("statusLabel") in ("starting", "reading"), 60)
                panel.wait_until(lambda: panel.text("applyButton") == "Apply")
            found[f"{run} run: computing after, s"] = f"{started:.2f}"
            found[f"{run} run: window stood still for at most, ms"] = f"{stall.longest_ms:.0f}"
            if run == "first":
                keep(panel.screenshot, "panel-done")
                keep(views.screenshot, "views-after")
                panel.click("checkerboardCheckBox")
                keep(views.screenshot, "views-checkerboard")
                panel.click("checkerboardCheckBox")
        panel.click("applyButton")
        panel.wait_until(lambda: "affine" in panel.text("statusLabel"))
        worker = psutil.Process(panel.logic.worker.pid)
        family = [worker, *worker.children(recursive=True)]
        keep(panel.screenshot, "panel-running")
        with stall_meter() as stall:
            panel.click("applyButton")
            ended = seconds_until(panel, lambda: all(gone(one) for one in family), 20)
            panel.wait_until(lambda: panel.text("applyButton") == "Apply")
        found["cancel: no process left after, s"] = f"{ended:.2f}"
        found["cancel: window stood still for at most, ms"] = f"{stall.longest_ms:.0f}"
        found["figures shown"] = panel.text("resultLabel").replace("\n", "; ")
    return found


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--shots", type=Path)
    options.add_argument("--sample-mm", type=float, default=4.0)
    chosen = options.parse_args()
    sys.path[:0] = [str(ROOT), str(ROOT / "Testing" / "slicerhost")]
    from slicerhost.start import start

    start(ROOT)
    if chosen.shots:
        chosen.shots.mkdir(parents=True, exist_ok=True)
    for what, value in measure(chosen.shots, chosen.sample_mm).items():
        print(f"{what:45s} {value}")


if __name__ == "__main__":
    main()
