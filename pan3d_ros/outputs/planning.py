"""What a motion planner is told: objects as a scene that changes, free and unknown space, and what belongs to no object."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from nav_msgs.msg import OccupancyGrid
from rclpy.lifecycle import LifecyclePublisher
from rclpy.qos import QoSProfile
from sensor_msgs.msg import PointCloud2

from pan3d_core.body import HeldObject
from pan3d_core.memory import MemoryObject, SpaceMap
from pan3d_core.planning import Change, ChangeKind, PlannedScene, collision_bodies
from pan3d_ros.messages.manipulation.planning import planning_scene, scene_name
from pan3d_ros.messages.manipulation.space import camera_obstacles, occupancy_grid, space_cloud
from pan3d_ros.messages.parts import header
from pan3d_ros.outputs.diagnostics import OK, WARN, status
from pan3d_ros.outputs.result_store import SceneResult
from pan3d_ros.parameters.node_config import NodeConfig
from pan3d_ros.platform.stand_ins import moveit_msgs

Maker = Callable[[type, str, QoSProfile], LifecyclePublisher]


@dataclass(frozen=True)
class KnownWorld:
    """All that is known of the world after a view set, as far as planners need it."""

    scene: SceneResult | None  # the newest; None = there is none yet
    objects: tuple[MemoryObject, ...]
    held: tuple[HeldObject, ...]
    space: SpaceMap
    remembers: bool  # False: nothing is, whatever is seen
    config: NodeConfig

    @property
    def problem(self) -> str:
        """Why nothing can be said of what stands where; empty = it can."""
        if self.scene is None:
            return "there is no result yet"
        if not self.scene.result.is_metric:
            return "the result is not metric, so nobody knows where things are"
        if not self.scene.result.finds_objects:
            return "this model finds no objects, so an empty scene would say nothing"
        return "" if self.remembers else "tracking.enabled is false, so no object is remembered"

    def changes(self, told: PlannedScene) -> tuple[Change, ...]:
        """Compare with what was told, and take it for told."""
        height_m = None if self.scene is None else self.scene.result.views.support_height_m
        bodies = collision_bodies(self.objects, self.config.planning, height_m)
        return told.update(bodies, self.held, self.config.planning.changed_m)

    def message(self, changes: Sequence[Change]) -> Any:
        """A moveit_msgs PlanningScene of changes, with the stamp of the newest picture."""
        stamp_ns = 0 if self.scene is None else self.scene.newest_ns
        message_header = header(self.config.reference_frame, stamp_ns)
        return planning_scene(changes, message_header, self.config.arm.touch_links)


def whole_scene(known: KnownWorld | None) -> Any:
    """Tell everything to somebody who asks.

    Args:
        known: None = the node is not active.

    Returns:
        A moveit_msgs PlanningScene. Where nothing is known it is empty and its name says why.
    """
    problem = "the node is not active" if known is None else known.problem
    if known is None or problem:
        return moveit_msgs.PlanningScene(name=scene_name(problem), is_diff=True)
    return known.message(known.changes(PlannedScene()))


class PlanningOutputs:
    """Publishers for planners; nothing is computed that nobody listens to."""

    def __init__(self, cameras: Sequence[str], make: Maker, small: QoSProfile, large: QoSProfile) -> None:
        self.scene = make(moveit_msgs.PlanningScene, "~/planning_scene", small) if moveit_msgs else None
        self.space = make(PointCloud2, "~/space", large)
        self.occupancy = make(OccupancyGrid, "~/occupancy", large)
        self.obstacles = {camera: make(PointCloud2, f"~/{camera}/obstacle_points", large) for camera in cameras}
        self._told, self._listeners = PlannedScene(), 0
        self._known: KnownWorld | None = None

    @property
    def publishers(self) -> tuple[LifecyclePublisher | None, ...]:
        """All that are to be destroyed."""
        return (self.scene, self.space, self.occupancy, *self.obstacles.values())

    def publish(self, known: KnownWorld) -> None:
        """Tell planners what has changed with a result. What is not metric changes nothing: what was told before stays."""
        self._known = known
        if known.scene is None or not known.scene.result.is_metric:
            return
        self._publish_scene(known)
        self._publish_space(known, known.scene)
        self._publish_obstacles(known, known.scene)

    def status(self) -> DiagnosticStatus:
        """Tell whether planners know what stands where, and why not."""
        name, known = "planning scene", self._known
        if self.scene is None:
            return status(name, OK, "moveit_msgs is not installed; what stands where is told as ~/instances alone")
        if known is None or not known.config.publish.planning_scene:
            return status(name, OK, "no result yet" if known is None else "publish.planning_scene is false")
        if known.problem:
            return status(name, WARN, f"no scene is published: {known.problem}")
        words = f"{self._told.count} objects are told to {self._listeners} listeners" if self._listeners else "nobody listens"
        return status(name, OK, words)

    def _publish_scene(self, known: KnownWorld) -> None:
        """Changes, and everything where somebody has begun to listen, who cannot know what changes."""
        listeners = 0 if self.scene is None or not known.config.publish.planning_scene else self.scene.get_subscription_count()
        if known.problem or not listeners:
            self._told, self._listeners = (self._told if known.problem else PlannedScene()), listeners
            return
        changes = known.changes(self._told)
        if listeners > self._listeners:
            ended = [change for change in changes if change.kind in (ChangeKind.REMOVE, ChangeKind.DETACH)]
            changes = (*ended, *self._told.everything())
        self._listeners = listeners
        if changes and self.scene is not None:
            self.scene.publish(known.message(changes))

    def _publish_space(self, known: KnownWorld, scene: SceneResult) -> None:
        grid_wanted, map_wanted = self.space.get_subscription_count() > 0, self.occupancy.get_subscription_count() > 0
        if not known.config.publish.space or not (grid_wanted or map_wanted) or (grid := known.space.grid()) is None:
            return
        message_header = header(known.config.reference_frame, scene.newest_ns)
        if grid_wanted:
            self.space.publish(space_cloud(grid, message_header))
        support_m = scene.result.views.support_height_m
        if map_wanted and support_m is not None:
            above_m = support_m + grid.cell_m, support_m + known.config.planning.occupancy_height_m
            self.occupancy.publish(occupancy_grid(grid, *above_m, message_header))

    def _publish_obstacles(self, known: KnownWorld, scene: SceneResult) -> None:
        views = scene.result.views
        newest = {camera: index for index, camera in enumerate(views.cameras)}
        for camera, index in newest.items() if known.config.publish.camera_obstacles else ():
            publisher = self.obstacles.get(camera)
            if publisher is not None and publisher.get_subscription_count():
                message_header = header(scene.frame_ids.get(camera, camera), views.stamps_ns[index])
                publisher.publish(camera_obstacles(scene.result, index, message_header))
