"""`synthreg train`: the table of training and export commands."""

from __future__ import annotations

from collections.abc import Callable

import typer

from SlicerSynthReg.training.contrast_command import contrast, export_contrast
from SlicerSynthReg.training.deepsim_command import deepsim
from SlicerSynthReg.training.features_command import export_features, features_any, features_shapes, import_features
from SlicerSynthReg.training.healthy_command import export_healthy, healthy
from SlicerSynthReg.training.in_context_command import export_in_context, in_context
from SlicerSynthReg.training.loop import TrainingTask
from SlicerSynthReg.training.options import export_command, training_command
from SlicerSynthReg.training.registration_command import anatomy, export_registration, registration
from SlicerSynthReg.training.topology_command import export_topology, topology

TRAININGS: dict[str, Callable[..., TrainingTask]] = {
    "anatomy": anatomy,
    "features-shapes": features_shapes,
    "features-any": features_any,
    "registration": registration,
    "deepsim": deepsim,
    "healthy": healthy,
    "contrast": contrast,
    "topology": topology,
    "in-context": in_context,
}
EXPORTS: dict[str, Callable[..., None]] = {
    "export-registration": export_registration,
    "export-features": export_features,
    "import-features": import_features,
    "export-healthy": export_healthy,
    "export-contrast": export_contrast,
    "export-topology": export_topology,
    "export-in-context": export_in_context,
}

app = typer.Typer(
    help="Train models; most trainings use synthetic images only.", no_args_is_help=True, add_completion=False
)
for _name, _build in TRAININGS.items():
    app.command(_name, help=_build.__doc__)(training_command(_build))
for _name, _export in EXPORTS.items():
    app.command(_name, help=_export.__doc__)(export_command(_export))
