"""Masks of picks are judged by the simulator's truth, and so is what is no object."""

import numpy as np
import pytest

from pan3d_core.config import ModelConfig, PipelineConfig, WorkspaceConfig
from pan3d_core.engines import build_engine
from pan3d_core.lessons import LessonFolder
from pan3d_core.pipeline import PerceptionPipeline
from pan3d_sim.cameras.depth_sensors import depth_sensor
from pan3d_sim.cell.robot_cell import RobotCell
from pan3d_tools.bench.picking.picks import Camera, Judged, _no_object, _pick, parse, summarize

CONFIG = PipelineConfig(model=ModelConfig(name="depth_clusters"), workspace=WorkspaceConfig(support_height_m=0.0))


def test_an_object_that_is_taken_from_a_cell_is_found_by_its_pixels(tmp_path):
    pipeline = PerceptionPipeline(build_engine(CONFIG.model), CONFIG)
    with RobotCell(4, num_objects=2, kinds=("can", "block"), num_cameras=3, width=128, height=96) as cell:
        cell.step(0.01)
        camera = Camera(cell, pipeline, depth_sensor("structured_light"), 0.01, np.random.default_rng(0))
        same = _no_object(camera, "again", 0.1)
        (taken,) = _pick(camera, LessonFolder(tmp_path, ("can", "block", "box")), 0.1)
    assert same.shown == "no_change", same.message
    assert taken.shown == "one_object" and not taken.neighbours_moved, taken.message
    assert taken.iou > 0.8 and taken.sure_right > 0.95 and taken.support_wrong < 0.01 and 0 < taken.void < 0.6
    assert len(list(tmp_path.glob("pick_*/scene.json"))) == 1


def test_figures_of_good_and_bad_answers():
    good = Judged("pile", "pick", "one_object", "", False, 0.9, 1.0, 0.8, 0.0, 0.4)
    bad = Judged("pile", "pick", "one_object", "", True, 0.4, 0.5, 0.6, 0.01, 0.5)
    refused = Judged("pile", "pick", "several_moved", "", True)
    fooled = Judged("pile", "lamps", "one_object", "")
    figures = summarize([good, bad, refused, fooled])
    assert figures["picks"] == 3 and figures["answers"] == {"one_object": 2, "several_moved": 1}
    assert figures["masks where one did"]["share"] == 0.5 and figures["IoU over 0.5"]["share"] == 0.5
    assert figures["IoU, mean"] == pytest.approx(0.65) and figures["no object, lamps"]["share"] == 0.0
    assert summarize([])["masks"]["share"] == 0.0 and parse([]).picks == 3
