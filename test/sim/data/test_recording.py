"""Bags of the cell, read back with rosbags: what is in them, when, and whether poses, pixels and truth fit together."""

import json
import sqlite3

import cv2
import numpy as np
import pytest
import yaml

pytest.importorskip("rosbags", reason="needs the extra [bags]")

from rosbags.highlevel import AnyReader  # noqa: E402

from pan3d_ros.bags.inspection import inspect_bag  # noqa: E402
from pan3d_sim.cameras.wrist_path import WristPath  # noqa: E402
from pan3d_sim.cell.robot_cell import RobotCell  # noqa: E402
from pan3d_sim.data.recording import PHASE_NS, RecordingConfig, frame_times, millimetres, record  # noqa: E402
from pan3d_tools.cli import main  # noqa: E402
from pan3d_tools.doctor import OK, exit_code  # noqa: E402

FRAMES, SEED, NAMES = 3, 3, ("camera_0", "camera_1", "wrist")
STORAGES = ("mcap", "sqlite3")
PER_FRAME = ("/{}/color/image_raw", "/{}/color/camera_info", "/{}/depth/image_raw", "/ground_truth/{}/depth",
             "/ground_truth/{}/instance_ids")  # fmt: skip


class Bag:
    """All messages of a bag: topic -> [(received_ns, message)], and the order in which they lie in it."""

    def __init__(self, path):
        self.path, self.messages, self.order = path, {}, []
        with AnyReader([path]) as reader:
            self.connections = {c.topic: c for c in reader.connections}
            for connection, received_ns, raw in reader.messages():
                message = reader.deserialize(raw, connection.msgtype)
                self.messages.setdefault(connection.topic, []).append((received_ns, message))
                self.order.append((received_ns, connection.topic, bytes(raw)))

    def stamps(self, topic):
        return [stamp_ns(message.header) for _, message in self.messages[topic]]

    def pixels(self, topic, index, kind):
        message = self.messages[topic][index][1]
        return message.data.view(kind).reshape(message.height, message.width, -1).squeeze()


def stamp_ns(header):
    return header.stamp.sec * 1_000_000_000 + header.stamp.nanosec


@pytest.fixture(scope="module")
def bags(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bags")
    with RobotCell(SEED, num_cameras=2, width=160, height=120, num_objects=5) as cell:
        for storage in STORAGES:
            record(folder / storage, cell, RecordingConfig(seconds=0.6, rate_hz=5, storage=storage, sensor="exact"))
    return {storage: Bag(folder / storage) for storage in STORAGES}


@pytest.mark.parametrize("storage", STORAGES)
def test_what_is_in_a_bag(bags, storage):
    bag = bags[storage]
    expected = {topic.format(name): FRAMES for topic in PER_FRAME for name in NAMES}
    expected |= {"/tf": 71, "/tf_static": 1, "/ground_truth/objects": 1}
    assert {topic: len(found) for topic, found in bag.messages.items()} == expected
    content = yaml.safe_load((bag.path / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert (content["version"], content["storage_identifier"]) == (8, storage)
    listed = {t["topic_metadata"]["name"]: t["message_count"] for t in content["topics_with_message_count"]}
    assert listed == expected and content["message_count"] == sum(expected.values())
    assert [(bag.path / name).exists() for name in content["relative_file_paths"]] == [True]
    received = [received_ns for received_ns, _, _ in bag.order]
    assert content["starting_time"]["nanoseconds_since_epoch"] == min(received)
    assert content["duration"]["nanoseconds"] == max(received) - min(received)
    assert content["custom_data"] == {"pan3d.seed": "3", "pan3d.cameras": "camera_0,camera_1,wrist"}
    for connection in bag.connections.values():
        assert connection.msgdef.data and connection.digest.startswith("RIHS01_")
        assert len(connection.ext.offered_qos_profiles) == 1
    assert bag.connections["/tf_static"].ext.offered_qos_profiles[0].durability.name == "TRANSIENT_LOCAL"


def test_messages_lie_in_the_order_of_receipt_and_do_not_depend_on_the_storage(bags):
    database = sqlite3.connect(next(bags["sqlite3"].path.glob("*.db3")))
    stamps = [row[0] for row in database.execute("SELECT timestamp FROM messages ORDER BY id")]
    database.close()
    assert stamps == sorted(stamps) and len(stamps) == len(bags["sqlite3"].order)
    assert bags["mcap"].order == bags["sqlite3"].order


def test_stamps_are_of_exposure_and_differ_a_little_between_cameras(bags):
    bag = bags["mcap"]
    means = []
    for name in NAMES:
        stamps = bag.stamps(PER_FRAME[0].format(name))
        for topic in PER_FRAME:
            assert bag.stamps(topic.format(name)) == stamps, topic
            for received_ns, message in bag.messages[topic.format(name)]:
                assert message.header.frame_id == f"{name}_optical_frame"
                assert 3e6 < received_ns - stamp_ns(message.header) < 16e6
        regular = RecordingConfig().start_ns + 50_000_000 + np.arange(FRAMES) * 200_000_000
        assert np.abs(np.array(stamps) - regular).max() < PHASE_NS + 2_000_000
        means.append(np.mean(np.array(stamps) - regular))
    assert len({s for name in NAMES for s in bag.stamps(PER_FRAME[0].format(name))}) == FRAMES * len(NAMES)
    assert np.ptp(means) > 500_000
    config = RecordingConfig(seconds=0.6, rate_hz=5)
    np.testing.assert_array_equal(frame_times(SEED, list(NAMES), config)["wrist"][:, 0], bag.stamps("/wrist/color/image_raw"))
    assert not np.array_equal(
        frame_times(SEED + 1, list(NAMES), config)["wrist"], frame_times(SEED, list(NAMES), config)["wrist"]
    )


def matrix(transform):
    """(4, 4) of a Transform message."""
    x, y, z, w = (getattr(transform.rotation, axis) for axis in "xyzw")
    pose = np.eye(4)
    pose[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    pose[:3, 3] = [transform.translation.x, transform.translation.y, transform.translation.z]
    return pose


def world_from_optical(bag, frame_id, at_ns):
    """Follow the tree from a frame to base_link; moving edges blended between their neighbours in time."""
    links = {}
    for topic in ("/tf_static", "/tf"):
        for _, message in bag.messages[topic]:
            for t in message.transforms:
                links.setdefault(t.child_frame_id, []).append((stamp_ns(t.header), t.header.frame_id, matrix(t.transform)))
    pose = np.eye(4)
    while frame_id != "base_link":
        entries = links[frame_id]
        before = max([e for e in entries if e[0] <= at_ns], key=lambda e: e[0])
        after = min([e for e in entries if e[0] >= at_ns], key=lambda e: e[0]) if len(entries) > 1 else before
        share = 0.0 if after[0] == before[0] else (at_ns - before[0]) / (after[0] - before[0])
        pose = ((1 - share) * before[2] + share * after[2]) @ pose
        frame_id = before[1]
    return pose


def intrinsics(bag, name):
    return bag.messages[f"/{name}/color/camera_info"][0][1].k.reshape(3, 3)


def points_of(bag, name, index):
    """World points (H*W, 3) of a frame's true depth, and its ids (H*W,); pixels without depth left out."""
    depth = bag.pixels(f"/ground_truth/{name}/depth", index, np.uint16) / 1000.0
    ids = bag.pixels(f"/ground_truth/{name}/instance_ids", index, np.uint16)
    rows, columns = np.mgrid[: depth.shape[0], : depth.shape[1]]
    rays = np.stack([columns, rows, np.ones_like(rows)], axis=-1) @ np.linalg.inv(intrinsics(bag, name)).T
    pose = world_from_optical(bag, f"{name}_optical_frame", bag.stamps(f"/{name}/color/image_raw")[index])
    points = (rays * depth[..., None]) @ pose[:3, :3].T + pose[:3, 3]
    return points[depth > 0], ids[depth > 0]


def test_the_wrist_moves_and_tf_says_where_it_was_at_every_exposure(bags):
    bag, path = bags["mcap"], WristPath.of_seed(SEED, 0.0)
    poses = []
    for stamp in bag.stamps("/wrist/color/image_raw"):
        pose = world_from_optical(bag, "wrist_optical_frame", stamp)
        true = path.camera((stamp - RecordingConfig().start_ns) * 1e-9, 160, 120).world_from_cam
        np.testing.assert_allclose(pose, true, atol=1e-5)
        poses.append(pose)
    assert 0.005 < np.linalg.norm(poses[1][:3, 3] - poses[0][:3, 3]) < 0.05
    assert np.abs(poses[0][:3, :3] @ poses[0][:3, :3].T - np.eye(3)).max() < 1e-5


@pytest.mark.parametrize("index", range(FRAMES))
def test_what_the_wrist_sees_lies_where_the_fixed_camera_sees_it(bags, index):
    bag = bags["mcap"]
    points, ids = points_of(bag, "wrist", index)
    cam_from_world = np.linalg.inv(world_from_optical(bag, "camera_0_optical_frame", bag.stamps("/camera_0/color/image_raw")[0]))
    points_cam = points @ cam_from_world[:3, :3].T + cam_from_world[:3, 3]
    pixels = points_cam @ intrinsics(bag, "camera_0").T
    columns, rows = np.round(pixels[:, :2] / pixels[:, 2:]).astype(int).T
    depth = bag.pixels("/ground_truth/camera_0/depth", 0, np.uint16) / 1000.0
    seen = bag.pixels("/ground_truth/camera_0/instance_ids", 0, np.uint16)
    inside = (columns >= 0) & (columns < depth.shape[1]) & (rows >= 0) & (rows < depth.shape[0])
    rows, columns, ids, z = rows[inside], columns[inside], ids[inside], points_cam[inside, 2]
    visible = np.abs(depth[rows, columns] - z) < 0.004  # not hidden from the fixed camera
    assert visible.mean() > 0.5
    on_objects = visible & (ids > 0)
    assert on_objects.sum() > 200
    assert (seen[rows, columns] == ids)[visible].mean() > 0.99
    assert (seen[rows, columns] == ids)[on_objects].mean() > 0.95  # rounding to pixels costs a little at outlines


def test_ids_and_boxes_match_the_objects_message(bags):
    bag = bags["mcap"]
    content = json.loads(bag.messages["/ground_truth/objects"][0][1].data)
    assert (content["frame_id"], content["seed"], content["support_height_m"]) == ("base_link", SEED, 0.0)
    assert content["stamp_ns"] == RecordingConfig().start_ns
    boxes = {entry["id"]: entry["box"] for entry in content["objects"]}
    assert sorted(boxes) == list(range(1, 6)) and len({entry["name"] for entry in content["objects"]}) == 5
    seen = set()
    for name in NAMES:
        points, ids = points_of(bag, name, 0)
        for number in np.unique(ids[ids > 0]).tolist():
            seen.add(number)
            x, y, z, w = boxes[number]["orientation_xyzw"]
            turn = cv2.Rodrigues(2 * np.arccos(min(w, 1.0)) * unit(np.array([x, y, z])))[0]
            local = (points[ids == number] - boxes[number]["position"]) @ turn
            assert (np.abs(local) <= np.array(boxes[number]["size"]) / 2 + 0.002).all(), (name, number)
    assert len(seen) >= 4


def unit(vector):
    return vector / max(np.linalg.norm(vector), 1e-12)


def test_colour_and_depth_are_those_of_the_cell(bags):
    bag = bags["mcap"]
    with RobotCell(SEED, num_cameras=2, width=160, height=120, num_objects=5) as cell:
        rgb, depth, ids = cell.render(cell.cameras[1])
    np.testing.assert_array_equal(bag.pixels("/camera_1/color/image_raw", 2, np.uint8), rgb)
    np.testing.assert_array_equal(bag.pixels("/ground_truth/camera_1/instance_ids", 2, np.uint16), ids)
    for topic in ("/camera_1/depth/image_raw", "/ground_truth/camera_1/depth"):
        np.testing.assert_allclose(bag.pixels(topic, 1, np.uint16) / 1000.0, depth, atol=5.1e-4)
    message = bag.messages["/camera_1/color/camera_info"][0][1]
    np.testing.assert_allclose(message.k.reshape(3, 3), cell.cameras[1].intrinsics)
    assert (message.width, message.height, message.distortion_model) == (160, 120, "plumb_bob")


@pytest.mark.parametrize("storage", STORAGES)
def test_the_doctor_finds_all_that_is_needed(bags, storage):
    result = inspect_bag(bags[storage].path)
    assert exit_code(result.checks) == 0, [check for check in result.checks if check.status != OK]
    parameters = result.parameters
    assert parameters["cameras"] == list(NAMES) and parameters["reference_frame"] == "base_link"
    assert parameters["input"] == {"image_transport": "raw", "use_depth": True}
    assert parameters["workspace"] == {"support_height_m": 0.0}
    assert parameters["sync"]["slop_s"] < 0.025 and not any("time_offset_s" in c for c in parameters["camera"].values())


def test_depth_that_does_not_fit_is_none():
    assert millimetres(np.array([[0.0, 0.0004, 1.2346, 65.5, 70.0]])).tolist() == [[0, 0, 1235, 65500, 0]]


def test_command_line(tmp_path, capsys):
    out = tmp_path / "bag"
    arguments = [
        "sim",
        "record",
        "-o",
        str(out),
        "--seed",
        "1",
        "--seconds",
        "0.2",
        "--rate",
        "5",
        "--cameras",
        "1",
        "--no-wrist",
    ]
    arguments += ["--no-depth", "--compressed", "--objects", "2", "--size", "160x120", "--format", "sqlite3"]
    assert main(arguments) == 0
    assert str(out) in capsys.readouterr().out
    bag = Bag(out)
    assert set(bag.messages) == {
        "/camera_0/color/image_raw/compressed", "/camera_0/color/camera_info", "/ground_truth/camera_0/depth",
        "/ground_truth/camera_0/instance_ids", "/ground_truth/objects", "/tf_static",
    }  # fmt: skip
    message = bag.messages["/camera_0/color/image_raw/compressed"][0][1]
    assert message.format == "rgb8; jpeg compressed bgr8"
    with RobotCell(1, num_cameras=1, width=160, height=120, num_objects=2) as cell:
        rgb = cell.render(cell.cameras[0])[0]
    assert np.abs(cv2.imdecode(message.data, cv2.IMREAD_COLOR)[:, :, ::-1].astype(int) - rgb).mean() < 4
    assert main(arguments) == 2
    assert "out: expected a folder that does not exist yet" in capsys.readouterr().err
    assert main([*arguments[:4], "--size", "8x8"]) == 2
    with pytest.raises(ValueError, match="at least one frame"):
        RecordingConfig(seconds=0.01, rate_hz=1)
