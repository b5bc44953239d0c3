"""Sets of examples that the public functions accept: a folder, a table, or pairs in memory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Union, cast

from SlicerSynthReg.api.images import ImageLike, as_image, image_name
from SlicerSynthReg.errors import RequestError
from SlicerSynthReg.io.example_images import ExamplePair, read_examples, unify_outputs
from SlicerSynthReg.io.example_pairs import ExamplePaths, LabelName, find_examples, read_label_names
from SlicerSynthReg.io.image import Image

if TYPE_CHECKING:
    from typing_extensions import TypeAlias

MAX_INPUTS = 3
"""Input images per example: the channels of the network."""

ImagesLike: TypeAlias = Union[ImageLike, Sequence[ImageLike]]
ExamplesLike: TypeAlias = Union[str, os.PathLike[str], Sequence[tuple[ImagesLike, ImageLike]]]


@dataclass(frozen=True, eq=False)
class ExampleSet:
    """Examples on disk (`paths`, read when needed) or in memory (`pairs`). label_names: where they are known."""

    paths: tuple[ExamplePaths, ...] = ()
    pairs: tuple[ExamplePair, ...] = ()
    label_names: dict[int, LabelName] = field(default_factory=dict)

    @property
    def inputs(self) -> int:
        """Input images per example."""
        return len((self.paths or self.pairs)[0].inputs)

    def read(self, kind: str) -> list[ExamplePair]:
        """Return the images. kind: of the outputs, "labels", "image" or "auto". Raises ImageError, RequestError."""
        return read_examples(self.paths, kind) if self.paths else unify_outputs(self.pairs, kind)

    def file_state(self) -> tuple[tuple[str, int, int], ...]:
        """Return path, modification time and size of all files; it changes when a file does."""
        files = [path for pair in self.paths for path in (*pair.inputs, pair.output)]
        return tuple((str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in files)


def as_examples(source: ExamplesLike) -> ExampleSet:
    """Return `source` as an ExampleSet.

    source: folder or CSV table (see `io.example_pairs`), or a sequence of (image, output) or ((image, image), output),
    each anything `as_image` takes. Raises RequestError (code "examples-none", "examples-type",
    "examples-inputs"), ImageError.
    """
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        return ExampleSet(tuple(find_examples(path)), label_names=read_label_names(path))
    pairs = []
    for n, (inputs, output) in enumerate(_pairs(source), start=1):
        images = as_images(inputs)
        if not images:
            raise RequestError(
                f"Found no input image in example {n}, expected 1 to {MAX_INPUTS}. Add it.", code="examples-inputs"
            )
        name = image_name(first_image(inputs), f"example {n}")
        pairs.append(ExamplePair(name, images, _output(output)))
    if not pairs:
        raise RequestError("Found no examples, expected at least one pair of image and output.", code="examples-none")
    counts = sorted({len(pair.inputs) for pair in pairs})
    if len(counts) > 1 or not 1 <= counts[0] <= MAX_INPUTS:
        raise RequestError(
            f"Found examples with {' and '.join(map(str, counts))} input images, expected the same number in each, 1 "
            f"to {MAX_INPUTS}. Remove the others, or add the missing images.",
            code="examples-inputs",
        )
    return ExampleSet(pairs=tuple(pairs))


def _pairs(source: object) -> Sequence[tuple[ImagesLike, ImageLike]]:
    """Return `source`, a list or tuple of pairs. Raises RequestError (examples-type)."""
    found = type(source).__name__
    if isinstance(source, (list, tuple)):
        odd = [n for n, pair in enumerate(source, start=1) if not (isinstance(pair, (list, tuple)) and len(pair) == 2)]
        if not odd:
            return source
        found = f"example {odd[0]} that is no pair"
    raise RequestError(
        f"Found {found}, expected a folder, a table, or a list of pairs (image, output). Write an example with several "
        "images as ((image, image), output).",
        code="examples-type",
    )


def as_images(source: ImagesLike) -> tuple[Image, ...]:
    """Return one image, or each of a list or tuple of images, by `as_image`."""
    return tuple(as_image(item) for item in _listed(source))


def first_image(source: ImagesLike) -> ImageLike:
    """Return the first of a list or tuple of images, or the single image."""
    return _listed(source)[0]


def _listed(source: ImagesLike) -> Sequence[ImageLike]:
    return source if isinstance(source, (list, tuple)) else (cast(ImageLike, source),)


def _output(source: ImageLike) -> Image:
    return as_image(source, source.kind if isinstance(source, Image) else "scalar", allow_degenerate=True)
