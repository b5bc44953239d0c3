"""Make the pictures of the documentation from sample data: panels in the stand-in for Slicer (extra `host`), and the
demonstration (extra `demo`).

    python Resources/Screenshots/make_screenshots.py [SynthRegister ...] [--folder FOLDER]

Each module runs in a process of its own, because the stand-in changes Qt's classes. The pictures show the stand-in, not
Slicer; the documentation says so.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
MODULES = ("SynthRegister", "SynthContrast", "SynthHealthy", "SynthContext", "SynthReview")
SAMPLE_MM = 2.0
GAP, TITLE_HEIGHT, MAX_WIDTH = 12, 30, 1500


def side_by_side(pictures: Mapping[str, Path], target: Path, vertical: bool = False) -> None:
    """Write the pictures with their titles above them as one file."""
    from PIL import Image, ImageDraw, ImageFont

    images = {title: Image.open(path).convert("RGB") for title, path in pictures.items()}
    font = ImageFont.load_default(18)
    width = max(one.width for one in images.values()) if vertical else sum(one.width + GAP for one in images.values())
    heights = [one.height + TITLE_HEIGHT for one in images.values()]
    canvas = Image.new("RGB", (width, sum(heights) if vertical else max(heights)), "white")
    draw, at = ImageDraw.Draw(canvas), [0, 0]
    for title, image in images.items():
        draw.text((at[0] + 4, at[1] + 4), title, fill="black", font=font)
        canvas.paste(image, (at[0], at[1] + TITLE_HEIGHT))
        at[vertical] += image.height + TITLE_HEIGHT if vertical else image.width + GAP
    canvas.thumbnail((MAX_WIDTH, 10 * MAX_WIDTH))
    canvas.quantize(256).save(target, optimize=True)


def wait_for_apply(panel: Any) -> None:
    panel.wait_until(lambda: panel.text("applyButton") == "Apply", seconds=1800)
    assert panel.text("statusLabel").startswith("Done"), panel.text("statusLabel")


def synthregister(folder: Path, parts: Path) -> None:
    from slicerhost import opened, views

    with opened("SynthRegister") as panel:
        from SynthRegLib import display
        from SynthRegLib.node_job import run_steps
        from SynthRegLib.phantom import make_phantom
        from SynthRegLib.sample_nodes import add_sample

        panel.screenshot(parts / "idle.png")
        nodes = run_steps(add_sample(make_phantom(SAMPLE_MM)))
        panel.select("fixedSelector", nodes.fixed)
        panel.select("movingSelector", nodes.moving)
        panel.expand("guidesCollapsibleButton")
        for role in ("fixed", "moving"):
            panel.select(f"{role}LabelsSelector", getattr(nodes, f"{role}_labels"))
            panel.select(f"{role}LandmarksSelector", getattr(nodes, f"{role}_landmarks"))
        display.show_pair(nodes.fixed, nodes.moving, 0.5)
        views.screenshot(parts / "before.png")
        panel.click("applyButton")
        panel.wait_until(lambda: "affine" in panel.text("statusLabel"), seconds=600)
        panel.screenshot(parts / "running.png")
        wait_for_apply(panel)
        panel.screenshot(parts / "done.png")
        views.screenshot(parts / "after.png")
        panel.click("checkerboardCheckBox")
        views.screenshot(parts / "checkerboard.png")
    states = {"Idle": "idle", "Running": "running", "Result": "done"}
    side_by_side({title: parts / f"{name}.png" for title, name in states.items()}, folder / "synthregister-panel.png")
    states = {"Before": "before", "After": "after", "Checkerboard": "checkerboard"}
    side_by_side({k: parts / f"{v}.png" for k, v in states.items()}, folder / "synthregister-views.png", vertical=True)


def synthcontrast(folder: Path, parts: Path) -> None:
    from slicerhost import opened, views

    with opened("SynthContrast") as panel:
        panel.click("sampleButton")
        panel.wait_until(lambda: panel.text("imageSelector").startswith("Sample"), seconds=600)
        panel.wait_until(lambda: panel.is_enabled("applyButton"), seconds=600)
        views.screenshot(parts / "before.png")
        panel.click("applyButton")
        wait_for_apply(panel)
        panel.screenshot(folder / "synthcontrast-panel.png")
        views.screenshot(parts / "after.png")
    pictures = {"Scan": parts / "before.png", "Virtual non-contrast": parts / "after.png"}
    side_by_side(pictures, folder / "synthcontrast-views.png", vertical=True)


def synthhealthy(folder: Path, parts: Path) -> None:
    from slicerhost import opened, views

    with opened("SynthHealthy") as panel:
        panel.click("sampleButton")
        panel.wait_until(lambda: panel.is_enabled("applyButton"), seconds=600)
        views.screenshot(parts / "scan.png")
        panel.click("applyButton")
        wait_for_apply(panel)
        panel.screenshot(folder / "synthhealthy-panel.png")
        panel.set_value("opacitySlider", 1.0)
        views.screenshot(parts / "healthy.png")
        panel.choose("foregroundBox", "Anomaly map")
        panel.set_value("opacitySlider", 0.7)
        views.screenshot(parts / "anomaly.png")
    states = {"Scan with a lesion": "scan", "Pseudo-healthy T1": "healthy", "Anomaly map over the scan": "anomaly"}
    side_by_side({k: parts / f"{v}.png" for k, v in states.items()}, folder / "synthhealthy-views.png", vertical=True)


def synthcontext(folder: Path, parts: Path) -> None:
    from slicerhost import opened, views

    with opened("SynthContext") as panel:
        panel.click("sampleButton")
        examples, targets = panel["exampleTable"], panel["targetTable"]
        panel.wait_until(lambda: examples.rowCount == 3 and targets.rowCount == 1, seconds=600)
        panel.wait_until(lambda: not targets.item(0, 1).icon().isNull(), seconds=600)
        views.screenshot(parts / "example.png")
        panel.click("applyButton")
        wait_for_apply(panel)
        panel.screenshot(folder / "synthcontext-panel.png")
        views.screenshot(parts / "done.png")
    pictures = {"Example": parts / "example.png", "Target: prediction and uncertainty": parts / "done.png"}
    side_by_side(pictures, folder / "synthcontext-views.png", vertical=True)


def synthreview(folder: Path, parts: Path) -> None:
    import slicer
    from slicerhost import opened, views

    modes = {"split": "Split", "checkerboard": "Checkerboard", "difference": "Difference", "contour": "Contour"}
    with opened("SynthReview") as panel:
        from SynthRegLib.node_job import run_steps
        from SynthRegLib.phantom import make_phantom
        from SynthRegLib.sample_nodes import add_sample

        nodes = run_steps(add_sample(make_phantom(SAMPLE_MM)))
        panel.select("firstSelector", nodes.fixed)
        panel.select("secondSelector", nodes.moving)
        texts = [panel["modeBox"].itemText(n) for n in range(panel["modeBox"].count)]
        for name, title in modes.items():
            panel.choose("modeBox", next(text for text in texts if text.startswith(title)))
            views.screenshot(parts / f"{name}.png")
        panel.screenshot(parts / "panel.png")
        for kind, node in (("real", nodes.fixed), ("generated", nodes.moving)):
            (parts / "cases" / kind).mkdir(parents=True)
            slicer.util.saveNode(node, str(parts / "cases" / kind / "case.nii.gz"))
    side_by_side({t: parts / f"{n}.png" for n, t in modes.items()}, parts / "modes.png", vertical=True)
    side_by_side({"Panel": parts / "panel.png", "Views": parts / "modes.png"}, folder / "synthreview-compare.png")
    study = parts / "study"
    make = ["review", "make", parts / "cases", "--pairs", "1", "--confidence", "5", "--any-grid", "--out", study]
    subprocess.run([sys.executable, "-m", "SlicerSynthReg", *map(str, make)], cwd=ROOT, check=True)
    with opened("SynthReview") as panel:
        panel.expand("readingCollapsibleButton")
        panel["studyPath"].currentPath = str(study)
        panel["readerEdit"].text = "Reader 1"
        panel.click("startButton")
        panel.wait_until(lambda: panel.text("caseLabel").startswith("Case"))
        panel.screenshot(parts / "reading.png")
        views.screenshot(parts / "case.png", ("Red", "RightRed"))
    side_by_side({"Panel": parts / "reading.png", "Pair": parts / "case.png"}, folder / "synthreview-reading.png")


def demonstration(folder: Path, parts: Path) -> None:
    """Register the pair of `synthreg demo` in memory; write its picture and print the landmark error."""
    import dataclasses
    import io

    from PIL import Image

    import SlicerSynthReg as synthreg
    from SlicerSynthReg.cli.demo import make_demo_pair

    pair = make_demo_pair()
    result = synthreg.register(
        dataclasses.replace(pair.fixed, name="MNI152 T1 template"),
        dataclasses.replace(pair.moving, name="T2-like copy, rotated and deformed"),
        fixed_labels=pair.fixed_labels,
        moving_labels=pair.moving_labels,
        fixed_landmarks=pair.fixed_landmarks,
        moving_landmarks=pair.moving_landmarks,
    )
    picture = Image.open(io.BytesIO(result.picture())).convert("RGB")
    small = picture.resize((1650, round(1650 * picture.height / picture.width)), Image.Resampling.LANCZOS)
    small.quantize(256).save(folder / "registration.png", optimize=True)
    print(result.report.landmarks, result.report.overlap)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="*", default=[], help=", ".join([*MODULES, "demonstration"]))
    parser.add_argument("--folder", type=Path, default=Path(__file__).resolve().parent)
    given = parser.parse_args()
    modules = given.modules or [*MODULES, "demonstration"]
    if len(modules) > 1:
        for module in modules:
            subprocess.run([sys.executable, __file__, module, "--folder", str(given.folder)], check=True)
        return
    sys.path[:0] = [str(ROOT), str(ROOT / "Testing" / "slicerhost")]
    if modules[0] in MODULES:
        from slicerhost.installed import module_folder
        from slicerhost.start import start

        start(ROOT)
        module_folder()
    given.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as parts:
        try:
            globals()[modules[0].lower()](given.folder.resolve(), Path(parts))
        except BaseException:
            traceback.print_exc()  # the stand-in keeps exceptions for its tests and prints none
            raise


if __name__ == "__main__":
    main()
