"""How alike two objects are that may be one."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from pan3d_core.geometry.boxes import OrientedBox, box_iou

# What each likeness counts; meaning is left out where there are no embeddings.
WEIGHTS = {"place": 0.4, "overlap": 0.25, "color": 0.2, "meaning": 0.15}


class Described(Protocol):
    """What is compared: a segment, or an object of a map."""

    @property
    def box(self) -> OrientedBox:
        """In the world, metres."""

    @property
    def color_rgb(self) -> Tensor:
        """(3,) median, 0..1."""

    @property
    def text_embedding(self) -> Tensor | None:
        """(E,) unit vector."""


def place(item: Described) -> Tensor:
    """Return the middle of an object's box, (3,) metres in the world."""
    return item.box.world_from_box[:3, 3]


def similarity(first: Described, second: Described, max_distance_m: float) -> float:
    """0..1 from place, box overlap, colour and meaning; 0 when the centres are more than `max_distance_m` apart."""
    distance = float((place(first) - place(second)).norm())
    if distance > max_distance_m:
        return 0.0
    parts = {
        "place": 1.0 - distance / max(max_distance_m, 1e-9),
        "overlap": box_iou(first.box, second.box),
        "color": 1.0 - min(1.0, 2.0 * float((first.color_rgb - second.color_rgb).abs().max())),
    }
    if first.text_embedding is not None and second.text_embedding is not None:
        parts["meaning"] = max(0.0, float(first.text_embedding @ second.text_embedding))
    return sum(WEIGHTS[name] * value for name, value in parts.items()) / sum(WEIGHTS[name] for name in parts)
