"""Parameter records: declarations are complete and consistent, and their documentation shows all of them."""

from __future__ import annotations

import pytest

from SlicerSynthReg.parameters.base import GROUPS, ParameterSpec, parameter_specs, recorded
from SlicerSynthReg.parameters.documentation import parameter_table
from SlicerSynthReg.parameters.registration import RegisterParameters
from SlicerSynthReg.tasks.registry import TASKS

EVERY = [(task, spec) for task, one in TASKS.items() for spec in one.parameter_specs().values()]


@pytest.mark.parametrize(("task", "spec"), EVERY, ids=lambda value: getattr(value, "name", value))
def test_a_declaration_accepts_its_default_and_its_usual_bounds(task: str, spec: ParameterSpec):
    assert spec.validated(spec.default) == spec.default
    assert spec.group in GROUPS and spec.help.endswith(".") and spec.caption
    for bound in spec.usual or ():
        assert spec.validated(spec.kind(bound)) == bound
    for choice, text in spec.choices.items():
        assert spec.validated(choice) == choice and text


def test_the_documentation_has_one_row_per_parameter_with_its_option():
    for task, one in TASKS.items():
        rows = parameter_table(one.parameters).splitlines()[2:]
        specs = parameter_specs(one.parameters)
        assert len(rows) == len(specs), task
        for row, spec in zip(rows, specs.values()):
            negated = "no-" if spec.default is True else ""
            assert row.startswith(f"| `--{negated}{spec.name.replace('_', '-')}` | {spec.group} |")
            assert spec.help in row


def test_personal_values_are_recorded_without_their_value():
    shown = recorded(RegisterParameters, {"preset": "fast", "fixed_series": "1.2.3", "moving_series": None})
    assert shown == {"preset": "fast", "fixed_series": "given, not recorded", "moving_series": None}
