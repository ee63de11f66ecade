"""Examples for motion planners, in processes of their own, against the real node; MoveIt's own programs are stood in for."""

import os
import re
import subprocess
import sys

import pytest
import ros_support
from places import ROOT

from pan3d_ros.platform.stand_ins import moveit_msgs

needs_moveit = pytest.mark.skipif(moveit_msgs is None, reason="needs moveit_msgs, see docs/planning.md")
HAND = {"arm__tip_link": "panda_hand", "arm__fingers": ["finger_1", "finger_2"], "grasp__gripper__max_width_m": 0.2}
QUICK = {"grasp__num_pairs": 40, "grasp__num_directions": 4}


def run(bench, name, *arguments):
    """What an example says."""
    paths = [ROOT, ROOT / "test" / "data" / "moveit_stand_ins", os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    command = [sys.executable, str(ROOT / "examples" / "manipulation" / f"{name}.py"), *arguments]
    child = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        bench.until(lambda: child.poll() is not None, f"{name} ends", timeout_s=120.0)
        said, errors = child.communicate()
    finally:
        child.kill()
    assert child.returncode == 0, errors
    return said


@pytest.fixture
def bench(spinner, monkeypatch):
    bench = ros_support.Bench(spinner, monkeypatch, **HAND, **QUICK).start()
    bench.until(lambda: bench.instances() and len(bench.instances()[-1].instances) == 2, "results")
    return bench


def test_a_planner_of_ones_own_knows_what_to_keep_out_of_and_where_to_go(bench):
    said = run(bench, "plan_around_objects", "the red block")
    assert len(re.findall(r"^keep out: pan3d/\d+ block, seen, 0\.\d+ x 0\.\d+ x 0\.\d+ m$", said, re.MULTILINE)) == 2
    lines = re.findall(r"^quality 0\.\d+: from \[(.+)\], to \[(.+)\], up \[(.+)\], open 0\.\d+$", said, re.MULTILINE)
    assert lines
    for line in lines:
        begin, end, up = ([float(number) for number in place.split()] for place in line)
        assert sum((a - b) ** 2 for a, b in zip(begin, end)) ** 0.5 == pytest.approx(0.10, abs=0.003)
        assert up[2] - end[2] == pytest.approx(0.10, abs=0.002) and end[2] < ros_support.BLOCK_HEIGHT_M + 0.01


@needs_moveit
def test_moveit_is_told_by_its_own_requests(bench):
    said = run(bench, "moveit_requests", "the red block")
    assert len(re.findall(r'^pan3d/\d+: block, \d meshes, \{"seen_now": true, ', said, re.MULTILINE)) == 2
    assert re.search(r"^pan3d/\d+/0: quality 0\.\d+, approach 0.10 m$", said, re.MULTILINE)


@needs_moveit
def test_moveit_py_goes_before_the_first_grasp_that_has_a_plan(bench):
    said = run(bench, "moveit_py_pick", "the red block", "panda_arm", "panda_hand").splitlines()
    assert said[0] == "PlanningScene.process_planning_scene_world(PlanningSceneWorld)"
    goal = "Component panda_arm.set_goal_state(pose_stamped_msg=PoseStamped, pose_link=panda_hand)"
    assert said.count(goal) == 2 and said[-2] == "MoveItPy moveit_py_pick.execute(a trajectory, controllers=[])"
    assert re.fullmatch(r"before pan3d/\d+/1", said[-1])


@needs_moveit
def test_the_task_constructor_has_an_alternative_for_each_grasp(bench):
    said = run(bench, "mtc_pick", "the red block", "panda_arm", "hand", "panda_hand")
    ways = re.findall(r"^Alternatives grasps has SerialContainer (pan3d/\d+/\d+)$", said, re.MULTILINE)
    assert len(ways) > 1 and len(set(ways)) == len(ways)
    inner = re.findall(rf"^SerialContainer {ways[0]} has (\w+) (.+)$", said, re.MULTILINE)
    kinds = ["ModifyPlanningScene", "MoveRelative", "ComputeIK", "MoveTo", "ModifyPlanningScene", "MoveRelative"]
    assert [kind for kind, _ in inner] == kinds and [name for _, name in inner][1::4] == ["approach", "lift"]
    assert re.search(r"^MoveTo close.setGoal\(\{'finger_1': 0\.\d+, 'finger_2': 0\.\d+\}\)$", said, re.MULTILINE)
    assert re.search(r"^ModifyPlanningScene is held.attachObject\(pan3d/\d+, panda_hand\)$", said, re.MULTILINE)
    assert said.splitlines()[-1] == "Task.publish(the best)"
    tops = re.findall(r"^Task task has (\w+) ", said, re.MULTILINE)
    assert tops == ["CurrentState", "Connect", "Alternatives"]
