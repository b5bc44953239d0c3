"""What can be chosen for an export to DICOM. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from SlicerSynthReg.tasks.parameters import parameter, series_parameter


@dataclass(frozen=True)
class ExportParameters:
    """description: of the derivation, without anything about the patient."""

    description: str = parameter(str, "CT computed by a network", "What was done, in a few words.")
    series: str | None = series_parameter("source folder")
