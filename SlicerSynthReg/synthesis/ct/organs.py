"""Names and labels of organs in CT. Imports no torch."""

from __future__ import annotations

ORGANS: dict[str, int] = {
    "spleen": 1, "right kidney": 2, "left kidney": 3, "gallbladder": 4, "liver": 5, "stomach": 6, "pancreas": 7,
    "right adrenal": 8, "left adrenal": 9, "left lung": 11, "right lung": 14, "small bowel": 18, "duodenum": 19,
    "colon": 20, "vertebra": 29, "heart": 51, "aorta": 52, "vena cava": 63, "portal vein": 64, "canal": 79,
    "left back muscle": 86, "right back muscle": 87, "left psoas": 88, "right psoas": 89, "rib": 97, "cartilage": 117,
}  # fmt: skip
"""Labels of TotalSegmentator (version 2), one for all parts of an organ. Fat, skin, abdominal wall and
air have label 0."""

_PARTS: dict[str, tuple[range, ...]] = {
    "right kidney": (range(24, 25),),
    "left kidney": (range(23, 24),),
    "left lung": (range(10, 12),),
    "right lung": (range(12, 15),),
    "vertebra": (range(25, 51),),
    "vena cava": (range(63, 64), range(67, 69)),
    "aorta": (range(52, 53), range(65, 67)),
    "rib": (range(92, 116),),
    "cartilage": (range(116, 118),),
}


def organ_of(value: int) -> int:
    """Return the label in ORGANS of the organ to which TotalSegmentator's label belongs, or 0."""
    if value in ORGANS.values():
        return value
    return next((ORGANS[name] for name, parts in _PARTS.items() if any(value in part for part in parts)), 0)


def organ_name(value: int) -> str:
    """Return the name of a label of ORGANS, or "label N" for another."""
    return next((name for name, number in ORGANS.items() if number == value), f"label {value}")
