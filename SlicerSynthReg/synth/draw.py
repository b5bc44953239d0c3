"""Random numbers that can be written down: a draw holds plain numbers and seeds, never tensors."""

from __future__ import annotations

import dataclasses
import math
import typing
from typing import Any, TypeVar

import torch

Record = TypeVar("Record")


def uniform(generator: torch.Generator, low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator))


def log_uniform(generator: torch.Generator, low: float, high: float) -> float:
    return math.exp(uniform(generator, math.log(low), math.log(high)))


def normal(generator: torch.Generator, sd: float = 1.0) -> float:
    return sd * float(torch.randn((), generator=generator))


def chance(generator: torch.Generator, probability: float) -> bool:
    return float(torch.rand((), generator=generator)) < probability


def integer(generator: torch.Generator, low: int, high: int) -> int:
    """low <= n <= high."""
    return int(torch.randint(low, high + 1, (), generator=generator))


def sign(generator: torch.Generator) -> int:
    """-1 or 1."""
    return 1 if chance(generator, 0.5) else -1


def seed(generator: torch.Generator) -> int:
    """A seed for one noise field."""
    return integer(generator, 0, 2**31 - 2)


def noise(seeds: list[int], shape: tuple[int, ...], device: torch.device | str = "cpu") -> torch.Tensor:
    """Standard normal fields (len(seeds), *shape), one generator per row, so that a row never depends on its batch."""
    fields = torch.empty((len(seeds), *shape), device=device)
    for row, one in zip(fields, seeds):
        torch.randn(shape, generator=torch.Generator(device).manual_seed(one), device=device, out=row)
    return fields


def coarse_shape(shape: tuple[int, ...], factor: float) -> tuple[int, ...]:
    """Voxel counts of a field at resolution 1:factor of `shape`, at least 2 so that it can vary."""
    return tuple(max(2, math.ceil(n / factor)) for n in shape)


def to_json(record: Any) -> Any:
    """A draw as JSON-ready dictionaries."""
    return dataclasses.asdict(record)


def from_json(kind: type[Record], values: dict[str, Any]) -> Record:
    """The draw again; nested draws and tuples are rebuilt from `kind`'s annotations."""
    hints = typing.get_type_hints(kind)
    return kind(**{name: _rebuilt(hints[name], value) for name, value in values.items()})


def _rebuilt(hint: Any, value: Any) -> Any:
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) is tuple and isinstance(value, (list, tuple)):
        inner = arguments[:1] * len(value) if Ellipsis in arguments else arguments
        return tuple(_rebuilt(kind, item) for kind, item in zip(inner, value))
    if type(None) in arguments:
        return None if value is None else _rebuilt(next(a for a in arguments if a is not type(None)), value)
    if dataclasses.is_dataclass(hint) and isinstance(value, dict):
        return from_json(hint, value)  # type: ignore[arg-type]
    return value
