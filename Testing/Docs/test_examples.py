"""The Python examples of the documentation run, on small synthetic images under the file names that they use."""

from __future__ import annotations

import ast
import inspect
import itertools
import re
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from blocks import Block, blocks

import SlicerSynthReg as synthreg
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.write import write_image
from SlicerSynthReg.spatial.grid import Grid

torch = pytest.importorskip("torch")
EXAMPLES = blocks("python")
UNCHECKED = {"docs/how-to/own-data.md"}
"""A page that shows the error of an unknown keyword."""
SIZE, SPACING_MM = 24, 2.5


def ellipsoids(shift: float) -> np.ndarray:
    """Return labels 0 to 3 of nested ellipsoids, shape (SIZE, SIZE, SIZE), moved along the first axis by voxels."""
    axis = np.arange(SIZE) - (SIZE - 1) / 2
    i, j, k = np.meshgrid(axis - shift, axis, axis, indexing="ij")
    labels = np.zeros((SIZE,) * 3, dtype=np.int64)
    for label, radius in enumerate((10.0, 7.0, 4.0), 1):
        labels[(i / radius) ** 2 + (j / (0.8 * radius)) ** 2 + ((k - label) / (0.9 * radius)) ** 2 < 1] = label
    return labels


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two images of different contrast with labels, under the names of the examples."""
    there = tmp_path_factory.mktemp("examples")
    grid = Grid((SIZE,) * 3, np.diag([SPACING_MM, SPACING_MM, SPACING_MM, 1.0]))
    noise = np.random.default_rng(0)
    for name, shift, levels in (("t1", 0.0, (0, 40, 90, 130)), ("flair", 1.5, (0, 120, 60, 20))):
        labels = ellipsoids(shift)
        values = np.asarray(levels, dtype=np.float32)[labels] + noise.normal(0, 2, labels.shape).astype(np.float32)
        write_image(Image(torch.from_numpy(values)[None], grid, name=name), there / f"{name}.nii.gz")
        write_image(Image(torch.from_numpy(labels)[None], grid, "labels"), there / f"{name}_labels.nii.gz")
    return there


def by_page() -> list[tuple[str, list[Block]]]:
    """Return the examples of each page; those of one page share their names."""
    return [(page, list(group)) for page, group in itertools.groupby(EXAMPLES, key=lambda block: block.page)]


def api_faults(text: str) -> list[str]:
    """Return names and keywords of `synthreg.NAME(...)` in `text` that the API does not have."""
    nodes = list(ast.walk(ast.parse(text)))
    unknown = [node.attr for node in nodes if is_of_api(node) and node.attr not in synthreg.__all__]
    calls = [node for node in nodes if isinstance(node, ast.Call) and is_of_api(node.func)]
    return unknown or [
        f"{call.func.attr}: {word.arg}"
        for call in calls
        for word in call.keywords
        if word.arg not in keywords(getattr(synthreg, call.func.attr))
    ]


def is_of_api(node: ast.AST) -> bool:
    """Return whether `node` is synthreg.NAME."""
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "synthreg"


def keywords(function: Callable[..., object]) -> set[str]:
    """Return the parameters of an API function, with the fields of its parameter record."""
    parameters = inspect.signature(function, eval_str=sys.version_info >= (3, 10)).parameters
    names = set(parameters)
    if "parameters" in parameters:
        record = re.search(r"\w+Parameters", str(parameters["parameters"].annotation))
        names |= {field.name for field in fields(getattr(sys.modules[function.__module__], record.group()))}
    return names


def test_examples_are_found() -> None:
    assert {page for page, _ in by_page()} >= {"README.md", "docs/index.md", "docs/how-to/python.md"}


@pytest.mark.parametrize("block", EXAMPLES, ids=str)
def test_names_and_keywords_exist(block: Block) -> None:
    if block.page not in UNCHECKED:
        assert api_faults(block.text) == []


def test_unknown_names_and_keywords_are_found() -> None:
    assert api_faults("synthreg.register('a', 'b', preset='fast', fixed_mask=None)") == []
    assert api_faults("synthreg.regster('a', 'b')") == ["regster"]
    assert api_faults("synthreg.register('a', 'b', presett='fast')") == ["register: presett"]


@pytest.mark.slow
@pytest.mark.parametrize(("page", "examples"), by_page(), ids=[page for page, _ in by_page()])
def test_examples_run(page: str, examples: list[Block], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    names: dict[str, object] = {}
    seen = {block.text for page_before, blocks_before in by_page() if page_before < page for block in blocks_before}
    for block in examples:
        if not block.names_only and block.text not in seen:
            exec(compile(block.text, str(block), "exec"), names)
