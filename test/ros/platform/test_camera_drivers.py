"""Cameras by the names of their drivers: what is started, where topics and frames are, and where cameras are mounted."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest
import yaml
from places import ROOT

from pan3d_ros.platform.camera_drivers import DRIVERS, camera_parameters, mountings, read_cameras

NEEDS_DRIVERS = pytest.mark.skipif(
    "PAN3D_CAMERA_DRIVERS" not in os.environ, reason="PAN3D_CAMERA_DRIVERS names no folder with drivers' sources"
)
TEMPLATE = ROOT / "config" / "camera_mountings.yaml"
EVERY = {
    "cameras": "a,b,c,d,e",
    "drivers": "realsense,orbbec,zed,depthai,usb_cam",
    "serials": "1,2,3,4,/dev/video0",
    "models": ",,zedx,,/home/me/e.yaml",
}


def named(**arguments: str) -> dict[str, str]:
    return {"cameras": "front", "drivers": "realsense", "serials": "", "models": ""} | arguments


def test_one_driver_counts_for_all_cameras_and_topics_have_their_names():
    cameras = read_cameras(named(cameras="left, right", serials="831612073525,831612073526"))
    assert [(camera.name, camera.kind, camera.count) for camera in cameras] == [
        ("left", "realsense", 2),
        ("right", "realsense", 2),
    ]
    given = camera_parameters(cameras, use_depth=True)["/**"]["ros__parameters"]
    assert given["cameras"] == ["left", "right"] and given["input"] == {"use_depth": True}
    assert given["transforms"] == {"source": "tf"}
    assert given["camera"]["right"] == {
        "image_topic": "/right/color/image_raw",
        "info_topic": "/right/color/camera_info",
        "depth_topic": "/right/aligned_depth_to_color/image_raw",
    }


def test_depth_is_used_where_every_camera_has_it():
    colour = named(cameras="front,web", drivers="zed,usb_cam", serials=",/dev/video0", models=",/home/me/web.yaml")
    mixed = camera_parameters(read_cameras(colour), use_depth=True)["/**"]["ros__parameters"]
    assert mixed["input"] == {"use_depth": False} and "depth_topic" not in mixed["camera"]["web"]
    unwanted = camera_parameters(read_cameras(named()), use_depth=False)["/**"]["ros__parameters"]
    assert unwanted["input"] == {"use_depth": False}


def test_compressed_topics_are_those_of_image_transport():
    given = camera_parameters(read_cameras(named()), use_depth=True, compressed=True)["/**"]["ros__parameters"]["camera"]["front"]
    assert given["image_topic"] == "/front/color/image_raw/compressed" and given["info_topic"] == "/front/color/camera_info"
    assert given["depth_topic"] == "/front/aligned_depth_to_color/image_raw/compressedDepth"


@pytest.mark.parametrize("kind", DRIVERS)
def test_parameters_of_every_driver_are_those_of_the_node(ros_context, kind):
    from rclpy.node import Node
    from rclpy.parameter import Parameter

    from pan3d_ros.parameters.declaration import NodeParameters

    camera = read_cameras(named(drivers=kind, serials="/dev/video0", models="/home/me/front.yaml"))
    content = camera_parameters(camera, use_depth=True)["/**"]["ros__parameters"]
    flat = {f"camera.front.{key}": value for key, value in content["camera"]["front"].items()}
    flat |= {"cameras": ["front"], "input.use_depth": content["input"]["use_depth"], "transforms.source": "tf"}
    node = Node("cameras_under_test", parameter_overrides=[Parameter(name, value=value) for name, value in flat.items()])
    try:
        parameters = NodeParameters(node)
        assert not parameters.problems and all(node.has_parameter(name) for name in flat)
        parameters.read()
    finally:
        node.destroy_node()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"drivers": "realsens"}, "drivers: expected some of .*did you mean realsense"),
        ({"cameras": "a,b", "drivers": "zed,zed,zed"}, "drivers: expected one for each of a, b"),
        ({"cameras": "a,b"}, "serials: expected one for each camera, as there are 2 of realsense"),
        ({"cameras": "a,b", "serials": "1"}, "serials: expected one for each of a, b"),
        ({"drivers": "usb_cam", "serials": "/dev/video0"}, "serials, models: expected the device"),
        ({"cameras": "a,,b"}, "cameras: expected different names"),
    ],
)
def test_arguments_that_do_not_fit_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        read_cameras(named(**arguments))


def test_the_template_mounts_a_fixed_camera_and_one_on_the_wrist():
    fixed, wrist = mountings(TEMPLATE, read_cameras(named(cameras="front,wrist", serials="1,2")))
    assert fixed == [
        *("--x", "0.8", "--y", "0", "--z", "0.6", "--roll", "0", "--pitch", "0.523598776", "--yaw", "3.14159265"),
        *("--frame-id", "base_link", "--child-frame-id", "front_link"),
    ]  # fmt: skip
    assert wrist[-4:] == ["--frame-id", "tool0", "--child-frame-id", "wrist_link"]
    (zed, _) = mountings(TEMPLATE, read_cameras(named(cameras="front,wrist", drivers="zed", serials="1,2")))
    assert zed[-1] == "front_camera_link"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "expected a mounting for each camera"),
        ("frnt: {parent: base_link, xyz: [0, 0, 0], rpy_deg: [0, 0, 0]}", "frnt: expected names of cameras .*did you mean front"),
        ("front: {parent: base_link, xyz: [0, 0, 0]}", "front: expected parent, xyz, and xyzw or rpy_deg"),
        ("front: {parent: base_link, xyz: [0, 0], rpy_deg: [0, 0, 0]}", "front: xyz: expected 3 numbers"),
        ("front: {parent: base_link, xyz: [0, 0, .nan], rpy_deg: [0, 0, 0]}", "front: xyz: expected 3 numbers"),
        ("front: {parent: base_link, xyz: [0, 0, 0], xyzw: [0, 0, 0, 2]}", "front: xyzw: expected a quaternion of length 1"),
    ],
)
def test_a_mounting_that_is_wrong_is_named(tmp_path, text, message):
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(ValueError, match=message):
        mountings(tmp_path / "mine.yaml", read_cameras(named()))


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{parent: base_link, xyz: [0, 0, .nan], rpy_deg: [0, 0, 0]}", "wrist: xyz: expected 3 numbers"),
        ("{parent: base_link, xyz: [800, 0, 600], rpy_deg: [0, 0, 0]}", "wrist: xyz: expected metres.*are they millimetres"),
        ("{parent: base_link, xyz: [0, 0, 0], rpy: [0, 0, 0]}", "wrist: rpy: .*did you mean rpy_deg, in degrees"),
        ("{parent: /base_link, xyz: [0, 0, 0], rpy_deg: [0, 0, 0]}", "wrist: parent: expected .* without / in front"),
        ("{parent: wrist_link, xyz: [0, 0, 0], rpy_deg: [0, 0, 0]}", "wrist: parent: expected .* another frame than wrist_link"),
    ],
)  # fmt: skip
def test_a_camera_whose_mounting_is_wrong_is_told_and_the_others_are_mounted(tmp_path, entry, message):
    front = "front: {parent: base_link, xyz: [0, 0, 1], rpy_deg: [0, 0, 0]}"
    (tmp_path / "mine.yaml").write_text(f"{front}\nwrist: {entry}\n")
    told = []
    (fixed,) = mountings(tmp_path / "mine.yaml", read_cameras(named(cameras="front,wrist", serials="1,2")), told.append)
    assert fixed[-1] == "front_link" and len(told) == 1 and re.search(message, told[0]) and "without a pose" in told[0]


def test_the_page_has_every_driver_with_its_version_and_topics():
    page = (ROOT / "docs" / "cameras.md").read_text()
    for kind, driver in DRIVERS.items():
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{kind}` |")]
        words = [driver.package, driver.version, driver.image, driver.info, driver.depth, driver.root, driver.optical]
        assert [word for word in words if word and word.replace("{name}", "NAME") not in row] == [], row


def sources(package: str) -> Path:
    """Where the sources of a driver's package are."""
    (manifest,) = [
        path
        for path in Path(os.environ["PAN3D_CAMERA_DRIVERS"]).rglob("package.xml")
        if f"<name>{package}</name>" in path.read_text()
    ]
    return manifest.parent


@NEEDS_DRIVERS
@pytest.mark.parametrize("kind", [kind for kind, driver in DRIVERS.items() if driver.launch])
def test_the_driver_has_the_launch_file_its_arguments_and_this_version(kind):
    driver = DRIVERS[kind]
    folder = sources(driver.package)
    assert f"<version>{driver.version}</version>" in (folder / "package.xml").read_text()
    text = (folder / "launch" / driver.launch.replace("{model}", driver.model)).read_text()
    for name in (*driver.arguments, *driver.serial_argument):
        assert re.search(rf"['\"]{re.escape(name)}['\"]", text), name


@pytest.fixture
def launched(tmp_path, monkeypatch):
    """(arguments) -> what launch would start, by the real launch."""
    pytest.importorskip("launch.actions")
    pytest.importorskip("launch_ros.actions")
    from launch import LaunchContext
    from launch.actions import DeclareLaunchArgument, OpaqueFunction
    from launch.launch_description_sources import PythonLaunchDescriptionSource

    index = tmp_path / "share" / "ament_index" / "resource_index" / "packages"
    index.mkdir(parents=True)
    for package in ("pan3d_ros", "usb_cam", "tf2_ros", *(driver.package for driver in DRIVERS.values())):
        (index / package).touch()
    (tmp_path / "share" / "pan3d_ros").symlink_to(ROOT)
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path), prepend=":")

    def start(**arguments: str):
        context = LaunchContext(argv=[])
        description = PythonLaunchDescriptionSource(str(ROOT / "launch/cameras.launch.py")).get_launch_description(context)
        for entity in description.entities:
            if isinstance(entity, DeclareLaunchArgument):
                entity.execute(context)
        context.launch_configurations.update(arguments)
        (action,) = [entity for entity in description.entities if isinstance(entity, OpaqueFunction)]
        return context, action.execute(context)

    return start


def test_launch_starts_every_driver_and_perception_with_their_topics(launched):
    from launch.actions import GroupAction, IncludeLaunchDescription
    from launch.utilities import perform_substitutions

    context, actions = launched(**EVERY, support_height="0.0")
    perception, *drivers = actions
    given = dict(perception.launch_arguments)
    assert given["support_height"] == "0.0"
    content = yaml.safe_load(Path(given["params_file"]).read_text())
    assert content == camera_parameters(read_cameras(EVERY), use_depth=True)
    for kind, action in zip(EVERY["drivers"].split(","), drivers, strict=True):
        if kind == "usb_cam":
            assert action.node_package == "usb_cam"
            continue
        assert isinstance(action, GroupAction)
        included = [entity for entity in action.get_sub_entities() if isinstance(entity, IncludeLaunchDescription)]
        (location,) = [entity._IncludeLaunchDescription__launch_description_source for entity in included]
        path = perform_substitutions(context, location._LaunchDescriptionSource__location)
        assert path.endswith(
            f"share/{DRIVERS[kind].package}/launch/" + DRIVERS[kind].launch.replace("{model}", DRIVERS[kind].model)
        )


def test_launch_hands_over_serials_as_texts_and_a_users_file_last(launched, tmp_path):
    (tmp_path / "mine.yaml").write_text("/**: {ros__parameters: {input: {use_depth: false}}}")
    two = {"cameras": "left,right", "serials": "11,12", "drivers": "realsense", "mountings": ""}
    _, (perception, left, _) = launched(**two, params_file=str(tmp_path / "mine.yaml"))
    files = dict(perception.launch_arguments)["params_file"].split(",")
    assert len(files) == 2 and files[1] == str(tmp_path / "mine.yaml")
    (included,) = [entity for entity in left.get_sub_entities() if hasattr(entity, "launch_arguments")]
    assert dict(included.launch_arguments)["serial_no"] == "_11" and dict(included.launch_arguments)["camera_name"] == "left"


def test_launch_mounts_cameras_and_can_leave_perception_out(launched):
    _, actions = launched(cameras="front,wrist", serials="1,2", mountings=str(TEMPLATE), perception="false")
    assert [getattr(action, "node_package", "driver") for action in actions] == ["driver", "driver", "tf2_ros", "tf2_ros"]


def camera_nodes(entity, context, package: str):
    """(full name, parameters) of the package's nodes that an entity of launch would start, alone or in a container."""
    from launch.utilities import normalize_to_list_of_substitutions, perform_substitutions
    from launch_ros.actions import LoadComposableNodes, Node
    from launch_ros.utilities import evaluate_parameters

    def told(namespace, name, given):
        pushed = context.launch_configurations.get("ros_namespace", "")
        full = "/".join(
            [pushed.strip("/"), *(perform_substitutions(context, part or []).strip("/") for part in (namespace, name))]
        )
        values = [item for item in evaluate_parameters(context, given or []) if isinstance(item, dict)]
        return re.sub("/+", "/", f"/{full}"), {key: value for item in values for key, value in item.items()}

    def held(thing) -> dict:
        return {key.rpartition("__")[2]: value for key, value in vars(thing).items()}

    if isinstance(entity, (Node, LoadComposableNodes)):
        if (inner := held(entity)).get("package") == package:
            names = (normalize_to_list_of_substitutions(inner[key]) for key in ("node_namespace", "node_name"))
            yield told(*names, inner["parameters"])
        for part in held(entity).get("composable_node_descriptions") or ():
            if perform_substitutions(context, part.package) == package:
                yield told(held(part)["node_namespace"], held(part)["node_name"], held(part)["parameters"])
        return
    for inner in entity.visit(context) or ():
        yield from camera_nodes(inner, context, package)


BESIDE = {"depthai": ("depthai_descriptions",)}  # packages that a driver's launch file names


@NEEDS_DRIVERS
@pytest.mark.parametrize(
    ("kind", "name", "serial"),
    [("realsense", "/{name}", "serial_no"), ("orbbec", "/{name}/{name}", "serial_number"), ("depthai", "/{name}", "")],
)
def test_the_drivers_own_launch_file_starts_two_of_a_kind_with_names_and_serials(
    launched, monkeypatch, tmp_path, kind, name, serial
):
    package = DRIVERS[kind].package
    for name_of_one in (package, *BESIDE.get(kind, ())):
        shutil.copytree(sources(name_of_one), tmp_path / "share" / name_of_one)
        (tmp_path / "share/ament_index/resource_index/packages" / name_of_one).touch()
    settings = tmp_path / "share" / package / "config" / "global_settings.yaml"  # realsense2_camera writes it when it is built
    settings.parent.mkdir(exist_ok=True)
    settings.write_text("use_lifecycle_node: false")
    context, actions = launched(cameras="fixed,wrist", drivers=kind, serials="11,12", perception="false")
    found = [node for action in actions for node in camera_nodes(action, context, package)]
    assert [full for full, _ in found] == [name.replace("{name}", camera) for camera in ("fixed", "wrist")]
    if serial:
        assert [str(given[serial]).lstrip("_") for _, given in found] == ["11", "12"]
