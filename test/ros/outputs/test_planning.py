"""What planners are told while the node runs: clouds and maps always, a changing scene where moveit_msgs is installed."""

import numpy as np
import pytest
import ros_support
from nav_msgs.msg import OccupancyGrid
from rclpy.node import Node
from rclpy.parameter import Parameter
from robot_arms import gantry_urdf
from sensor_msgs.msg import PointCloud2

from pan3d_ros.outputs import planning
from pan3d_ros.platform.cloud_stand_ins import read_points
from pan3d_ros.platform.stand_ins import moveit_msgs, moveit_services

OK, WARN = b"\x00", b"\x01"
needs_moveit = pytest.mark.skipif(moveit_msgs is None, reason="needs moveit_msgs, see docs/planning.md")


class Planner(Node):
    """Listens to one topic."""

    def __init__(self, kind, topic, name="planner"):
        super().__init__(name)
        self.received = []
        self.create_subscription(kind, f"/pan3d/{topic}", self.received.append, 10)


def cover(rig, region):
    """Take a block off the table."""
    rig.rgb[region] = 128
    rig.depth[region] = ros_support.CAMERA_HEIGHT_M


def told(planner):
    kinds = moveit_msgs.CollisionObject
    names = {kinds.ADD: "add", kinds.MOVE: "move", kinds.REMOVE: "remove"}
    return [[(names[item.operation], item.id) for item in message.world.collision_objects] for message in planner.received]


def keys(bench):
    return {f"pan3d/{item.id}" for item in bench.instances()[-1].instances}


def listens(bench):
    bench.until(lambda: bench.listener.shows("planning scene", OK, "objects are told to 1 listeners"), "the planner is known")


def test_space_and_obstacles_are_computed_for_those_who_listen_alone(spinner, monkeypatch):
    asked = []
    for name in ("space_cloud", "occupancy_grid", "camera_obstacles"):
        real = getattr(planning, name)
        monkeypatch.setattr(planning, name, lambda *given, real=real, name=name: asked.append(name) or real(*given))
    bench = ros_support.Bench(spinner, monkeypatch, memory__space_cell_m=0.02).start()
    bench.until(lambda: len(bench.instances()) > 18, "every cell of space has had its turn")
    assert asked == []
    space = spinner.add(Planner(PointCloud2, "space", "space"))
    above = spinner.add(Planner(OccupancyGrid, "occupancy", "above"))
    seen_from = spinner.add(Planner(PointCloud2, "front/obstacle_points", "seen_from"))
    bench.until(lambda: space.received and above.received and seen_from.received, "all three")

    cells = read_points(space.received[-1]).reshape(-1)
    assert space.received[-1].header.frame_id == "base_link" and set(cells["state"]) == {0, 1, 2}
    over = (abs(cells["x"]) < 0.05) & (abs(cells["y"]) < 0.05) & (cells["z"] > 0.05) & (cells["z"] < 0.4)
    assert (cells["state"][over] == 1).mean() > 0.9  # the camera looks through what is over the table

    grid = above.received[-1]
    values = np.array(grid.data).reshape(grid.info.height, grid.info.width)
    origin = np.array([grid.info.origin.position.x, grid.info.origin.position.y])
    column, row = ((np.array([-0.14, 0.0]) - origin) / grid.info.resolution).astype(int)
    assert values[row, column] == 100 and (values == 0).any() and (values == -1).any()

    message = seen_from.received[-1]
    points = read_points(message).reshape(-1)
    assert message.header.frame_id == "front_optical_frame"
    np.testing.assert_allclose(points["z"], ros_support.CAMERA_HEIGHT_M, atol=0.005)  # the table alone, in the camera's frame


def test_what_is_not_metric_tells_nothing_and_takes_nothing_away(spinner, monkeypatch):
    bench = ros_support.Bench(spinner, monkeypatch)
    topics = {"space": PointCloud2, "occupancy": OccupancyGrid, "front/obstacle_points": PointCloud2}
    topics |= {} if moveit_msgs is None else {"planning_scene": moveit_msgs.PlanningScene}
    planners = [spinner.add(Planner(kind, topic, f"planner_{number}")) for number, (topic, kind) in enumerate(topics.items())]
    bench.start()
    bench.until(lambda: all(planner.received for planner in planners), "all of it")
    bench.node.set_parameters([Parameter("workspace.support_height_m", value=0.2)])  # which the depth contradicts
    bench.until(lambda: not bench.instances()[-1].metric, "a result without metres")
    sent, count = [len(planner.received) for planner in planners], len(bench.instances())
    bench.until(lambda: len(bench.instances()) > count + 3, "more of them")
    assert [len(planner.received) for planner in planners] == sent
    if moveit_msgs is not None:
        words = "no scene is published: the result is not metric"
        bench.until(lambda: bench.listener.shows("planning scene", WARN, words), "why")
        answer = bench.call(moveit_services.GetPlanningScene, "get_planning_scene").scene
        assert answer.name.startswith("pan3d: the result is not metric") and not answer.world.collision_objects


def test_without_moveit_msgs_the_node_says_so(spinner, monkeypatch):
    monkeypatch.setattr(planning, "moveit_msgs", None)
    bench = ros_support.Bench(spinner, monkeypatch).start()
    bench.until(lambda: bench.listener.shows("planning scene", OK, "moveit_msgs is not installed"), "what is missing")
    bench.until(lambda: bench.instances(), "results all the same")


def told_planner(spinner, monkeypatch):
    """The node that works, and a planner that has been told a scene by it."""
    bench = ros_support.Bench(spinner, monkeypatch)
    planner = spinner.add(Planner(moveit_msgs.PlanningScene, "planning_scene"))
    bench.start()
    bench.until(lambda: planner.received, "a scene")
    return bench, planner


@needs_moveit
def test_a_planner_is_told_what_is_there_what_goes_and_what_comes_back(spinner, monkeypatch):
    bench, planner = told_planner(spinner, monkeypatch)
    assert sorted(told(planner)[0]) == sorted(("add", key) for key in keys(bench))
    listens(bench)
    sent, count = len(planner.received), len(bench.instances())
    bench.until(lambda: len(bench.instances()) > count + 4, "more results")
    assert len(planner.received) == sent  # nothing changes, nothing is told

    blue = next(item for item in bench.instances()[-1].instances if item.color_rgb[2] > 0.5)
    cover(bench.rig, ros_support.BLUE)
    bench.until(lambda: ("remove", f"pan3d/{blue.id}") in sum(told(planner), []), "it is gone for the planner")
    assert all(key == f"pan3d/{blue.id}" for _, key in sum(told(planner)[sent:], []))

    # Somebody who comes later is told everything, and can also ask.
    late = spinner.add(Planner(moveit_msgs.PlanningScene, "planning_scene", "late"))
    bench.until(lambda: late.received, "the whole scene")
    red = next(f"pan3d/{item.id}" for item in bench.instances()[-1].instances if item.color_rgb[0] > 0.5)
    assert told(late)[0] == [("add", red)]
    answer = bench.call(moveit_services.GetPlanningScene, "get_planning_scene").scene
    assert answer.name == "pan3d" and [item.id for item in answer.world.collision_objects] == [red]

    # A node that stops takes no obstacle away.
    sent = len(planner.received)
    bench.node.trigger_deactivate()
    assert len(planner.received) == sent
    answer = bench.call(moveit_services.GetPlanningScene, "get_planning_scene").scene
    assert answer.name == "pan3d: the node is not active" and not answer.world.collision_objects


@needs_moveit
def test_what_nobody_remembers_is_no_empty_scene(spinner, monkeypatch):
    bench = ros_support.Bench(spinner, monkeypatch, tracking__enabled=False)
    planner = spinner.add(Planner(moveit_msgs.PlanningScene, "planning_scene"))
    bench.start()
    bench.until(lambda: bench.listener.shows("planning scene", WARN, "tracking.enabled is false"), "why there is no scene")
    assert bench.instances() and not planner.received
    answer = bench.call(moveit_services.GetPlanningScene, "get_planning_scene").scene
    assert answer.name == "pan3d: tracking.enabled is false, so no object is remembered"


@needs_moveit
def test_everything_hidden_is_still_there(spinner, monkeypatch):
    bench, planner = told_planner(spinner, monkeypatch)
    known = keys(bench)
    bench.rig.rgb[:], bench.rig.depth[:] = 60, 0.3  # something stands before the camera
    bench.until(lambda: bench.listener.shows("world", OK, "2 occluded"), "both are hidden")
    assert not [item for item in sum(told(planner), []) if item[0] == "remove"]
    answer = bench.call(moveit_services.GetPlanningScene, "get_planning_scene").scene
    assert {item.id for item in answer.world.collision_objects} == known
    assert all(color.color.a < 0.5 for color in answer.object_colors)


@needs_moveit
def test_grasps_are_planned_for_an_object_of_the_scene(spinner, monkeypatch):
    bench = ros_support.Bench(
        spinner,
        monkeypatch,
        grasp__gripper__max_width_m=0.2,
        arm__tip_link="wrist",
        arm__tip_from_grasp=[0.0, 0.0, 0.2, 0.0, 0.0, 0.0],
        arm__fingers=["a", "b"],
    ).start()
    bench.until(lambda: bench.instances() and bench.instances()[-1].instances, "results")
    key = keys(bench).pop()
    codes = moveit_msgs.MoveItErrorCodes

    def plan(**fields):
        target = moveit_msgs.CollisionObject(**fields)
        return bench.call(moveit_services.GraspPlanning, "plan_grasps", publish=True, target=target)

    answer = plan(id=key)
    assert answer.error_code.val == codes.SUCCESS and answer.grasps and answer.grasps[0].allowed_touch_objects == [key]
    assert answer.grasps[0].pre_grasp_posture.joint_names == ["a", "b"]
    answer = plan(id="table")
    assert answer.error_code.val == codes.INVALID_OBJECT_NAME and "expected pan3d/ and a number" in answer.error_code.message
    answer = plan(id="pan3d/999")
    assert answer.error_code.val == codes.PLANNING_FAILED and "999" in answer.error_code.message
    named = moveit_msgs.CollisionObject().type
    named.key = "the block"
    assert plan(type=named).error_code.val == codes.SUCCESS
    # Without a robot nobody can say what is reached.
    assert bench.node.set_parameters([Parameter("arm.reachable_only", value=True)])[0].successful
    answer = plan(id=key)
    assert (
        answer.error_code.val == codes.INVALID_OBJECT_NAME and "no description of the robot has come" in answer.error_code.message
    )
    # Taken away while it was planned for.
    for region in (ros_support.RED, ros_support.BLUE):
        cover(bench.rig, region)
    bench.until(lambda: all(item.state == item.LOST for item in bench.instances()[-1].instances), "both are taken away")
    answer = plan(id=key)
    assert answer.error_code.val == codes.PLANNING_FAILED and not answer.grasps
    assert "not visible now" in answer.error_code.message


@needs_moveit
def test_what_the_robot_holds_is_attached_and_told_again_when_it_is_let_go(spinner, monkeypatch, tmp_path):
    path = tmp_path / "robot.urdf"
    path.write_text(gantry_urdf(size="0.02 0.02 0.02"))
    values = {"robot__urdf": str(path), "robot__timeout_s": 2.0, "arm__touch_links": ["base_link"]}
    bench = ros_support.Bench(spinner, monkeypatch, **values)
    ros_support.Joints(bench.rig, {"slide": -0.6})
    planner = spinner.add(Planner(moveit_msgs.PlanningScene, "planning_scene"))
    bench.start()
    bench.until(lambda: planner.received, "a scene")
    red = next(item.id for item in bench.instances()[-1].instances if item.color_rgb[0] > 0.5)

    def attached():
        return [item for message in planner.received for item in message.robot_state.attached_collision_objects]

    bench.hold(red, "carriage")
    bench.until(attached, "it is attached")
    (thing,) = attached()
    assert thing.object.id == f"pan3d/{red}" and thing.link_name == "carriage" and thing.object.header.frame_id == "carriage"
    assert thing.object.operation == moveit_msgs.CollisionObject.ADD and thing.touch_links == ["carriage", "base_link"]
    corners = np.array([[point.x, point.y, point.z] for point in thing.object.meshes[0].vertices])
    # The carriage is 0.6 m to one side; the red block, 0.15 m to that side, keeps its place on the table.
    middle = (corners.min(0) + corners.max(0)) / 2 + [-0.6, 0, 0]
    np.testing.assert_allclose(middle, [-0.157, 0.017, ros_support.BLOCK_HEIGHT_M], atol=0.01)  # its top is all that is seen
    assert ("remove", f"pan3d/{red}") not in sum(told(planner), [])  # a planner that attaches takes it out of the world itself
    answer = bench.call(moveit_services.GetPlanningScene, "get_planning_scene").scene
    assert [item.object.id for item in answer.robot_state.attached_collision_objects] == [f"pan3d/{red}"]
    bench.hold(0, "")
    bench.until(lambda: len(attached()) > 1, "it is let go")
    assert attached()[1].object.operation == moveit_msgs.CollisionObject.REMOVE
    bench.until(lambda: sum(told(planner), []).count(("add", f"pan3d/{red}")) > 1, "it is seen again")
