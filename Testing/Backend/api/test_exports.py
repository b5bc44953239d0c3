"""The names that `import SlicerSynthReg` offers."""

from __future__ import annotations

import inspect
import subprocess
import sys
import typing

import pytest

import SlicerSynthReg


@pytest.mark.parametrize("name", SlicerSynthReg.__all__)
def test_a_public_name_is_documented_and_typed(name):
    one = getattr(SlicerSynthReg, name)
    assert inspect.getdoc(one)
    if inspect.isfunction(one):
        assert {*inspect.signature(one).parameters, "return"} == set(one.__annotations__)
        if sys.version_info >= (3, 10):  # Python 3.9 cannot evaluate X | None
            typing.get_type_hints(one)


def test_import_loads_neither_torch_nor_numpy():
    code = "import SlicerSynthReg, sys; dir(SlicerSynthReg); print({'torch', 'numpy'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="regster"):
        getattr(SlicerSynthReg, "regster")  # noqa: B009


def test_a_missing_torch_says_how_to_install_it():
    code = (
        "import sys; sys.modules['torch'] = None; import SlicerSynthReg\n"
        "try: SlicerSynthReg.register\n"
        "except SlicerSynthReg.RequestError as error: print(error.code, 'pip install' in str(error))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["torch-missing", "True"]
