"""Files for other simulators: the world, the bridge, the parameters and the poses say the same."""

import math
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import yaml
from places import ROOT

from pan3d_core.geometry.transforms import invert_rigid
from pan3d_ros.inputs.camera_frames import CameraTopics
from pan3d_ros.inputs.transforms import StaticTransforms
from pan3d_ros.parameters.node_config import CameraConfig

FOLDER = ROOT / "examples" / "gazebo"
WORLD = ET.parse(FOLDER / "table.sdf").getroot().find("world")
SENSORS = {sensor.findtext("topic"): model for model in WORLD.iter("model") for sensor in model.iter("sensor")}
TYPES = {"image": "Image", "depth": "Image", "info": "CameraInfo"}


def parameters(name: str) -> dict:
    return yaml.safe_load((ROOT / "config" / "specializations" / name).read_text())["/**"]["ros__parameters"]


def topics_of(given: dict, camera: str) -> CameraTopics:
    return CameraTopics.of(camera, CameraConfig(**given.get("camera", {}).get(camera, {})), "raw").from_the_root()


def numbers(text: str) -> list[float]:
    return [float(word) for word in text.split()]


def turned(roll: float, pitch: float, yaw: float) -> np.ndarray:
    """Rotation of SDF's roll, pitch and yaw: about fixed axes, in this order."""
    (cr, sr), (cp, sp), (cy, sy) = ((math.cos(angle), math.sin(angle)) for angle in (roll, pitch, yaw))
    about_x = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    about_y = np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
    return np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]]) @ about_y @ about_x


def test_the_bridge_brings_every_topic_of_the_world_to_the_name_that_the_node_hears():
    given = parameters("gazebo.param.yaml")
    assert set(given["cameras"]) == set(SENSORS) and given["use_sim_time"] is True
    bridged = {entry["gz_topic_name"]: entry for entry in yaml.safe_load((FOLDER / "bridge.yaml").read_text())}
    keys = {"ros_topic_name", "gz_topic_name", "ros_type_name", "gz_type_name", "direction"}
    assert all(set(entry) == keys and entry["direction"] == "GZ_TO_ROS" for entry in bridged.values())
    clock = bridged.pop("/clock")
    assert (clock["ros_topic_name"], clock["gz_type_name"]) == ("/clock", "gz.msgs.Clock")
    for camera in SENSORS:
        heard = topics_of(given, camera)
        for part, theirs in (("image", "image"), ("depth", "depth_image"), ("info", "camera_info")):
            entry = bridged.pop(f"/{camera}/{theirs}")
            assert entry["ros_topic_name"] == getattr(heard, part)
            assert (
                entry["ros_type_name"] == f"sensor_msgs/msg/{TYPES[part]}" and entry["gz_type_name"] == f"gz.msgs.{TYPES[part]}"
            )
    assert not bridged


@pytest.mark.parametrize("camera", sorted(SENSORS))
def test_poses_of_the_optical_frames_are_those_of_the_sensors(camera):
    x, y, z, *rpy = numbers(SENSORS[camera].findtext("pose"))
    looks_along_x = turned(*rpy)
    optical = looks_along_x @ np.array([[0, 0, 1], [-1, 0, 0], [0, -1, 0]])
    file = StaticTransforms(FOLDER / "cameras.yaml", "base_link")
    world_from_cam = invert_rigid(file.lookup(camera, f"{camera}_optical_frame", 0)).numpy()
    assert world_from_cam[:3, 3] == pytest.approx([x, y, z], abs=1e-5)
    assert np.allclose(world_from_cam[:3, :3], optical, atol=1e-5)
    to_the_table = -np.array([x, y, z]) / np.linalg.norm([x, y, z])
    assert world_from_cam[:3, 2] @ to_the_table > 0.999  # it looks at the middle of the table
    assert SENSORS[camera].find("link/sensor/frame_id").text == f"{camera}_optical_frame"


def test_the_world_has_what_cameras_and_physics_need_and_things_stand_on_the_table():
    plugins = {plugin.get("filename"): plugin.get("name") for plugin in WORLD.iter("plugin")}
    assert plugins["gz-sim-sensors-system"] == "gz::sim::systems::Sensors"
    assert plugins["gz-sim-physics-system"] == "gz::sim::systems::Physics"
    height_m = parameters("gazebo.param.yaml")["workspace"]["support_height_m"]
    tops, bottoms = {}, {}
    for model in WORLD.iter("model"):
        for shape in model.iterfind("link/collision/geometry/*"):
            extent = shape.findtext("length") or shape.findtext("size") or str(2 * float(shape.findtext("radius")))
            middle = numbers(model.findtext("pose"))[2]
            tops[model.get("name")] = middle + numbers(extent)[-1] / 2
            bottoms[model.get("name")] = middle - numbers(extent)[-1] / 2
            same = model.find(f"link/visual/geometry/{shape.tag}")
            assert ET.tostring(same).strip() == ET.tostring(shape).strip(), "what is seen is what is touched"
    assert tops.pop("table") == pytest.approx(height_m)
    bottoms.pop("table")
    assert len(bottoms) == 3 and all(value == pytest.approx(height_m) for value in bottoms.values())


def test_the_page_tells_the_topics_of_isaac_sim_that_the_parameters_have():
    given = parameters("isaac_sim.param.yaml")
    page = (ROOT / "docs" / "simulators.md").read_text(encoding="utf-8").split("## Isaac Sim")[1]
    rows = re.findall(r"^\| ROS2 \S+ (?:Info )?Helper \| (?:`(\w+)`)? ?\| `(\w+)` \| `(\w+)` \| `(\w+)` \|$", page, re.MULTILINE)
    assert len(rows) == 3
    told = {kind or "info": f"/{namespace}/{topic}" for kind, namespace, topic, _ in rows}
    heard = topics_of(given, "front")
    assert told == {"rgb": heard.image, "depth": heard.depth, "info": heard.info}
    assert {frame for *_, frame in rows} == {"front_optical_frame"} and given["input"]["use_depth"] is True
