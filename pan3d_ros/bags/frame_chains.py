"""Whether the transforms of a bag lead from a camera to the reference frame, and when."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pan3d_ros.bags.contents import TransformEdge


@dataclass(frozen=True)
class Chain:
    """The way from a frame up the tree."""

    frames: tuple[str, ...]  # the frame itself, its parent, ... as far as the bag knows
    edges: tuple[TransformEdge, ...]  # between them
    reaches: bool  # whether it comes to the reference frame

    @property
    def moving(self) -> tuple[TransformEdge, ...]:
        """The edges that are not static."""
        return tuple(edge for edge in self.edges if not edge.static)

    @property
    def travel_m(self) -> float:
        """Largest movement of a frame of the chain within its parent."""
        spans = [float(np.linalg.norm(np.ptp(np.array(edge.positions), axis=0))) for edge in self.moving]
        return max(spans, default=0.0)

    def covered(self, stamps_ns: np.ndarray) -> float:
        """Share of the stamps at which every moving transform is known: between its first and its last one."""
        inside = np.ones(len(stamps_ns), bool)
        for edge in self.moving:
            inside &= (stamps_ns >= min(edge.stamps_ns)) & (stamps_ns <= max(edge.stamps_ns))
        return float(inside.mean()) if len(inside) else 0.0


def chain(edges: Mapping[str, TransformEdge], frame: str, reference_frame: str) -> Chain:
    """Follow the tree of transforms upwards.

    Args:
        edges: Frame -> its edge to its parent.
        frame: Where to begin.
        reference_frame: Where to stop; where it is not met the end of the tree is.

    Returns:
        The frames on the way, and whether it leads to `reference_frame`.
    """
    frames, found = [frame], []
    while frame != reference_frame and frame in edges:
        found.append(edges[frame])
        frame = edges[frame].parent
        if frame in frames:  # a loop is no way
            break
        frames.append(frame)
    return Chain(tuple(frames), tuple(found), frames[-1] == reference_frame)


def guess_reference_frame(edges: Mapping[str, TransformEdge], camera_frames: Sequence[str]) -> str:
    """Guess in which frame poses are wanted.

    Args:
        edges: Frame -> its edge to its parent.
        camera_frames: Optical frames of the cameras.

    Returns:
        `base_link` when a camera hangs on it (or there is no better one), otherwise the root that most cameras share.
    """
    chains = [chain(edges, frame, "") for frame in camera_frames]
    if not edges or any("base_link" in found.frames for found in chains):
        return "base_link"
    roots = Counter(found.frames[-1] for found in chains if len(found.frames) > 1)
    return roots.most_common(1)[0][0] if roots else "base_link"
