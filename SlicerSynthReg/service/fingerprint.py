"""Fingerprints of requests: hashes of everything on which a result depends. Imports no torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from SlicerSynthReg.io.dependencies import dependencies
from SlicerSynthReg.io.manifest import file_seal
from SlicerSynthReg.request import Request, to_jsonable


def fingerprint(request: Request, exclude: Iterable[str] = (), weights: str = "", files: Iterable[Path] = ()) -> str:
    """Return the hash (blake2b, 128 bits) of the task, the contents of its inputs, and its parameters.

    exclude: parameters that do not change the result. weights: hash of the models. files: further files whose contents
    are hashed. Detached data files count (`io.dependencies`). The output folder and the names of input files are not
    hashed: a copy of the data has the same hash.
    """
    skipped = set(exclude)
    parameters = {name: value for name, value in sorted(request.parameters.items()) if name not in skipped}
    total = hashlib.blake2b(digest_size=16)
    total.update(json.dumps([request.task, to_jsonable(parameters), weights]).encode())
    for name, path in sorted(request.inputs.items()):
        total.update(json.dumps([name, _content_hash(Path(path))]).encode())
    for file in files:
        total.update(json.dumps(_content_hash(file)).encode())
    return total.hexdigest()


def _content_hash(path: Path) -> list[str]:
    return [file_seal(file)["blake2b"] for file in dependencies(path)]
