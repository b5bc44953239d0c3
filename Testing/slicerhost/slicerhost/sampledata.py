"""The module `SampleData`: sources registered as in Slicer, "downloaded" from files of this machine only.

Different from a real Slicer: a source's `uris` must be `file://` ones, or it has a `customDownloader`; others fail as
without a network. There is no thumbnail gallery: `click_sample_button` stands for a click in it.
"""

from __future__ import annotations

import sys
import types
from typing import Any
from urllib.parse import urlparse
from urllib.request import url2pathname

import slicer


class SampleDataSource:
    """What a module registers; only its own keywords are taken, and all lists must be equally long, as in Slicer.

    Raises TypeError for `uris` or `fileNames` left out, and ValueError for lists of unequal length.
    """

    def __init__(
        self,
        sampleName: str | None = None,
        uris: Any = None,
        fileNames: Any = None,
        nodeNames: Any = None,
        checksums: Any = None,
        loadFiles: Any = None,
        customDownloader: Any = None,
        thumbnailFileName: str | None = None,
        loadFileTypes: Any = None,
        loadFileProperties: Any = None,
    ) -> None:
        self.sampleName = sampleName
        each = [uris, fileNames, nodeNames, checksums, loadFiles, loadFileTypes]
        if isinstance(uris, str):
            each = [[field] for field in each]
        elif isinstance(uris, (list, tuple)):
            each[2:] = [field if isinstance(field, list) else [field] * len(uris) for field in each[2:]]
        self.uris, self.fileNames, self.nodeNames, self.checksums, self.loadFiles, self.loadFileTypes = each
        self.customDownloader = customDownloader
        self.thumbnailFileName = thumbnailFileName
        self.loadFileProperties = loadFileProperties or {}
        if len({len(field) for field in each}) != 1:
            raise ValueError("All fields of sample data source must have the same length")


class SampleDataLogic:
    def __init__(self, logMessage: Any = None) -> None:
        self.logMessage = logMessage or print

    @staticmethod
    def registerCustomSampleDataSource(category: str = "Custom", **source: Any) -> None:
        sources = slicer.modules.sampleDataSources.setdefault(category, [])
        sources.append(SampleDataSource(**source))

    @staticmethod
    def sourceForSampleName(sampleName: str) -> SampleDataSource | None:
        every = (source for sources in slicer.modules.sampleDataSources.values() for source in sources)
        return next((source for source in every if source.sampleName == sampleName), None)

    def downloadSample(self, sampleName: str) -> Any:
        return self.downloadSamples(sampleName)[0]

    def downloadSamples(self, sampleName: str) -> list[Any]:
        source = self.sourceForSampleName(sampleName)
        if source is None:
            raise ValueError(f"Found no sample {sampleName!r}")
        return self.downloadFromSource(source)

    def downloadFromSource(self, source: SampleDataSource, maximumAttemptsCount: int = 3) -> list[Any]:
        """Return the loaded nodes; none of a source with a custom downloader only, which the button calls."""
        nodes = []
        for index, uri in enumerate(source.uris):
            address = urlparse(uri)
            if address.scheme != "file":
                raise ValueError(f"Download of {uri} failed: this host has no network")
            kind = source.loadFileTypes[index] or "VolumeFile"
            properties = {"name": source.nodeNames[index]} if source.nodeNames[index] else {}
            nodes.append(slicer.util.loadNodeFromFile(url2pathname(address.path), kind, properties))
        return nodes


def click_sample_button(sampleName: str) -> Any:
    """Call what the button of the sample calls, and return its value."""
    logic = SampleDataLogic()
    source = logic.sourceForSampleName(sampleName)
    return (source.customDownloader or logic.downloadFromSource)(source)


def install() -> None:
    module = types.ModuleType("SampleData", __doc__)
    module.SampleDataLogic = SampleDataLogic
    module.SampleDataSource = SampleDataSource
    sys.modules["SampleData"] = module
