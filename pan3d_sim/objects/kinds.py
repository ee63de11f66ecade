"""Everyday objects, built procedurally: visible meshes in coloured parts, collision primitives, resting poses.

An `ObjectSpec` is pure data drawn from a seed; `add_object` puts it into a MuJoCo model. The training renderer
and the physics cell call the same code, so that what a network learned looks the same on the robot's table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import mujoco
import numpy as np

from pan3d_sim.objects.meshes import Part, Primitive, matrix_from_quat, quat_multiply
from pan3d_sim.objects.shapes import BUILDERS, UPRIGHT
from pan3d_sim.objects.shapes_held_out import HELD_OUT_BUILDERS

VISUAL_GROUP, COLLISION_GROUP = 1, 3

# Nominal sRGB of the colour words; objects get a jittered version.
COLORS: dict[str, tuple[float, float, float]] = {
    "red": (0.80, 0.08, 0.08), "orange": (0.93, 0.45, 0.05), "yellow": (0.93, 0.82, 0.08),
    "green": (0.10, 0.55, 0.15), "teal": (0.05, 0.58, 0.58), "blue": (0.10, 0.22, 0.78),
    "purple": (0.45, 0.12, 0.60), "pink": (0.93, 0.45, 0.62), "brown": (0.42, 0.25, 0.12),
    "white": (0.92, 0.92, 0.90), "grey": (0.50, 0.50, 0.50), "black": (0.07, 0.07, 0.08),
}  # fmt: skip


@dataclass(frozen=True)
class ObjectSpec:
    """One object: geometry in its own frame (z up, base at z = 0, upright), colour, ways to rest on a plane."""

    kind: str
    color_name: str
    rgb: tuple[float, float, float]
    parts: tuple[Part, ...]
    collision: tuple[Primitive, ...]
    rest_quats_wxyz: tuple[tuple[float, float, float, float], ...] = (UPRIGHT,)
    density: float = 500.0
    pattern: int = 0  # index of the surface pattern, see `appearance`
    specular: float = 0.3  # share of light that the surface mirrors, in training data; cells have one gloss for all
    extents_m: tuple[float, float, float] = field(default=(0.0, 0.0, 0.0))
    hull: np.ndarray | None = None  # (H, 3) corners of the convex hull of a modelled object, None for procedural ones
    pieces: tuple[np.ndarray, ...] = ()  # corners (K, 3) of convex pieces that collide beside the primitives

    @property
    def is_modelled(self) -> bool:
        """Whether it comes from a mesh file, with surfaces of its own."""
        return self.hull is not None

    @property
    def name(self) -> str:
        """Colour and kind, such as "red mug"."""
        return f"{self.color_name} {self.kind}"

    @property
    def vertices(self) -> np.ndarray:
        """(V, 3) visible vertices in the object frame: all, or for modelled objects those of the convex hull."""
        if self.hull is not None:
            return self.hull
        return np.concatenate([part.mesh.vertices for part in self.parts])

    def part_rgb(self, part: Part, rgb: tuple[float, float, float] | None = None) -> tuple[float, float, float]:
        """Colour of one part when the object's main colour is `rgb` (default its own)."""
        return (rgb or self.rgb) if part.tint == "main" else part.tint  # type: ignore[return-value]


KINDS: tuple[str, ...] = tuple(BUILDERS)
# Never in training data: how well are things found that the network has not seen?
HELD_OUT_KINDS: tuple[str, ...] = tuple(HELD_OUT_BUILDERS)
# Kinds that an 8 cm parallel jaw can lift in every resting pose; plates, books, pans and bowls offer it at best an edge.
GRASPABLE_KINDS: tuple[str, ...] = ("box", "can", "bottle", "mug", "cup", "ball", "block", "banana", "hammer", "vase")
NUM_PATTERNS = 6
Materials = Sequence[str] | Mapping[int, str]  # by pattern


def sample_color(rng: np.random.Generator, kind: str) -> tuple[str, tuple[float, float, float]]:
    """A colour word and a jittered RGB (0..1). Bananas are mostly yellow; everything else may be any colour."""
    name = "yellow" if kind == "banana" and rng.random() < 0.7 else str(rng.choice(list(COLORS)))
    base = np.array(COLORS[name])
    jitter = base * rng.uniform(0.85, 1.15) + rng.uniform(-0.03, 0.03, 3)
    red, green, blue = np.clip(jitter, 0.03, 0.97).tolist()
    return name, (red, green, blue)


def sample_object(rng: np.random.Generator, kind: str | None = None) -> ObjectSpec:
    """Draw an object.

    Args:
        rng: Source of all chance.
        kind: One of `KINDS` or `HELD_OUT_KINDS`; None for any of `KINDS`.

    Returns:
        Its shape, colour, material and mass.

    Raises:
        ValueError: The kind is unknown.
    """
    kind = kind or str(rng.choice(KINDS))
    build = BUILDERS.get(kind) or HELD_OUT_BUILDERS.get(kind)
    if build is None:
        raise ValueError(f"kind: expected one of {', '.join(KINDS + HELD_OUT_KINDS)}, got {kind!r}")
    parts, collision, rest = build(rng)
    color_name, rgb = sample_color(rng, kind)
    vertices = np.concatenate([part.mesh.vertices for part in parts])
    length, depth, height = (vertices.max(0) - vertices.min(0)).tolist()
    return ObjectSpec(
        kind, color_name, rgb, tuple(parts), tuple(collision), tuple(rest),
        density=float(rng.uniform(350, 650)), pattern=int(rng.integers(NUM_PATTERNS)), specular=float(rng.uniform(0.05, 0.7)),
        extents_m=(length, depth, height),
    )  # fmt: skip


def rest_pose(
    obj: ObjectSpec, rng: np.random.Generator, xy: np.ndarray, support_height: float, *, tilted: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Position (3,) and quaternion (w, x, y, z) of the object at `xy` with random yaw, touching the support.

    `tilted` draws any orientation, as objects have in a pile, instead of one in which the object stands by itself.
    """
    rest = np.array(obj.rest_quats_wxyz[rng.integers(len(obj.rest_quats_wxyz))])
    rest = rng.normal(size=4) if tilted else rest
    rest = rest / np.linalg.norm(rest)
    yaw = rng.uniform(0, 2 * np.pi)
    quat = quat_multiply(np.array([np.cos(yaw / 2), 0, 0, np.sin(yaw / 2)]), rest)
    rotated = obj.vertices @ matrix_from_quat(quat).T
    center = 0.5 * (rotated[:, :2].max(0) + rotated[:, :2].min(0))
    return np.array([*(xy - center), support_height - rotated[:, 2].min()]), quat


def surface_points(obj: ObjectSpec, rng: np.random.Generator, count: int) -> np.ndarray:
    """(count, 3) random points on the visible surfaces, in the object frame."""
    vertices = np.concatenate([part.mesh.vertices for part in obj.parts])
    starts = np.cumsum([0, *(len(part.mesh.vertices) for part in obj.parts[:-1])])
    faces = np.concatenate([part.mesh.faces + start for part, start in zip(obj.parts, starts)])
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    areas = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    chosen = np.searchsorted(np.cumsum(areas), rng.random(count) * areas.sum()).clip(max=len(faces) - 1)
    u, v = np.sqrt(rng.random((count, 1))), rng.random((count, 1))
    points: np.ndarray = (1 - u) * a[chosen] + u * (1 - v) * b[chosen] + u * v * c[chosen]
    return points


def object_box(obj: ObjectSpec, world_from_object: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Box of the visible mesh along the object's own axes: world_from_box (4, 4) and its full extents (3,), metres."""
    vertices = obj.vertices
    low, high = vertices.min(0), vertices.max(0)
    object_from_box = np.eye(4)
    object_from_box[:3, 3] = 0.5 * (low + high)
    return world_from_object @ object_from_box, high - low


def add_skin(spec: mujoco.MjSpec, name: str, pixels: np.ndarray, specular: float) -> str:
    """Add a material that shows a texture (h, w, 3) uint8 by its texture coordinates; returns its name."""
    texture = spec.add_texture(name=name, type=mujoco.mjtTexture.mjTEXTURE_2D, width=pixels.shape[1], height=pixels.shape[0])
    texture.nchannel, texture.data = 3, np.ascontiguousarray(pixels).tobytes()
    material = spec.add_material(name=name, specular=specular, shininess=0.2 + specular)
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name
    return str(material.name)


def add_object(
    spec: mujoco.MjSpec, body: mujoco.MjsBody, obj: ObjectSpec, prefix: str, *, materials: Materials, collision: bool = True
) -> None:
    """Add the geoms of `obj` to `body`: visible meshes (group 1, massless) and, when asked, what collides (group 3).

    `materials` names the material of a surface pattern (see `appearance`); `prefix` must be unique in the model.
    """
    for index, part in enumerate(obj.parts):
        mesh = spec.add_mesh(name=f"{prefix}_{index}")
        mesh.uservert = part.mesh.vertices.astype(np.float32).ravel()
        mesh.userface = part.mesh.faces.astype(np.int32).ravel()
        if part.texcoords is not None:
            mesh.usertexcoord = part.texcoords.astype(np.float32).ravel()
        mesh.inertia = mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL  # open or thin surfaces have no volume
        geom = body.add_geom(type=mujoco.mjtGeom.mjGEOM_MESH, meshname=mesh.name, group=VISUAL_GROUP, mass=0.0)
        geom.contype, geom.conaffinity = 0, 0
        if part.texture is None:
            geom.material = materials[obj.pattern if part.tint == "main" else 0]
            geom.rgba = [*obj.part_rgb(part), part.opacity]
        else:
            geom.material = add_skin(spec, f"{prefix}_{index}", part.texture, obj.specular)
            geom.rgba = [1.0, 1.0, 1.0, part.opacity]
    if not collision:
        return
    types = {"box": mujoco.mjtGeom.mjGEOM_BOX, "cylinder": mujoco.mjtGeom.mjGEOM_CYLINDER,
             "capsule": mujoco.mjtGeom.mjGEOM_CAPSULE, "sphere": mujoco.mjtGeom.mjGEOM_SPHERE}  # fmt: skip
    solids = []
    for shape in obj.collision:
        size = [*shape.size, 0.0, 0.0][:3]
        solids.append(body.add_geom(type=types[shape.shape], size=size, pos=shape.position, quat=shape.quat_wxyz))
    for index, corners in enumerate(obj.pieces):
        mesh = spec.add_mesh(name=f"{prefix}_piece_{index}")
        mesh.uservert = corners.astype(np.float32).ravel()
        solids.append(body.add_geom(type=mujoco.mjtGeom.mjGEOM_MESH, meshname=mesh.name))
    for geom in solids:
        geom.group = COLLISION_GROUP
        geom.density = obj.density
        geom.condim, geom.friction = 6, [0.8, 0.005, 0.001]
        geom.solref, geom.solimp = [0.01, 1.0], [0.95, 0.99, 0.001, 0.5, 2.0]
