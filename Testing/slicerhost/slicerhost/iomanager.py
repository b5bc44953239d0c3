"""`slicer.app.coreIOManager()`: files in and out through the real storage nodes and module logics.

Different from a real Slicer: the file types below and no others, a type is known by the file's extension alone, and no
reader asks anything or shows what it loaded.
"""

from __future__ import annotations

import os
from typing import Any

import vtk
from PySide6 import QtCore

_NODE_FILES = {
    "MarkupsFile": ("Markups", "LoadMarkups", (".mrk.json", ".fcsv")),
    "ModelFile": ("Models", "AddModel", (".vtp", ".stl", ".obj", ".ply", ".vtk")),
    "TransformFile": ("Transforms", "AddTransform", (".h5", ".tfm", ".mat")),
    "SegmentationFile": ("Segmentations", "LoadSegmentationFromFile", (".seg.nrrd", ".seg.vtm")),
    "TextFile": ("Texts", "AddText", (".txt", ".json")),
    "TableFile": ("Tables", "AddTable", (".csv", ".tsv")),
}
_SCENE = (".mrml", ".mrb")
_VOLUME_FORMS = ("NRRD (.nrrd)", "NIfTI (.nii.gz)", "NIfTI (.nii)", "MetaImage (.mha)", "MetaImage (.mhd)")
_VOLUME = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd", ".mgz", ".dcm")


class IOManager(QtCore.QObject):
    newFileLoaded = QtCore.Signal(object)
    fileSaved = QtCore.Signal(object)

    SIGNALS = {
        "newFileLoaded(qSlicerIO::IOProperties)": "newFileLoaded",
        "fileSaved(qSlicerIO::IOProperties)": "fileSaved",
    }

    def __init__(self, scene: Any, logics: dict[str, Any]) -> None:
        super().__init__()
        self._scene = scene
        self._logics = logics

    def fileType(self, path: Any) -> str:
        name = str(path).lower()
        for kind, (_, _, extensions) in _NODE_FILES.items():
            if name.endswith(extensions):
                return kind
        return "SceneFile" if name.endswith(_SCENE) else "VolumeFile" if name.endswith(_VOLUME) else "NoFile"

    def loadNodes(self, kind: str, properties: dict[str, Any], loaded: Any = None, messages: Any = None) -> bool:
        path = str(properties.get("fileName", ""))
        try:
            node = self._load(kind, path, properties)
        except OSError as error:
            node = None
            if messages is not None:
                messages.AddMessage(vtk.vtkCommand.ErrorEvent, str(error))
        if node is None:
            return False
        if loaded is not None and node is not True:
            loaded.AddItem(node)
        self.newFileLoaded.emit({"fileType": kind, **properties})
        return True

    def _load(self, kind: str, path: str, properties: dict[str, Any]) -> Any:
        if not os.path.exists(path):
            raise OSError(f"Found no file {path}")
        name = properties.get("name") or os.path.basename(path).split(".")[0]
        if kind == "SceneFile":
            return self._load_scene(path, bool(properties.get("clear", False)))
        if kind == "VolumeFile":
            options = 1 if properties.get("labelmap") else 0
            options += 2 if properties.get("center") else 0
            options += 4 if properties.get("singleFile") else 0
            return self._logics["Volumes"].AddArchetypeVolume(path, name, options)
        if kind not in _NODE_FILES:
            raise OSError(
                f"The host has no reader for {kind!r}; it has {sorted(_NODE_FILES)}, VolumeFile and SceneFile"
            )
        module, method, _ = _NODE_FILES[kind]
        made = getattr(self._logics[module], method)
        found = made(path, name) if kind in ("MarkupsFile", "TextFile", "TableFile") else made(path, self._scene)
        if kind == "ModelFile":
            found = made(path)
        if isinstance(found, str):
            found = self._scene.GetNodeByID(found)
        if found is not None and "name" in properties:
            found.SetName(name)
        return found

    def _load_scene(self, path: str, clear: bool) -> bool | None:
        if path.lower().endswith(".mrb"):
            return True if self._scene.ReadFromMRB(path, clear) else None
        self._scene.SetURL(path)
        return True if (self._scene.Connect() if clear else self._scene.Import()) else None

    def loadScene(self, path: str, clear: bool = True) -> bool:
        return self.loadNodes("SceneFile", {"fileName": path, "clear": clear})

    def saveScene(self, path: str, screenshot: Any = None) -> bool:
        return self.saveNodes("SceneFile", {"fileName": path})

    def fileWriterFileType(self, node: Any) -> str:
        return "NodeFile"

    def extractKnownExtension(self, path: str, node: Any) -> str:
        known = sorted(
            (form.split("(")[-1].rstrip(")").lstrip("*") for form in self.fileWriterExtensions(node)), key=len
        )
        return next((extension for extension in reversed(known) if path.lower().endswith(extension)), "")

    def fileWriterExtensions(self, node: Any) -> list[str]:
        types = self._storage(node).GetSupportedWriteFileTypes()
        known = [types.GetValue(index) for index in range(types.GetNumberOfValues())]
        return known or list(_VOLUME_FORMS)  # the wheel's ITK tells no formats, though it writes them

    def addDefaultStorageNodes(self) -> None:
        for index in range(self._scene.GetNumberOfNodes()):
            node = self._scene.GetNthNode(index)
            if node.IsA("vtkMRMLStorableNode") and node.GetStorageNode() is None:
                node.AddDefaultStorageNode()

    def saveNodes(self, kind: str, properties: dict[str, Any], messages: Any = None) -> bool:
        path = str(properties["fileName"])
        if kind == "SceneFile":
            saved = self._save_scene(path)
        else:
            node = self._scene.GetNodeByID(properties["nodeID"])
            if node.GetStorageNode() is None:
                node.AddDefaultStorageNode()
            storage = node.GetStorageNode()
            storage.SetFileName(path)
            storage.SetUseCompression(int(properties.get("useCompression", 1)))
            saved = bool(storage.WriteData(node))
        if saved:
            self.fileSaved.emit(dict(properties))
        return saved

    def _save_scene(self, path: str) -> bool:
        if path.lower().endswith(".mrb"):
            return bool(self._scene.WriteToMRB(path))
        self._scene.SetURL(path)
        return bool(self._scene.Commit())

    def exportNodes(
        self, ids: list[str], paths: list[str], properties: dict[str, Any], harden: bool, messages: Any = None
    ) -> bool:
        """Write through a storage node of its own, so that the scene's file names stay as they were."""
        written = []
        for node_id, path in zip(ids, paths):
            node = self._scene.GetNodeByID(node_id)
            copy = self._hardened(node) if harden else node
            storage = self._storage(copy)
            storage.SetFileName(path)
            storage.SetUseCompression(int(properties.get("useCompression", 1)))
            written.append(bool(storage.WriteData(copy)))
            if copy is not node:
                self._scene.RemoveNode(copy)
        return all(written)

    def _hardened(self, node: Any) -> Any:
        copy = self._scene.AddNewNodeByClass(node.GetClassName())
        copy.CopyContent(node)
        copy.SetAndObserveTransformNodeID(node.GetTransformNodeID())
        copy.HardenTransform()
        return copy

    def _storage(self, node: Any) -> Any:
        storage = self._scene.CreateNodeByClass(node.GetDefaultStorageNodeClassName(""))
        storage.UnRegister(None)
        storage.SetScene(self._scene)
        return storage
