"""A remembered world from and to a file: safetensors, with what is no tensor as JSON in its metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.memory.objects import MemoryObject, ObjectState, Placed, Rest
from pan3d_core.memory.surface import FusedSurface
from pan3d_core.memory.world import World
from pan3d_core.runtime.checksums import check_checksum, read_stored, write_weights
from pan3d_core.runtime.files import named_file
from pan3d_core.structures import Segment, require_shape

FORMAT, VERSION = "pan3d-world", 1
FACTS: Mapping[str, type] = {
    "instance_id": int, "reason": str, "name_scores": dict, "since_ns": int, "first_seen_ns": int, "last_seen_ns": int,
    "sightings": int, "sides": int, "class_id": int, "class_score": float, "score": float, "num_points": int, "num_views": int,
    "cell_m": float, "rest_count": int, "history": list,
}  # fmt: skip
# Of each object, by the place where it belongs.
SHAPES: Mapping[str, tuple[int | None, ...]] = {
    "surface.points": (None, 3), "surface.colors": (None, 3), "surface.counts": (None,),
    "rest.center": (3,), "rest.size": (3,), "rest.squares": (3,),
    "box.world_from_box": (4, 4), "box.size": (3,), "centroid": (3,), "seen_color": (3,), "color": (3,),
}  # fmt: skip
VECTORS = ("text_embedding", "seen_text_embedding")  # (E,), where there are some


def write_world(path: Path | str, world: World) -> None:
    """Write a world, whole or not at all.

    Args:
        path: Of a `.safetensors` file; an older one is replaced.
        world: What is remembered.

    Raises:
        OSError: It cannot be written.
    """
    tensors: dict[str, Tensor] = {}
    for item in world.objects:
        tensors |= {f"{item.instance_id}.{name}": value for name, value in _tensors_of(item).items()}
    facts = {
        "version": VERSION,
        "world_frame_id": world.world_frame_id,
        "stamp_ns": world.stamp_ns,
        "objects": [_facts_of(item) for item in world.objects],
    }
    write_weights(path, tensors, {"format": FORMAT, "world": json.dumps(facts, ensure_ascii=False)})


def read_world(path: Path | str, world_frame_id: str | None = None) -> World:
    """Read what `write_world` wrote, strictly.

    Args:
        path: A `.safetensors` file.
        world_frame_id: Frame that places must be in; None = any.

    Returns:
        The world.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It is damaged, of another kind, version or frame; names file and field.
    """
    tensors, metadata = read_stored(path, "world", "a file")
    if metadata.get("format") != FORMAT:
        raise ValueError(f"{path}: format: expected {FORMAT!r}, got {metadata.get('format')!r}")
    check_checksum(path, tensors, metadata)
    with named_file(path, "a remembered world"):
        world = _world_from(json.loads(metadata.get("world", "")), tensors)
        if world_frame_id is not None and world.world_frame_id != world_frame_id:
            raise ValueError(f"world_frame_id: expected {world_frame_id!r}, got {world.world_frame_id!r}")
    return world


def _world_from(facts: dict[str, Any], tensors: Mapping[str, Tensor]) -> World:
    if facts["version"] != VERSION:
        raise ValueError(f"version: expected {VERSION}, got {facts['version']!r}")
    objects = tuple(_object_from(own, tensors) for own in facts["objects"])
    ids = [item.instance_id for item in objects]
    if len(set(ids)) < len(ids) or any(value < 1 for value in ids):
        raise ValueError(f"objects: expected different ids from 1 on, got {ids}")
    return World(objects, str(facts["world_frame_id"]), int(facts["stamp_ns"]))


def _object_from(facts: dict[str, Any], tensors: Mapping[str, Tensor]) -> MemoryObject:
    for name, kind in FACTS.items():
        if not isinstance(facts.get(name), kind):
            raise ValueError(f"objects.{name}: expected {kind.__name__}, got {facts.get(name)!r}")
    own = {}
    for name, shape in SHAPES.items():
        own[name] = tensors[f"{facts['instance_id']}.{name}"]
        require_shape(f"{facts['instance_id']}.{name}", own[name], shape)
        if not bool(own[name].isfinite().all()):
            raise ValueError(f"{facts['instance_id']}.{name}: expected finite values, got NaN or infinity")
    vector, seen_vector = (tensors.get(f"{facts['instance_id']}.{name}") for name in VECTORS)
    surface = FusedSurface(own["surface.points"], own["surface.colors"], own["surface.counts"], facts["cell_m"])
    require_shape("surface.colors", surface.colors, (len(surface), 3))
    require_shape("surface.counts", surface.counts, (len(surface),))
    return MemoryObject(
        instance_id=facts["instance_id"],
        state=ObjectState(facts["state"]),
        since_ns=facts["since_ns"],
        reason=facts["reason"],
        segment=Segment(
            facts["instance_id"], facts["class_id"], facts["class_score"], facts["score"], facts["num_points"],
            facts["num_views"], own["centroid"], OrientedBox(own["box.world_from_box"], own["box.size"]), own["seen_color"],
            seen_vector,
        ),
        surface=surface,
        rest=Rest(facts["rest_count"], own["rest.center"], own["rest.size"], own["rest.squares"]),
        first_seen_ns=facts["first_seen_ns"],
        last_seen_ns=facts["last_seen_ns"],
        sightings=facts["sightings"],
        color_rgb=own["color"],
        name_scores={str(name): float(score) for name, score in facts["name_scores"].items()},
        text_embedding=vector,
        sides=facts["sides"],
        history=tuple(Placed(int(stamp), (float(x), float(y), float(z))) for stamp, x, y, z in facts["history"]),
    )  # fmt: skip


def _facts_of(item: MemoryObject) -> dict[str, Any]:
    seen = item.segment
    return {
        "instance_id": item.instance_id,
        "state": item.state.value,
        "reason": item.reason,
        "name_scores": dict(item.name_scores),
        "since_ns": item.since_ns,
        "first_seen_ns": item.first_seen_ns,
        "last_seen_ns": item.last_seen_ns,
        "sightings": item.sightings,
        "sides": item.sides,
        "class_id": int(seen.class_id),
        "class_score": float(seen.class_score),
        "score": float(seen.score),
        "num_points": int(seen.num_points),
        "num_views": int(seen.num_views),
        "cell_m": item.surface.cell_m,
        "rest_count": item.rest.count,
        "history": [[placed.stamp_ns, *placed.center_m] for placed in item.history],
    }


def _tensors_of(item: MemoryObject) -> dict[str, Tensor]:
    seen = item.segment
    held = {
        "surface.points": item.surface.points,
        "surface.colors": item.surface.colors,
        "surface.counts": item.surface.counts,
        "rest.center": item.rest.center_m,
        "rest.size": item.rest.size_m,
        "rest.squares": item.rest.squares_m2,
        "box.world_from_box": seen.box.world_from_box,
        "box.size": seen.box.size_m,
        "centroid": seen.centroid,
        "seen_color": seen.color_rgb,
        "color": item.color_rgb,
    }
    vectors = zip(VECTORS, (item.text_embedding, seen.text_embedding))
    # Tensors may share memory, which the format does not allow.
    return {name: value.clone() for name, value in (*held.items(), *vectors) if value is not None}
