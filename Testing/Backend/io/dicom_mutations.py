"""Mutated DICOM folders from a fixed seed."""

from __future__ import annotations

import io
import random
import shutil
import warnings
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataelem import RawDataElement

from SlicerSynthReg.spatial.grid import Grid
from Testing.Backend.io.dicom_folder import DicomFolder, compress, ct_tags

_VALUES = (
    b"",
    b" ",
    b"1",
    b"0",
    b"-1",
    b"1\\2",
    b"1\\2\\3\\4\\5\\6\\7",
    b"text",
    b"nan",
    b"inf",
    b"1e308",
    b"\xff" * 8,
)
_VRS = ("DS", "IS", "US", "SS", "OB", "OW", "LO", "UI", "SQ", "FD", "UN", "TM", "PN", "AT")


class Mutations:
    """Writes folders of three slices or one multi-frame file, of which one file is damaged. seed: fixes them all."""

    def __init__(self, workspace: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.folder = workspace / "mutated"
        self.seeds: list[list[bytes]] = []
        grid = Grid((11, 13, 6), np.diag([1.0, 1.2, 3.0, 1.0]))
        for n, kind in enumerate(("none", "ct", "RLE", "JPEG", "JPEG2000", "enhanced")):
            source = DicomFolder(workspace / f"seed{n}", grid)
            if kind == "enhanced":
                source.write_enhanced(times=2)
            for k in range(3 if kind != "enhanced" else 0):
                source.write(k, **(ct_tags(RescaleType="HU") if kind == "ct" else {}))
            compress(source, kind if kind in ("RLE", "JPEG", "JPEG2000") else "none")
            self.seeds.append([path.read_bytes() for path in sorted(source.path.iterdir())])

    def next_folder(self) -> Path:
        """Return the folder, with the next mutation."""
        files = list(self.random.choice(self.seeds))
        place = self.random.randrange(len(files))
        change = self.random.choice((self._flip, self._cut, self._retag, self._retag, self._insert))
        files[place] = change(files[place])
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        for n, content in enumerate(files):
            (self.folder / f"{n}.dcm").write_bytes(content)
        return self.folder

    def _flip(self, content: bytes) -> bytes:
        changed = bytearray(content)
        for _ in range(self.random.choice((1, 1, 3, 20))):
            changed[self.random.randrange(len(changed))] = self.random.randrange(256)
        return bytes(changed)

    def _cut(self, content: bytes) -> bytes:
        return content[: self.random.randrange(len(content))]

    def _insert(self, content: bytes) -> bytes:
        place = self.random.randrange(len(content))
        return content[:place] + self.random.randbytes(self.random.choice((1, 2, 8, 300))) + content[place:]

    def _retag(self, content: bytes) -> bytes:
        """Give one element another value, type or length, or none."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data = pydicom.dcmread(io.BytesIO(content))
            tag = self.random.choice(list(data.keys()))
            choice = self.random.random()
            if choice < 0.2:
                del data[tag]
            else:
                vr = data[tag].VR if choice < 0.7 else self.random.choice(_VRS)
                value = self.random.choice(_VALUES)
                data._dict[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True, True)
            out = io.BytesIO()
            try:
                data.save_as(out)
            except Exception:  # not every wrong value can be written
                return self._flip(content)
            return out.getvalue()
