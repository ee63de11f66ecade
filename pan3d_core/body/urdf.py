"""Reads a robot's URDF with yourdfpy, and the meshes that it names with trimesh."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from pan3d_core.body.description import FIXED, KINDS, Floats, Joint, LinkShape, Mimicked, RobotDescription, parents_first
from pan3d_core.body.surfaces import Triangles, box_triangles, coarser, cylinder_triangles, sphere_triangles

INSTALL = "pip install 'pan3d[robot]'"
MAX_BYTES = 20_000_000
# What yourdfpy raises where something that it reads is missing or no number.
_MALFORMED = (AttributeError, IndexError, KeyError, TypeError, ValueError)


def read_urdf(path: Path | str, mesh_folders: Sequence[Path | str] = ()) -> RobotDescription:
    """Read a robot from a file.

    Args:
        path: A URDF file, no xacro.
        mesh_folders: Where the meshes of `package://` names are looked for, besides the shares of ROS packages.

    Returns:
        The robot. A link has its visible surface, or where it has none the one that collides.

    Raises:
        ValueError: The file is no URDF of a tree of links, a mesh is missing, or no link has a surface.
        OSError: It cannot be read.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise ValueError(f"{path}: expected a file of URDF, got a folder, a pipe or a device")
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path}: expected at most {MAX_BYTES} bytes, got {path.stat().st_size}")
    return parse_urdf(path.read_text(encoding="utf-8", errors="replace"), [path.parent, *mesh_folders], str(path))


def parse_urdf(text: str, mesh_folders: Sequence[Path | str] = (), source: str = "robot_description") -> RobotDescription:
    """Read a robot from the text of a URDF.

    Args:
        text: XML.
        mesh_folders: As for `read_urdf`; the first is that of the file, where there is one.
        source: What errors call it.

    Returns:
        The robot.

    Raises:
        ValueError: As `read_urdf`.
    """
    parsed = _parsed(text, source)
    try:
        links = [link.name for link in parsed.links]
        joints = parents_first(links, [_joint(joint) for joint in parsed.joints])
        shapes = [shape for link in parsed.links for shape in _shapes(link, [Path(folder) for folder in mesh_folders])]
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error
    if not shapes:
        raise ValueError(f"{source}: expected a visual or collision geometry at some link, got none at {len(links)} links")
    return RobotDescription(parsed.name, tuple(links), joints, tuple(shapes))


def _parsed(text: str, source: str) -> Any:
    """yourdfpy's `Robot`. What is no well-formed URDF is refused before, since yourdfpy would go on with what it can read."""
    try:
        import yourdfpy
    except ImportError as error:
        raise ValueError(f"{source}: reading a URDF needs the package yourdfpy ({error}); {INSTALL}") from error
    if len(text) > MAX_BYTES or "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ValueError(f"{source}: expected a URDF of at most {MAX_BYTES} characters without DOCTYPE, got {len(text)} of them")
    try:
        root = ElementTree.fromstring(text.encode("utf-8"))
    except ElementTree.ParseError as error:
        raise ValueError(f"{source}: expected the XML of a URDF, got {error}") from error
    if root.tag != "robot":
        hint = "; run xacro on it first" if "xacro" in text else ""
        raise ValueError(f"{source}: expected the element robot, got {root.tag}{hint}")
    if any("xacro" in element.tag for element in root.iter() if isinstance(element.tag, str)):
        raise ValueError(f"{source}: expected a URDF, got elements of xacro; run xacro on it first")
    try:
        urdf = yourdfpy.URDF.load(io.BytesIO(text.encode("utf-8")), build_scene_graph=False, load_meshes=False)
    except _MALFORMED as error:
        raise ValueError(f"{source}: expected a URDF whose elements have what they need, got {error!r}") from error
    return urdf.robot


def _joint(joint: Any) -> Joint:
    name = f"joint {joint.name}"
    if joint.type not in KINDS:
        raise ValueError(f"{name}.type: expected one of {', '.join(KINDS)}, got {joint.type}")
    axis = np.array([1.0, 0.0, 0.0]) if joint.axis is None else np.asarray(joint.axis, np.float64)
    length = float(np.linalg.norm(axis)) if axis.shape == (3,) else 0.0
    if joint.type not in FIXED and not (np.isfinite(length) and length > 1e-6):
        raise ValueError(f"{name}.axis: expected a direction of three numbers, got {joint.axis}")
    mimicked = None
    if joint.mimic is not None and joint.type not in FIXED:
        mimicked = Mimicked(joint.mimic.joint, float(joint.mimic.multiplier), float(joint.mimic.offset))
    place = _pose(joint.origin, f"{name}.origin")
    return Joint(joint.name, joint.type, joint.parent, joint.child, place, axis / max(length, 1e-6), mimicked, _limits(joint))


def _limits(joint: Any) -> tuple[float, float] | None:
    """Lowest and highest position; an attribute that is left out is 0, as URDF has it."""
    told = joint.limit
    if told is None or (told.lower is None and told.upper is None):
        return None
    return float(told.lower or 0.0), float(told.upper or 0.0)


def _pose(origin: Any, name: str) -> Floats:
    pose = np.eye(4) if origin is None else np.asarray(origin, np.float64)
    if not np.isfinite(pose).all():
        raise ValueError(f"{name}: expected finite numbers, got {pose.tolist()}")
    return pose


def _shapes(link: Any, folders: Sequence[Path]) -> list[LinkShape]:
    shapes = []
    for item in link.visuals or link.collisions:
        if item.geometry is None:
            continue
        name = f"link {link.name}.geometry"
        vertices, faces = _triangles(item.geometry, name, folders)
        place = _pose(item.origin, f"link {link.name}.origin")
        shapes.append(LinkShape(link.name, vertices @ place[:3, :3].T + place[:3, 3], faces))
    return shapes


def _triangles(geometry: Any, name: str, folders: Sequence[Path]) -> Triangles:
    if geometry.mesh is not None:
        return _mesh_triangles(geometry.mesh, name, folders)
    if geometry.box is not None:
        size = np.asarray(geometry.box.size, np.float64)
        _require_lengths(f"{name}.box.size", size, 3)
        return box_triangles(size)
    if geometry.cylinder is not None:
        _require_lengths(f"{name}.cylinder", np.array([geometry.cylinder.radius, geometry.cylinder.length], np.float64), 2)
        return cylinder_triangles(float(geometry.cylinder.radius), float(geometry.cylinder.length))
    if geometry.sphere is not None:
        _require_lengths(f"{name}.sphere.radius", np.array([geometry.sphere.radius], np.float64), 1)
        return sphere_triangles(float(geometry.sphere.radius))
    raise ValueError(f"{name}: expected mesh, box, cylinder or sphere, got none of them")


def _require_lengths(name: str, lengths: Floats, count: int) -> None:
    if not (lengths.shape == (count,) and np.isfinite(lengths).all() and (lengths > 0).all()):
        raise ValueError(f"{name}: expected positive lengths in metres, {count} of them, got {lengths.tolist()}")


def _mesh_triangles(mesh: Any, name: str, folders: Sequence[Path]) -> Triangles:
    import trimesh

    path = _mesh_path(str(mesh.filename), name, folders)
    try:
        loaded: Any = trimesh.load(path, force="mesh", process=False)
        vertices, faces = np.asarray(loaded.vertices, np.float64), np.asarray(loaded.faces, np.int64)
    except Exception as error:
        raise ValueError(f"{name}.mesh: expected what trimesh reads, got {path} ({type(error).__name__}: {error})") from error
    if len(faces) == 0 or not np.isfinite(vertices).all():
        raise ValueError(f"{name}.mesh: expected triangles with finite corners, got {len(faces)} triangles in {path}")
    scale = np.ones(3) if mesh.scale is None else np.broadcast_to(np.asarray(mesh.scale, np.float64), (3,))
    return coarser(vertices * scale, faces[:, ::-1] if float(np.prod(scale)) < 0 else faces)


def _mesh_path(filename: str, name: str, folders: Sequence[Path]) -> Path:
    """The file that a URDF means."""
    if filename.startswith("package://"):
        package, _, rest = filename.removeprefix("package://").partition("/")
        shares = [Path(prefix) / "share" for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(":") if prefix]
        tried = [share / package / rest for share in shares] + [folder / package / rest for folder in folders]
        tried += [folder / rest for folder in folders]
    else:
        plain = Path(filename.removeprefix("file://"))
        tried = [plain] if plain.is_absolute() else [folder / plain for folder in folders]
    for path in tried:
        if path.is_file():
            return path
    looked = ", ".join(dict.fromkeys(str(path) for path in tried)) or "nowhere, since no folder of meshes is given"
    raise ValueError(f"{name}.mesh: expected the file {filename}, got none; looked for {looked}")
