"""Damaged files of the library's formats: each is read, or refused with one error that names it."""

from pathlib import Path

import torch
from fuzzing import Reader, broken_files_test, damaged_files_test

from pan3d_core.config import PipelineConfig
from pan3d_core.gaussians.files import read_scene_file
from pan3d_core.labelling.review import Review
from pan3d_core.memory.files import read_world
from pan3d_core.pictures.cloud_files import read_ply
from pan3d_core.refine.labels.files import labels_from_files
from pan3d_core.runtime.weights import read_metadata, read_weights
from pan3d_core.structures import CameraView
from pan3d_core.views.image_files import read_image
from pan3d_core.views.scene_folder import read_photographs, read_scene


def reviewed(path: Path) -> None:
    """Open a review and look at what its decisions made of the pixels."""
    review = Review(path.parent)
    try:
        for item in review.state.objects.values():
            review.pixels(item.scene)
    finally:
        review.close()


VIEW = CameraView(image=torch.zeros(3, 12, 16), camera="a", frame_id="a")
READERS: dict[str, Reader] = {
    "scene/scene.json": lambda path: read_scene(path.parent),
    "scene/cameras.json": lambda path: read_photographs([path.with_name("a.png")], path),
    "scene/a.png": read_image,
    "coco/coco.json": lambda path: labels_from_files(path, [VIEW]),
    "coco/00_a.png": lambda path: labels_from_files(path.with_name("coco.json"), [VIEW]),
    "labels/00_a.png": lambda path: labels_from_files(path.parent, [VIEW]),
    "labels/labels.json": lambda path: labels_from_files(path.parent, [VIEW]),
    "settings.yaml": PipelineConfig.from_yaml,
    "weights.safetensors": lambda path: (read_weights(path), read_metadata(path)),
    "weights.pt": read_weights,
    "gaussians.safetensors": read_scene_file,
    "world.safetensors": read_world,
    "gaussians.ply": read_scene_file,
    "cloud.ply": read_ply,
    "review/review.jsonl": reviewed,
}


test_damaged_files_are_read_or_refused_by_name = damaged_files_test(READERS)
test_files_that_broke_a_reader_once_are_read_or_refused_by_name = broken_files_test(READERS)
