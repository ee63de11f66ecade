"""A node keeps what it is least sure of, and writes it as bags that are recordings like any other."""

import pytest
import ros_support
from std_srvs.srv import Trigger

pytest.importorskip("rosbags", reason="needs rosbags (extra [bags])")

from pan3d_core.views.scene_folder import read_scene  # noqa: E402
from pan3d_ros.bags.excerpts.keyframes import KeyframeRequest, keyframe_scene  # noqa: E402
from pan3d_ros.services.private import doubtful  # noqa: E402


def test_the_least_sure_view_sets_become_bags(spinner, monkeypatch, tmp_path):
    folder = tmp_path / "doubtful"
    bench = ros_support.Bench(spinner, monkeypatch, ("front", "left"), doubtful__folder=str(folder), doubtful__sure=1.0)
    left = ros_support.looking_down()
    left[0, 3] = 0.1
    bench.rig.poses_of["left"] = left
    bench.start()
    bench.until(lambda: bench.listener.shows("doubtful", b"\x00", "1 view sets are kept"), "a kept set in /diagnostics")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(doubtful, "WRITE_BAGS", "no_such_package:write_bags")
        answer = bench.call(Trigger, "record_doubtful")
        assert not answer.success and "no_such_package is not installed: install the extra [bags]" in answer.message
    answer = bench.call(Trigger, "record_doubtful")
    assert answer.success and "1 view sets, the least sure one" in answer.message, answer.message
    (recording,) = folder.glob("recording_*")
    (bag,) = recording.iterdir()
    scene = keyframe_scene(bag, KeyframeRequest(use_depth=True))
    assert [view.camera for view in scene.views] == ["front", "left"]
    for view in scene.views:
        assert view.world_frame_id == "base_link" and view.hw == (ros_support.HEIGHT, ros_support.WIDTH)
        assert float(view.depth[ros_support.RED].median()) == pytest.approx(0.55, abs=1e-3)
        assert view.image[:, ros_support.RED[0], ros_support.RED[1]].float().mean((1, 2)).tolist() == [220, 20, 20]
    places = [float(view.cam_from_world[0, 3]) for view in scene.views]
    assert places == pytest.approx([0.0, -0.1], abs=1e-5)


def test_a_moving_camera_leaves_its_keyframes(spinner, monkeypatch, tmp_path):
    kept = {"doubtful__folder": str(tmp_path), "doubtful__sure": 1.0}
    bench = ros_support.Bench(spinner, monkeypatch, keyframe__enabled=True, keyframe__max_interval_s=1000.0, **kept).start()
    bench.until(lambda: bench.node.perception.sync.delivered > 1, "a first view")
    bench.rig.world_from_cam[0, 3] = 0.1
    (folder,) = bench.until(lambda: list(tmp_path.glob("set_*")), "a kept set")
    first, second = read_scene(folder).views
    assert first.camera == second.camera == "front" and first.stamp_ns < second.stamp_ns
    assert float(second.cam_from_world[0, 3] - first.cam_from_world[0, 3]) == pytest.approx(-0.1, abs=1e-5)


def test_without_a_folder_nothing_is_kept_and_the_service_says_so(spinner, monkeypatch):
    bench = ros_support.Bench(spinner, monkeypatch).start()
    answer = bench.call(Trigger, "record_doubtful")
    assert not answer.success and "doubtful.folder: expected a folder" in answer.message


def test_a_folder_that_cannot_be_written_is_told_and_perception_goes_on(spinner, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    bench = ros_support.Bench(spinner, monkeypatch, doubtful__folder=str(tmp_path / "file" / "sets"), doubtful__sure=1.0).start()
    bench.until(lambda: bench.listener.shows("doubtful", b"\x01", "a view set could not be kept: "), "the fault in /diagnostics")
    count = len(bench.instances())
    bench.until(lambda: len(bench.instances()) > count, "results go on")
    answer = bench.call(Trigger, "record_doubtful")
    assert not answer.success and "no view set was less sure than doubtful.sure = 1 since the last recording" in answer.message
