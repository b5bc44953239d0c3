"""Tags that separate the volumes of a DICOM series."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from SlicerSynthReg.io.dicom_files import Slice, number, numbers, text, words

Key = Callable[[Slice], str]


@dataclass(frozen=True)
class Split:
    """The tag by which a volume was separated, and its value or its place among the values ("2 of 3")."""

    tag: str
    value: str
    temporal: bool


def _tag(name: str) -> Key:
    def key(one: Slice) -> str:
        found = number(one.header, name)
        return text(one.header, name).upper() if found is None else f"{found:.6g}"

    return key


def _exact(name: str) -> Key:
    return lambda one: text(one.header, name)


def image_type(one: Slice) -> str:
    """Return the image type and the component of complex MR."""
    both = (*words(one.header, "ImageType"), *words(one.header, "ComplexImageComponent"))
    return "/".join(both)


def _private(one: Slice, group: int, creator: str, element: int) -> str:
    try:
        found = one.header.private_block(group, creator)[element].value
        return "/".join(str(v) for v in found) if isinstance(found, (list, tuple)) else str(found)
    except Exception:  # absent, or damaged in one of many ways
        return ""


def b_value(one: Slice) -> str:
    """Return the diffusion weighting in s/mm2, by the standard tag or that of the maker."""
    stated = number(one.header, "DiffusionBValue")
    if stated is not None:
        return f"{stated:g}"
    ge = _private(one, 0x0043, "GEMS_PARM_01", 0x39).split("/")[0]
    siemens = _private(one, 0x0019, "SIEMENS MR HEADER", 0x0C)
    return siemens or _private(one, 0x2001, "Philips Imaging DD 001", 0x03) or ge


def gradient_direction(one: Slice) -> str:
    """Return the diffusion gradient direction."""
    stated = numbers(one.header, "DiffusionGradientOrientation", 3)
    if stated is not None:
        return " ".join(f"{v:.3f}" for v in stated)
    siemens = _private(one, 0x0019, "SIEMENS MR HEADER", 0x0E)
    philips = [_private(one, 0x2005, "Philips MR Imaging DD 001", element) for element in (0xB0, 0xB1, 0xB2)]
    ge = [_private(one, 0x0019, "GEMS_ACQU_01", element) for element in (0xBB, 0xBC, 0xBD)]
    return siemens or " ".join(philips).strip() or " ".join(ge).strip()


KEYS: dict[str, Key] = {
    "image type": image_type,
    "stack": _exact("StackID"),
    "frame of reference": _exact("FrameOfReferenceUID"),
    "time point": _tag("TemporalPositionIdentifier"),
    "time index": _tag("TemporalPositionIndex"),
    "echo": _tag("EchoNumbers"),
    "echo time": _tag("EchoTime"),
    "effective echo time": _tag("EffectiveEchoTime"),
    "b-value": b_value,
    "gradient direction": gradient_direction,
    "acquisition": _tag("AcquisitionNumber"),
    "kernel": _exact("ConvolutionKernel"),
    "slice thickness": _tag("SliceThickness"),
    "tube voltage": _tag("KVP"),
    "inversion time": _tag("InversionTime"),
    "flip angle": _tag("FlipAngle"),
    "phase of the cardiac cycle": _tag("NominalPercentageOfCardiacPhase"),
    "trigger time": _tag("TriggerTime"),
    "trigger delay": _tag("NominalCardiacTriggerDelayTime"),
    "sequence": _exact("SequenceName"),
    "coil": _exact("ReceiveCoilName"),
    "contrast agent": _exact("ContrastBolusAgent"),
    "SOP class": _exact("SOPClassUID"),
    "description": lambda one: f"{text(one.header, 'SeriesDescription')}|{text(one.header, 'ProtocolName')}",
    "study": _exact("StudyInstanceUID"),
}
TIMES: dict[str, Key] = {
    name: _exact(keyword)
    for name, keyword in {
        "frame time": "FrameReferenceTime",
        "acquisition time": "AcquisitionTime",
        "acquisition date and time": "AcquisitionDateTime",
        "frame acquisition time": "FrameAcquisitionDateTime",
        "content time": "ContentTime",
        "series time": "SeriesTime",
    }.items()
}
_TEMPORAL = {
    "time point", "time index", "acquisition", "phase of the cardiac cycle", "trigger time", "trigger delay", *TIMES,
    "instance number",
}  # fmt: skip
_SHOWN = {
    "image type", "stack", "time point", "echo", "echo time", "effective echo time", "b-value", "acquisition", "kernel",
    "slice thickness", "tube voltage", "inversion time", "flip angle", "phase of the cardiac cycle", "trigger time",
}  # fmt: skip
"""Tags whose values cannot identify a patient; of others, messages give the order only."""


def in_order(groups: dict[str, list[Slice]]) -> list[list[Slice]]:
    """Return the groups in the order of their values, numbers by size."""
    return [groups[key] for key in _sorted(groups)]


def _sorted(groups: dict[str, list[Slice]]) -> list[str]:
    """Return the values of a tag in order, numbers by size."""

    def order(item: str) -> tuple[float, str]:
        try:
            return float(item), item
        except ValueError:
            return float("inf"), item

    return sorted(groups, key=order)


def splits(name: str, groups: dict[str, list[Slice]]) -> Iterator[Split]:
    """Yield how each group is separated from the others, in the order of `in_order`."""
    keys = list(groups) if name == "instance number" else _sorted(groups)
    common = set.intersection(*(set(key.split("/")) for key in keys)) if name == "image type" else set()
    for place, key in enumerate(keys, start=1):
        words_shown = "/".join(word for word in key.split("/") if word not in common)
        shown = words_shown[:24] if name in _SHOWN and words_shown else f"{place} of {len(keys)}"
        yield Split(name, shown, name in _TEMPORAL)
