"""Instance ids that stay with their objects from one update to the next."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from pan3d_core.assembly.likeness import place, similarity
from pan3d_core.assembly.place_map import RefinedMap
from pan3d_core.config import TrackingConfig
from pan3d_core.structures import Panoptic3D, Segment

log = logging.getLogger("pan3d.tracking")


@dataclass(frozen=True)
class _Track:
    segment: Segment
    seen_ns: int


class Tracker:
    """Keeps ids. An id is never 0, never given to two objects, and not reused after `reset` either."""

    def __init__(self, config: TrackingConfig | None = None) -> None:
        self.config = config or TrackingConfig()
        self._tracks: dict[int, _Track] = {}
        self._next_id = 1
        self._newest_ns: int | None = None
        self._map: RefinedMap | None = None
        self._wanted_map: RefinedMap | None = None

    def use_map(self, refined: RefinedMap | None) -> None:
        """From the next update on give objects that coincide with some of this map the map's ids and names.

        Tracks are forgotten then, because a map may use ids that other objects have had; any thread may call this.
        """
        self._wanted_map = refined

    def reconfigure(self, config: TrackingConfig) -> None:
        """Take over other settings from the next update on; any thread may call this."""
        self.config = config

    def reset(self) -> None:
        """Forget all objects."""
        self._tracks.clear()
        self._newest_ns = None

    def update(self, panoptic: Panoptic3D, *, comparable: bool = True) -> Panoptic3D:
        """The same scene with lasting ids.

        `comparable=False` says that places cannot be compared with the past (not metric): all ids are new and nothing
        is remembered. A stamp before the previous one (a clock that jumped back) forgets everything first.
        """
        if self._newest_ns is not None and panoptic.stamp_ns < self._newest_ns:
            log.warning("time went back by %.3f s; tracks are forgotten", (self._newest_ns - panoptic.stamp_ns) * 1e-9)
            self.reset()
        self._newest_ns = panoptic.stamp_ns
        self._take_map()
        if not self.config.enabled:
            return panoptic
        if not comparable:
            return _renamed(panoptic, [self._new_id() for _ in panoptic.segments])
        self._forget_lost(panoptic.stamp_ns)
        matched = self._match(panoptic.segments)
        if self._map is not None:
            rest = [k for k in range(len(panoptic.segments)) if k not in matched]
            known = self._map.match([panoptic.segments[k] for k in rest], set(matched.values()))
            matched |= {rest[row]: instance_id for row, instance_id in known.items()}
        ids = [matched[k] if k in matched else self._new_id() for k in range(len(panoptic.segments))]
        renamed = _renamed(panoptic, ids)
        if self._map is not None:
            renamed = self._map.named(renamed)
        self._tracks.update({segment.instance_id: _Track(segment, panoptic.stamp_ns) for segment in renamed.segments})
        return renamed

    def _take_map(self) -> None:
        if self._map is self._wanted_map:
            return
        self._map = self._wanted_map
        self._tracks.clear()
        if self._map is not None:
            self._next_id = max(self._next_id, *(value + 1 for value in self._map.ids()), 1)

    def _new_id(self) -> int:
        self._next_id += 1
        return self._next_id - 1

    def _forget_lost(self, now_ns: int) -> None:
        limit_ns = int(self.config.max_lost_s * 1e9)
        self._tracks = {key: track for key, track in self._tracks.items() if now_ns - track.seen_ns <= limit_ns}

    def _match(self, segments: tuple[Segment, ...]) -> dict[int, int]:
        """Index of a segment -> id of the track it continues; the assignment of largest total similarity."""
        known = list(self._tracks)
        if not known or not segments:
            return {}
        limit_m = self.config.max_distance_m
        places = torch.stack([place(self._tracks[key].segment) for key in known])
        near = (torch.cdist(torch.stack([place(item) for item in segments]), places) <= limit_m).nonzero().tolist()
        table = np.zeros((len(segments), len(known)))
        for row, column in near:
            table[row, column] = similarity(self._tracks[known[column]].segment, segments[row], limit_m)
        rows, columns = linear_sum_assignment(table, maximize=True)
        enough = self.config.min_similarity
        return {int(row): known[column] for row, column in zip(rows, columns) if table[row, column] >= enough}


def _renamed(panoptic: Panoptic3D, ids: list[int]) -> Panoptic3D:
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
