"""The truth that a bag has beside its camera topics, as scenes for the evaluation of the library."""

from __future__ import annotations

import fnmatch
import json
import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.geometry.rotations import matrix_from_quat_xyzw
from pan3d_core.geometry.transforms import rigid
from pan3d_core.labels import LabelSpace
from pan3d_core.structures import PerceptionResult
from pan3d_core.views.scene_folder import Scene, SceneObject, SceneTruth
from pan3d_ros.bags.reading.reader import IMAGE, TEXT, BagError, BagReader
from pan3d_ros.bags.settings import TruthTopics
from pan3d_ros.messages.buffers import stamp_to_ns
from pan3d_ros.messages.images import depth_to_metres, image_array

log = logging.getLogger("pan3d.ros.bags")
AHEAD_NS = 2_000_000_000  # truth of an image is looked for so much later in the bag
KEPT_NS = 1_000_000_000  # and kept for so long,
KEPT_FOR_KEYFRAMES_NS = 30_000_000_000  # or for so long, when a moving camera's views come back later

_Key = tuple[str, int]  # frame of the image, its stamp


class BagTruth:
    """Reads the truth topics beside the replay. `found` says whether the bag has instance images at all."""

    def __init__(self, bag: BagReader, topics: TruthTopics, reference_frame: str, *, keyframes: bool = False) -> None:
        self._kept_ns = KEPT_FOR_KEYFRAMES_NS if keyframes else KEPT_NS
        self._ids = fnmatch.filter(bag.of_type(IMAGE), topics.instance_ids)
        self._depths = fnmatch.filter(bag.of_type(IMAGE), topics.depth)
        self.found = bool(self._ids)
        self._images: dict[str, dict[_Key, Tensor]] = {"ids": {}, "depth": {}}
        self._objects, kinds = _read_objects(bag, topics.objects, reference_frame)
        self.labels = LabelSpace.things(kinds)
        self._class_of = {kind: index for index, kind in enumerate(kinds)}
        self._ahead = iter(bag.messages([*self._ids, *self._depths])) if self.found else iter(())
        self._read_until_ns = 0

    def scene(self, name: str, result: PerceptionResult, frame_ids: Mapping[str, str], received_ns: int) -> Scene | None:
        """Collect the truth of all views of a result.

        Args:
            name: Of the scene.
            result: Whose views are meant.
            frame_ids: Camera -> frame of its images.
            received_ns: When the newest of these was received.

        Returns:
            The truth without views; None when an instance image is missing.
        """
        self._read(received_ns + AHEAD_NS)
        keys = [(frame_ids[camera], stamp) for camera, stamp in zip(result.views.cameras, result.views.stamps_ns)]
        self._forget(set(keys), max(result.views.stamps_ns) - self._kept_ns)
        ids = [item.long() for key in keys if (item := self._images["ids"].get(key)) is not None]
        if len(ids) < len(keys):
            return None
        depth = tuple(self._images["depth"].get(key) for key in keys)
        truth = SceneTruth(tuple(ids), depth, self._objects_at(max(result.views.stamps_ns)), self.labels)
        return Scene(name, (), truth, result.views.support_height_m)

    def _objects_at(self, stamp_ns: int) -> tuple[SceneObject, ...]:
        """The newest known before the stamp, the first one before that."""
        past = [items for known_ns, items in self._objects if known_ns <= stamp_ns]
        chosen = past[-1] if past else (self._objects[0][1] if self._objects else [])
        return tuple(
            SceneObject(item["id"], item.get("name", ""), self._class_of.get(item.get("kind", ""), -1), item["box"])
            for item in chosen
        )

    def _read(self, until_ns: int) -> None:
        while self._read_until_ns < until_ns and (message := next(self._ahead, None)) is not None:
            self._read_until_ns = message.received_ns
            content = message.content
            key = content.header.frame_id, stamp_to_ns(content.header.stamp)
            try:
                if message.topic in self._ids:
                    self._images["ids"][key] = torch.from_numpy(image_array(content).astype(np.int32))
                else:
                    self._images["depth"][key] = torch.from_numpy(depth_to_metres(content))
            except ValueError as error:
                raise BagError(f"{message.topic}: {error}") from error

    def _forget(self, used: set[_Key], before_ns: int) -> None:
        for images in self._images.values():
            for key in [key for key in images if key[1] < before_ns and key not in used]:
                del images[key]


def _read_objects(bag: BagReader, topic: str, reference_frame: str) -> tuple[list[tuple[int, list[dict]]], tuple[str, ...]]:
    """(stamp, objects) in order, and all kinds. Objects in another frame keep their names but have no box."""
    found: list[tuple[int, list[dict]]] = []
    if bag.topics.get(topic) is None or bag.topics[topic].type != TEXT:
        return found, ()
    for message in bag.messages([topic]):
        try:
            content = json.loads(message.content.data)
            here = content["frame_id"] == reference_frame
            items = [
                {**item, "id": int(item["id"]), "box": _box(item.get("box")) if here else None} for item in content["objects"]
            ]
            found.append((int(content["stamp_ns"]), items))
        except (KeyError, TypeError, ValueError) as error:
            raise BagError(
                f"{topic}: expected the JSON that docs/bags.md describes, got {type(error).__name__}: {error}"
            ) from error
        if not here:
            log.warning("%s is in %s, not in %s: places are not compared", topic, content["frame_id"], reference_frame)
    found.sort(key=lambda pair: pair[0])
    return found, tuple(sorted({item["kind"] for _, items in found for item in items if item.get("kind")}))


def _box(values: Mapping[str, Any] | None) -> OrientedBox | None:
    if values is None:
        return None
    rotation = matrix_from_quat_xyzw(torch.tensor(values["orientation_xyzw"], dtype=torch.float64)).float()
    position = torch.tensor(values["position"], dtype=torch.float32)
    return OrientedBox(rigid(rotation, position), torch.tensor(values["size"], dtype=torch.float32))
