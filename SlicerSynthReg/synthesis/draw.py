"""Random parameters of synthesis: a draw is a record of numbers and seeds, never of tensors, so that a sample can be
rebuilt from its JSON."""

from __future__ import annotations

import dataclasses
import math
import typing
from typing import Any, TypeVar

import torch

Record = TypeVar("Record")


def uniform(generator: torch.Generator, low: float, high: float) -> float:
    """Draw from U(low, high)."""
    return low + (high - low) * float(torch.rand((), generator=generator))


def log_uniform(generator: torch.Generator, low: float, high: float) -> float:
    """Draw a number whose logarithm is uniform between those of `low` and `high`."""
    return math.exp(uniform(generator, math.log(low), math.log(high)))


def normal(generator: torch.Generator, sd: float = 1.0) -> float:
    """Draw from N(0, sd^2)."""
    return sd * float(torch.randn((), generator=generator))


def chance(generator: torch.Generator, probability: float) -> bool:
    """Draw True with `probability` (Bernoulli)."""
    return float(torch.rand((), generator=generator)) < probability


def integer(generator: torch.Generator, low: int, high: int) -> int:
    """Draw an integer, low <= n <= high."""
    return int(torch.randint(low, high + 1, (), generator=generator))


def sign(generator: torch.Generator) -> int:
    """Draw -1 or 1."""
    return 1 if chance(generator, 0.5) else -1


def seed(generator: torch.Generator) -> int:
    """Draw the seed of a noise field."""
    return integer(generator, 0, 2**31 - 2)


def noise(seeds: list[int], shape: tuple[int, ...], device: torch.device | str = "cpu") -> torch.Tensor:
    """Return standard normal fields (len(seeds), *shape), one generator a row, so that a row never depends on its
    batch."""
    fields = torch.empty((len(seeds), *shape), device=device)
    for row, item in zip(fields, seeds):
        torch.randn(shape, generator=torch.Generator(device).manual_seed(item), device=device, out=row)
    return fields


def coarse_shape(shape: tuple[int, ...], factor: float) -> tuple[int, ...]:
    """Return the voxel counts of a field at 1:factor of `shape`, at least 2."""
    return tuple(max(2, math.ceil(n / factor)) for n in shape)


def to_json(record: Any) -> Any:
    """Return a draw as JSON-ready dictionaries."""
    return dataclasses.asdict(record)


def from_json(kind: type[Record], values: dict[str, Any]) -> Record:
    """Rebuild the draw that `to_json` wrote; nested draws and tuples follow `kind`'s annotations."""
    hints = typing.get_type_hints(kind)
    return kind(**{name: _rebuild(hints[name], value) for name, value in values.items()})


def _rebuild(hint: Any, value: Any) -> Any:
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) is tuple and isinstance(value, (list, tuple)):
        inner = arguments[:1] * len(value) if Ellipsis in arguments else arguments
        return tuple(_rebuild(kind, item) for kind, item in zip(inner, value))
    if type(None) in arguments:
        return None if value is None else _rebuild(next(a for a in arguments if a is not type(None)), value)
    if dataclasses.is_dataclass(hint) and isinstance(value, dict):
        return from_json(hint, value)  # type: ignore[arg-type]
    return value
