"""The least sure view sets on disk: which are kept, within which quota, and what a restart or a full disk leaves of them."""

import errno
from dataclasses import replace

import pytest
import torch
from synthetic_cell import BLOCKS, render_cell

from pan3d_core.labels import LabelSpace, TaughtFit
from pan3d_core.structures import Panoptic3D, Segment
from pan3d_core.views.scene_folder import read_scene
from pan3d_ros.doubtful import DoubtfulSets, sets, sureness
from pan3d_ros.parameters.node_config import DoubtfulConfig

CONFIG = DoubtfulConfig(folder="x")
SECOND = 1_000_000_000


def views_at(seconds, count=2):
    made = render_cell(BLOCKS, count, 48, 36).views
    return [replace(view, camera=f"cam{k}", stamp_ns=int(seconds * SECOND) + k) for k, view in enumerate(made)]


def stamps(doubtful):
    return [item.stamp_ns // SECOND for item in doubtful.kept]


def test_what_is_less_sure_is_kept_and_of_neighbours_in_time_one(tmp_path):
    doubtful = DoubtfulSets(tmp_path / "sets")
    assert not doubtful.offer(views_at(0), 0.5, CONFIG) and not (tmp_path / "sets").exists()
    assert doubtful.offer(views_at(0), 0.4, CONFIG)
    assert not doubtful.offer(views_at(5), 0.45, CONFIG)
    assert doubtful.offer(views_at(6), 0.3, CONFIG) and stamps(doubtful) == [6]
    assert doubtful.offer(views_at(30), 0.45, CONFIG) and stamps(doubtful) == [6, 30]
    assert len(list((tmp_path / "sets").iterdir())) == 2
    scene = read_scene(doubtful.kept[0].folder)
    assert [view.camera for view in scene.views] == ["cam0", "cam1"] and scene.views[0].depth is not None
    torch.testing.assert_close(scene.views[1].cam_from_world, views_at(6)[1].cam_from_world)


def test_beyond_the_quota_the_surest_one_is_deleted(tmp_path, monkeypatch):
    doubtful = DoubtfulSets(tmp_path)
    for second, sure in ((0, 0.4), (20, 0.1), (40, 0.3)):
        doubtful.offer(views_at(second), sure, CONFIG)
    size = max(item.size for item in doubtful.kept)
    monkeypatch.setattr(sets, "_MB", round(2.5 * size))
    few = replace(CONFIG, quota_mb=1)
    assert not doubtful.offer(views_at(60), 0.45, few) and stamps(doubtful) == [20, 40]
    assert doubtful.offer(views_at(80), 0.2, few) and stamps(doubtful) == [20, 80]
    assert len(list(tmp_path.iterdir())) == 2


def test_what_an_earlier_process_kept_counts_and_what_it_left_in_half_is_deleted(tmp_path):
    DoubtfulSets(tmp_path).offer(views_at(0), 0.4, CONFIG)
    (tmp_path / ".set_00_0100.abc").mkdir()
    (tmp_path / "recording_1").mkdir()
    again = DoubtfulSets(tmp_path)
    assert stamps(again) == [0] and again.kept[0].sure == 0.4 and again.kept[0].size > 1000
    assert not again.offer(views_at(3), 0.45, CONFIG)
    again.drop(again.kept)
    assert again.kept == () and [path.name for path in tmp_path.iterdir()] == ["recording_1"]


def test_a_full_disk_leaves_what_was_kept(tmp_path, monkeypatch):
    doubtful = DoubtfulSets(tmp_path)
    doubtful.offer(views_at(0), 0.4, CONFIG)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sets, "write_scene", full)
    with pytest.raises(OSError, match="the disk is full"):
        doubtful.offer(views_at(2), 0.1, CONFIG)
    assert stamps(doubtful) == [0] and len(list(tmp_path.iterdir())) == 1


def test_views_without_a_pose_are_of_no_use(tmp_path):
    doubtful = DoubtfulSets(tmp_path)
    first, second = views_at(0)
    unposed = replace(first, cam_from_world=None)
    assert not doubtful.offer([unposed], 0.1, CONFIG)
    assert doubtful.offer([unposed, second], 0.1, CONFIG)
    assert [view.camera for view in read_scene(doubtful.kept[0].folder).views] == ["cam1"]


def segment(score, class_id=0, class_score=0.9, **more):
    return Segment(1, class_id, class_score, score, 10, 2, torch.zeros(3), None, torch.zeros(3), **more)


def panoptic(*segments, names=("mug",)):
    nothing = torch.zeros(0)
    return Panoptic3D(nothing, nothing, segments, nothing, nothing, nothing, nothing, LabelSpace.things(names))


def test_a_result_is_as_sure_as_its_least_sure_object():
    assert sureness(panoptic()) == 1.0
    assert sureness(panoptic(segment(0.8), segment(0.7, class_score=0.3))) == 0.3
    assert sureness(panoptic(segment(0.6, class_score=0.9))) == 0.6
    assert sureness(panoptic(segment(0.6, class_id=-1, class_score=0.0))) == 0.0
    assert sureness(panoptic(segment(0.6, class_id=-1, class_score=0.0), names=())) == 0.6
    taught = (TaughtFit("valve", 0.7, accepted=True),)
    assert sureness(panoptic(segment(0.9, class_id=-1, class_score=0.0, taught=taught))) == 0.7
