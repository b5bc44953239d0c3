"""The record of a run that every report holds."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from SlicerSynthReg.parameters.base import recorded
from SlicerSynthReg.report.record import RunRecord
from SlicerSynthReg.runtime import peak_memory_mb, synthreg_version


def run_record(model: str, parameters: Any, seconds: Mapping[str, float], device: str) -> RunRecord:
    """Return the record of a run. model: name of the model or method. parameters: a parameter record, of which fields
    that are None are left out and personal ones hidden. seconds: stage -> seconds."""
    values = recorded(type(parameters), dataclasses.asdict(parameters))
    return RunRecord(
        model=model,
        parameters={name: value for name, value in values.items() if value is not None},
        stages={name: round(value, 3) for name, value in seconds.items()},
        peak_memory_mb=peak_memory_mb(),
        device=device,
        version=synthreg_version(),
    )
