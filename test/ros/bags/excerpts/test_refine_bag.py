"""`pan3d refine BAG`: keyframes of a recording as a scene, and what is said where they cannot be had."""

import json

import pytest

pytest.importorskip("pan3d_sim.data.recording_messages", reason="needs the extra sim")

import torch  # noqa: E402
from bag_scene import BLUE, RED, BlockBag, from_base, pictures  # noqa: E402

from pan3d_core.gaussians.files import read_scene_file  # noqa: E402
from pan3d_core.labels import LabelSpace  # noqa: E402
from pan3d_core.refine.labels.files import write_label_folder  # noqa: E402
from pan3d_core.refine.labels.sources import SceneLabels, labels_of_maps  # noqa: E402
from pan3d_core.views.scene_folder import read_scene  # noqa: E402
from pan3d_ros.bags.excerpts.keyframes import KeyframeRequest, keyframe_scene  # noqa: E402
from pan3d_ros.bags.reading.reader import BagError  # noqa: E402
from pan3d_tools import cli  # noqa: E402


def test_standing_cameras_give_one_view_each_with_pose_and_depth(tmp_path):
    path = BlockBag(sets=3).write(tmp_path / "bag")
    scene = keyframe_scene(path, KeyframeRequest(use_depth=True))
    assert [view.camera for view in scene.views] == ["front", "side"] and scene.support_height_m == 0.0
    for view in scene.views:
        assert view.world_frame_id == "base_link" and view.stamp_ns > 0
        torch.testing.assert_close(torch.linalg.inv(view.cam_from_world), torch.tensor(from_base()).float())
        assert float(view.depth[RED].median()) == pytest.approx(0.55) and float(view.depth[0, 0]) == pytest.approx(0.6)
    assert all(view.depth is None for view in keyframe_scene(path).views)


def test_a_moving_camera_gives_as_many_views_as_asked_for_spread_over_its_journey(cell_bag):
    every = keyframe_scene(cell_bag, KeyframeRequest(views=24))
    wrist = [view.stamp_ns for view in every.views if view.camera == "wrist"]
    assert len(wrist) > 1 and wrist == sorted(wrist) and len(every.views) <= 24
    fewer = keyframe_scene(cell_bag, KeyframeRequest(views=len(every.views) - 1))
    kept = {(view.camera, view.stamp_ns) for view in fewer.views}
    assert len(kept) < len(every.views) and kept <= {(view.camera, view.stamp_ns) for view in every.views}
    assert {view.camera for view in fewer.views} == {view.camera for view in every.views}


@pytest.mark.slow
def test_a_bag_is_refined_like_a_scene_folder_and_leaves_one(tmp_path, capsys):
    path, out = BlockBag(sets=2).write(tmp_path / "bag"), tmp_path / "out"
    scene = keyframe_scene(path, KeyframeRequest(use_depth=True))
    labels = LabelSpace(("block", "table"), (True, False))
    ids = torch.tensor(pictures()[2].astype("int64"))
    found = [labels_of_maps(view.image.float() / 255, (ids == 0).long(), ids, labels) for view in scene.views]
    write_label_folder(tmp_path / "labels", SceneLabels(labels, tuple(found)), ["00_front", "01_side"])
    command = ["refine", str(path), "--depth", "--labels", str(tmp_path / "labels"), "--voxel", "0.02", "-o", str(out)]
    assert cli.main([*command, "--steps", "24", "--pictures-every", "0"]) == 0
    assert "2 keyframes of the bag" in capsys.readouterr().out
    assert [view.camera for view in read_scene(out / "scene").views] == ["front", "side"]
    refined = read_scene_file(out / "gaussians.safetensors")
    assert refined.world_frame_id == "base_link" and len(refined.cam_from_world) == 2
    report = json.loads((out / "report.json").read_text())
    assert report["views"] == 2 and report["steps"] == 24
    assert sorted(item["name"] for item in report["objects"]) == ["block", "block"]
    left, right = sorted(item["centroid"][0] for item in report["objects"])
    assert left < 0 < right and RED[1].start < BLUE[1].start


def test_what_a_bag_lacks_is_said(tmp_path, capsys):
    with pytest.raises(ValueError, match="KeyframeRequest.views: expected 2 to 64, got 1"):
        KeyframeRequest(views=1)
    path = BlockBag(sets=2, without_info=("front", "side")).write(tmp_path / "bag")
    with pytest.raises(BagError, match="camera_info"):
        keyframe_scene(path)
    assert cli.main(["refine", str(path), "-o", str(tmp_path / "out")]) == 2
    assert "camera_info" in capsys.readouterr().err and not (tmp_path / "out").exists()
