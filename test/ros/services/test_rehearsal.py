"""Grasps that a node answers are tried in a physics twin first, where that is wanted and there is physics."""

import pytest
import ros_support
from pan3d_interfaces.srv import GetGraspTargets
from rclpy.parameter import Parameter

from pan3d_core.config import GripperConfig
from pan3d_core.grasping.rehearsal import Rehearsal, RehearsalRequest, RehearsedGrasp
from pan3d_ros.parameters.node_config import RehearseConfig
from pan3d_ros.perception_node import FAILURE
from pan3d_ros.services import rehearsal
from pan3d_ros.services.rehearsal import GraspRehearsals
from pan3d_sim import rehearsal as physics

WIDE = {"grasp__gripper__max_width_m": 0.2, "grasp__gripper__palm_width_m": 0.3}
FEW = {"grasp__num_pairs": 30, "grasp__num_directions": 4, "grasp__max_targets": 3, "rehearse__budget_s": 1.0} | WIDE


def ask(bench):
    bench.until(lambda: bench.instances() and bench.instances()[-1].instances, "results")
    return bench.call(GetGraspTargets, "get_grasp_targets", publish=True, instance_id=bench.instances()[-1].instances[0].id)


def test_an_answer_says_how_grasps_did_in_the_twin(spinner, monkeypatch):
    pytest.importorskip("mujoco", reason="needs the extra [sim]")
    bench = ros_support.Bench(spinner, monkeypatch, rehearse__enabled=True, **FEW).start()
    answer = ask(bench)
    assert answer.success and answer.targets, answer.message
    assert answer.message.startswith("grasps were found (") and " trials of " in answer.message
    fixed = bench.node.set_parameters([Parameter("rehearse.enabled", value=False)])[0]
    assert not fixed.successful and "fixed while the node is configured" in fixed.reason
    longer = bench.node.set_parameters([Parameter("rehearse.budget_s", value=4.0)])[0]
    assert not longer.successful, "nobody waits longer than 3 s"


def test_what_survives_comes_first(spinner, monkeypatch):
    asked = []

    def backwards(request: RehearsalRequest) -> Rehearsal:
        asked.append(request)
        return Rehearsal(tuple(RehearsedGrasp(grasp, 1, 1, 1, 1.0) for grasp in request.targets[::-1]), 3, 0.1, True)

    monkeypatch.setattr(rehearsal, "build_rehearser", lambda *_: backwards)
    bench = ros_support.Bench(spinner, monkeypatch, rehearse__enabled=True, **FEW).start()
    first = ask(bench)
    assert len(first.targets) > 1 and asked, first.message
    assert [target.quality for target in first.targets] == pytest.approx([grasp.score for grasp in asked[-1].targets[::-1]])
    assert asked[-1].support_height_m == 0.0
    assert "3 trials of " in first.message and "held in 1 of 1" in first.message


def test_without_physics_a_node_that_is_to_rehearse_is_not_configured(spinner, monkeypatch):
    def missing(_):
        raise ModuleNotFoundError("No module named 'mujoco'", name="mujoco")

    monkeypatch.setattr(physics, "load", missing)
    bench = ros_support.Bench(spinner, monkeypatch, rehearse__enabled=True)
    assert bench.node.trigger_configure() == FAILURE
    assert "rehearse.enabled: mujoco is not installed; pip install 'pan3d[sim]'" in bench.node.problem


def test_a_rehearser_is_built_anew_for_another_hand_alone(monkeypatch):
    built = []

    def build(config, gripper):
        built.append((config.budget_s, config.threads, gripper))
        return lambda request: request

    monkeypatch.setattr(rehearsal, "build_rehearser", build)
    rehearsals, hand = GraspRehearsals(), GripperConfig()
    config = RehearseConfig(enabled=True, budget_s=1.5, threads=1)
    for gripper in (hand, hand, GripperConfig(max_width_m=0.1)):
        rehearsals.rehearse("asked", config, gripper)
    assert built == [(1.5, 1, hand), (1.5, 1, GripperConfig(max_width_m=0.1))]
