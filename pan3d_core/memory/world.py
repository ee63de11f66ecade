"""The lasting memory of a place: objects with ids, what became of them, and the space around them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pan3d_core.config import MemoryConfig, TrackingConfig
from pan3d_core.memory.evidence import Evidence, Place, look_for
from pan3d_core.memory.likeness import place
from pan3d_core.memory.matching import GONE_COST, HIDDEN_COST, match_by_looks, match_by_place
from pan3d_core.memory.objects import MemoryObject, ObjectState
from pan3d_core.memory.place_map import RefinedMap
from pan3d_core.memory.sighting import Sighting, first_sighting, next_sighting
from pan3d_core.memory.space import SpaceMap
from pan3d_core.memory.unseen import explained, forgotten
from pan3d_core.structures import Panoptic3D, Reconstruction, to_device

log = logging.getLogger("pan3d.memory")


@dataclass(frozen=True)
class World:
    """Everything that is remembered, at one time."""

    objects: tuple[MemoryObject, ...] = ()
    world_frame_id: str = "world"
    stamp_ns: int = 0  # of the newest view set


class WorldMemory:
    """Keeps objects and their ids. An id is never 0, never given to two objects, and not reused after `reset` either.

    `update` belongs to one thread; everything else may be called by any.
    """

    def __init__(self, tracking: TrackingConfig | None = None, config: MemoryConfig | None = None) -> None:
        self.tracking, self.config = tracking or TrackingConfig(), config or MemoryConfig()
        self.world = World()
        self.space = SpaceMap(self.config.space_cell_m)
        self._next_id = 1
        self._newest_ns: int | None = None
        self._map: RefinedMap | None = None
        self._wanted_map: RefinedMap | None = None
        self._wanted_world: World | None = None
        self._held: frozenset[int] = frozenset()
        self._held_lock = threading.Lock()

    def use_map(self, refined: RefinedMap | None) -> None:
        """From the next update on give objects that coincide with some of this map the map's ids and names.

        Objects are forgotten then, because a map may use ids that other objects have had.
        """
        self._wanted_map = refined

    def use_world(self, world: World) -> None:
        """From the next update on remember what another memory did, in place of what is remembered now.

        Its objects are `UNCERTAIN` until they are seen, or their places are.
        """
        self._wanted_world = world

    def reconfigure(self, tracking: TrackingConfig, config: MemoryConfig) -> None:
        """Take over other settings from the next update on."""
        self.tracking, self.config = tracking, config

    def hold(self, instance_id: int) -> None:
        """Say that a hand has an object: until `release` it may come to be seen anywhere, and its place says nothing of it.

        Raises:
            KeyError: No object of this id is remembered.
        """
        ids = [item.instance_id for item in self.world.objects]
        if instance_id not in ids:
            raise KeyError(f"instance_id: expected one of {ids}, got {instance_id}")
        with self._held_lock:
            self._held |= {instance_id}

    def release(self, instance_id: int) -> None:
        """Say that a hand no longer has an object."""
        with self._held_lock:
            self._held -= {instance_id}

    def reset(self) -> None:
        """Forget all objects and the space."""
        self.world = replace(self.world, objects=())
        self.space.reset()
        self._newest_ns = None
        with self._held_lock:
            self._held = frozenset()

    def update(
        self,
        panoptic: Panoptic3D,
        seen: Reconstruction | None = None,
        *,
        comparable: bool = True,
        body: Tensor | None = None,
    ) -> Panoptic3D:
        """Take a view set into the memory.

        Args:
            panoptic: Objects of the set. A stamp before the previous one (a clock that jumped back) forgets everything first.
            seen: What the views see; None = not known, so that an object that is not found has no explanation.
            comparable: False = places cannot be compared with the past (not metric): all ids are new and nothing is remembered.
            body: (S, h, w) bool, the pixels of `seen` that show the robot, with its depth; None = none do.

        Returns:
            The same scene with lasting ids.
        """
        if self._newest_ns is not None and panoptic.stamp_ns < self._newest_ns:
            log.warning("time went back by %.3f s; tracks are forgotten", (self._newest_ns - panoptic.stamp_ns) * 1e-9)
            self.reset()
        self._newest_ns = panoptic.stamp_ns
        self._take_map()
        self._take_world(panoptic)
        if not self.tracking.enabled:
            return panoptic
        if not comparable:
            return renumbered_scene(panoptic, [self._new_id() for _ in panoptic.segments])
        known = forgotten(self.world.objects, panoptic.stamp_ns, self.tracking.max_lost_s, self.config)
        # What is remembered outlives a view set and its device; it is little, and much of it is decided in Python.
        seen = None if seen is None else to_device(replace(seen, gaussians=None), "cpu")
        body = None if body is None else body.cpu()
        ids, evidence = self._identify(_on_cpu(panoptic), known, seen, body)
        renamed = renumbered_scene(panoptic, ids)
        if self._map is not None:
            renamed = self._map.named(renamed)
        self._remember(_on_cpu(renamed), known, seen, evidence)
        if seen is not None and self.config.space_cell_m > 0:
            self.space.update(seen, panoptic.points.cpu(), self.config.margin_m, body)
        return renamed

    def _identify(
        self, panoptic: Panoptic3D, known: dict[int, MemoryObject], seen: Reconstruction | None, body: Tensor | None
    ) -> tuple[list[int], dict[int, Evidence]]:
        """The id of each segment, and what is seen at the places of the objects that none is at."""
        segments = panoptic.segments
        matched = match_by_place(segments, known, self.tracking)
        if self._map is not None:
            rest = [k for k in range(len(segments)) if k not in matched]
            of_map = self._map.match([segments[k] for k in rest], set(matched.values()))
            matched |= {rest[row]: instance_id for row, instance_id in of_map.items()}
        missed = {key: item for key, item in known.items() if key not in matched.values()}
        evidence = _evidence(missed, seen, panoptic, self.config.margin_m, body)
        costs = {key: cost for key, item in missed.items() if (cost := self._elsewhere_cost(item, evidence.get(key))) is not None}
        strangers = {k: segment for k, segment in enumerate(segments) if k not in matched}
        matched |= match_by_looks(strangers, {key: missed[key] for key in costs}, costs, self.config.min_likeness)
        ids = [matched[k] if k in matched else self._new_id() for k in range(len(segments))]
        new_ids = {segment.instance_id: new for segment, new in zip(segments, ids)}
        return ids, {key: _with_ids(item, new_ids) for key, item in evidence.items()}

    def _elsewhere_cost(self, item: MemoryObject, evidence: Evidence | None) -> float | None:
        """What it costs to take an object that is not found for one that is seen elsewhere; None = it is not elsewhere, as far as
        anybody knows."""
        if item.state is ObjectState.HELD or item.instance_id in self._held:
            return 0.0
        if item.state is ObjectState.GONE:
            return GONE_COST
        if evidence is None or evidence.place not in (Place.EMPTY, Place.HIDDEN):
            return None
        if evidence.place is Place.EMPTY:
            return 0.0
        return None if evidence.hidden_by else HIDDEN_COST  # an object that stands before it carries nothing

    def _remember(
        self, panoptic: Panoptic3D, known: Mapping[int, MemoryObject], seen: Reconstruction | None, evidence: dict[int, Evidence]
    ) -> None:
        objects = dict(known)
        # Half of what a surface may hold: it is filled over some view sets, at half the cost of each.
        for sighting in _sightings(panoptic, seen, max(1, self.config.surface_points // 2)):
            instance_id = sighting.segment.instance_id
            before, held = known.get(instance_id), instance_id in self._held
            objects[instance_id] = (
                first_sighting(sighting, self.config) if before is None else next_sighting(before, sighting, self.config, held)
            )
        for instance_id in known.keys() - {segment.instance_id for segment in panoptic.segments}:
            item, held = known[instance_id], instance_id in self._held
            objects[instance_id] = explained(item, evidence.get(instance_id), panoptic.stamp_ns, self.config, held)
        with self._held_lock:
            self._held = frozenset(self._held & objects.keys())
        self.world = World(tuple(objects.values()), panoptic.world_frame_id, panoptic.stamp_ns)

    def _take_map(self) -> None:
        if self._map is self._wanted_map:
            return
        self._map = self._wanted_map
        self.world = replace(self.world, objects=())
        if self._map is not None:
            self._next_id = max(self._next_id, *(value + 1 for value in self._map.ids()), 1)

    def _take_world(self, panoptic: Panoptic3D) -> None:
        world, self._wanted_world = self._wanted_world, None
        if world is None:
            return
        if world.world_frame_id != panoptic.world_frame_id:
            log.error(
                "the world that was given is not taken: world_frame_id: expected %r, got %r",
                panoptic.world_frame_id, world.world_frame_id,
            )  # fmt: skip
            return
        words = "remembered from before, not looked for yet"
        self.world = replace(
            world,
            objects=tuple(
                replace(
                    item, state=ObjectState.UNCERTAIN, reason=words, since_ns=panoptic.stamp_ns, last_seen_ns=panoptic.stamp_ns,
                    doubted_ns=None, empty_steps=0, hidden_by=(),
                )
                for item in world.objects
            ),
        )  # fmt: skip
        self._next_id = max([self._next_id, *(item.instance_id + 1 for item in world.objects)])

    def _new_id(self) -> int:
        self._next_id += 1
        return self._next_id - 1


def _on_cpu(panoptic: Panoptic3D) -> Panoptic3D:
    segments = (replace(to_device(item, "cpu"), box=to_device(item.box, "cpu")) for item in panoptic.segments)
    return replace(to_device(panoptic, "cpu"), segments=tuple(segments))


def _evidence(
    missed: Mapping[int, MemoryObject],
    seen: Reconstruction | None,
    panoptic: Panoptic3D,
    margin_m: float,
    body: Tensor | None,
) -> dict[int, Evidence]:
    """Of the missed objects that have a surface."""
    looked = {key: item.surface.points for key, item in missed.items() if len(item.surface)}
    if seen is None or not looked:
        return {}
    return dict(zip(looked, look_for(list(looked.values()), seen, panoptic.instance_id, margin_m, body)))


def _with_ids(evidence: Evidence, new_ids: Mapping[int, int]) -> Evidence:
    return replace(evidence, hidden_by=tuple(new_ids[old] for old in evidence.hidden_by if old in new_ids))


def _sightings(panoptic: Panoptic3D, seen: Reconstruction | None, max_points: int) -> list[Sighting]:
    """One for each segment, of at most so many points."""
    owned = panoptic.point_instance_id.nonzero()[:, 0]
    order = owned[panoptic.point_instance_id[owned].argsort(stable=True)]
    sorted_ids = panoptic.point_instance_id[order]
    eyes = None if seen is None else seen.world_from_cam[:, :3, 3]
    counts = [view.flatten().bincount() for view in panoptic.instance_id] if seen is not None else []
    found = []
    for segment in panoptic.segments:
        ends = torch.searchsorted(sorted_ids, torch.tensor([segment.instance_id, segment.instance_id + 1]))
        first, last = ends.tolist()
        mine = order[first : last : max(1, -(-(last - first) // max_points))]
        views = [view for view, pixels in enumerate(counts) if segment.instance_id < len(pixels) and pixels[segment.instance_id]]
        away = None if eyes is None else eyes[views] - place(segment)
        name = panoptic.labels.name(segment.class_id)
        found.append(Sighting(segment, name, panoptic.stamp_ns, panoptic.points[mine], panoptic.point_colors[mine], away))
    return found


def renumbered_scene(panoptic: Panoptic3D, ids: list[int]) -> Panoptic3D:
    """Give the objects of a scene other ids.

    Args:
        panoptic: The scene.
        ids: One for each segment, in their order.

    Returns:
        The scene with these ids in segments, pixels and points.
    """
    old_ids = [segment.instance_id for segment in panoptic.segments]
    table = torch.zeros(max(old_ids, default=0) + 1, dtype=torch.int64, device=panoptic.instance_id.device)
    for old, new in zip(old_ids, ids):
        table[old] = new

    def mapped(values: Tensor) -> Tensor:
        return table[values]

    return replace(
        panoptic,
        instance_id=mapped(panoptic.instance_id),
        point_instance_id=mapped(panoptic.point_instance_id),
        segments=tuple(replace(segment, instance_id=new) for segment, new in zip(panoptic.segments, ids)),
    )
