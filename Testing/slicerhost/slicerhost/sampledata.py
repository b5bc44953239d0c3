"""The module `SampleData`: sources registered as in Slicer, "downloaded" from files of this machine only.

Different from a real Slicer: a source's `uris` must be `file://` ones, or it has a `customDownloader`; others fail as
without a network. There is no thumbnail gallery.
"""

from __future__ import annotations

import sys
import types
from typing import Any
from urllib.parse import urlparse
from urllib.request import url2pathname

import slicer


class SampleDataSource:
    """What a module registers; only its own keywords are taken, as in Slicer."""

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
        self.uris = _listed(uris)
        self.fileNames = _listed(fileNames)
        self.nodeNames = _listed(nodeNames)
        self.checksums = _listed(checksums)
        self.loadFiles = loadFiles
        self.customDownloader = customDownloader
        self.thumbnailFileName = thumbnailFileName
        self.loadFileTypes = _listed(loadFileTypes)
        self.loadFileProperties = loadFileProperties or {}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


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
        if source.customDownloader is not None:
            return _listed(source.customDownloader(source))
        nodes = []
        for index, uri in enumerate(source.uris):
            address = urlparse(uri)
            if address.scheme != "file":
                raise ValueError(f"Download of {uri} failed: this host has no network")
            kind = source.loadFileTypes[index] if source.loadFileTypes else "VolumeFile"
            properties = {"name": source.nodeNames[index]} if source.nodeNames else {}
            nodes.append(slicer.util.loadNodeFromFile(url2pathname(address.path), kind, properties))
        return nodes


def install() -> None:
    module = types.ModuleType("SampleData", __doc__)
    module.SampleDataLogic = SampleDataLogic
    module.SampleDataSource = SampleDataSource
    sys.modules["SampleData"] = module
