"""2D labels of a scene's views from engines, files, maps or one's own model; knows views and masks, no optimisation."""

from pan3d_core.refine.labels.files import labels_from_files, read_label_folder, write_label_folder
from pan3d_core.refine.labels.noise import LabelNoise, noisy_labels
from pan3d_core.refine.labels.sources import (
    EngineLabelSettings,
    FoundSegments,
    SceneLabels,
    in_label_space,
    labels_from_callable,
    labels_from_engine,
    labels_of_maps,
    maps_of_labels,
)

__all__ = [
    "EngineLabelSettings",
    "FoundSegments",
    "LabelNoise",
    "SceneLabels",
    "in_label_space",
    "labels_from_callable",
    "labels_from_engine",
    "labels_from_files",
    "labels_of_maps",
    "maps_of_labels",
    "noisy_labels",
    "read_label_folder",
    "write_label_folder",
]
