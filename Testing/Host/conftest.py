"""The host's own tests run inside it."""

from slicerhost.process import pytest_pycollect_makemodule, start_inside  # noqa: F401

start_inside()

from slicerhost.fixtures import *  # noqa: E402, F403
