"""Run the host's own tests inside the host."""

from slicerhost.process import pytest_pycollect_makemodule, start_inside  # noqa: F401

start_inside()

from slicerhost.fixtures import *  # noqa: E402, F403
