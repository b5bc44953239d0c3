"""Register every image of a folder to one fixed image, in Slicer without a window or in plain Python.

    Slicer --no-splash --no-main-window --python-script register_folder.py -- --fixed T1.nii.gz --moving scans --out out
    python register_folder.py --fixed T1.nii.gz --moving scans --out out

`--moving`: folder in which each image file (.nii, .nii.gz, .nrrd, .mha, .mhd) and each folder (a DICOM series) is one
moving image. `--worklist pairs.csv` instead of both: table with the columns fixed and moving and, optionally, labels,
masks, landmarks and parameters. `--out`: receives one folder per image (moved image, both transforms, report),
results.csv and index.html. A second start resumes: complete results are not computed again.

Processes of Slicer's Python compute as in the panel. Exit status: 0 if every image was registered, 1 if some failed
(see results.csv), 2 if nothing could be started. For research; not for diagnosis or treatment.
"""

import argparse
import importlib.util
import sys
from pathlib import Path

import slicer

from SlicerSynthReg.errors import RequestError
from SlicerSynthReg.service.batch import RowResult, Workers, run_batch
from SlicerSynthReg.service.worklist import Row, Worklist, read_worklist

IMAGES = (".nii", ".nii.gz", ".nrrd", ".mha", ".mhd")


def arguments(given: list) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="register_folder.py", description="Register a folder of images to one image.")
    parser.add_argument("--fixed", type=Path, help="fixed image")
    parser.add_argument("--moving", type=Path, help="folder of moving images")
    parser.add_argument("--worklist", type=Path, help="CSV of pairs, instead of --fixed and --moving")
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    parser.add_argument("--model", help="name of the model, or none")
    parser.add_argument("--preset", choices=("fast", "accurate"), help="trade time for accuracy")
    parser.add_argument("--workers", type=int, help="processes at once; default: by processors and memory")
    chosen = parser.parse_args(given)
    if (chosen.worklist is None) == (chosen.fixed is None or chosen.moving is None):
        parser.error("expected --fixed and --moving, or --worklist")
    return chosen


def worklist(chosen: argparse.Namespace) -> Worklist:
    """Return the pairs, sorted by name. Raises RequestError."""
    if chosen.worklist is not None:
        return read_worklist(chosen.worklist)
    if not chosen.moving.is_dir():
        raise RequestError(
            f"Found no folder {chosen.moving}, expected one that holds the moving images. Check --moving."
        )
    fixed = chosen.fixed.resolve()
    found = [path for path in sorted(chosen.moving.iterdir()) if is_image(path) and path.resolve() != fixed]
    if not found:
        raise RequestError(
            f"Found no image in {chosen.moving}, expected files ending in {', '.join(IMAGES)} or folders with DICOM "
            "series. Check --moving."
        )
    more = {name: str(value) for name in ("model", "preset") if (value := getattr(chosen, name)) is not None}
    rows = [Row(name_of(path), {"fixed": str(fixed), "moving": str(path.resolve()), **more}) for path in found]
    return Worklist(tuple(rows), chosen.moving)


def is_image(path: Path) -> bool:
    return not path.name.startswith(".") and (path.is_dir() or path.name.lower().endswith(IMAGES))


def name_of(path: Path) -> str:
    """Return the name of the row and its folder, with the suffix: scan.nii and scan.nrrd are different images."""
    return "".join(letter if letter.isalnum() or letter in " .+=-_" else "_" for letter in path.name)


def print_row(result: RowResult) -> None:
    print(f"{result.name}: {result.status}{': ' + result.message if result.message else ''}", flush=True)


def main(given: list) -> int:
    from SynthRegLib.worker_process import python

    chosen = arguments(given)
    try:
        if importlib.util.find_spec("torch") is None:
            raise RequestError(
                "Found no PyTorch in this Python, expected it for the computing. Open the module SynthRegister once "
                "and press Apply: it offers to install what is needed."
            )
        command = [python(), "-m", "SlicerSynthReg.service.worker"]
        results = run_batch(worklist(chosen), chosen.out, Workers(chosen.workers, command=command), print_row)
    except RequestError as error:
        print(error, file=sys.stderr, flush=True)
        return 2
    failed = sum(result.status == "failed" for result in results)
    print(f"{len(results) - failed} of {len(results)} registered. Page: {chosen.out / 'index.html'}", flush=True)
    return 1 if failed else 0


def leave(code: int) -> None:
    """End Slicer, which otherwise keeps running after a script."""
    if hasattr(slicer, "app"):
        slicer.util.exit(code)
    else:
        sys.exit(code)


if __name__ == "__main__":
    words = sys.argv[1:]
    try:
        status = main(words[words.index("--") + 1 :] if "--" in words else words)
    except SystemExit as end:  # argparse has said why
        status = end.code if isinstance(end.code, int) else 2
    leave(status)
