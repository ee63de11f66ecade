"""Which pixels of views show the robot: its surfaces drawn into each, and what is seen there compared with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pan3d_core.body.description import LinkShape, RobotDescription
from pan3d_core.body.drawing import draw_depth, draw_nearest
from pan3d_core.body.surfaces import outward


@dataclass(frozen=True)
class BodySurface:
    """Surfaces of links in one set of tensors."""

    vertices: Tensor  # (V, 3) metres, each in the frame of its link
    outward: Tensor  # (V, 3) way of each corner when all faces move outwards by 1
    link: Tensor  # (V,) int64
    faces: Tensor  # (F, 3) int64

    @classmethod
    def of(cls, robot: RobotDescription, shapes: Sequence[LinkShape]) -> BodySurface:
        """Put surfaces together.

        Args:
            robot: Whose links they belong to.
            shapes: At least one.

        Returns:
            All of them.

        Raises:
            ValueError: A shape names a link that the robot does not have.
        """
        starts = np.cumsum([0, *(len(shape.vertices) for shape in shapes)])
        ways = np.concatenate([outward(shape.vertices, shape.faces) for shape in shapes])
        links = np.repeat([robot.index(shape.link) for shape in shapes], [len(shape.vertices) for shape in shapes])
        faces = np.concatenate([shape.faces + start for shape, start in zip(shapes, starts)])
        vertices = np.concatenate([shape.vertices for shape in shapes])
        return cls(
            torch.from_numpy(vertices).float(), torch.from_numpy(ways).float(), torch.from_numpy(links), torch.from_numpy(faces)
        )


@dataclass(frozen=True)
class BodyViews:
    """The robot as S views would see it alone; 0 = it is not there."""

    front: Tensor  # (S, h, w) metres, z-depth of its nearest surface
    padded_front: Tensor  # (S, h, w) metres, the same with its surfaces moved outwards by the padding
    padded_back: Tensor  # (S, h, w) metres, of its farthest surface, moved likewise
    known: tuple[bool, ...]  # of which views it is known where the robot was

    def select(self, chosen: Sequence[int]) -> BodyViews:
        """The robot in these views only."""
        rows = list(chosen)
        parts = (self.front[rows], self.padded_front[rows], self.padded_back[rows])
        return BodyViews(*parts, tuple(self.known[row] for row in rows))

    def measured_pixels(self, depth: Tensor, tolerance: float) -> Tensor:
        """Find what was measured on the robot: depth between the padded robot's nearest and farthest surface.

        So what is seen past a robot that was elsewhere stays, as when joints were told late.

        Args:
            depth: (S, h, w) metres, 0 = not measured, which is never said to be the robot.
            tolerance: Share of the distance that depth may be off, besides the padding.

        Returns:
            (S, h, w) bool.
        """
        return (
            (self.padded_back > 0)  # a camera within the padding sees the far side alone
            & (depth > 0)
            & (depth >= self.padded_front * (1 - tolerance))
            & (depth <= self.padded_back * (1 + tolerance))
        )

    def predicted_pixels(self, depth: Tensor, tolerance: float, nearer: float) -> Tensor:
        """Find the robot where a network says depth, which near outlines lies between those of two surfaces.

        Within the robot's outline a pixel shows it unless something much nearer is seen; in the rim that padding adds a pixel
        does when its depth agrees.

        Args:
            depth: (S, h, w) metres, 0 = unknown.
            tolerance: Share of the distance that it may be off in the rim, besides the padding.
            nearer: Share of the distance that what stands before the robot is nearer, at least.

        Returns:
            (S, h, w) bool.
        """
        before = (depth > 0) & (depth < self.front * (1 - nearer))
        return ((self.front > 0) & ~before) | ((self.front == 0) & self.measured_pixels(depth, tolerance))


def see_body(
    surface: BodySurface,
    world_from_links: Sequence[Tensor | None],
    cam_from_world: Tensor,
    intrinsics: Tensor,
    hw: tuple[int, int],
    padding_m: float,
) -> BodyViews:
    """Draw a robot into views.

    Args:
        surface: Of the robot.
        world_from_links: For each of S views (L, 4, 4), where its links were then; None = not known.
        cam_from_world: (S, 4, 4) metres.
        intrinsics: (S, 3, 3) pixels at `hw`.
        hw: Height and width of the views.
        padding_m: By which surfaces are moved outwards.

    Returns:
        The robot in each view.
    """
    device = cam_from_world.device
    known = tuple(links is not None for links in world_from_links)
    rows = [row for row, is_known in enumerate(known) if is_known]
    front, padded_front, padded_back = (torch.zeros(len(known), *hw, device=device) for _ in range(3))
    if rows:
        links = torch.stack([item for item in world_from_links if item is not None]).to(device)
        cam_from_links = (cam_from_world[rows, None].double() @ links.double()).float()  # (R, L, 4, 4)
        frames = cam_from_links[:, surface.link.to(device)]  # (R, V, 4, 4)
        vertices, ways = surface.vertices.to(device), surface.outward.to(device)
        bare = (frames[..., :3, :3] @ vertices[..., None])[..., 0] + frames[..., :3, 3]
        padded = bare + padding_m * (frames[..., :3, :3] @ ways[..., None])[..., 0]
        faces = surface.faces.to(device)
        front[rows] = draw_nearest(bare, faces, intrinsics[rows], hw)
        padded_front[rows], padded_back[rows] = draw_depth(padded, faces, intrinsics[rows], hw)
    return BodyViews(front, padded_front, padded_back, known)
