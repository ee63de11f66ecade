"""Replica scenes as rendered for Semantic-NeRF (Zhi et al., ICCV 2021), and the annotation of the data set itself.

    room_0/Sequence_1/
      rgb/rgb_N.png                             colour
      depth/depth_N.png                         16-bit z-depth in millimetres, 0 = none
      semantic_instance/semantic_instance_N.png 16-bit object ids
      traj_w_c.txt                              16 numbers a line: world_from_cam of image N, camera axes as in OpenCV
    info_semantic.json, mesh_semantic.ply       in `habitat/` or `semantic_info/ROOM/`, beside or up to four folders above

The renderer's field of view is 90 degrees across and its principal point the image centre. The world is the mesh's, z up.
Objects without a class, walls, floors and ceilings are no objects. The mesh gives every *face* an object; a vertex gets the
object of most of its faces. Without the mesh there is no truth on vertices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pan3d_core.geometry.transforms import invert_rigid
from pan3d_core.labels import LabelSpace
from pan3d_core.structures import CameraView
from pan3d_core.views.image_files import read_image
from pan3d_core.views.scan_truth import MeshTruth, RegionTruth
from pan3d_core.views.scene_folder import Scene, SceneObject, SceneTruth
from pan3d_eval.datasets.ply_mesh import PlyMesh, read_ply_mesh
from pan3d_eval.datasets.published_files import (
    DEFAULT_VIEWS,
    ViewSelection,
    field_of,
    find_above,
    metres,
    pinhole,
    read_integers,
    read_json_object,
    read_numbers,
)

TRAJECTORY, INFO, MESH = "traj_w_c.txt", "info_semantic.json", "mesh_semantic.ply"
# Classes that are surroundings rather than objects; which ones is our choice.
STRUCTURE = frozenset({"wall", "floor", "ceiling", "undefined"})


@dataclass(frozen=True)
class Annotation:
    """Objects of a room."""

    labels: LabelSpace
    class_numbers: tuple[int, ...]  # the data set's number of each class of `labels`
    class_of_object: dict[int, int]  # object id -> index into `labels`; objects without a class are left out

    def names(self) -> dict[int, str]:
        """Object id -> name of its class, walls and floors included."""
        return {number: self.labels.names[index] for number, index in self.class_of_object.items()}

    def is_object(self, number: int) -> bool:
        """Whether the id belongs to something that is neither structure nor without a class."""
        return number > 0 and number in self.class_of_object and self.labels.is_thing[self.class_of_object[number]]


def is_replica(folder: Path) -> bool:
    """Whether the folder looks like one rendered Replica sequence."""
    return (folder / TRAJECTORY).exists()


def read_replica(folder: Path, views: ViewSelection = DEFAULT_VIEWS) -> Scene:
    """Read one sequence. Raises `FileNotFoundError` or `ValueError` naming the file and what was expected."""
    info = _beside(folder, INFO)
    if info is None:
        raise FileNotFoundError(f"expected {INFO} in habitat/ or semantic_info/ROOM/ beside or above {folder}, got none")
    annotation = read_annotation(info)
    poses = torch.from_numpy(read_numbers(folder / TRAJECTORY, "the trajectory", (-1, 4, 4)))
    chosen = views.pick(range(len(poses)))
    made, ids = zip(*(_read_view(folder, number, poses[number]) for number in chosen))
    objects = {number: index for number, index in annotation.class_of_object.items() if annotation.is_object(number)}
    known = torch.tensor(sorted(objects) or [-1])
    mesh_path = _beside(folder, MESH)
    truth = SceneTruth(
        instance_ids=tuple(torch.where(torch.isin(image, known), image, 0) for image in ids),
        depth=tuple(view.depth for view in made),
        objects=tuple(SceneObject(number, annotation.labels.names[index], index) for number, index in sorted(objects.items())),
        labels=annotation.labels,
        mesh=None if mesh_path is None else _with_depth(mesh_truth(mesh_path, annotation), made),
        regions=RegionTruth(tuple(image.int() for image in ids), annotation.names()),
    )
    return Scene("/".join(folder.resolve().parts[-2:]), made, truth)


def read_annotation(path: Path) -> Annotation:
    """Classes and objects of `info_semantic.json`."""
    content = read_json_object(path, "classes and objects of the room")
    classes = {int(item["id"]): str(item["name"]) for item in field_of(content, "classes", path)}
    numbers = tuple(sorted(classes))
    labels = LabelSpace(tuple(classes[n] for n in numbers), tuple(classes[n] not in STRUCTURE for n in numbers))
    objects = {int(item["id"]): int(item["class_id"]) for item in field_of(content, "objects", path)}
    return Annotation(labels, numbers, {k: numbers.index(number) for k, number in objects.items() if number in classes})


def mesh_truth(path: Path, annotation: Annotation) -> MeshTruth:
    """Truth on the vertices of the room's mesh; ids are class number * 1000 + object id."""
    mesh = read_ply_mesh(path)
    if "object_id" not in mesh.face_properties:
        raise ValueError(f"{path}: expected an object_id of every face, got {', '.join(mesh.face_properties) or 'none'}")
    owner = vertex_owners(mesh, mesh.face_properties["object_id"])
    ids = np.zeros(len(owner), dtype=np.int64)
    for number, index in annotation.class_of_object.items():
        ids[owner == number] = annotation.class_numbers[index] * 1000 + number
    things = {n: k for k, n in enumerate(annotation.class_numbers) if annotation.labels.is_thing[k]}
    return MeshTruth(torch.from_numpy(mesh.vertices).float(), torch.from_numpy(ids), things)


def _with_depth(mesh: MeshTruth, views: Sequence[CameraView]) -> MeshTruth:
    depth, intrinsics = tuple(view.depth for view in views), tuple(view.intrinsics for view in views)
    return replace(mesh, sensor_depth=depth, sensor_intrinsics=intrinsics)


def vertex_owners(mesh: PlyMesh, owner_of_face: np.ndarray) -> np.ndarray:
    """(N,) most frequent owner among the faces of each vertex, the smallest number among equals; -1 without a face."""
    corners = mesh.faces.shape[1]
    pairs = np.stack([mesh.faces.reshape(-1), np.repeat(owner_of_face.astype(np.int64), corners)], axis=1)
    pairs, counts = np.unique(pairs, axis=0, return_counts=True)
    order = np.lexsort((pairs[:, 1], -counts, pairs[:, 0]))
    vertices, first = np.unique(pairs[order, 0], return_index=True)
    owners = np.full(len(mesh.vertices), -1, dtype=np.int64)
    owners[vertices] = pairs[order[first], 1]
    return owners


def _read_view(folder: Path, number: int, world_from_cam: Tensor) -> tuple[CameraView, Tensor]:
    image = read_image(folder / "rgb" / f"rgb_{number}.png", upright=False)
    height, width = image.shape[1:]
    depth = metres(read_integers(folder / "depth" / f"depth_{number}.png", f"the depth of image {number}"))
    ids_path = folder / "semantic_instance" / f"semantic_instance_{number}.png"
    ids = read_integers(ids_path, f"the object ids of image {number}")
    if ids.shape != depth.shape:
        raise ValueError(f"{ids_path}: expected {tuple(depth.shape)} pixels as the depth image, got {tuple(ids.shape)}")
    view = CameraView(
        image=image,
        intrinsics=pinhole(width / 2, width / 2, (width - 1) / 2, (height - 1) / 2),
        cam_from_world=invert_rigid(world_from_cam).float(),
        depth=depth,
        frame_id=f"image_{number}",
        camera=f"image_{number}",
    )
    return view, ids


def _beside(folder: Path, name: str) -> Path | None:
    """Where the room's own files are, seen from a sequence of it."""
    rooms = folder.resolve().parts[-3:]
    return find_above(folder, (f"habitat/{name}", *(f"semantic_info/{room}/{name}" for room in rooms), name))
