"""Errors cross process borders, as in the batch workers of Dask."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest

from SlicerSynthReg import errors


def error_types() -> list[type[errors.SynthRegError]]:
    found = [one for one in vars(errors).values() if isinstance(one, type)]
    return [one for one in found if issubclass(one, errors.SynthRegError)]


@pytest.mark.parametrize("kind", error_types())
@pytest.mark.parametrize("transmit", [lambda one: pickle.loads(pickle.dumps(one)), copy.copy, copy.deepcopy])
def test_an_error_arrives_with_all_its_fields(kind, transmit):
    suggestion = errors.Suggestion("frame", 0, "use the first")
    sent = kind("Found a, expected b. Do c.", suggestion, Path("folder/scan.nii.gz"), code="some-code", log="log.txt")
    arrived = transmit(sent)
    assert type(arrived) is kind and str(arrived) == str(sent) and vars(arrived) == vars(sent)
    assert arrived.suggestion == suggestion and arrived.code == "some-code" and arrived.path == sent.path
