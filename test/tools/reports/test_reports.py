"""What a person reads after an evaluation."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pan3d_core.structures import CameraView, PoseConsistency
from pan3d_core.views.scene_folder import Scene
from pan3d_eval.comparison_pictures import ids_on_picture, in_true_colors
from pan3d_eval.execution import Failure
from pan3d_eval.metrics.objects import ObjectErrors
from pan3d_tools.reports.bags import write_bag_report
from pan3d_tools.reports.reconstruction import camera_list, file_names


def errors(instance_id: int, segment_id: int, mask_iou: float) -> ObjectErrors:
    return ObjectErrors(instance_id, mask_iou, None, None, None, segment_id=segment_id)


def test_a_found_object_has_the_colour_of_the_true_one_and_others_have_none_of_them():
    predicted = torch.tensor([[0, 5, 5], [7, 9, 0]])
    numbered, numbers = in_true_colors(predicted, (errors(1, 7, 0.9), errors(2, 5, 0.4), errors(3, 0, 0.0)))
    assert numbers[7] == 1  # found
    assert {numbers[5], numbers[9]} == {4, 5}  # overlaps object 2 too little; overlaps nothing
    assert numbered.tolist() == [[0, numbers[5], numbers[5]], [1, numbers[9], 0]]


def test_ids_are_enlarged_in_place():
    ids = torch.zeros(8, 10, dtype=torch.int64)
    ids[2:6, 4:8] = 3
    large = ids_on_picture(ids, torch.eye(3), (8, 10), 40)
    rows, columns = np.nonzero(large == 3)
    assert large.shape == (32, 40) and abs(rows.mean() - 15.5) < 0.6 and abs(columns.mean() - 23.5) < 0.6
    assert len(rows) == pytest.approx(16 * 16, rel=0.15)


def test_each_camera_is_listed_with_its_figure_and_why_it_was_left_out():
    consistency = PoseConsistency(
        ("a", "b", "c"), (0.95, 0.1, None), left_out=("b",), reasons=("its pose looks like OpenGL axes",)
    )
    result = SimpleNamespace(consistency=consistency)
    assert camera_list(result) == [
        {"camera": "a", "consistency": 0.95, "left_out": None},
        {"camera": "b", "consistency": 0.1, "left_out": "its pose looks like OpenGL axes"},
        {"camera": "c", "consistency": None, "left_out": None},
    ]
    assert camera_list(SimpleNamespace(consistency=None)) == []


@pytest.mark.parametrize(
    ("cameras", "names"),
    [(("a", "b"), ["a", "b"]), (("arm/a", "arm_a"), ["00_arm_a", "01_arm_a"]), (("wrist",) * 2, ["00_wrist", "01_wrist"])],
)
def test_no_view_is_written_over_another(cameras, names):
    views = tuple(CameraView(torch.zeros(3, 8, 8), camera=camera) for camera in cameras)
    assert file_names(Scene("two", views)) == names


def test_bags_on_a_page(tmp_path):
    seen = {"name": "mug", "id": 4}
    sets = [
        {"stamps_ns": [10**9, 11 * 10**8], "cameras": ["front"], "answer": "objects", "reasons": [], "objects": [seen]},
        {"stamps_ns": [2 * 10**9], "cameras": ["front"], "answer": "could not look", "reasons": ["no pose"], "objects": []},
    ]
    bags = {"drive.mcap": ([("view sets", 2), ("AP50", math.nan)], {"results": {"sets": sets}})}
    page = write_bag_report(tmp_path / "out" / "bags.html", ["fact"], bags, [Failure("torn", "no <index>")]).read_text()
    assert "mug 4" in page and "no pose" in page and "torn" in page and "no &lt;index&gt;" in page and "1.00" in page
