"""Expected failures by their code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from SlicerSynthReg.errors import SynthRegError


@contextmanager
def refused(code: str, *words: str, suggests: str | None = None) -> Iterator[None]:
    """Expect an error with `code`, whose message says what was found and expected and contains all `words`.

    suggests: name of the parameter that the error suggests.
    """
    with pytest.raises(SynthRegError) as caught:
        yield
    error = caught.value
    assert error.code == code, error
    for word in ("Found ", "expected ", *words):
        assert word in str(error), error
    assert suggests == (error.suggestion and error.suggestion.parameter)
