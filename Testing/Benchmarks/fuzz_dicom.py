"""Mutated DICOM folders against the reader and the scan of CT series: python -m Testing.Benchmarks.fuzz_dicom --count N

Anything but an answer or a SynthRegError is a failure, and so is a folder that takes longer than --limit seconds.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

from SlicerSynthReg.errors import SynthRegError
from SlicerSynthReg.io.ct_series import find_ct_series
from SlicerSynthReg.io.read import read_image
from Testing.Backend.io.dicom_mutations import Mutations


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=float, default=5.0)
    options = parser.parse_args()
    outcomes: Counter[str] = Counter()
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as workspace:
        mutations = Mutations(Path(workspace), options.seed)
        for n in range(options.count):
            folder = mutations.next_folder()
            for read in (read_image, find_ct_series):
                began = time.monotonic()
                try:
                    read(folder)
                    outcomes[f"{read.__name__}: read"] += 1
                except SynthRegError as error:
                    outcomes[f"{read.__name__}: {error.code}"] += 1
                except Exception:
                    outcomes["FAILED"] += 1
                    print(f"input {n} of seed {options.seed}:\n{traceback.format_exc()}")
                if time.monotonic() - began > options.limit:
                    outcomes["SLOW"] += 1
                    print(f"input {n} of seed {options.seed}: {time.monotonic() - began:.1f} s")
    for outcome, count in sorted(outcomes.items()):
        print(f"{count:7d}  {outcome}")
    print(f"{options.count} folders, {2 * options.count} readings, {time.monotonic() - start:.0f} s")
    raise SystemExit(bool(outcomes["FAILED"] or outcomes["SLOW"]))


if __name__ == "__main__":
    main()
