"""`pan3d doctor BAG` on bags with one fault each: what it finds, what it suggests, and its exit code."""

import os
from dataclasses import dataclass, field

os.environ.setdefault("MUJOCO_GL", "osmesa")

import numpy as np  # noqa: E402
import pytest  # noqa: E402
import yaml  # noqa: E402

pytest.importorskip("rosbags", reason="needs the extra [bags]")
pytest.importorskip("pan3d_sim.data.recording_messages", reason="needs the extra [sim]")


from bag_scene import write_bag

from pan3d_core.config import PipelineConfig  # noqa: E402
from pan3d_ros.bags.inspection import inspect_bag  # noqa: E402
from pan3d_ros.bags.reading.camera_topics import camera_name  # noqa: E402
from pan3d_ros.bags.reading.timing import clock_offsets_s, nearest_gaps, set_spreads  # noqa: E402
from pan3d_ros.parameters.node_config import CameraConfig, NodeConfig  # noqa: E402
from pan3d_sim.cameras.rig import RigCamera  # noqa: E402
from pan3d_sim.cell.frame_tree import FrameLink  # noqa: E402
from pan3d_sim.data.recording_messages import CAMERA_INFO, COMPRESSED_IMAGE, IMAGE, TEXT, TRANSFORMS, MessageMaker  # noqa: E402
from pan3d_tools.cli import main  # noqa: E402
from pan3d_tools.doctor import MISSING, OPTIONAL, exit_code  # noqa: E402

START = 1_700_000_000_000_000_000
MAKE = MessageMaker()


@dataclass
class Camera:
    """One recorded camera; everything is right unless told otherwise."""

    topic: str = "/{}/color/image_raw"
    info: bool = True
    focal: float = 100.0
    info_size: tuple = (16, 12)
    depth: str = ""  # topic
    depth_size: tuple = (16, 12)
    phase_s: float = 0.0  # of the exposures
    stamp_error_s: float = 0.0  # what the driver's stamps are off
    delay_s: float = 0.01
    rate_hz: float = 10.0
    transform: bool = True
    jpeg: bool = False


@dataclass
class Bag:
    cameras: dict = field(default_factory=lambda: {"front": Camera(), "left": Camera(phase_s=0.004)})
    moving: tuple = ()  # cameras on a moving link
    tf_error_s: float = 0.0  # clock of /tf
    extra: dict = field(default_factory=dict)  # topic -> (type, message)

    def write(self, path):
        messages = []
        links = []
        for name, camera in self.cameras.items():
            messages += camera_messages(name, camera)
            if camera.transform:
                parent = "tool0" if name in self.moving else "base_link"
                links.append(FrameLink(parent, f"{name}_optical_frame", pose(0.1)))
        if links:
            messages.append((START, "/tf_static", TRANSFORMS, MAKE.transforms(links, START)))
        for index in range(150 if self.moving else 0):
            stamp = START + index * 10_000_000
            message = MAKE.transforms([FrameLink("base_link", "tool0", pose(0.001 * index))], stamp + int(self.tf_error_s * 1e9))
            messages.append((stamp, "/tf", TRANSFORMS, message))
        messages += [(START, topic, kind, message) for topic, (kind, message) in self.extra.items()]
        return write_bag(path, messages)


def pose(x):
    matrix = np.eye(4)
    matrix[0, 3] = x
    return matrix


def camera_messages(name, camera):
    topic = camera.topic.format(name)
    folder = topic.removesuffix("/compressed").rsplit("/", 1)[0]
    width, height = camera.info_size
    k = np.array([[camera.focal, 0, 7.5], [0, camera.focal, 5.5], [0, 0, 1.0]])
    rig = RigCamera(name, k, np.eye(4), width, height)
    pixels = np.zeros((12, 16, 3), np.uint8)
    for index in range(int(camera.rate_hz)):
        exposure = START + int((0.1 + index / camera.rate_hz + camera.phase_s) * 1e9)
        stamp, received = exposure + int(camera.stamp_error_s * 1e9), exposure + int(camera.delay_s * 1e9)
        if camera.jpeg:
            yield received, topic, COMPRESSED_IMAGE, MAKE.jpeg(name, stamp, pixels)
        else:
            yield received, topic, IMAGE, MAKE.image(name, stamp, pixels, "rgb8")
        if camera.info:
            yield received, f"{folder}/camera_info", CAMERA_INFO, MAKE.camera_info(rig, stamp)
        if camera.depth:
            depth = np.full(camera.depth_size[::-1], 600, np.uint16)
            yield received, camera.depth, IMAGE, MAKE.image(name, stamp, depth, "16UC1")


@pytest.fixture
def inspect(tmp_path):
    def run(bag, **options):
        result = inspect_bag(bag.write(tmp_path / "bag"), **options)
        check_parameters(result)
        return result

    return run


def check_parameters(result):
    """What is suggested can be pasted: the node knows every name and takes every value."""
    content = yaml.safe_load(result.parameter_file())["/**"]["ros__parameters"]
    assert content == result.parameters
    cameras = content.pop("camera")
    assert list(cameras) == content["cameras"]
    for settings in cameras.values():
        CameraConfig(**settings)
    pipeline = {group: content.pop(group) for group in ("workspace", "keyframe") if group in content}
    PipelineConfig.from_dict(pipeline)
    groups = NodeConfig()
    for name, values in content.items():
        assert hasattr(groups, name)
        if isinstance(values, dict):
            type(getattr(groups, name))(**values)


def found(result, *words, status=MISSING):
    """The one finding of a status whose text has all words; and nothing else is missing."""
    matching = [c for c in result.checks if c.status == status and all(w in f"{c.name} {c.detail} {c.mend}" for w in words)]
    assert len(matching) == 1, [(c.name, c.status, c.detail) for c in result.checks]
    return matching[0]


def test_a_good_bag(inspect):
    result = inspect(Bag())
    assert exit_code(result.checks) == 0
    assert result.parameters["cameras"] == ["front", "left"]
    assert result.parameters["reference_frame"] == "base_link"
    assert result.parameters["input"] == {"image_transport": "raw", "use_depth": False}
    assert result.parameters["transforms"] == {"source": "auto"}
    assert result.parameters["camera"]["front"] == {
        "image_topic": "/front/color/image_raw",
        "info_topic": "/front/color/camera_info",
    }
    assert 0.004 < result.parameters["sync"]["slop_s"] < 0.01
    rows = {row[0]: row for row in result.topic_table()}
    assert rows["/left/color/image_raw"][1:] == (IMAGE, "10", "10.0", "rgb8 16x12 left_optical_frame", "+10.0 ms")
    found(result, "support height", status=OPTIONAL)


def two(**changes):
    """A bag whose left camera is different."""
    return Bag({"front": Camera(), "left": Camera(**changes)})


@pytest.mark.parametrize(
    ("bag", "words"),
    [
        (two(info=False), ("camera left", "no /left/color/camera_info", "calibration_file")),
        (two(focal=0.0), ("camera left", "NO_CAMERA_INFO", "fx = 0, fy = 0", "not calibrated")),
        (two(info_size=(32, 24)), ("camera left", "expected the image size 16 x 12, got 32 x 24")),
        (two(transform=False), ("transforms left", "nothing is known about left_optical_frame")),
        (two(stamp_error_s=86_400.0), ("camera left", "86400.000 s late", "synchronise")),
        (Bag(moving=("left",), tf_error_s=5.0), ("transforms left", "0 % of the images' stamps")),
        (two(topic="/left/color/image_raw/compressed", jpeg=True), ("camera left", "compressed images only")),
        (Bag({}, extra={"/chat": (TEXT, MAKE.text("hello"))}), ("no topic with colour images",)),
    ],
    ids=["no info", "zero K", "other size", "no tf", "another day", "tf clock", "mixed transports", "no images"],
)
def test_what_is_needed_and_missing(inspect, bag, words):
    result = inspect(bag)
    found(result, *words)
    assert exit_code(result.checks) == 1


def test_a_camera_that_stamps_late_gets_an_offset_and_the_slop_stays_small(inspect):
    # Exposed at the same time and received as quickly, but stamped 40 ms later than the other camera.
    result = inspect(Bag({"front": Camera(delay_s=0.05), "left": Camera(delay_s=0.05, stamp_error_s=0.04)}))
    assert result.parameters["camera"]["left"]["time_offset_s"] == pytest.approx(-0.04)
    assert "time_offset_s" not in result.parameters["camera"]["front"]
    found(result, "camera left", "0.040 s late", "camera.left.time_offset_s: -0.04", status=OPTIONAL)
    assert result.parameters["sync"]["slop_s"] < 0.005


def test_cameras_that_are_exposed_at_other_times_get_a_wide_slop_and_no_offset(inspect):
    result = inspect(two(phase_s=0.03))
    assert "time_offset_s" not in result.parameters["camera"]["left"]
    assert 0.03 < result.parameters["sync"]["slop_s"] < 0.05


def test_depth_of_another_size_is_not_used(inspect):
    bag = two(depth="/left/depth/image_raw", depth_size=(32, 24))
    bag.cameras["front"].depth = "/front/aligned_depth_to_color/image_raw"
    result = inspect(bag)
    found(result, "/left/depth/image_raw is 32x24, colour 16x12", status=OPTIONAL)
    found(result, "some cameras have no depth", "left", status=OPTIONAL)
    assert result.parameters["input"]["use_depth"] is False
    assert exit_code(result.checks) == 0


def test_depth_that_fits_is_used(inspect):
    result = inspect(Bag({"front": Camera(depth="/front/aligned_depth_to_color/image_raw")}))
    assert result.parameters["input"]["use_depth"] is True
    assert result.parameters["camera"]["front"]["depth_topic"] == "/front/aligned_depth_to_color/image_raw"
    assert "sync" not in result.parameters


def test_compressed_images_of_all_cameras(inspect):
    topic = "/{}/color/image_raw/compressed"
    result = inspect(Bag({"front": Camera(topic=topic, jpeg=True), "left": Camera(topic=topic, jpeg=True)}))
    assert exit_code(result.checks) == 0
    assert result.parameters["input"]["image_transport"] == "compressed"
    assert result.parameters["camera"]["left"]["image_topic"] == "/left/color/image_raw/compressed"
    assert result.parameters["camera"]["left"]["info_topic"] == "/left/color/camera_info"


@pytest.mark.parametrize(("error_s", "words"), [(2.0, "1.99 s ahead of their receipt"), (-8.0, "received 8.01 s after")])
def test_stamps_that_the_node_would_refuse_are_told(inspect, error_s, words):
    late = {name: Camera(stamp_error_s=error_s) for name in ("front", "left")}
    result = inspect(Bag(late))
    assert all("STALE_IMAGES" in text and words in text for text in result.faults.values())
    assert list(result.faults) == ["front", "left"]


def test_a_single_moving_camera_collects_keyframes(inspect):
    result = inspect(Bag({"wrist": Camera()}, moving=("wrist",)))
    assert exit_code(result.checks) == 0
    assert result.parameters["keyframe"] == {"enabled": True}
    assert any("moves by 0.15 m" in check.detail for check in result.checks)


def test_reference_frame_is_guessed_or_given(inspect, tmp_path):
    bag = Bag({"wrist": Camera()}, moving=("wrist",))
    result = inspect(bag, reference_frame="map")
    found(result, "no transform to map", "leads to base_link only")
    assert result.parameters["reference_frame"] == "map"
    bag = Bag({"front": Camera(transform=False)})
    link = MAKE.transforms([FrameLink("world", "front_optical_frame", pose(0.1))], START)
    bag.extra["/tf_static"] = (TRANSFORMS, link)
    assert inspect_bag(bag.write(tmp_path / "other")).parameters["reference_frame"] == "world"


def test_truth_topics_tell_the_height_of_the_table(inspect):
    bag = Bag(extra={"/ground_truth/objects": (TEXT, MAKE.text('{"support_height_m": 0.25, "objects": []}'))})
    assert inspect(bag).parameters["workspace"] == {"support_height_m": 0.25}


def serialized(kind, *fields):
    types, store = MAKE.typestore.types, MAKE.typestore
    return kind, bytes(store.serialize_cdr(types[kind](*fields), kind))


def pose_stamped(x):
    types = MAKE.typestore.types
    header = types["std_msgs/msg/Header"](types["builtin_interfaces/msg/Time"](0, 0), "base_link")
    place = types["geometry_msgs/msg/Point"](x, 0.0, 0.5), types["geometry_msgs/msg/Quaternion"](1.0, 0.0, 0.0, 0.0)
    return serialized("geometry_msgs/msg/PoseStamped", header, types["geometry_msgs/msg/Pose"](*place))


def test_pose_topics_serve_where_there_is_no_tf(inspect):
    bag = Bag({"front": Camera(transform=False), "left": Camera(transform=False)})
    bag.extra = {f"/{name}/pose": pose_stamped(0.1) for name in bag.cameras}
    result = inspect(bag)
    assert exit_code(result.checks) == 0
    assert result.parameters["transforms"] == {"source": "pose_topics"}
    assert result.parameters["camera"]["left"]["pose_topic"] == "/left/pose"


def test_rectified_images_need_the_projection_only(inspect):
    result = inspect(Bag({"front": Camera(topic="/{}/rgb/image_rect_color")}))
    assert exit_code(result.checks) == 0
    assert result.parameters["camera"]["front"]["rectified"] is True


def test_a_recorded_clock_and_a_frame_with_two_parents_are_told(inspect):
    time = MAKE.typestore.types["builtin_interfaces/msg/Time"](1, 2)
    bag = Bag(extra={"/clock": serialized("rosgraph_msgs/msg/Clock", time)})
    second = MAKE.transforms([FrameLink("map", "front_optical_frame", pose(0.1))], START)
    bag.extra["/other/tf_static"] = (TRANSFORMS, second)
    result = inspect(bag)
    found(result, "/clock was recorded", status=OPTIONAL)
    found(result, "two parents", "front_optical_frame in base_link and in map", status=OPTIONAL)
    # Whoever publishes last is believed, so that the way to base_link is cut.
    found(result, "camera front", "TF_FAILURE", "not connected, one is below 'map', the other below 'base_link'")


def test_images_without_stamps(inspect):
    result = inspect(Bag({"front": Camera(stamp_error_s=-START * 1e-9 - 0.1, rate_hz=1.0)}))
    found(result, "stamps are 0")


def test_a_recording_that_lost_its_metadata_is_read_all_the_same(tmp_path):
    path = Bag().write(tmp_path / "bag")
    (path / "metadata.yaml").unlink()
    assert inspect_bag(path).parameters["cameras"] == ["front", "left"]


def test_names_of_cameras():
    assert camera_name("/front/color/image_raw") == "front"
    assert camera_name("/camera/camera/aligned_depth_to_color/image_raw") == "camera"
    assert camera_name("/robot/left/image_raw/compressed") == "robot_left"
    assert camera_name("/zed/zed_node/rgb/image_rect_color") == "zed_zed_node"
    assert camera_name("/image_raw") == "camera"
    assert camera_name("/color/image_raw") == "color"


def regular(phase_s, count=20, period_s=0.1):
    return START + np.round((np.arange(count) * period_s + phase_s) * 1e9).astype(np.int64)


def test_spreads_of_sets():
    np.testing.assert_array_equal(nearest_gaps(np.array([10, 20, 36]), np.array([12, 30, 19])), [2, -1, -6])
    spreads = set_spreads([regular(0.0), regular(0.03), regular(-0.02)])
    assert np.median(spreads) == pytest.approx(50e6)
    assert len(set_spreads([regular(0.0), regular(0.0, count=5, period_s=0.4)])) == 5


def test_offsets_of_clocks():
    exposures = {"a": regular(0.0), "b": regular(0.001), "c": regular(0.002)}
    received = {name: times + 10_000_000 for name, times in exposures.items()}
    assert clock_offsets_s(exposures, received) == {}
    late = exposures | {"b": exposures["b"] + 30_000_000}  # stamped 30 ms after the exposure
    assert clock_offsets_s(late, received) == {"b": pytest.approx(-0.03)}
    ahead = exposures | {"c": exposures["c"] + 3_000_000_000}
    assert clock_offsets_s(ahead, received) == {"c": pytest.approx(-3.0)}
    behind = exposures | {"a": exposures["a"] - 2_000_000_000}
    assert clock_offsets_s(behind, received) == {"a": pytest.approx(2.0)}
    # Slower transfer is no wrong clock: an offset would pull stamps apart that fit.
    slow = received | {"b": received["b"] + 60_000_000}
    assert clock_offsets_s(exposures, slow) == {}


def test_command_line(tmp_path, capsys):
    path = Bag().write(tmp_path / "bag")
    assert main(["doctor", str(path)]) == 0
    out = capsys.readouterr().out
    assert "/front/color/image_raw" in out and "everything needed is there" in out
    block = yaml.safe_load(out[out.index("/**:") :])
    assert block["/**"]["ros__parameters"]["cameras"] == ["front", "left"]
    broken = two(info=False).write(tmp_path / "broken")
    assert main(["doctor", str(broken)]) == 1
    assert "needed and missing: camera left" in capsys.readouterr().out
    assert main(["doctor", str(tmp_path / "nothing")]) == 2
    assert main(["doctor", "--reference-frame", "map"]) == 2
