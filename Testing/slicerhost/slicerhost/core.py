"""The MRML side, all of it Slicer's own compiled code: the scene, the application logic and the modules' logics.

What the application does at start, in its order: later steps look the earlier ones up in the scene or by module name
(labelmaps have no colour table without the Colors logic, segmentations no conversion rules without theirs).

Different from a real Slicer: no command-line modules, no DICOM database, only the modules of `MODULE_LOGICS`, and no
terminologies or extra colour tables (their files are not in the wheel).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import slicer
import vtk

MODULE_LOGICS = {
    "Annotations": "vtkSlicerAnnotationModuleLogic",
    "Cameras": "vtkSlicerCamerasModuleLogic",
    "Colors": "vtkSlicerColorLogic",
    "CropVolume": "vtkSlicerCropVolumeLogic",
    "Markups": "vtkSlicerMarkupsLogic",
    "Models": "vtkSlicerModelsLogic",
    "Plots": "vtkSlicerPlotsLogic",
    "Segmentations": "vtkSlicerSegmentationsModuleLogic",
    "Sequences": "vtkSlicerSequencesLogic",
    "SubjectHierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "Tables": "vtkSlicerTablesLogic",
    "Texts": "vtkSlicerTextsLogic",
    "Transforms": "vtkSlicerTransformLogic",
    "Units": "vtkSlicerUnitsLogic",
    "ViewControllers": "vtkSlicerViewControllersLogic",
    "VolumeRendering": "vtkSlicerVolumeRenderingLogic",
    "Volumes": "vtkSlicerVolumesLogic",
}


@dataclass(frozen=True)
class Core:
    """What the application holds: the scene, its logic, and the logic of each loadable module by its name."""

    scene: Any
    application_logic: Any
    logics: dict[str, Any]


def build_core(temporary_folder: str) -> Core:
    """A scene as a new Slicer window has it, without views: these come with the layout."""
    scene = slicer.vtkMRMLScene()
    slicer.mrmlScene = scene
    application_logic = slicer.vtkSlicerApplicationLogic()
    application_logic.SetHomeDirectory(temporary_folder)
    application_logic.SetShareDirectory(".")
    application_logic.SetTemporaryPath(temporary_folder)
    scene.SetRootDirectory(temporary_folder)
    cache = slicer.vtkCacheManager()
    (Path(temporary_folder) / "ColorFiles").mkdir()
    cache_folder = Path(temporary_folder) / "cache"
    cache_folder.mkdir()
    (cache_folder / ".slicer-cache").touch()
    cache.SetRemoteCacheDirectory(str(cache_folder))
    scene.SetCacheManager(cache)
    data_io = slicer.vtkDataIOManager()
    data_io.SetCacheManager(cache)
    scene.SetDataIOManager(data_io)

    application_logic.SetMRMLScene(scene)
    application_logic.SetSliceLogics(vtk.vtkCollection())
    application_logic.SetViewLogics(vtk.vtkCollection())
    crosshair = slicer.vtkMRMLCrosshairNode()
    crosshair.SetCrosshairName("default")
    crosshair.SetSingletonTag("default")
    scene.AddNode(crosshair)
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene, True)

    logics = {}
    for name, class_name in MODULE_LOGICS.items():
        logic = getattr(slicer, class_name)()
        logic.SetMRMLApplicationLogic(application_logic)
        application_logic.SetModuleLogic(name, logic)
        if name == "Colors":
            application_logic.SetColorLogic(logic)
        logic.SetMRMLScene(scene)
        if name == "Colors":
            logic.AddDefaultColorNodes()
        logics[name] = logic
    return Core(scene, application_logic, logics)
