"""Where the links of the robot were at an image's stamp. No ROS in here: messages are anything with their fields."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from pan3d_core.body import RobotDescription, root_from_links
from pan3d_core.geometry.transforms import invert_rigid
from pan3d_ros.inputs.joint_history import JointHistory
from pan3d_ros.inputs.transforms import TransformsSource, TransformUnavailable


class RobotSource(Protocol):
    """Says where the robot was. All methods may be called from any thread."""

    def links_at(self, stamp_ns: int) -> Tensor:
        """Look the links up.

        Returns:
            world_from_links (L, 4, 4) float64, metres, in the order of the robot's links.

        Raises:
            TransformUnavailable: It is not known; `may_come` tells whether waiting can help.
        """
        ...


class RobotPlaces:
    """The links of one robot, by the positions of its joints and by the place of its root.

    Args:
        robot: Whose.
        history: Of its joints.
        reference_frame: That links are wanted in: one of its links, or a frame that `transforms` knows.
        transforms: TF; None = there is none.
    """

    def __init__(
        self, robot: RobotDescription, history: JointHistory, reference_frame: str, transforms: TransformsSource | None
    ) -> None:
        self.robot, self.history = robot, history
        self._reference_frame, self._transforms = reference_frame, transforms

    def links_at(self, stamp_ns: int) -> Tensor:
        """Answer as `RobotSource.links_at`."""
        try:
            positions = self.history.at(stamp_ns, self.robot.told_joints)
        except LookupError as error:
            raise TransformUnavailable(f"joint states: {error.args[0]}") from error
        links = root_from_links(self.robot, positions)
        return self._world_from_root(links, stamp_ns) @ links

    def _world_from_root(self, links: Tensor, stamp_ns: int) -> Tensor:
        """(4, 4), by a link of the name of the reference frame, or by TF."""
        if self._reference_frame in self.robot.links:
            return invert_rigid(links[self.robot.index(self._reference_frame)])
        root = self.robot.root
        if self._transforms is None:
            raise TransformUnavailable(
                f"reference_frame: expected a link of the robot ({', '.join(self.robot.links)}), or TF to its root {root}, got"
                f" {self._reference_frame} and no TF",
                may_come=False,
            )
        try:
            root_from_world = self._transforms.lookup(root, root, stamp_ns)
        except TransformUnavailable as error:
            raise TransformUnavailable(f"the robot's root: {error}", may_come=error.may_come) from error
        return invert_rigid(root_from_world.double())
