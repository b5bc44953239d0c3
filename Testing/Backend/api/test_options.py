"""Keyword options of the public functions."""

from __future__ import annotations

import numpy as np
import pytest

from SlicerSynthReg.api.options import resolve_parameters
from SlicerSynthReg.parameters.derived_images import HealthyParameters
from SlicerSynthReg.parameters.registration import RegisterParameters
from Testing.Backend.refusals import refused


def test_numbers_of_numpy_count_as_numbers():
    options = {"regularization": np.float64(1.5), "threads": np.int64(2), "refine": np.False_}
    found = resolve_parameters(RegisterParameters, None, options)
    assert (found.regularization, found.threads, found.refine) == (1.5, 2, False)
    assert [type(value) for value in (found.regularization, found.threads, found.refine)] == [float, int, bool]


@pytest.mark.parametrize("value", ["x", True, float("nan"), float("inf"), -1, None, [1], np.float64("nan")])
def test_values_of_another_type_or_range_are_refused(value):
    with refused("parameter-value"):
        resolve_parameters(RegisterParameters, None, {"regularization": value})


def test_an_unknown_option_is_refused_with_a_remedy():
    with refused("unknown-parameter", "Did you mean regularization?"):
        resolve_parameters(RegisterParameters, None, {"regularisation": 1.0})
    with refused("unknown-parameter", "Check its name."):
        resolve_parameters(RegisterParameters, None, {"foo": 1.0})


@pytest.mark.parametrize("parameters", [{"anatomy": "ct"}, HealthyParameters()])
def test_parameters_of_another_record_are_refused(parameters):
    with refused("parameters-type"):
        resolve_parameters(RegisterParameters, parameters, {})
