"""Run the tests of the MRML layer on slicer-core, each file in a process of its own."""

from __future__ import annotations

import sys
from pathlib import Path

for folder in ("Testing/slicerhost", "Modules", "Modules/SynthRegister"):
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / folder))

from slicerhost.process import pytest_pycollect_makemodule, start_inside  # noqa: E402, F401

start_inside()

from slicerhost.fixtures import *  # noqa: E402, F403
