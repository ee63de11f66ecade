"""The stage that finds the robot in a view set, and what later stages do with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from pan3d_core.body.description import RobotDescription
from pan3d_core.body.held import HeldObject
from pan3d_core.body.views import BodySurface, BodyViews, see_body
from pan3d_core.config import BodyConfig
from pan3d_core.structures import Reconstruction, ViewBatch, to_device


class RobotBody:
    """A robot, and what it holds. `hold` may be called from any thread."""

    def __init__(self, robot: RobotDescription) -> None:
        self.robot = robot
        self.held: tuple[HeldObject, ...] = ()
        self.surface = BodySurface.of(robot, robot.shapes)

    def hold(self, held: Sequence[HeldObject]) -> None:
        """Take these objects, and no others, for parts of the body from the next view set on.

        Raises:
            ValueError: One is held by a link that the robot does not have.
        """
        surface = BodySurface.of(self.robot, [*self.robot.shapes, *(item.shape for item in held)])
        self.held, self.surface = tuple(held), surface


@dataclass(frozen=True)
class SeenBody:
    """The robot in a view set."""

    views: BodyViews | None  # None: there is no robot, or nobody knows where
    measured: Tensor | None  # (S, h, w) metres: the depth that was measured, 0 = none; None without any
    config: BodyConfig
    warnings: tuple[str, ...] = ()

    def select(self, chosen: Sequence[int], device: torch.device | str) -> SeenBody:
        """Choose some of the views.

        Args:
            chosen: Numbers of views.
            device: Where the robot in them shall be.

        Returns:
            The robot in these views only.
        """
        rows = list(chosen)
        return replace(
            self,
            views=None if self.views is None else to_device(self.views.select(rows), device),
            measured=None if self.measured is None else self.measured[rows].to(device),
        )

    def without_depth(self, batch: ViewBatch) -> ViewBatch:
        """The same views without measured depth of the robot; they may be a whole multiple as large as those that it was
        looked for in."""
        if self.views is None or batch.depth is None:
            return batch
        views = to_device(self.views, batch.depth.device)
        views = _enlarged(views, batch.hw[0] // self.views.front.shape[1])
        robot = views.measured_pixels(batch.depth, self.config.measured_tolerance)
        return replace(batch, depth=batch.depth.masked_fill(robot, 0.0))

    def pixels(self, reconstruction: Reconstruction) -> Tensor | None:
        """Say which pixels show the robot: by measured depth where there is some, else by the reconstruction's.

        Args:
            reconstruction: Of the same views.

        Returns:
            (S, h, w) bool; None where that cannot be said, since nobody knows where the robot is or nothing is metric.
        """
        if self.views is None or not reconstruction.is_metric:
            return None
        views, config = self.views, self.config
        predicted = views.predicted_pixels(reconstruction.depth, config.predicted_tolerance, config.predicted_nearer)
        if self.measured is None:
            return predicted
        measured = views.measured_pixels(self.measured, config.measured_tolerance)
        return torch.where(self.measured > 0, measured, predicted)

    def as_surface(self, reconstruction: Reconstruction, pixels: Tensor | None) -> Reconstruction:
        """Put the robot's surface where it is seen, so that it hides what is behind it whatever was measured there.

        Args:
            reconstruction: Metric.
            pixels: As `pixels` says them.

        Returns:
            The same with the depth of the robot.
        """
        if self.views is None or pixels is None:
            return reconstruction
        front = torch.where(self.views.front > 0, self.views.front, self.views.padded_front)
        return replace(reconstruction, depth=torch.where(pixels, front, reconstruction.depth))


def look_for_body(body: RobotBody | None, batch: ViewBatch, config: BodyConfig, device: torch.device | str = "cpu") -> SeenBody:
    """Find the robot in views.

    Args:
        body: Of the robot; None = there is none, or it is not known.
        batch: The views, with `world_from_links` where the robot was in each.
        config: Paddings and tolerances.
        device: Where it is drawn.

    Returns:
        The robot, or why it is not known where it is.
    """
    if body is None or not config.enabled:
        return SeenBody(None, None, config)
    if batch.intrinsics is None or batch.cam_from_world is None:
        words = "the robot's body is not taken out: poses and intrinsics of all cameras are needed"
        return SeenBody(None, None, config, (words,))
    links = batch.world_from_links or (None,) * batch.num_views
    unknown = [camera for camera, item in zip(batch.cameras, links) if item is None]
    words = f"the robot's body is not taken out of {', '.join(unknown)}: where its joints were is not known"
    warnings = (words,) if unknown else ()
    if len(unknown) == batch.num_views:
        return SeenBody(None, None, config, warnings)
    cam_from_world, intrinsics = batch.cam_from_world.to(device), batch.intrinsics.to(device)
    views = see_body(body.surface, links, cam_from_world, intrinsics, batch.hw, config.padding_m)
    return SeenBody(views, batch.depth, config, warnings)


def _enlarged(views: BodyViews, factor: int) -> BodyViews:
    """The same in views that are `factor` times as large. A pixel more on every side is looked at, since an outline that was
    drawn on few pixels is that uncertain on many."""
    if factor == 1:
        return views

    def grown(depth: Tensor) -> Tensor:
        wide: Tensor = depth.repeat_interleave(factor, 1).repeat_interleave(factor, 2)
        return wide

    nearest = -max_pool2d(-torch.where(views.padded_front > 0, views.padded_front, torch.inf)[:, None], 3, 1, 1)[:, 0]
    farthest = max_pool2d(views.padded_back[:, None], 3, 1, 1)[:, 0]
    padded_front = torch.where(nearest.isfinite(), nearest, 0.0)
    return BodyViews(grown(views.front), grown(padded_front), grown(farthest), views.known)
