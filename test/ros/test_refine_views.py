"""What is kept of perception's results for a refinement, and what a refinement makes of it; no node is needed."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import ros_support
import torch
from raycast_scene import Ball, Block, camera_ring, cast

from pan3d_core.config import PipelineConfig
from pan3d_core.gaussian_files import read_scene_file
from pan3d_core.labels import LabelSpace
from pan3d_core.pipeline import PerceptionPipeline
from pan3d_core.refined_map import map_of_scene
from pan3d_ros.node_config import RefineConfig
from pan3d_ros.refinement_process import OPTIMISE, START, WRITE, RefinementJob, refine, write_job
from pan3d_ros.refinement_runner import ProcessEnded, RefinementRunner
from pan3d_ros.refinement_views import ViewCollector, labels_for_refinement, restored, stored

STEPS = 30
BALL, BLOCK = Ball((-0.08, -0.03, 0.04), 0.04), Block((0.09, 0.05, 0.03), (0.08, 0.06, 0.06))
CONFIG = PipelineConfig.from_dict({"workspace": {"support_height_m": 0.0}, "cloud": {"voxel_size_m": 0.0}})


@pytest.fixture(scope="module")
def views():
    """Six views of a red ball and a blue block by one camera that moves, a second apart."""
    scene = cast((BALL, BLOCK), camera_ring(6, arc_deg=300.0))
    return [
        replace(view, depth=depth, camera="wrist", stamp_ns=k * 10**9, world_frame_id="base_link")
        for k, (view, depth) in enumerate(zip(scene.views, scene.depth))
    ]


@pytest.fixture
def pipeline():
    return PerceptionPipeline(ros_support.ColorEngine(), CONFIG)


@pytest.fixture(scope="module")
def kept(views):
    collector, pipeline = ViewCollector(RefineConfig(), CONFIG), PerceptionPipeline(ros_support.ColorEngine(), CONFIG)
    for view in views:
        collector.add(pipeline.process([view]))
    return list(collector.views())


def test_views_from_new_places_are_kept_with_what_was_understood(kept, views):
    assert [view.stamp_ns for view in kept] == [view.stamp_ns for view in views]
    first = kept[0]
    assert first.image.dtype == torch.uint8 and tuple(first.image.shape) == (3, 56, 72)
    assert torch.equal(first.cam_from_world, views[0].cam_from_world)
    assert {tuple(view.instance_id.unique().tolist()) for view in kept} == {(0, 1, 2)}
    red, blue = (first.image[:, first.instance_id == value].float().mean(1) for value in (1, 2))
    assert red.argmax() == 0 and blue.argmax() == 2
    assert first.labels == ros_support.ColorEngine.labels


def test_what_a_standing_camera_repeats_is_kept_once_and_the_oldest_go_first(views, pipeline):
    collector = ViewCollector(RefineConfig(max_views=3, min_views=1), CONFIG)
    for view in views[:4]:
        for later_ns in (0, 10**6):
            collector.add(pipeline.process([replace(view, stamp_ns=view.stamp_ns + later_ns)]))
    assert [view.stamp_ns // 10**9 for view in collector.views()] == [1, 2, 3]
    assert collector.refused is None


def test_views_that_a_window_of_keyframes_brings_again_are_not_taken_for_a_clock_that_jumped(views, pipeline):
    collector = ViewCollector(RefineConfig(), CONFIG)
    for k in range(2, 6):
        collector.add(pipeline.process(views[k - 2 : k + 1]))
    assert [view.stamp_ns // 10**9 for view in collector.views()] == [0, 1, 2, 3, 4, 5]
    collector.clear()
    assert collector.views() == ()
    collector.add(pipeline.process(views[:1]))
    assert len(collector.views()) == 1


def test_results_without_metres_or_poses_are_refused_with_different_reasons(views, pipeline):
    collector = ViewCollector(RefineConfig(), CONFIG)
    result = pipeline.process(views[:1])
    unposed = replace(result, views=replace(result.views, cam_from_world=None))
    collector.add(unposed)
    assert collector.refused == ("TF_FAILURE", "no camera's pose in the reference frame is known")
    collector.add(replace(result, reconstruction=replace(result.reconstruction, is_metric=False, alignment="no poses")))
    assert collector.refused == ("NOT_METRIC", "results are not metric: no poses")
    assert collector.views() == ()


def test_only_views_whose_pose_was_given_are_kept(views, pipeline):
    collector = ViewCollector(RefineConfig(), CONFIG)
    result = pipeline.process(views[:3])
    poses = tuple(result.views.cam_from_world)
    known = replace(result.views, cam_from_world=None, known_poses=(poses[0], None, poses[2]))
    collector.add(replace(result, views=known))
    assert [view.stamp_ns // 10**9 for view in collector.views()] == [0, 2]


def test_classes_are_the_things_of_all_views_and_objects_without_a_name_are_objects(kept):
    other = replace(kept[1], labels=LabelSpace(("wall", "toy"), (False, True)))
    nameless = replace(kept[2], semantic_id=torch.full_like(kept[2].semantic_id, -1))
    found, labels = labels_for_refinement([kept[0], other, nameless])
    assert labels == LabelSpace.things(("block", "ball", "toy", "object"))
    assert [view.labels.class_id.tolist() for view in found] == [[0, 0], [], [3, 3]]  # class 0 of `other` is a wall
    assert found[0].labels.masks.sum() == (kept[0].instance_id > 0).sum()
    assert set(found[0].labels.semantics.unique().tolist()) == {-1, 0}


def test_views_come_back_from_a_file_as_they_were(kept, tmp_path):
    torch.save(stored(kept), tmp_path / "views.pt")
    again = restored(torch.load(tmp_path / "views.pt", weights_only=True))
    for first, second in zip(kept, again, strict=True):
        assert (first.camera, first.stamp_ns, first.labels) == (second.camera, second.stamp_ns, second.labels)
        for name in ("image", "depth", "cam_from_world", "intrinsics", "semantic_id", "instance_id"):
            assert torch.equal(getattr(first, name), getattr(second, name))


def test_a_refinement_reports_every_step_and_finds_the_objects_where_they_are(kept, tmp_path):
    # Ids as the tracker might have given them.
    seen = [replace(view, instance_id=torch.tensor([0, 30, 8])[view.instance_id]) for view in kept]
    reports = []
    done = refine(RefinementJob(str(tmp_path / "scene.safetensors"), steps=STEPS, minutes=0.0), seen, reports.append)
    assert done["step"] == STEPS and not done["stopped_early"]
    assert done["done"] == {"8": "block", "30": "block"}
    assert [report["stage"] for report in reports] == [START, *[OPTIMISE] * STEPS, WRITE]
    assert [report["step"] for report in reports[1:-1]] == list(range(1, STEPS + 1)) and reports[-2]["share"] == 1.0
    scene = read_scene_file(tmp_path / "scene.safetensors")
    assert scene.world_frame_id == "base_link"
    for item in map_of_scene(scene).objects:
        true = torch.tensor((BALL if item.instance_id == 30 else BLOCK).center)
        assert (item.center_m - true).norm() < 0.02


def test_minutes_end_a_refinement_before_its_steps_and_stretch_one_without(kept, tmp_path):
    file = str(tmp_path / "scene.safetensors")
    done = refine(RefinementJob(file, steps=100_000, minutes=0.02), kept, lambda _: None)
    assert done["stopped_early"] and 0 < done["step"] < 100_000
    reports = []
    done = refine(RefinementJob(file, steps=0, minutes=0.02), kept, reports.append)
    assert not done["stopped_early"] and 1 <= done["seconds"] < 10
    shares = [report["share"] for report in reports if report["stage"] == OPTIMISE]
    assert shares == sorted(shares) and shares[-1] == 1.0


def test_the_process_answers_in_lines_and_can_be_ended_in_the_middle_of_a_step(kept, tmp_path):
    job = RefinementJob(str(tmp_path / "scene.safetensors"), steps=100_000, minutes=0.0, niceness=1)
    write_job(tmp_path / "views.pt", job, kept)
    runner = RefinementRunner(tmp_path / "views.pt", threads=1)
    try:
        while (report := runner.next(100.0)).get("step", 0) < 3:
            assert report["stage"] in (START, OPTIMISE)
        assert os.getpriority(os.PRIO_PROCESS, runner.pid) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + 1)
    finally:
        runner.stop()
    with pytest.raises(ProcessEnded, match="ended by signal 15"):
        while True:
            runner.next(1.0)
    assert not (tmp_path / "scene.safetensors").exists()


def test_views_that_cannot_be_refined_are_a_report_and_no_traceback(kept, tmp_path):
    blind = [replace(view, depth=torch.zeros_like(view.depth)) for view in kept]
    write_job(tmp_path / "views.pt", RefinementJob(str(tmp_path / "scene.safetensors"), steps=1, minutes=0.0, niceness=0), blind)
    command = [sys.executable, "-m", "pan3d_ros.refinement_process", str(tmp_path / "views.pt")]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    last = json.loads(run.stdout.splitlines()[-1])
    assert last["failed"] == "rejected" and "expected depth in at least one" in last["message"]
