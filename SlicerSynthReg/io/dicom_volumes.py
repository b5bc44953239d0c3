"""Division of DICOM slices into volumes.

A group of slices (one series, size, pixel spacing and orientation) that is one regular volume stays whole whatever its
tags say. It is divided by a tag where that explains positions that repeat, interleave or leave the line: acquisition,
time, echo, diffusion, image type, kernel and others. A regular group is divided only if a tag other than a time makes
interleaved parts that are regular volumes themselves, such as two phases half a slice apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from SlicerSynthReg.io.dicom_files import Slice, integer, is_localiser, number, text, value
from SlicerSynthReg.io.dicom_geometry import DIRECTION_TOLERANCE, SAME_POSITION_MM, Stack
from SlicerSynthReg.io.dicom_keys import KEYS, TIMES, Key, Split, b_value, image_type, in_order, splits
from SlicerSynthReg.io.dicom_pixels import PixelReader


@dataclass(frozen=True, eq=False)
class Volume:
    """Slices that belong together. separated: from others of the same series, by these. warnings: choices made."""

    stack: Stack
    separated: tuple[Split, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def slices(self) -> list[Slice]:
        """Slices along the normal."""
        return self.stack.slices

    @property
    def localiser(self) -> bool:
        """Whether all are localisers (scouts), which are no volume."""
        return all(is_localiser(one.header) for one in self.slices)

    @property
    def sound(self) -> bool:
        """Whether the headers are those of one regular grey volume."""
        grey = integer(self.slices[0].header, "SamplesPerPixel", 1) == 1
        return grey and not self.localiser and self.stack.regular and len(self.slices) > 1


def volumes_of(slices: Sequence[Slice]) -> list[Volume]:
    """Return the volumes among slices of any series, those of one series together."""
    found = []
    for group in _by(slices, _series_key).values():
        parts = _by_geometry(group)
        for part, label in zip(parts, _plane_labels(parts)):
            split = (Split("orientation", label, False),) if label else ()
            found += _divided(part, split)
    return found


def _by(slices: Sequence[Slice], key: Key) -> dict[str, list[Slice]]:
    groups: dict[str, list[Slice]] = {}
    for one in slices:
        groups.setdefault(key(one), []).append(one)
    return groups


def _series_key(one: Slice) -> str:
    h = one.header
    tags = [text(h, name) for name in ("SeriesInstanceUID", "SeriesNumber", "Modality")]
    return "|".join([*tags, f"{one.size}", f"{is_localiser(h)}"])


def _by_geometry(slices: Sequence[Slice]) -> list[list[Slice]]:
    """Divide by direction and pixel spacing, each equal to the group's first within DIRECTION_TOLERANCE."""
    groups: list[list[Slice]] = []
    for one in slices:
        for group in groups:
            first = group[0]
            turned = np.abs(one.axes - first.axes).max() > DIRECTION_TOLERANCE
            scaled = np.abs(np.divide(one.spacing, first.spacing) - 1).max() > DIRECTION_TOLERANCE
            if not turned and not scaled:
                group.append(one)
                break
        else:
            groups.append([one])
    return groups


def _plane_labels(groups: list[list[Slice]]) -> list[str]:
    if len(groups) < 2:
        return [""]
    names = [("sagittal", "coronal", "axial")[int(np.argmax(np.abs(group[0].normal)))] for group in groups]
    return [f"{name}, {n} of {len(groups)}" for n, name in enumerate(names, start=1)]


_ALONE_SUFFICIENT = ("stack", "frame of reference")


def _divided(slices: list[Slice], split: tuple[Split, ...]) -> list[Volume]:
    """Divide slices of one geometry into volumes."""
    slices, dropped = _without_exact_copies(slices)
    notes = (_copies_note(dropped),) if dropped else ()
    stack = Stack(slices)
    name = _dividing_tag(stack)
    if name:
        groups = _by(slices, KEYS[name] if name in KEYS else TIMES[name])
        return [
            volume
            for part, one in zip(splits(name, groups), in_order(groups))
            for volume in _divided(one, (*split, part))
        ]
    if stack.repeats:
        ranked = _ranked(stack, TIMES)
        if not ranked:
            slices, dropped = _without_copies(stack)
            if dropped:
                return [Volume(Stack(slices), split, (*notes, _copies_note(dropped)))]
            ranked = _ranked(stack, {"instance number": lambda one: text(one.header, "InstanceNumber")})
        if ranked:
            name, groups = ranked
            return [
                Volume(Stack(one), (*split, part), notes) for part, one in zip(splits(name, groups), groups.values())
            ]
    return [Volume(stack, split, notes)]


def _dividing_tag(stack: Stack) -> str:
    """Return the tag that divides the stack best, or ""."""
    best: tuple[float, str] | None = None
    names = {**KEYS, **TIMES}
    for name, key in names.items():
        groups = _by(stack.slices, key)
        if len(groups) > 1:
            rest = _remaining(stack, [Stack(group) for group in groups.values()], name)
            if rest is not None and (best is None or rest < best[0]):
                best = rest, name
    return best[1] if best else ""


def _remaining(stack: Stack, parts: list[Stack], name: str) -> float | None:
    """Return how many slices remain repeated or uneven once divided; None if the division explains nothing."""
    smallest = min(len(part.slices) for part in parts)
    if stack.repeats:
        most = max(len(plane) for plane in stack.planes)
        explains = len(parts) <= 2 * most and (stack.positions == 1 or sum(p.positions > 1 for p in parts) > 0)
        if name in TIMES and smallest < min(stack.positions, 2):
            return None
        rest = sum(part.repeats for part in parts)
        uneven = sum(len(part.odd_steps) + (part.off_line_mm > 0) for part in parts)
        return rest + uneven / (len(stack.slices) + 1) if explains and rest < stack.repeats else None
    if smallest < 3 or len(parts) * 3 > len(stack.slices):
        return None
    odd = sum(len(part.odd_steps) + 3 * (part.off_line_mm > 0) for part in parts)
    if stack.regular:
        if odd or not _interleave(parts) or (name in TIMES and not _overlapping_slices(stack)):
            return None
        return 0.0
    before = len(stack.odd_steps) + 3 * (stack.off_line_mm > 0)
    separate = _interleave(parts) or stack.off_line_mm > 0 or name in _ALONE_SUFFICIENT
    return float(odd) if separate and odd * 4 <= before else None


def _interleave(parts: list[Stack]) -> bool:
    """Whether each part shares most of the range of positions of another."""
    ranges = [(part.along[0], part.along[-1]) for part in parts]
    shared = [
        max(min(high, b) - max(low, a) for m, (a, b) in enumerate(ranges) if m != n) / max(high - low, 1e-6)
        for n, (low, high) in enumerate(ranges)
    ]
    return min(shared) > 0.5


def _overlapping_slices(stack: Stack) -> bool:
    """Whether slices are much thicker than their distance, as if two sets were interleaved."""
    thickness = number(stack.slices[0].header, "SliceThickness")
    return thickness is not None and thickness > 1.8 * float(np.median(np.diff(stack.along)))


def _ranked(stack: Stack, keys: dict[str, Key]) -> tuple[str, dict[str, list[Slice]]] | None:
    """Return sets of one slice a position, in the order of the first of `keys` that differs at every position; None if
    the positions hold different numbers of slices, or none differs."""
    planes = stack.planes
    count = len(planes[0])
    if any(len(plane) != count for plane in planes):
        return None
    for name, key in keys.items():
        if all(len({key(one) for one in plane} - {""}) == count for plane in planes):
            ordered = [in_order({key(one): [one] for one in plane}) for plane in planes]
            return name, {str(n + 1): [plane[n][0] for plane in ordered] for n in range(count)}
    return None


def _without_exact_copies(slices: list[Slice]) -> tuple[list[Slice], int]:
    """Drop slices whose instance UID, position and pixels equal another's. Equal UIDs alone prove nothing: some
    anonymisers write one for all."""
    groups = _by(slices, lambda one: f"{text(one.header, 'SOPInstanceUID')} {np.round(one.origin, 2)}")
    kept: list[Slice] = []
    for group in groups.values():
        kept += _distinct(group)
    chosen = {id(one) for one in kept}
    return [one for one in slices if id(one) in chosen], len(slices) - len(kept)


def _without_copies(stack: Stack) -> tuple[list[Slice], int]:
    """Drop slices whose position and pixels equal another's, if that leaves one slice a position."""
    kept = [one for plane in stack.planes for one in _distinct(plane)]
    return (kept, len(stack.slices) - len(kept)) if len(kept) == stack.positions else (stack.slices, 0)


def _distinct(slices: list[Slice]) -> list[Slice]:
    kept: list[Slice] = []
    for one in slices:
        if not any(_same_place(one, other) and _same_tags(one, other) and _same_pixels(one, other) for other in kept):
            kept.append(one)
    return kept


def _same_place(one: Slice, other: Slice) -> bool:
    return bool(np.abs(one.origin - other.origin).max() <= SAME_POSITION_MM)


def _same_tags(one: Slice, other: Slice) -> bool:
    names = ("TemporalPositionIdentifier", "TemporalPositionIndex", "EchoTime", "AcquisitionNumber", "AcquisitionTime")
    same = all(value(one.header, name) == value(other.header, name) for name in names)
    return same and b_value(one) == b_value(other) and image_type(one) == image_type(other)


def _same_pixels(one: Slice, other: Slice) -> bool:
    reader = PixelReader()
    try:
        return bool(np.array_equal(reader.read(one).values, reader.read(other).values))
    except ValueError:  # ImageError: not decodable, told where it is read
        return False


def _copies_note(count: int) -> str:
    return (
        f"Found {count} slice{'s' if count > 1 else ''} with pixels and position equal to another's, expected each "
        "once: the copies were left out."
    )
