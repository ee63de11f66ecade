"""Bags as data sets of LeRobot's format v3.0, read back as that format says."""

import io
import json

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("pan3d_sim.data.recording_messages", reason="needs the extra sim")
pyarrow = pytest.importorskip("pyarrow", reason="needs pyarrow (extra [lerobot])")

import pyarrow.parquet as parquet  # noqa: E402
from bag_scene import BLUE, CAMERA_HEIGHT_M, INTRINSICS, RED, BlockBag, center_m, pictures, pipeline  # noqa: E402

from pan3d_ros.bags.excerpts import lerobot  # noqa: E402
from pan3d_ros.bags.excerpts.episodes import EpisodeRequest, Moment, episodes_of  # noqa: E402
from pan3d_ros.bags.excerpts.lerobot import LeRobotRequest, export_lerobot  # noqa: E402

TASK = "look at the blocks"
DEPTH = LeRobotRequest(TASK, EpisodeRequest(use_depth=True), max_objects=3)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Two bags of one data set, the second without the blue block."""
    folder = tmp_path_factory.mktemp("lerobot")
    first = BlockBag().write(folder / "first")
    second = BlockBag(sets=3, blocks_of=dict.fromkeys(range(3), (RED,))).write(folder / "second")
    told = export_lerobot([first, second], folder / "set", DEPTH, pipeline())
    return folder / "set", told


def table(folder, info, episode):
    """The rows of an episode, found by the templates and indices of the metadata, as a reader of the format does."""
    path = folder / info["data_path"].format(chunk_index=episode["data/chunk_index"], file_index=episode["data/file_index"])
    rows = parquet.read_table(path).to_pylist()
    return [row for row in rows if episode["dataset_from_index"] <= row["index"] < episode["dataset_to_index"]]


def test_the_metadata_leads_to_every_frame(written):
    folder, told = written
    info = json.loads((folder / "meta/info.json").read_text())
    assert (told.episodes, told.frames, told.fps, told.without_result, told.left_out) == (2, 7, 2, 0, 0)
    assert info["codebase_version"] == "v3.0" and info["fps"] == 2 and info["video_path"] is None
    assert (info["total_episodes"], info["total_frames"], info["total_tasks"]) == (2, 7, 1)
    episodes = parquet.read_table(sorted((folder / "meta/episodes").glob("*/*.parquet"))[0]).to_pylist()
    assert [episode["length"] for episode in episodes] == [4, 3]
    assert [episode["tasks"] for episode in episodes] == [[TASK]] * 2
    for number, episode in enumerate(episodes):
        rows = table(folder, info, episode)
        assert len(rows) == episode["length"]
        assert [row["frame_index"] for row in rows] == list(range(len(rows)))
        assert {row["episode_index"] for row in rows} == {number} and {row["task_index"] for row in rows} == {0}
        assert [row["timestamp"] for row in rows] == pytest.approx([k / 2 for k in range(len(rows))])
        assert set(rows[0]) == set(info["features"])
        for row in rows:
            for name, feature in info["features"].items():
                if feature["dtype"] != "image" and feature["shape"] != [1]:
                    assert len(row[name]) == feature["shape"][0] == len(feature["names"]), name


def test_tasks_are_the_index_of_a_table_of_pandas(written):
    pandas = pytest.importorskip("pandas")
    tasks = pandas.read_parquet(written[0] / "meta/tasks.parquet")
    assert tasks.index.name == "task" and list(tasks.index) == [TASK] and list(tasks["task_index"]) == [0]


def test_pictures_depth_and_calibration_are_those_of_the_bag(written):
    folder, _ = written
    info = json.loads((folder / "meta/info.json").read_text())
    row = parquet.read_table(folder / "data/chunk-000/file-000.parquet").to_pylist()[0]
    rgb, depth, _ = pictures()
    for camera in ("front", "side"):
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(row[f"observation.images.{camera}"]["bytes"]))), rgb)
        assert info["features"][f"observation.images.{camera}"]["shape"] == list(rgb.shape)
        measured = Image.open(io.BytesIO(row[f"observation.images.{camera}_depth"]["bytes"]))
        assert measured.mode == "I;16" and np.array_equal(np.asarray(measured), depth)
        assert info["features"][f"observation.images.{camera}_depth"]["info"] == {"is_depth_map": True, "depth_unit": "mm"}
        fx, fy, cx, cy = row[f"observation.intrinsics.{camera}"]
        assert (fx, fy, cx, cy) == pytest.approx((60.0, 60.0, INTRINSICS[0, 2], INTRINSICS[1, 2]))
        pose = np.reshape(row[f"observation.world_from_cam.{camera}"], (4, 4))
        assert row[f"observation.posed.{camera}"] and pose[2, 3] == pytest.approx(CAMERA_HEIGHT_M, abs=1e-5)
        assert np.allclose(pose[:3, :3], np.diag([1, -1, -1]), atol=1e-5)


def test_objects_stand_where_they_are_and_keep_their_ids(written):
    folder, _ = written
    rows = parquet.read_table(folder / "data/chunk-000/file-000.parquet").to_pylist()
    assert all(row["observation.objects.known"] for row in rows)
    boxes = np.reshape(rows[0]["observation.objects.box"], (3, 10))
    ids = rows[0]["observation.objects.id"]
    assert ids[2] == 0 and not boxes[2].any() and all(ids[:2])
    found = sorted(boxes[:2, 0])
    assert found == pytest.approx(sorted(center_m(region)[0] for region in (RED, BLUE)), abs=0.01)
    assert np.linalg.norm(boxes[:2, 3:7], axis=1) == pytest.approx([1, 1], abs=1e-5)
    assert {frozenset(row["observation.objects.id"]) for row in rows[:4]} == {frozenset(ids)}
    named = parquet.read_table(folder / lerobot.OBJECTS_FILE).to_pylist()
    assert len(named) == 4 * 2 + 3 and {row["name"] for row in named} == {"block"}
    assert {row["id"] for row in named if row["episode_index"] == 0} == set(ids[:2])


def test_statistics_are_those_of_the_columns(written):
    folder, _ = written
    stats = json.loads((folder / "meta/stats.json").read_text())
    rgb = pictures()[0] / 255.0
    front = stats["observation.images.front"]
    assert np.shape(front["mean"]) == np.shape(front["q99"]) == (3, 1, 1) and front["count"] == [7]
    assert front["max"][0][0][0] == pytest.approx(rgb[..., 0].max())
    assert front["min"][0][0][0] == pytest.approx(rgb[..., 0].min())
    assert stats["frame_index"]["max"] == [3] and stats["timestamp"]["mean"] == pytest.approx([4.5 / 7])
    assert "observation.images.front_depth" not in stats
    episodes = parquet.read_table(folder / lerobot.EPISODES).to_pylist()
    assert episodes[1]["stats/frame_index/max"] == [2] and episodes[1]["stats/observation.images.front/count"] == [3]


def test_moments_are_taken_at_a_steady_rate_and_a_pause_begins_an_episode():
    def at(*seconds):
        return [Moment(int(second * 1e9), {}, (), {}, True) for second in seconds]

    def stamps(episodes):
        return [[moment.stamp_ns * 1e-9 for moment in episode] for episode in episodes]

    assert stamps(episodes_of(at(0, 0.11, 0.19, 0.3), 10)) == [[0, pytest.approx(0.11), pytest.approx(0.19), pytest.approx(0.3)]]
    assert stamps(episodes_of(at(0, 0.1, 0.2, 0.3, 0.4), 5)) == [[0, pytest.approx(0.2), pytest.approx(0.4)]]
    assert [len(episode) for episode in episodes_of(at(0, 0.1, 0.2, 3.0, 3.1), 10)] == [3, 2]
    assert stamps(episodes_of(at(1.0), 30)) == [[1.0]]


def test_large_sets_are_several_files(tmp_path, monkeypatch):
    monkeypatch.setattr(lerobot, "FILE_BYTES", 1)
    bags = [BlockBag(sets=2).write(tmp_path / f"bag{k}") for k in range(2)]
    export_lerobot(bags, tmp_path / "set", DEPTH, pipeline())
    assert sorted(path.name for path in (tmp_path / "set/data/chunk-000").iterdir()) == ["file-000.parquet", "file-001.parquet"]
    info = json.loads((tmp_path / "set/meta/info.json").read_text())
    episodes = parquet.read_table(tmp_path / "set" / lerobot.EPISODES).to_pylist()
    assert [len(table(tmp_path / "set", info, episode)) for episode in episodes] == [2, 2]


def test_what_cannot_be_written_is_refused_and_leaves_nothing(tmp_path):
    first = BlockBag(sets=2).write(tmp_path / "first")
    other = BlockBag(cameras=("left",), sets=2).write(tmp_path / "other")
    with pytest.raises(ValueError, match="cameras: expected those of the first view set"):
        export_lerobot([first, other], tmp_path / "set", DEPTH, pipeline())
    assert not (tmp_path / "set").exists()
    with pytest.raises(ValueError, match="out: expected a folder that is not there yet"):
        export_lerobot([first], tmp_path, DEPTH, pipeline())
    with pytest.raises(ValueError, match="task: expected words, got ' '"):
        LeRobotRequest(" ")
    with pytest.raises(ValueError, match="fps: expected 1 to 1000, got 0"):
        EpisodeRequest(fps=0)
