"""Run the panels' tests inside slicerhost, on the modules as CMake installs them."""

from pathlib import Path

from slicerhost.process import pytest_pycollect_makemodule, start_inside  # noqa: F401

start_inside(extension=Path(__file__).resolve().parents[2])

from slicerhost.fixtures import *  # noqa: E402, F403
