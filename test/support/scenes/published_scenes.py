"""The table scene of `raycast_scene`, scanned, annotated and written in the layouts in which public data sets come."""

from __future__ import annotations

import json
import math
import struct
import zlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from raycast_scene import HEIGHT, TABLE_SCENE, WIDTH, Ball, camera_ring, cast
from torch import Tensor

from pan3d_core.geometry.cameras import pixel_grid
from pan3d_core.geometry.distortion import DISTORTION_MODELS
from pan3d_core.geometry.rotations import quat_xyzw_from_matrix
from pan3d_core.geometry.transforms import invert_rigid
from pan3d_eval.datasets import aria_synthetic

DEPTH_FOCAL = 120.0  # the depth camera sees more than the colour camera
TABLE = 0  # owner of the table's vertices; object k has owner k + 1
# Raw names of table and objects, with their nyu40 numbers: floor is structure, lamp and box are outside of the benchmark.
NAMES = ("floor", "lamp", "chair", "couch", "box")
NYU40 = {"floor": 2, "lamp": 35, "chair": 5, "couch": 6, "box": 29}


@dataclass(frozen=True)
class Scan:
    vertices: np.ndarray  # (N, 3) metres
    triangles: np.ndarray  # (F, 3)
    owner: np.ndarray  # (N,) 0 = table, k + 1 = object k


def scan(objects=TABLE_SCENE, table_half_m: float = 1.5) -> Scan:
    """Surfaces cut into triangles of a few millimetres (objects) and centimetres (table)."""
    pieces = [_sheet(np.array([0.0, 0, 0]), np.array([table_half_m, 0, 0]), np.array([0, table_half_m, 0]), 120)]
    owners = [TABLE]
    for number, item in enumerate(objects):
        parts = [_sphere(item)] if isinstance(item, Ball) else _block(item)
        pieces += parts
        owners += [number + 1] * len(parts)
    starts = np.cumsum([0, *(len(vertices) for vertices, _ in pieces)])
    return Scan(
        np.concatenate([vertices for vertices, _ in pieces]),
        np.concatenate([triangles + start for (_, triangles), start in zip(pieces, starts)]),
        np.concatenate([np.full(len(vertices), owner) for (vertices, _), owner in zip(pieces, owners)]),
    )


def _sheet(center, half_u, half_v, count) -> tuple[np.ndarray, np.ndarray]:
    steps = np.linspace(-1, 1, count)
    u, v = np.meshgrid(steps, steps, indexing="ij")
    vertices = center + u[..., None] * half_u + v[..., None] * half_v
    number = np.arange(count * count).reshape(count, count)
    a, b, c, d = (part.ravel() for part in (number[:-1, :-1], number[1:, :-1], number[1:, 1:], number[:-1, 1:]))
    return vertices.reshape(-1, 3), np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])


def _sphere(ball: Ball, count: int = 40) -> tuple[np.ndarray, np.ndarray]:
    sheet, triangles = _sheet(np.zeros(3), np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), count)
    azimuth, elevation = sheet[:, 0] * math.pi, sheet[:, 1] * math.pi / 2
    rim = np.cos(elevation)
    unit = np.stack([rim * np.cos(azimuth), rim * np.sin(azimuth), np.sin(elevation)], axis=1)
    return np.array(ball.center) + ball.radius * unit, triangles


def _block(block) -> list[tuple[np.ndarray, np.ndarray]]:
    turn = np.array([[math.cos(block.yaw), -math.sin(block.yaw), 0], [math.sin(block.yaw), math.cos(block.yaw), 0], [0, 0, 1]])
    half = turn * (np.array(block.size) / 2)  # columns: half extents in the world
    faces = []
    for axis in range(3):
        for sign in (-1, 1):
            center = np.array(block.center) + sign * half[:, axis]
            faces.append(_sheet(center, half[:, (axis + 1) % 3], half[:, (axis + 2) % 3], 16))
    return faces


def write_ply(path: Path, vertices: np.ndarray, polygons: np.ndarray, object_id: np.ndarray | None = None) -> None:
    """Binary little-endian PLY as the data sets have it: colours after the position, an object id per face on request."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = ["ply", "format binary_little_endian 1.0", "comment made by a test", f"element vertex {len(vertices)}"]
    header += [f"property float {axis}" for axis in "xyz"] + [f"property uchar {name}" for name in ("red", "green", "blue")]
    header += [f"element face {len(polygons)}", "property list uchar int vertex_indices"]
    fields = [("count", "u1"), ("corners", "<i4", (polygons.shape[1],))]
    if object_id is not None:
        header.append("property ushort object_id")
        fields.append(("object_id", "<u2"))
    points = np.zeros(len(vertices), dtype=[("xyz", "<f4", (3,)), ("rgb", "u1", (3,))])
    points["xyz"] = vertices
    faces = np.zeros(len(polygons), dtype=fields)
    faces["count"], faces["corners"] = polygons.shape[1], polygons
    if object_id is not None:
        faces["object_id"] = object_id
    path.write_bytes("\n".join([*header, "end_header\n"]).encode() + points.tobytes() + faces.tobytes())


def put_image(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path, quality=95)


def put_text(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


def millimetres(depth: Tensor) -> np.ndarray:
    return (depth.double() * 1000).round().clamp(0, 65534).numpy().astype(np.uint16)


def colors(image: Tensor) -> np.ndarray:
    return (image.permute(1, 2, 0) * 255).round().byte().numpy()


def matrix_text(matrix: Tensor) -> str:
    return "\n".join(" ".join(f"{value:.8f}" for value in row) for row in matrix.tolist())


def with_corner(intrinsics: Tensor) -> Tensor:
    """3x3 -> 4x4 as ScanNet writes intrinsics."""
    big = torch.eye(4)
    big[:3, :3] = intrinsics
    return big


def write_scannet(root: Path, *, sens: bool = False) -> Path:
    """One ScanNet scene; the world of its files is turned by 30 degrees against the aligned one, and frame 2 is lost."""
    scene, wide, surface = cast(TABLE_SCENE), cast(TABLE_SCENE, focal=DEPTH_FOCAL), scan()
    folder = root / "scans" / "scene0000_00"
    c, s = math.cos(math.radians(30)), math.sin(math.radians(30))
    aligned_from_mesh = torch.tensor([[c, -s, 0, 0.3], [s, c, 0, -0.2], [0, 0, 1, 0.1], [0, 0, 0, 1]])
    mesh_from_aligned = invert_rigid(aligned_from_mesh)
    poses = [mesh_from_aligned @ invert_rigid(view.cam_from_world) for view in scene.views]
    poses.insert(2, torch.full((4, 4), -math.inf))
    pictures = [colors(view.image) for view in scene.views]
    depths = [millimetres(depth) for depth in wide.depth]
    for frames in (pictures, depths):
        frames.insert(2, frames[0])
    if sens:
        _write_sens(folder / "scene0000_00.sens", scene, wide, poses, pictures, depths)
    else:
        for number, (pose, picture, depth) in enumerate(zip(poses, pictures, depths)):
            put_image(folder / "color" / f"{number}.jpg", picture)
            put_image(folder / "depth" / f"{number}.png", depth)
            put_text(folder / "pose" / f"{number}.txt", matrix_text(pose))
        for name, some in (("color", scene), ("depth", wide)):
            put_text(folder / "intrinsic" / f"intrinsic_{name}.txt", matrix_text(with_corner(some.views[0].intrinsics)))
    ids = [(view + 1).byte().numpy() for view in scene.ids]  # objectId 0 is the floor, instance images hold objectId + 1
    for number, image in zip((0, 1, 3, 4), ids):
        put_image(folder / "instance-filt" / f"{number}.png", image)
    vertices = surface.vertices @ mesh_from_aligned[:3, :3].double().numpy().T + mesh_from_aligned[:3, 3].double().numpy()
    write_ply(folder / "scene0000_00_vh_clean_2.ply", vertices, surface.triangles)
    segment = surface.owner * 10 + np.arange(len(surface.owner)) % 2
    put_text(folder / "scene0000_00_vh_clean_2.0.010000.segs.json", {"segIndices": segment.tolist()})
    groups = [{"id": k, "objectId": k, "segments": [10 * k, 10 * k + 1], "label": name} for k, name in enumerate(NAMES)]
    put_text(folder / "scene0000_00.aggregation.json", {"segGroups": groups})
    numbers = " ".join(f"{value:.8f}" for value in aligned_from_mesh.flatten().tolist())
    put_text(folder / "scene0000_00.txt", f"colorHeight = {HEIGHT}\naxisAlignment = {numbers}\nsceneType = Office\n")
    rows = ["id\traw_category\tnyu40id\tnyu40class", *(f"{k}\t{name}\t{NYU40[name]}\tx" for k, name in enumerate(NAMES))]
    put_text(root / "scannetv2-labels.combined.tsv", "\n".join(rows))
    return folder


def _write_sens(path: Path, scene, wide, poses, pictures, depths) -> None:
    matrices = [with_corner(scene.views[0].intrinsics), torch.eye(4), with_corner(wide.views[0].intrinsics), torch.eye(4)]
    content = [struct.pack("<IQ", 4, 4), b"test", *(struct.pack("<16f", *matrix.flatten().tolist()) for matrix in matrices)]
    content.append(struct.pack("<iiIIIIfQ", 2, 1, WIDTH, HEIGHT, WIDTH, HEIGHT, 1000.0, len(poses)))
    for number, (pose, picture, depth) in enumerate(zip(poses, pictures, depths)):
        file = BytesIO()
        Image.fromarray(picture).save(file, format="JPEG", quality=95)
        packed = zlib.compress(depth.astype("<u2").tobytes())
        content.append(struct.pack("<16f", *pose.flatten().tolist()))
        content.append(struct.pack("<QQQQ", number, number, len(file.getvalue()), len(packed)))
        content += [file.getvalue(), packed]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(content))


def write_replica(root: Path) -> Path:
    """One sequence of a room, with the room's own files beside it; images are square pixels of 90 degrees across."""
    scene, surface = cast(TABLE_SCENE, focal=WIDTH / 2), scan()
    folder = root / "room_0" / "Sequence_1"
    for number, view in enumerate(scene.views):
        put_image(folder / "rgb" / f"rgb_{number}.png", colors(view.image))
        put_image(folder / "depth" / f"depth_{number}.png", millimetres(scene.depth[number]))
        ids = (scene.ids[number] + 1).numpy().astype(np.uint16)  # object 1 is the floor
        put_image(folder / "semantic_instance" / f"semantic_instance_{number}.png", ids)
    poses = [invert_rigid(view.cam_from_world).flatten().tolist() for view in scene.views]
    put_text(folder / "traj_w_c.txt", "\n".join(" ".join(f"{value:.8f}" for value in pose) for pose in poses))
    names = {7: "floor", 12: "ball", 30: "box"}
    kinds = [7, *(12 if isinstance(item, Ball) else 30 for item in TABLE_SCENE)]
    info = {
        "classes": [{"id": number, "name": name} for number, name in names.items()],
        "objects": [{"id": k + 1, "class_id": kind, "class_name": names[kind]} for k, kind in enumerate(kinds)],
        "id_to_label": [-1, *kinds],
    }
    put_text(root / "room_0" / "habitat" / "info_semantic.json", info)
    owner = surface.owner[surface.triangles[:, 0]] + 1
    write_ply(root / "room_0" / "habitat" / "mesh_semantic.ply", surface.vertices, surface.triangles, owner)
    return folder


def write_scannetpp(root: Path) -> Path:
    """One ScanNet++ scene with both devices: DSLR images without distortion, and iPhone images with depth."""
    scene, surface = cast(TABLE_SCENE), scan()
    folder = root / "data" / "a1b2c3"
    focal, (cx, cy) = float(scene.views[0].intrinsics[0, 0]), (WIDTH / 2, HEIGHT / 2)  # COLMAP's corner convention
    for device, model, more in (("dslr", "OPENCV_FISHEYE", "0 0 0 0"), ("iphone", "OPENCV", "0 0 0 0")):
        names = [f"DSC{k:05d}.JPG" if device == "dslr" else f"frame_{10 * k:06d}.jpg" for k in range(4)]
        lines = ["# CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]", f"1 {model} {WIDTH} {HEIGHT} {focal} {focal} {cx} {cy} {more}"]
        put_text(folder / device / "colmap" / "cameras.txt", "\n".join(lines))
        images = ["# IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME"]
        for number, (name, view) in enumerate(zip(names, scene.views)):
            x, y, z, w = quat_xyzw_from_matrix(view.cam_from_world[:3, :3].double()).tolist()
            place = " ".join(f"{value:.9f}" for value in (w, x, y, z, *view.cam_from_world[:3, 3].tolist()))
            images += [f"{number + 1} {place} 1 {name}", "1.0 2.0 -1" if number else ""]
            put_image(folder / device / ("resized_images" if device == "dslr" else "rgb") / name, colors(view.image))
            if device == "iphone":
                coarse = scene.depth[number][0::2, 0::2]  # the sensor's pixel centres lie between the image's
                put_image(folder / device / "depth" / f"{Path(name).stem}.png", millimetres(coarse))
        put_text(folder / device / "colmap" / "images.txt", "\n".join(images))
    write_ply(folder / "scans" / "mesh_aligned_0.05.ply", surface.vertices, surface.triangles)
    put_text(folder / "scans" / "segments.json", {"segIndices": list(range(len(surface.owner)))})
    groups = [
        {"id": k + 1, "objectId": k + 1, "label": name, "segments": np.flatnonzero(surface.owner == k).tolist()}
        for k, name in enumerate(("floor", "ball", "box", "books", "ball"))
    ]
    # A shelf that holds everything: the smaller object wins, whatever their order.
    groups.append({"id": 9, "objectId": 9, "label": "shelf", "segments": np.flatnonzero(surface.owner > 0).tolist()})
    put_text(folder / "scans" / "segments_anno.json", {"segGroups": groups})
    return folder


def write_fisheye(folder: Path, coefficients: tuple[float, float, float, float]) -> None:
    """Replace ScanNet++'s DSLR images by what a fisheye lens (equidistant, four coefficients) sees from the same places."""
    path = folder / "dslr" / "colmap" / "cameras.txt"
    path.write_text(path.read_text().replace(" 0 0 0 0", " " + " ".join(map(str, coefficients))))
    scene = cast(TABLE_SCENE)
    intrinsics = scene.views[0].intrinsics
    place = (pixel_grid(HEIGHT, WIDTH).reshape(-1, 2) - intrinsics[:2, 2]) / intrinsics[0, 0]
    radius = place.norm(dim=1)
    angle = radius.clone()
    for _ in range(20):
        powers = torch.stack([angle ** (2 * k + 2) for k in range(4)], 1)
        angle = radius / (1 + powers @ torch.tensor(coefficients))
    rays = torch.cat([place / radius[:, None] * angle.sin()[:, None], angle.cos()[:, None]], 1)
    for number, view in enumerate(scene.views):
        picture = painted(view.cam_from_world, rays)
        put_image(folder / "dslr" / "resized_images" / f"DSC{number:05d}.JPG", colors(picture))


def write_undistorted(folder: Path) -> None:
    """What ScanNet++'s toolkit makes of the DSLR images, instead of them."""
    scene = cast(TABLE_SCENE)
    flip = torch.diag(torch.tensor([1.0, -1, -1, 1]))
    swap = torch.tensor([[0.0, 1, 0, 0], [1, 0, 0, 0], [0, 0, -1, 0], [0, 0, 0, 1]])
    frames = []
    for number, view in enumerate(scene.views):
        name = f"DSC{number:05d}.JPG"
        (folder / "dslr" / "resized_images" / name).unlink()
        put_image(folder / "dslr" / "resized_undistorted_images" / name, colors(view.image))
        frames.append({"file_path": name, "transform_matrix": (swap @ invert_rigid(view.cam_from_world) @ flip).tolist()})
    (folder / "dslr" / "resized_images").rmdir()
    focal = float(scene.views[0].intrinsics[0, 0])
    lens = {"fl_x": focal, "fl_y": focal, "cx": WIDTH / 2, "cy": HEIGHT / 2, "w": WIDTH, "h": HEIGHT}
    put_text(
        folder / "dslr" / "nerfstudio" / "transforms_undistorted.json", {**lens, "frames": frames[:3], "test_frames": frames[3:]}
    )


def trace(origins: Tensor, rays: Tensor) -> tuple[Tensor, Tensor]:
    """Length along each of (N, 3) rays to the table scene, in units of the ray, and owner as in `Scan`."""
    table = torch.where(rays[:, 2] < -1e-6, -origins[:, 2] / rays[:, 2], torch.inf)
    return torch.stack([table, *(item.distance(origins, rays) for item in TABLE_SCENE)]).min(dim=0)


def painted(cam_from_world: Tensor, rays_cam: Tensor) -> Tensor:
    """(3, HEIGHT, WIDTH) image along (N, 3) rays in which every place of the scene has its own colour."""
    world_from_cam = invert_rigid(cam_from_world)
    rays = rays_cam @ world_from_cam[:3, :3].T
    distance, _ = trace(world_from_cam[:3, 3].expand_as(rays), rays)
    places = world_from_cam[:3, 3] + rays * distance.clamp_max(5)[:, None]
    return (0.5 + 0.5 * torch.sin(15 * places)).reshape(HEIGHT, WIDTH, 3).permute(2, 0, 1)


def fisheye_rays(size: int) -> Tensor:
    """(size * size, 3) unit rays of the pixels of Aria's lens, by Newton's method on the published model."""
    distort = DISTORTION_MODELS["fisheye624"][1]
    intrinsics = aria_synthetic.rgb_intrinsics(size).double()
    wanted = (pixel_grid(size, size, dtype=torch.float64).reshape(-1, 2) - intrinsics[:2, 2]) / intrinsics[0, 0]
    angle = wanted.norm(dim=1, keepdim=True).clamp(1e-9, 1.1)
    guess = wanted / wanted.norm(dim=1, keepdim=True).clamp_min(1e-9) * torch.tan(angle)
    step = 1e-6
    for _ in range(8):
        value = torch.stack(distort(*guess.T, aria_synthetic.DISTORTION), 1)
        dx = (torch.stack(distort(guess[:, 0] + step, guess[:, 1], aria_synthetic.DISTORTION), 1) - value) / step
        dy = (torch.stack(distort(guess[:, 0], guess[:, 1] + step, aria_synthetic.DISTORTION), 1) - value) / step
        determinant = dx[:, 0] * dy[:, 1] - dx[:, 1] * dy[:, 0]
        left = wanted - value
        change = torch.stack([left[:, 0] * dy[:, 1] - left[:, 1] * dy[:, 0], dx[:, 0] * left[:, 1] - dx[:, 1] * left[:, 0]], 1)
        guess = (guess + (change / determinant[:, None]).nan_to_num(0.0).clamp(-0.3, 0.3)).clamp(-4, 4)
    rays = torch.cat([guess, torch.ones(len(guess), 1)], 1)
    return rays / rays.norm(dim=1, keepdim=True)


def write_aria(root: Path, count: int = 1) -> Path:
    """One scene of Aria Synthetic Environments, its first `count` images seen from the ring of cameras."""
    folder, size = root / "17", aria_synthetic.CALIBRATED_SIZE
    rays = fisheye_rays(size)
    lines = ["graph_uid,tracking_timestamp_us,utc_timestamp_ns,tx,ty,tz,qx,qy,qz,qw,gravity_x"]
    for number, cam_from_world in enumerate(camera_ring(count).double()):
        world_from_cam = invert_rigid(cam_from_world)
        origins = world_from_cam[:3, 3].expand_as(rays)
        distance, owner = trace(origins.float(), (rays @ world_from_cam[:3, :3].T).float())
        distance, owner = distance.reshape(size, size), owner.reshape(size, size)
        distance = torch.where(torch.isfinite(distance), distance, 65.535)
        shade = (owner * 50)[..., None].expand(-1, -1, 3).byte().numpy()
        put_image(folder / "rgb" / f"vignette{number:07d}.jpg", shade)
        put_image(
            folder / "depth" / f"depth{number:07d}.png", (distance * 1000).round().clamp(0, 65535).numpy().astype(np.uint16)
        )
        ids = torch.where(owner > 0, owner + 10, 2)
        put_image(folder / "instances" / f"instance{number:07d}.png", ids.numpy().astype(np.uint16))
        world_from_device = world_from_cam @ invert_rigid(aria_synthetic.device_from_cam())
        quat = quat_xyzw_from_matrix(world_from_device[:3, :3]).tolist()
        numbers = ",".join(f"{value:.9f}" for value in [*world_from_device[:3, 3].tolist(), *quat])
        lines.append(f"uid,{1000 * number + 5},-1,{numbers},0")
    put_text(folder / "trajectory.csv", "\n".join(lines))
    names = {"0": "empty_space", "1": "background", "2": "floor", **{str(k + 11): f"thing {k % 2}" for k in range(4)}}
    put_text(folder / "object_instances_to_classes.json", names)
    return folder
