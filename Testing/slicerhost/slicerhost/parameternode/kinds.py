"""How a value of each type is checked and stored in a vtkMRMLScriptedModuleNode."""

from __future__ import annotations

import enum
import pathlib
import typing
from dataclasses import dataclass
from typing import Any

import slicer

__all__ = ["Choice", "Default", "Exclude", "Maximum", "Minimum", "NotNone", "WithinRange"]


@dataclass(frozen=True)
class Default:
    value: Any


@dataclass(frozen=True)
class WithinRange:
    minimum: float
    maximum: float

    def validate(self, value: Any) -> None:
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"Value must be within range [{self.minimum}, {self.maximum}], is {value}")


@dataclass(frozen=True)
class Minimum:
    minimum: float

    def validate(self, value: Any) -> None:
        if value < self.minimum:
            raise ValueError(f"Value must be at least {self.minimum}, is {value}")


@dataclass(frozen=True)
class Maximum:
    maximum: float

    def validate(self, value: Any) -> None:
        if value > self.maximum:
            raise ValueError(f"Value must be at most {self.maximum}, is {value}")


@dataclass(frozen=True)
class Choice:
    choices: Any

    def validate(self, value: Any) -> None:
        if value not in self.choices:
            raise ValueError(f"Value is {value}, but must be one of {self.choices}")


@dataclass(frozen=True)
class Exclude:
    excludedValues: Any

    def validate(self, value: Any) -> None:
        if value in self.excludedValues:
            raise ValueError(f"Value is {value}, which is excluded")


class NotNone:
    def validate(self, value: Any) -> None:
        if value is None:
            raise ValueError("Value must not be None")


def split(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """A type hint without its annotations, and these."""
    if typing.get_origin(hint) is typing.Annotated:
        return hint.__origin__, hint.__metadata__
    return hint, ()


class Kind:
    """Values of one plain type; `put` and `get` are the text that the node stores."""

    def __init__(self, python_type: Any, default: Any) -> None:
        self.python_type = python_type
        self.default = default

    def validate(self, value: Any) -> None:
        accepted = (int, float) if self.python_type is float else self.python_type
        if not isinstance(value, accepted):
            raise TypeError(f"Value must be of type {self.python_type}, is {value!r}")

    def put(self, value: Any) -> str:
        return str(value)

    def get(self, text: str) -> Any:
        return self.python_type(text)

    def is_in(self, node: Any, name: str) -> bool:
        return node.HasParameter(name)

    def write(self, node: Any, name: str, value: Any) -> None:
        node.SetParameter(name, self.put(value))

    def read(self, node: Any, name: str) -> Any:
        return self.get(node.GetParameter(name))

    def remove(self, node: Any, name: str) -> None:
        node.UnsetParameter(name)


class BoolKind(Kind):
    def get(self, text: str) -> bool:
        return text == "True"


class EnumKind(Kind):
    def put(self, value: enum.Enum) -> str:
        return value.name

    def get(self, text: str) -> enum.Enum:
        return self.python_type[text]


class NoneKind(Kind):
    def validate(self, value: Any) -> None:
        if value is not None:
            raise ValueError("Value must be None")

    def put(self, value: Any) -> str:
        return "True"

    def get(self, text: str) -> None:
        return None


class NodeKind(Kind):
    """The parameter itself stays empty; the node is a reference of the same name."""

    def validate(self, value: Any) -> None:
        if value is not None:
            super().validate(value)

    def write(self, node: Any, name: str, value: Any) -> None:
        node.SetParameter(name, "")
        node.SetNodeReferenceID(name, value.GetID() if value is not None else None)

    def read(self, node: Any, name: str) -> Any:
        return node.GetNodeReference(name)

    def remove(self, node: Any, name: str) -> None:
        node.UnsetParameter(name)
        node.RemoveNodeReferenceIDs(name)


class UnionKind(Kind):
    """Each member under a name of its own, `name_0`, `name_1`; the one that takes the value is written alone."""

    def __init__(self, members: list[Kind]) -> None:
        last_is_none = isinstance(members[-1], NoneKind)
        super().__init__(None, None if last_is_none and len(members) == 2 else members[0].default)
        self.members = members

    def _taking(self, value: Any) -> tuple[int, Kind]:
        """None goes to `NoneKind`, and to a node's kind only in a union without it."""
        candidates = [(i, member) for i, member in enumerate(self.members) if (value is None) == _is_none(member)]
        for index, member in candidates or list(enumerate(self.members)):
            try:
                member.validate(value)
                return index, member
            except (TypeError, ValueError):
                continue
        raise TypeError(f"Unable to write {value!r}: none of {[member.python_type for member in self.members]}")

    def validate(self, value: Any) -> None:
        self._taking(value)

    def is_in(self, node: Any, name: str) -> bool:
        return any(member.is_in(node, f"{name}_{index}") for index, member in enumerate(self.members))

    def write(self, node: Any, name: str, value: Any) -> None:
        index, member = self._taking(value)
        with slicer.util.NodeModify(node):
            self.remove(node, name)
            member.write(node, f"{name}_{index}", value)

    def read(self, node: Any, name: str) -> Any:
        for index, member in enumerate(self.members):
            if member.is_in(node, f"{name}_{index}"):
                return member.read(node, f"{name}_{index}")
        raise KeyError(name)

    def remove(self, node: Any, name: str) -> None:
        for index, member in enumerate(self.members):
            member.remove(node, f"{name}_{index}")


def _is_none(kind: Kind) -> bool:
    return isinstance(kind, NoneKind)


def kind_of(python_type: Any) -> Kind:
    """The kind that stores this type; raises for a type that Slicer, or this part of it, cannot store."""
    if python_type is type(None):
        return NoneKind(python_type, None)
    if python_type is bool:
        return BoolKind(bool, False)
    if python_type in (int, float):
        return Kind(python_type, 0)
    if python_type is str:
        return Kind(str, "")
    if isinstance(python_type, type):
        if issubclass(python_type, enum.Enum):
            return EnumKind(python_type, next(iter(python_type)))
        if issubclass(python_type, slicer.vtkMRMLNode):
            return NodeKind(python_type, None)
        if issubclass(python_type, pathlib.PurePath):
            return Kind(python_type, python_type())
    if typing.get_origin(python_type) is typing.Union:
        return UnionKind([kind_of(split(member)[0]) for member in typing.get_args(python_type)])
    raise TypeError(
        f"Found the type {python_type!r}. Slicer takes Optional[X] and not X | None; of the types that Slicer knows, "
        "this host has bool, int, float, str, Enum, Path, MRML nodes and unions of them."
    )
