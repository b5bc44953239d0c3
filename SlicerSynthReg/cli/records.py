"""Parameter records of the commands that are not tasks: batch, reader studies, quality reports."""

from __future__ import annotations

from dataclasses import dataclass

from SlicerSynthReg.parameters.base import DEVICE, INPUTS, METHOD, OUTPUT, parameter
from SlicerSynthReg.reader_study.ct_windows import CT_WINDOW_PRESETS
from SlicerSynthReg.tasks.registry import TASKS

_WINDOW = f"Grey window: {', '.join(CT_WINDOW_PRESETS)}, or WIDTH,LEVEL."


@dataclass(frozen=True)
class BatchParameters:
    """Batch of requests."""

    task: str = parameter(str, "register", "Task of every row.", choices=tuple(TASKS), group=INPUTS)
    pattern: str | None = parameter(
        str, None, "Glob of the images of a folder, as **/*_FLAIR.nii.gz; default: all.", group=INPUTS
    )
    set: tuple[str, ...] = parameter(
        str, (), "Parameter of every row as NAME=VALUE; repeatable.", repeatable=True, group=INPUTS
    )
    workers: int | None = parameter(
        int, None, "Local processes; default: by CPU cores and memory.", low=1, group=DEVICE
    )
    time_limit: float | None = parameter(
        float, None, "Time limit of a row in minutes, in local processes; default: none.", low=0.01, group=DEVICE
    )
    scheduler: str | None = parameter(
        str, None, "Address of a Dask scheduler to use instead, as tcp://host:8786.", group=DEVICE
    )


@dataclass(frozen=True)
class StudyParameters:
    """Blinded reader study."""

    title: str = parameter(str, "Reading study", "Name of the study, shown to readers.")
    pairs: int = parameter(int, 0, "Number of pair cases: which image is generated?", low=0)
    singles: int = parameter(int, 0, "Number of further cases with one image: real or generated?", low=0)
    ratings: int = parameter(int, 0, "Number of further cases with the questions below only.", low=0)
    confidence: int = parameter(int, 0, "Levels of confidence for each choice; 0: none.", low=0)
    likert: tuple[str, ...] = parameter(str, (), "Likert-scale question on every case; repeatable.", repeatable=True)
    levels: str = parameter(
        str, "very poor,poor,fair,good,excellent", "Names of the grades, worst first, separated by commas."
    )
    landmarks: str = parameter(str, "", "Names of landmarks to place, separated by commas.")
    remarks: bool = parameter(bool, False, "Ask for optional remarks in free text.")
    repeats: int = parameter(int, 0, "Number of cases per part that are repeated, for intra-reader agreement.", low=0)
    time_limit: float | None = parameter(float, None, "Time limit per case in seconds.", low=1)
    window: str | None = parameter(str, None, _WINDOW)
    reader: tuple[str, ...] = parameter(str, (), "Name of an expected reader; repeatable.", repeatable=True)
    instructions: str = parameter(str, "", "Instructions shown to readers before the study.")
    seed: int = parameter(int, 0, "Random seed of the selection, order and sides of cases.")
    in_place: bool = parameter(bool, False, "Refer to the image files instead of copying them.", group=OUTPUT)
    any_grid: bool = parameter(bool, False, "Allow pairs with different grids.", group=INPUTS)


@dataclass(frozen=True)
class PowerParameters:
    """Sample size of a reader study."""

    accuracy: float = parameter(float, 0.7, "Expected accuracy.", low=0.0, high=1.0)
    power: float = parameter(float, 0.8, "Power of the study.", low=0.0, high=1.0)
    chance: float = parameter(float, 0.5, "Accuracy of guessing.", low=0.0, high=1.0)
    alpha: float = parameter(float, 0.05, "Significance level, two-sided.", low=0.0, high=1.0)
    width: float | None = parameter(float, None, "Width of the confidence interval, such as 0.2.", low=0.0, high=1.0)
    rule_out: float | None = parameter(
        float, None, "Accuracy to be excluded if readers guess.", low=0.0, high=1.0, group=METHOD
    )


@dataclass(frozen=True)
class QualityParameters:
    """Quality report of a cohort."""

    title: str = parameter(str, "Quality of a cohort", "Title of the report.", group=OUTPUT)
    window: str | None = parameter(str, None, _WINDOW, group=INPUTS)
    unit: str = parameter(str, "", "Unit of the image values, such as HU.", group=INPUTS)
    names: bool = parameter(bool, False, "Show names of folders or rows; they may identify patients.", group=OUTPUT)
