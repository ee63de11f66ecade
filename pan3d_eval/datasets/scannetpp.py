"""ScanNet++ scenes as published: one device's images, COLMAP cameras, laser mesh and annotation (Yeshwanth et al., ICCV 2023).

    SCENE/
      scans/mesh_aligned_0.05.ply, segments.json, segments_anno.json
      dslr/colmap/{cameras,images}.txt   dslr/resized_images/DSC*.JPG    (fisheye), or
      dslr/nerfstudio/transforms_undistorted.json   dslr/resized_undistorted_images/DSC*.JPG
      iphone/colmap/{cameras,images}.txt iphone/rgb/frame_*.jpg          depth/frame_*.png in millimetres, 256 x 192
    metadata/semantic_benchmark/{top100_instance.txt, map_benchmark.csv}  up to four folders above; optional

SCENE means its DSLR images where they are, else the iPhone's; SCENE/iphone asks for the latter. Distorted images are made
pinhole with the same focal length. The data set has no instance images and no DSLR depth: true depth and instances are
rendered from the mesh, and a view's own depth is the iPhone's. Where annotated objects overlap, the smaller one holds.
Without the metadata every raw name is a class of its own.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pan3d_core.geometry.distortion import undistort
from pan3d_core.structures import CameraView
from pan3d_core.views.image_files import read_image
from pan3d_core.views.scan_truth import MeshTruth, RegionTruth
from pan3d_core.views.scene_folder import Scene, SceneObject, SceneTruth
from pan3d_eval.datasets.mesh_views import render_mesh
from pan3d_eval.datasets.ply_mesh import read_ply_mesh
from pan3d_eval.datasets.published_files import (
    DEFAULT_VIEWS,
    ViewSelection,
    metres,
    pinhole,
    read_integers,
    required,
    resample_nearest,
)
from pan3d_eval.datasets.scannetpp_annotation import Annotation, read_annotation
from pan3d_eval.datasets.scannetpp_cameras import Camera, read_colmap, read_undistorted

MESH = "mesh_aligned_0.05.ply"
DEVICES = ("dslr", "iphone")
UNDISTORTED = ("resized_undistorted_images", "nerfstudio/transforms_undistorted.json")
IMAGE_FOLDERS = {"dslr": "resized_images", "iphone": "rgb"}


def is_scannetpp(folder: Path) -> bool:
    """Whether the folder looks like one ScanNet++ scene, or like one device's folder of it."""
    if folder.name in DEVICES:
        return (folder.parent / "scans").is_dir()
    return (folder / "scans").is_dir() and any((folder / device).is_dir() for device in DEVICES)


def read_scannetpp(folder: Path, views: ViewSelection = DEFAULT_VIEWS) -> Scene:
    """Read one scene. Raises `FileNotFoundError` or `ValueError` naming the file and what was expected."""
    device_folder = folder if folder.name in DEVICES else _device_folder(folder)
    scene_folder = device_folder.parent
    images, cameras = _images_and_cameras(device_folder)
    usable = {name: camera for name, camera in sorted(cameras.items()) if (images / name).exists()}
    if not usable:
        raise FileNotFoundError(f"expected images such as {min(cameras, default='frame_000000.jpg')} in {images}, got none")
    chosen = views.pick(list(usable))
    annotation = read_annotation(scene_folder / "scans")
    mesh = read_ply_mesh(required(scene_folder / "scans" / MESH, "the annotated mesh"))
    if len(mesh.vertices) != len(annotation.instance):
        raise ValueError(f"segments.json: segIndices: expected {len(mesh.vertices)} as {MESH}, got {len(annotation.instance)}")
    vertices, triangles = torch.from_numpy(mesh.vertices).float(), torch.from_numpy(mesh.triangles)
    owner, region = (torch.from_numpy(of)[triangles].mode(dim=1).values for of in (annotation.instance, annotation.region))
    made, ids, regions, depths, measured = [], [], [], [], []
    for name in chosen:
        view, sensor = _read_view(images / name, usable[name])
        intrinsics, cam_from_world = view.calibration()
        depth, seen = render_mesh(vertices, triangles, intrinsics, cam_from_world, view.hw)
        made.append(view)
        depths.append(depth)
        ids.append(torch.where(seen >= 0, owner[seen.clamp_min(0)], 0))
        regions.append(torch.where(seen >= 0, region[seen.clamp_min(0)], 0).int())
        measured.append((depth, intrinsics) if sensor is None else sensor)
    truth = SceneTruth(
        instance_ids=tuple(ids),
        depth=tuple(depths),
        objects=tuple(SceneObject(k, name, annotation.class_of(k)) for k, name in sorted(annotation.names.items())),
        labels=annotation.labels,
        mesh=_mesh_truth(vertices, annotation, measured),
        regions=RegionTruth(tuple(regions), annotation.region_names),
    )
    return Scene(f"{scene_folder.name}/{device_folder.name}", tuple(made), truth)


def _device_folder(folder: Path) -> Path:
    for device in DEVICES:
        if any((folder / device / images).is_dir() for images in (IMAGE_FOLDERS[device], UNDISTORTED[0])):
            return folder / device
    wanted = ", ".join(f"{device}/{images}" for device, images in IMAGE_FOLDERS.items())
    raise FileNotFoundError(f"expected images in one of {wanted} of {folder}, got none")


def _images_and_cameras(folder: Path) -> tuple[Path, dict[str, Camera]]:
    """Folder of the images, and the camera of every image name."""
    images = folder / IMAGE_FOLDERS[folder.name]
    undistorted = folder / UNDISTORTED[0]
    if undistorted.is_dir() and not images.is_dir():
        return undistorted, read_undistorted(folder / UNDISTORTED[1])
    return required(images, "the images"), read_colmap(folder / "colmap")


def _read_view(path: Path, camera: Camera) -> tuple[CameraView, tuple[Tensor, Tensor] | None]:
    """View, and the sensor's own depth with its intrinsics where there is one."""
    image = read_image(path, upright=False)
    height, width = image.shape[1:]
    if (width, height) != camera.size:
        raise ValueError(f"{path}: expected {camera.size} pixels as its camera says, got {(width, height)}")
    sensor, depth = None, None
    depth_path = path.parent.parent / "depth" / f"{path.stem}.png"
    if depth_path.exists():
        values = metres(read_integers(depth_path, f"the depth of {path.name}"))
        intrinsics = _scaled(camera.intrinsics, values.shape[1] / width, values.shape[0] / height)
        sensor, depth = (values, intrinsics), resample_nearest(values, intrinsics, camera.intrinsics, (height, width))
    straight, depth = undistort(image, camera.intrinsics, camera.distortion_model, camera.coefficients, depth)
    name = path.stem
    view = CameraView(straight, camera.intrinsics, camera.cam_from_world, depth, frame_id=name, camera=name)
    return view, sensor


def _scaled(intrinsics: Tensor, across: float, down: float) -> Tensor:
    (fx, _, cx), (_, fy, cy) = intrinsics[0].tolist(), intrinsics[1].tolist()
    return pinhole(fx * across, fy * down, (cx + 0.5) * across - 0.5, (cy + 0.5) * down - 0.5)


def _mesh_truth(vertices: Tensor, annotation: Annotation, depths: list[tuple[Tensor, Tensor]]) -> MeshTruth:
    """Ids are (class + 1) * 1000 + object; where the DSLR measured no depth, the rendered one takes its place."""
    classes = np.array([0, *(annotation.class_of(k) + 1 for k in range(1, annotation.instance.max(initial=0) + 1))])
    ids = torch.from_numpy(classes[annotation.instance] * 1000 + annotation.instance)
    truth = MeshTruth(
        vertices=vertices,
        ids=ids,
        class_of_label={k + 1: k for k, thing in enumerate(annotation.labels.is_thing) if thing},
        sensor_depth=tuple(depth for depth, _ in depths),
        sensor_intrinsics=tuple(intrinsics for _, intrinsics in depths),
    )
    if len(np.unique(annotation.segment)) < len(annotation.segment):  # else every vertex is a segment of its own
        truth = replace(truth, superpoints=torch.from_numpy(annotation.segment))
    return truth
