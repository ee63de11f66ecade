"""What requests are told of results whose camera poses contradict the pictures; no node is needed."""

from types import SimpleNamespace

import pytest
import ros_support  # noqa: F401  # skips where ROS 2 is not there
from pan3d_interfaces.msg import ErrorCode

from pan3d_core.structures import PoseConsistency
from pan3d_ros.services.requests import RequestError, require_agreeing_poses


def scene(found):
    return SimpleNamespace(result=SimpleNamespace(consistency=found))


def test_a_request_for_grasps_at_contradicted_poses_is_told_the_likely_fault():
    found = PoseConsistency(("a", "b"), (0.0, 0.0), contradiction="they look like OpenGL axes")
    with pytest.raises(RequestError, match="OpenGL axes") as caught:
        require_agreeing_poses(scene(found))
    assert caught.value.code == ErrorCode.POSES_CONTRADICT


def test_poses_that_are_not_refuted_are_no_obstacle():
    require_agreeing_poses(scene(None))
    require_agreeing_poses(scene(PoseConsistency(("a", "b"), (None, 0.9), doubts=("a little off",))))
