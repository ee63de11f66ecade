"""The closed loop without ROS: cell, cameras, pipeline, planner, hand. Also the benchmark that measures it."""

import numpy as np
import pytest
import torch

from pan3d_core.config import ModelConfig
from pan3d_core.engines import build_engine
from pan3d_core.grasping.planner import select_grasps
from pan3d_core.pipeline import PerceptionPipeline
from pan3d_sim.cameras.depth_noise import DepthNoise
from pan3d_sim.cell.grasp_trial import GraspTrials
from pan3d_sim.cell.robot_cell import CellConfig, RobotCell
from pan3d_sim.clouds import cloud_from_views, true_cloud
from pan3d_tools.bench.grasp.attempts import attempt_all, plan_obb
from pan3d_tools.bench.grasp.figures import summarize

EASY = CellConfig(num_objects=3, kinds=("can", "box", "bottle", "block", "ball"), width=320, height=240)


def nearest_segment(panoptic, truth):
    distances = [
        float((segment.box.world_from_box[:3, 3] - truth.box.world_from_box[:3, 3]).norm()) for segment in panoptic.segments
    ]
    best = int(np.argmin(distances))
    assert distances[best] < 0.04, f"{truth.name}: nearest segment is {distances[best]:.3f} m away"
    return panoptic.segments[best]


@pytest.mark.slow
def test_what_the_pipeline_sees_can_be_lifted():
    lifted, tried = 0, 0
    pipeline = PerceptionPipeline(build_engine(ModelConfig(name="depth_clusters")))
    for seed in (11, 12):
        with RobotCell(seed, EASY) as cell:
            pipeline.reset()
            result = pipeline.process(cell.views(stamp_ns=5, noise=DepthNoise()))
            assert result.is_metric and result.panoptic.world_frame_id == "base_link" and result.panoptic.stamp_ns == 5
            for truth in cell.truth():
                segment = nearest_segment(result.panoptic, truth)
                grasps = select_grasps(result.panoptic, segment.instance_id, support_height_m=0.0, is_metric=result.is_metric)
                assert grasps.targets, f"{truth.name}: {grasps.message}"
                trial = GraspTrials(cell).execute(grasps.targets[0], target=truth.instance_id - 1)
                assert trial.failure != "wrong_object"
                tried += 1
                lifted += trial.lifted
    assert lifted >= tried - 1


def test_benchmark_clouds_lie_on_the_objects():
    with RobotCell(13, EASY) as cell:
        seen, true = cloud_from_views(cell, DepthNoise(sigma_m=0.0, bleed=0.0)), true_cloud(cell)
        for index in range(len(cell.objects)):
            reference, points = (
                cloud.panoptic.points[cloud.panoptic.point_instance_id == cloud.id_of_object[index]] for cloud in (true, seen)
            )
            assert len(points) > 50
            distance = torch.cdist(points, reference).min(1).values
            assert float(distance.quantile(0.95)) < 0.004


def test_baseline_attempts_are_summarized():
    cell = RobotCell(13, EASY)
    cloud = true_cloud(cell)
    del cloud.id_of_object[0]  # as if the first object had not been seen
    attempts = attempt_all(cell, cloud, plan_obb)
    summary = summarize(attempts)
    assert summary["objects"] == 3 and summary["outcomes"]["not seen"] == 1
    assert summary["lifted"] <= summary["executed"] <= 2
    assert summary["lifted_per_object"]["share"] == pytest.approx(summary["lifted"] / 3)
    assert summary["deepest_contact_mm"] < 3.0
