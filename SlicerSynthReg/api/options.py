"""Keyword options of the public functions: fields of the command's parameter record."""

from __future__ import annotations

import difflib
from typing import Any, TypeVar

import numpy as np

from SlicerSynthReg.errors import RequestError
from SlicerSynthReg.parameters.base import parameter_specs

Parameters = TypeVar("Parameters")


def resolve_parameters(record: type[Parameters], parameters: Parameters | None, options: dict[str, Any]) -> Parameters:
    """Return `parameters`, or the defaults of `record`, with the fields in `options` replaced and all values validated.

    Raises RequestError (code "unknown-parameter") for an option that is no field of the record, and for a value of
    another type, choice or range (code "parameter-value"); "parameters-type" for another record.
    """
    if not (parameters is None or isinstance(parameters, record)):
        raise RequestError(
            f"Found parameters of type {type(parameters).__name__}, expected {record.__name__}. Pass single values as "
            "keyword arguments.",
            code="parameters-type",
        )
    specs = parameter_specs(record)
    for name in options:
        if name not in specs:
            near = difflib.get_close_matches(name, specs, n=1)
            remedy = f"Did you mean {near[0]}?" if near else "Check its name."
            raise RequestError(
                f"Found the option {name!r}, expected one of {', '.join(sorted(specs))}. {remedy}",
                code="unknown-parameter",
            )
    base = record() if parameters is None else parameters
    values = {name: options.get(name, getattr(base, name)) for name in specs}
    return record(**{name: specs[name].validated(_python_value(value)) for name, value in values.items()})


def _python_value(value: Any) -> Any:
    """Return a NumPy number, such as an element of numpy.linspace, as Python's; all else unchanged."""
    return value.item() if isinstance(value, np.generic) else value
