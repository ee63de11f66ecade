"""`pan3d bench grasp`: scenes are measured once, tables are cleared or not, planners are given what physics knows."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from pan3d_core.config import GraspConfig, ModelConfig, RehearsalConfig
from pan3d_sim.cameras.depth_noise import DepthNoise
from pan3d_sim.cell.robot_cell import CellConfig, RobotCell
from pan3d_sim.clouds import ids_of_objects, true_cloud
from pan3d_sim.objects.kinds import sample_object
from pan3d_tools.bench.grasp import command
from pan3d_tools.bench.grasp.attempts import (
    PLANNERS,
    Attempt,
    Clearing,
    attempt_all,
    clear_table,
    plan_box_top,
    plan_obb,
    plan_pan3d,
)
from pan3d_tools.bench.grasp.clouds import look_by_engine
from pan3d_tools.bench.grasp.figures import clearing_table, difference, summarize, summarize_clearing, table
from pan3d_tools.bench.grasp.rehearsed import RehearsedPlanning
from pan3d_tools.bench.shares import quantile, rate

PAIR = CellConfig(num_objects=2, kinds=("can", "block"), width=64, height=48)


def test_a_scene_is_measured_once_and_told_in_a_table(tmp_path, monkeypatch):
    arguments = ["--seed", "3", "--scenes", "1", "--objects", "1", "--kinds", "can", "--input", "true"]
    arguments += ["--planner", "pan3d", "obb", "--protocol", "each", "clear"]
    arguments += ["--keep", str(tmp_path / "kept"), "--markdown", str(tmp_path / "table.md")]
    found = command.run(arguments)
    assert found["separated true pan3d"]["clean_per_object"] == rate(1, 1)
    assert found["separated true pan3d"]["plan_p50_s"]["value"] > 0
    assert found["separated true pan3d cleared"]["tables_cleared"] == rate(1, 1)
    assert found["separated true over obb"]["share"] == 1.0 - found["separated true obb"]["clean_per_object"]["share"]
    assert [row["key"][2] for row in found["attempts"]] == ["pan3d", "obb"] == [row["key"][2] for row in found["clearings"]]
    text = (tmp_path / "table.md").read_text()
    assert text.count("| separated | true | pan3d | 1.00 (0.21 to 1.00) |") == 2
    monkeypatch.setattr(command, "RobotCell", None)  # whatever is measured again fails
    again = command.run(arguments)
    assert again["attempts"] == found["attempts"] and again["clearings"] == found["clearings"]
    assert (tmp_path / "table.md").read_text() == text


def test_what_a_pipeline_sees_is_told_apart_by_the_objects_that_it_shows():
    with RobotCell(3, replace(PAIR, width=320, height=240)) as cell:
        cloud = look_by_engine(ModelConfig(name="depth_clusters"), DepthNoise())(cell)
        assert cloud.is_metric and len(set(cloud.id_of_object.values())) == 2
        for index, instance_id in cloud.id_of_object.items():
            middle = cloud.panoptic.segment(instance_id).box.world_from_box[:2, 3].numpy()
            assert np.linalg.norm(middle - cell.data.xipos[cell.bodies[index].body][:2]) < 0.02


@pytest.mark.slow
def test_what_is_rehearsed_is_scored_by_its_trials_and_decides_which_object_is_taken(tmp_path):
    arguments = [
        "--seed",
        "3",
        "--scenes",
        "1",
        "--objects",
        "2",
        "--kinds",
        "can",
        "block",
        "--input",
        "true",
        "--planner",
        "rehearsed",
    ]
    found = command.run([*arguments, "--protocol", "each", "clear", "--rehearsal-s", "0.4"])
    assert found["separated true rehearsed"]["clean_per_object"] == rate(2, 2)
    assert 0.5 < found["separated true rehearsed"]["plan_p50_s"]["value"] < 2.5  # of both threads
    cleared = found["separated true rehearsed cleared"]
    assert cleared["objects_cleared"] == cleared["clean_per_object"] == cleared["clean_per_attempt"] == rate(2, 2)
    planning = RehearsedPlanning(RehearsalConfig(rounds=1, candidates=2), GraspConfig())
    with RobotCell(3, PAIR) as cell:
        cloud = true_cloud(cell)
        best, reason = planning.plan(cloud, 1, 0.0)
        assert reason == "found" and best.score > 0.9  # lifted, and nothing else moved
        (index, chosen), *others = planning.choose(cell, cloud, planning.plan, [0, 1]).items()
        assert chosen.instance_id == index + 1 and chosen.score > 0.9 and not others  # sure: the other one was not looked at
        assert planning.plan(replace(cloud, is_metric=False), 1, 0.0) == (None, "no grasp: not_metric")


def test_a_cup_is_planned_for_beside_the_top_of_the_box():
    arguments = ["--gripper", "suction", "--seed", "4", "--scenes", "1", "--objects", "1", "--kinds", "can", "--input", "true"]
    found = command.run([*arguments, "--planner", "pan3d", "obb"])
    assert found["separated true pan3d"]["clean_per_object"] == rate(1, 1) and not found["separated true pan3d"]["hits"]
    assert "separated true over obb" in found
    with RobotCell(3, PAIR) as cell:
        cloud = true_cloud(cell)
        assert plan_box_top(replace(cloud, is_metric=False), 1, 0.0) == (None, "no grasp: not_metric")
        grasp, reason = plan_box_top(cloud, 1, 0.0)
        box = cloud.panoptic.segment(1).box
    assert reason == "found" and grasp.kind == "suction" and grasp.world_from_grasp[2, 2] == -1.0
    assert grasp.world_from_grasp[2, 3] == pytest.approx(
        float(cloud.panoptic.points[cloud.panoptic.point_instance_id == 1, 2].max()), abs=1e-3
    )
    torch.testing.assert_close(grasp.world_from_grasp[:2, 3], box.world_from_box[:2, 3])


def test_the_learnt_order_is_for_two_jaws_and_gives_probabilities(capsys):
    with RobotCell(5, num_objects=1, kinds=("box",)) as cell:
        grasp, reason = PLANNERS["parallel"]["learnt"](true_cloud(cell), 1, 0.0)
    assert reason == "found" and 0 < grasp.score < 1
    with pytest.raises(SystemExit):
        command.parse(["--planner", "learnt", "--gripper", "suction"])
    assert "of which nothing was learnt" in capsys.readouterr().err


def test_noise_of_a_sensor_that_errs_in_other_ways_is_refused():
    with pytest.raises(ValueError, match="--noise-mm: expected none with --depth-sensor time_of_flight, got 2"):
        command.run(["--depth-sensor", "time_of_flight", "--noise-mm", "2"])


def test_a_table_that_nobody_can_clear():
    with RobotCell(3, PAIR) as cell:
        looks = []

        def look(seen):
            looks.append(1)
            return true_cloud(seen)

        nothing = clear_table(cell, look, lambda *_: (None, "no grasp: weak"))
        assert (nothing.cleared, nothing.attempts, nothing.ended, len(looks)) == (0, 0, "no grasp", 1)

        def beside(cloud, instance_id, support_height_m):
            grasp, reason = plan_pan3d(cloud, instance_id, support_height_m)
            lifted = grasp.world_from_grasp.clone()
            lifted[2, 3] += 0.2
            return replace(grasp, world_from_grasp=lifted), reason

        missed = clear_table(cell, look, beside)  # each is left alone once it was missed
        assert (missed.cleared, missed.attempts, missed.ended) == (0, 2, "no grasp") and not cell.removed


def test_what_was_not_lifted_is_filmed(tmp_path):
    def beside(cloud, instance_id, support_height_m):
        grasp, reason = plan_pan3d(cloud, instance_id, support_height_m)
        if instance_id == 1:
            grasp.world_from_grasp[2, 3] += 0.1
        return grasp, reason

    with RobotCell(3, PAIR) as cell:
        missed, lifted = attempt_all(cell, true_cloud(cell), beside, tmp_path)
        assert (missed.outcome, lifted.outcome) == ("missed", "none") and missed.executed
        (film,) = tmp_path.iterdir()
        assert film.name == f"3-{missed.name.replace(' ', '-')}-missed.gif"
        with Image.open(film) as opened:
            assert opened.size == (PAIR.width, PAIR.height) and opened.n_frames == 6  # before to after


def test_ids_are_those_of_what_shows_most_of_an_object():
    with RobotCell(3, PAIR) as cell:
        cloud = true_cloud(cell)
        assert cloud.id_of_object == {0: 1, 1: 2} == ids_of_objects(cell, cloud.panoptic)
        swapped = torch.where(cloud.panoptic.point_instance_id == 1, 7, 4)
        swapped[::5] = 9  # less of each
        far = cloud.panoptic.points + torch.tensor([0.0, 0.0, 0.5])
        assert ids_of_objects(cell, replace(cloud.panoptic, point_instance_id=swapped)) == {0: 7, 1: 4}
        assert ids_of_objects(cell, replace(cloud.panoptic, points=far)) == {}


def test_true_points_of_modelled_objects_lie_on_what_physics_collides_with():
    cube = 0.02 * np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (0, 2)])
    pieces = (cube, cube + [0.02, 0.0, 0.0])  # they overlap by half
    spec = replace(sample_object(np.random.default_rng(0), "block"), collision=(), pieces=pieces)
    with RobotCell(1, CellConfig(width=64, height=48), objects=(spec,)) as cell:
        panoptic = true_cloud(cell).panoptic
        pose = cell.world_from_object(0)
    points = (panoptic.points.double().numpy() - pose[:3, 3]) @ pose[:3, :3]
    normals = panoptic.point_normals.double().numpy() @ pose[:3, :3]
    middle, half = np.array([0.01, 0.0, 0.02]), np.array([0.03, 0.02, 0.02])
    inside = (half - np.abs(points - middle)).min(1)
    assert inside.max() < 0.003 and inside.min() > -1e-5
    assert (np.einsum("ij,ij->i", normals, points - middle) > 0).mean() > 0.95 and len(points) > 500


def test_figures_count_what_was_not_tried_as_failures():
    attempts = [
        Attempt(0, "red can", "can", "none", True, 0.1, 0.9),
        Attempt(0, "red bowl", "bowl", "none", False, 0.2, 0.5, disturbed=True),
        Attempt(0, "red box", "box", "collision", False, 0.3, 0.5, "neighbour"),
        Attempt(0, "red mug", "mug", "no grasp: weak", plan_s=0.4),
        Attempt(0, "red cup", "cup", "not seen"),
    ]
    found = summarize(attempts)
    assert found["clean_per_object"] == rate(1, 5) and found["lifted_per_object"] == rate(2, 5)
    assert found["attempted"] == rate(3, 5) and found["lifted_per_attempt"] == rate(2, 3)
    assert found["disturbed_per_attempt"] == rate(1, 3) == found["collisions_per_attempt"]
    assert found["clean_of_graspable_kinds"] == rate(1, 4) and found["hits"] == {"neighbour": 1}
    assert found["plan_p50_s"]["value"] == pytest.approx(0.25) and found["plan_p95_over_target"] == pytest.approx(0.77)
    line = table([(("pile", "true", "pan3d"), found)]).splitlines()[2]
    assert line.startswith("| pile | true | pan3d | 0.20 (0.04 to 0.62) | 0.60 (")
    assert line.endswith("| 0.50 / 0.77 (0.60 to 0.80) |")
    cleared = summarize_clearing([Clearing(0, 4, 4, 5, "cleared", 3), Clearing(1, 4, 2, 4, "no grasp", 1)])
    assert cleared["objects_cleared"] == rate(6, 8) and cleared["tables_cleared"] == rate(1, 2) and cleared["attempts"] == 9
    assert cleared["clean_per_object"] == rate(4, 8) and cleared["clean_per_attempt"] == rate(4, 9)
    assert "| 0.75 (" in clearing_table([(("pile", "true", "pan3d"), cleared)])


def test_intervals_of_quantiles_and_differences():
    values = list(range(1, 101))
    middle = quantile(values, 0.5)
    assert middle["value"] == 50.5 and (middle["low"], middle["high"]) == (40, 61)
    assert quantile(values, 0.95)["high"] == 100 and quantile([], 0.5) == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert quantile([3.0], 0.95) == {"value": 3.0, "low": 3.0, "high": 3.0}
    gap = difference(rate(56, 70), rate(48, 80))  # the example of Newcombe's paper
    assert (round(gap["share"], 3), round(gap["low"], 4), round(gap["high"], 4)) == (0.2, 0.0524, 0.3339)


def test_the_baseline_is_held_to_the_same_rules():
    with RobotCell(3, PAIR) as cell:
        cloud = true_cloud(cell)
        assert plan_obb(replace(cloud, is_metric=False), 1, 0.0) == (None, "no grasp: not_metric")
        assert plan_pan3d(replace(cloud, is_metric=False), 1, 0.0) == (None, "no grasp: not_metric")
        grasp, reason = plan_obb(cloud, 1, 0.0)
        assert reason == "found" and grasp.world_from_grasp[2, 2] == -1.0


def test_wilson_interval():
    interval = rate(47, 50)
    assert interval["share"] == 0.94
    assert interval["low"] == pytest.approx(0.838, abs=0.002) and interval["high"] == pytest.approx(0.979, abs=0.002)
    assert rate(0, 0) == {"share": 0.0, "low": 0.0, "high": 1.0}
