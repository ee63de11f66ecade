"""ScanNet scenes as published: recording, mesh, over-segmentation and annotation (Dai et al., CVPR 2017).

    scene0000_00/
      scene0000_00.sens  or  color/N.jpg depth/N.png pose/N.txt intrinsic/intrinsic_{color,depth}.txt  (what is exported from it)
      scene0000_00.txt                            facts, `axisAlignment = ` 16 numbers among them; optional
      scene0000_00_vh_clean_2.ply                 mesh, metres, z up
      scene0000_00_vh_clean_2.0.010000.segs.json  `segIndices`: over-segmentation, one number per vertex
      scene0000_00.aggregation.json               `segGroups`: objects as lists of segments, with raw names
      instance-filt/N.png, or scene0000_00_2d-instance-filt.zip  `objectId` + 1 of every colour pixel, 0 = none; optional
    scannetv2-labels.combined.tsv                 raw name -> nyu40 class, in the scene or up to four folders above

Poses are world_from_cam of colour and depth camera alike (the published extrinsics between them are identity), depth is in
millimetres with 0 = none, and a pose of -inf means a lost frame, which is left out. With `axisAlignment`, mesh and poses are
turned so that walls lie along the axes. Without projected instances they are rendered from the annotated mesh.
"""

from __future__ import annotations

import csv
import logging
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pan3d_core.geometry.transforms import invert_rigid, transform_points
from pan3d_core.labels import LabelSpace
from pan3d_core.structures import CameraView
from pan3d_core.views.scan_truth import MeshTruth, RegionTruth
from pan3d_core.views.scene_folder import Scene, SceneObject, SceneTruth
from pan3d_eval.datasets.mesh_views import render_mesh
from pan3d_eval.datasets.ply_mesh import PlyMesh, read_ply_mesh
from pan3d_eval.datasets.published_files import (
    DEFAULT_VIEWS,
    ViewSelection,
    field_of,
    find_above,
    metres,
    read_integers,
    read_json_object,
    required,
    resample_nearest,
)
from pan3d_eval.datasets.scannet_recording import Recording, open_recording

logger = logging.getLogger("pan3d.evaluation.scannet")

LABEL_TABLE = "scannetv2-labels.combined.tsv"
NYU40 = (
    "wall", "floor", "cabinet", "bed", "chair", "sofa", "table", "door", "window", "bookshelf", "picture", "counter", "blinds",
    "desk", "shelves", "curtain", "dresser", "pillow", "mirror", "floor mat", "clothes", "ceiling", "books", "refrigerator",
    "television", "paper", "towel", "shower curtain", "box", "whiteboard", "person", "nightstand", "toilet", "sink", "lamp",
    "bathtub", "bag", "otherstructure", "otherfurniture", "otherprop",
)  # fmt: skip
# nyu40 number -> name of the benchmark's classes; wall and floor are stuff and no instances.
CLASSES = {n: NYU40[n - 1] for n in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 24, 28, 33, 34, 36, 39)}
STRUCTURE = (1, 2, 22)  # wall, floor, ceiling: annotated, but no objects
LABELS = LabelSpace(tuple(CLASSES.values()), tuple(number not in STRUCTURE for number in CLASSES))
CLASS_OF_LABEL = {number: index for index, number in enumerate(CLASSES) if number not in STRUCTURE}


@dataclass(frozen=True)
class Annotation:
    """Objects of a scan: what every vertex belongs to."""

    instance: np.ndarray  # (N,) int64 objectId + 1, 0 = none; where objects overlap the later one holds, as in the benchmark
    label: np.ndarray  # (N,) int64 nyu40 number (or what another column of the table of labels has), 0 = none
    segment: np.ndarray  # (N,) int64 over-segmentation
    names: dict[int, str]  # instance -> raw name
    labels: dict[int, int]  # instance -> likewise


def is_scannet(folder: Path) -> bool:
    """Whether the folder looks like one ScanNet scene."""
    name = folder.name
    return any((folder / f"{name}{end}").exists() for end in (".sens", "_vh_clean_2.ply", ".aggregation.json"))


def read_scannet(folder: Path, views: ViewSelection = DEFAULT_VIEWS) -> Scene:
    """Read one scene. Raises `FileNotFoundError` or `ValueError` naming the file and what was expected."""
    name, aligned_from_mesh = folder.name, _axis_alignment(folder / f"{folder.name}.txt")
    annotation = read_annotation(folder)
    mesh = read_ply_mesh(required(folder / f"{name}_vh_clean_2.ply", "the annotated mesh"))
    if len(mesh.vertices) != len(annotation.instance):
        raise ValueError(f"{name}: segIndices: expected {len(mesh.vertices)} as the mesh has, got {len(annotation.instance)}")
    vertices = transform_points(aligned_from_mesh, torch.from_numpy(mesh.vertices)).float()
    recording = open_recording(folder)
    chosen, depths, made = _views(recording, aligned_from_mesh, views)
    rendered = _Rendered(mesh, vertices, annotation)
    instances = tuple(_instances(folder, frame, view, rendered) for frame, view in zip(chosen, made))
    truth = SceneTruth(
        instance_ids=tuple(_objects_only(ids, annotation) for ids in instances),
        depth=tuple(view.depth for view in made),
        objects=tuple(_objects(annotation)),
        labels=LABELS,
        mesh=MeshTruth(
            vertices=vertices,
            ids=torch.from_numpy(annotation.label * 1000 + annotation.instance),
            class_of_label=dict(CLASS_OF_LABEL),
            superpoints=torch.from_numpy(annotation.segment),
            sensor_depth=tuple(depths),
            sensor_intrinsics=(recording.depth_intrinsics,) * len(made),
        ),
        regions=RegionTruth(tuple(ids.short() for ids in instances), _region_names(annotation)),
    )
    return Scene(name, made, truth)


def is_annotated(folder: Path) -> bool:
    """Whether somebody has said what the objects of a scene are; of the benchmark's test scenes nobody has."""
    return (folder / f"{folder.name}.aggregation.json").exists()


def read_scannet_views(folder: Path, views: ViewSelection = DEFAULT_VIEWS) -> Scene:
    """Read the recording of a scene alone, without truth. Errors as `read_scannet`."""
    return Scene(folder.name, _views(open_recording(folder), _axis_alignment(folder / f"{folder.name}.txt"), views)[2])


def read_annotation(folder: Path, column: str = "nyu40id") -> Annotation:
    """Labels and instances of the vertices, as the benchmark's exporter assigns them; labels are numbers of this column."""
    name = folder.name
    segments_path = folder / f"{name}_vh_clean_2.0.010000.segs.json"
    groups_path = folder / f"{name}.aggregation.json"
    content = read_json_object(segments_path, "the over-segmentation of the mesh")
    segment = np.array(field_of(content, "segIndices", segments_path), dtype=np.int64)
    groups = field_of(read_json_object(groups_path, "the annotated objects"), "segGroups", groups_path)
    numbers = _label_numbers(folder, column)
    pieces, piece_of_vertex = np.unique(segment, return_inverse=True)
    instance, label = np.zeros_like(pieces), np.zeros_like(pieces)  # of the pieces, which are far fewer than the vertices
    names: dict[int, str] = {}
    labels: dict[int, int] = {}
    for group in groups:
        number = int(field_of(group, "objectId", groups_path)) + 1
        names[number] = field_of(group, "label", groups_path)
        if names[number] not in numbers:
            raise ValueError(f"{groups_path}: label: expected a raw_category of {LABEL_TABLE}, got {names[number]!r}")
        labels[number] = numbers[names[number]]
        mine = np.isin(pieces, field_of(group, "segments", groups_path))
        instance[mine], label[mine] = number, labels[number]
    return Annotation(instance[piece_of_vertex], label[piece_of_vertex], segment, names, labels)


def raw_categories(folder: Path) -> frozenset[str]:
    """Every raw name that the table of labels has, whether an object of this scene is called so or not."""
    return frozenset(_label_numbers(folder))


@dataclass(frozen=True)
class _Rendered:
    """The annotated mesh, for views whose instances nobody has projected."""

    mesh: PlyMesh
    vertices: Tensor
    annotation: Annotation

    def instances(self, view: CameraView) -> Tensor:
        triangles = torch.from_numpy(self.mesh.triangles)
        _, seen = render_mesh(self.vertices, triangles, *view.calibration(), view.hw)
        of_triangle = torch.from_numpy(self.annotation.instance)[triangles].mode(dim=1).values
        return torch.where(seen >= 0, of_triangle[seen.clamp_min(0)], 0)


def _views(
    recording: Recording, aligned_from_mesh: Tensor, views: ViewSelection
) -> tuple[list[int], list[Tensor], tuple[CameraView, ...]]:
    """Frames, their depth images in metres as they were measured, and the views made of them."""
    chosen = views.pick(recording.usable_frames())
    poses = [(invert_rigid(recording.world_from_cam(k)) @ invert_rigid(aligned_from_mesh)).float() for k in chosen]
    depths = [metres(recording.depth(frame), recording.depth_units_per_metre) for frame in chosen]
    return chosen, depths, tuple(_view(recording, *own) for own in zip(chosen, poses, depths, strict=True))


def _view(recording: Recording, frame: int, cam_from_world: Tensor, depth: Tensor) -> CameraView:
    image = recording.color(frame)
    hw = (image.shape[1], image.shape[2])
    return CameraView(
        image=image,
        intrinsics=recording.color_intrinsics,
        cam_from_world=cam_from_world,
        depth=resample_nearest(depth, recording.depth_intrinsics, recording.color_intrinsics, hw),
        frame_id=f"frame_{frame}",
        camera=f"frame_{frame}",
    )


def _instances(folder: Path, frame: int, view: CameraView, rendered: _Rendered) -> Tensor:
    """(H, W) objectId + 1 of one colour image."""
    unpacked, packed = folder / "instance-filt" / f"{frame}.png", folder / f"{folder.name}_2d-instance-filt.zip"
    what = f"projected instances of frame {frame}"
    if unpacked.exists():
        ids = read_integers(unpacked, what)
    elif packed.exists():
        with zipfile.ZipFile(packed) as archive:
            name = f"instance-filt/{frame}.png"
            if name not in archive.namelist():
                raise FileNotFoundError(f"{packed}: expected {name} in it, got none")
            ids = read_integers(archive.read(name), what)
    else:
        logger.info("%s: no projected instances of frame %d, rendered from the mesh instead", folder.name, frame)
        return rendered.instances(view)
    if tuple(ids.shape) != tuple(view.image.shape[1:]):
        raise ValueError(f"{what}: expected {tuple(view.image.shape[1:])} as the colour image, got {tuple(ids.shape)}")
    return ids


def _objects_only(ids: Tensor, annotation: Annotation) -> Tensor:
    for number, label in annotation.labels.items():  # one by one is many times as fast as asking whether an id is one of them
        if label in STRUCTURE:
            ids = ids.masked_fill(ids == number, 0)
    return ids


def _objects(annotation: Annotation) -> list[SceneObject]:
    """Every annotated object that is no structure; classes outside of the benchmark are -1."""
    return [
        SceneObject(number, name, CLASS_OF_LABEL.get(annotation.labels[number], -1))
        for number, name in sorted(annotation.names.items())
        if annotation.labels[number] not in STRUCTURE
    ]


def _region_names(annotation: Annotation) -> dict[int, str]:
    """Every annotated region's nyu40 name; those whose number is none of the forty have their own."""
    known = dict(enumerate(NYU40, start=1))
    return {number: known.get(label, annotation.names[number]) for number, label in annotation.labels.items()}


def _label_numbers(folder: Path, column: str = "nyu40id") -> dict[str, int]:
    path = find_above(folder, (LABEL_TABLE,))
    if path is None:
        raise FileNotFoundError(f"expected {LABEL_TABLE} in {folder} or up to four folders above, got none")
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    if not rows or not {"raw_category", column} <= set(rows[0]):
        raise ValueError(f"{path}: expected columns raw_category and {column}, got {', '.join(rows[0]) if rows else 'no rows'}")
    return {row["raw_category"]: int(row[column]) for row in rows}


def _axis_alignment(path: Path) -> Tensor:
    """(4, 4) float64 aligned_from_mesh; identity where the file or the line is missing, as for test scenes."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    for key, _, values in (line.partition("=") for line in lines):
        if key.strip() == "axisAlignment":
            numbers = [float(word) for word in values.split()]
            if len(numbers) != 16:
                raise ValueError(f"{path}: axisAlignment: expected 16 numbers, got {len(numbers)}")
            return torch.tensor(numbers, dtype=torch.float64).reshape(4, 4)
    return torch.eye(4, dtype=torch.float64)
