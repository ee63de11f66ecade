"""Calibration, clouds, objects, markers and grasps as messages."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pan3d_interfaces.msg import GraspTarget as GraspTargetMessage
from pan3d_interfaces.msg import InstanceArray
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header
from visualization_msgs.msg import Marker

from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.geometry.cameras import project
from pan3d_core.labels import LabelSpace
from pan3d_core.pictures.palette import instance_color
from pan3d_core.structures import GraspTarget, Panoptic3D, Reconstruction, Segment
from pan3d_ros.messages import instances
from pan3d_ros.messages.buffers import assign_bytes
from pan3d_ros.messages.calibration import CalibrationError, calibration_from_info, info_from_file
from pan3d_ros.messages.cameras import to_camera_view
from pan3d_ros.messages.clouds import POINT, cloud_from_message, cloud_message, cloud_records, pack_rgb, unpack_rgb
from pan3d_ros.messages.instances import detections, instance_message
from pan3d_ros.messages.manipulation.grasps import grasp_from_message, grasp_message, grasp_poses
from pan3d_ros.messages.markers import MAX_SINGLE_BOXES, MarkerDrawing
from pan3d_ros.messages.parts import header, image_message, info_message

MATRIX = torch.tensor([[500.0, 0.0, 319.5], [0.0, 510.0, 239.5], [0.0, 0.0, 1.0]])
LABELS = LabelSpace.things(("mug", "box"))


def info(**changes) -> CameraInfo:
    message = info_message(MATRIX, 480, 640, Header(frame_id="front"))
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def segment(instance_id=7, class_id=0, center=(0.1, 0.2, 0.3)):
    world_from_box = torch.eye(4)
    world_from_box[:3, 3] = torch.tensor(center)
    return Segment(
        instance_id=instance_id,
        class_id=class_id,
        class_score=0.8,
        score=0.9,
        num_points=3,
        num_views=2,
        centroid=torch.tensor(center),
        box=OrientedBox(world_from_box, torch.tensor([0.04, 0.05, 0.06])),
        color_rgb=torch.tensor([1.0, 0.5, 0.0]),
    )


def panoptic(segments, num_points=6):
    ids = torch.arange(num_points) % (len(segments) + 1)
    known = torch.tensor([0, *(s.instance_id for s in segments)])
    empty = torch.zeros(1, 2, 2, dtype=torch.int64)
    return Panoptic3D(
        semantic_id=empty - 1,
        instance_id=empty,
        segments=tuple(segments),
        points=torch.arange(num_points * 3).float().reshape(-1, 3),
        point_colors=torch.linspace(0, 1, num_points)[:, None].repeat(1, 3),
        point_instance_id=known[ids],
        point_normals=torch.zeros(num_points, 3),
        labels=LABELS,
    )


def test_calibration_is_taken_as_it_is():
    calibration = calibration_from_info(info(), 640, 480)
    torch.testing.assert_close(calibration.intrinsics, MATRIX)
    assert calibration.distortion_model == ""


def test_binning_and_region_move_the_pixels():
    message = info(binning_x=2, binning_y=2)
    message.roi.width, message.roi.height, message.roi.x_offset, message.roi.y_offset = 320, 240, 100, 60
    calibration = calibration_from_info(message, 160, 120)
    point = torch.tensor([[0.05, -0.03, 1.0]])
    full = project(point, MATRIX)[0][0]
    binned = project(point, calibration.intrinsics)[0][0]
    # Binned pixel u covers the full pixels 2 u and 2 u + 1 of the region.
    torch.testing.assert_close(binned * 2 + 0.5, full - torch.tensor([100.0, 60.0]))


def test_rectified_images_use_the_projection_matrix():
    message = info(d=[0.1, 0.0, 0.0, 0.0, 0.0])
    message.p = [400.0, 0.0, 300.0, 0.0, 0.0, 410.0, 200.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    calibration = calibration_from_info(message, 640, 480, rectified=True)
    assert calibration.intrinsics[0].tolist() == [400.0, 0.0, 300.0]
    assert calibration.distortion_model == ""
    assert calibration_from_info(message, 640, 480).distortion_model == "plumb_bob"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"width": 320}, "expected the image size 640 x 480, got 320 x 480"),
        ({"k": [0.0] * 9}, "the camera is not calibrated"),
        ({"k": [math.nan, *[1.0] * 8]}, "expected positive focal lengths"),
        ({"d": [math.nan] * 5}, "CameraInfo.d: expected finite"),
    ],
)
def test_unusable_calibrations(changes, text):
    with pytest.raises(CalibrationError, match=text):
        calibration_from_info(info(**changes), 640, 480)


def test_unknown_distortion_is_a_calibration_error():
    picture = image_message(np.zeros((480, 640, 3), np.uint8), "rgb8", Header())
    with pytest.raises(CalibrationError, match="CameraInfo: distortion_model"):
        to_camera_view(picture, info(distortion_model="lens", d=[0.1]), None, None, camera="front", world_frame_id="base_link")


@pytest.mark.parametrize(("model", "d"), [("plumb_bob", [-0.2, 0.05, 0.001, 0.002, 0.0]), ("equidistant", [0.05, 0.0, 0.0, 0.0])])
def test_views_are_undistorted(model, d):
    rgb = np.zeros((480, 640, 3), np.uint8)
    rgb[:, ::8] = 255  # stripes that distortion would have bent
    depth = np.full((480, 640), 1.0, np.float32)
    stamp = header("front_optical", 123)
    view = to_camera_view(
        image_message(rgb, "rgb8", stamp),
        info(distortion_model=model, d=d),
        image_message(depth, "32FC1", stamp),
        torch.eye(4),
        camera="front",
        world_frame_id="base_link",
    )
    assert (view.stamp_ns, view.frame_id, view.camera) == (123, "front_optical", "front")
    assert view.image.shape == (3, 480, 640)
    assert not torch.equal(view.image, torch.from_numpy(rgb).permute(2, 0, 1) / 255)
    assert set(view.depth.unique().tolist()) <= {0.0, 1.0}, "depth is picked, never blended"


def test_depth_of_another_size_is_refused():
    picture = image_message(np.zeros((480, 640, 3), np.uint8), "rgb8", Header())
    depth = image_message(np.ones((240, 320), np.float32), "32FC1", Header())
    with pytest.raises(ValueError, match="expected the size of the colour image 640 x 480, got 320 x 240"):
        to_camera_view(picture, info(), depth, None, camera="front", world_frame_id="base_link")


def test_calibration_files(tmp_path):
    path = tmp_path / "front.yaml"
    path.write_text(
        "image_width: 640\nimage_height: 480\ndistortion_model: plumb_bob\ncamera_name: front\n"
        "distortion_coefficients: {rows: 1, cols: 5, data: [0, 0, 0, 0, 0]}\n"
        "camera_matrix: {rows: 3, cols: 3, data: [500, 0, 319.5, 0, 510, 239.5, 0, 0, 1]}\n",
        encoding="utf-8",
    )
    torch.testing.assert_close(calibration_from_info(info_from_file(path), 640, 480).intrinsics, MATRIX)
    path.write_text("image_width: 640\n", encoding="utf-8")
    with pytest.raises(CalibrationError, match="expected a camera calibration file"):
        info_from_file(path)


def test_clouds_round_trip_in_the_documented_layout():
    scene = panoptic([segment(7, 0), segment(9, -1)])
    message = cloud_message(cloud_records(scene), Header(frame_id="base_link"))
    assert [(f.name, f.offset, f.datatype) for f in message.fields] == [
        ("x", 0, 7), ("y", 4, 7), ("z", 8, 7), ("rgb", 12, 7), ("label", 16, 4), ("instance", 20, 6), ("confidence", 24, 7),
    ]  # fmt: skip
    assert (message.point_step, message.row_step, message.width, message.is_dense) == (28, 168, 6, True)
    points = cloud_from_message(message)
    assert points.dtype == POINT
    assert points["instance"].tolist() == [0, 7, 9, 0, 7, 9]
    assert points["label"].tolist() == [0, 1, 0, 0, 1, 0]
    np.testing.assert_allclose(points["confidence"], [0, 0.9, 0.9, 0, 0.9, 0.9])
    assert unpack_rgb(points["rgb"])[[0, -1]].tolist() == [[0, 0, 0], [255, 255, 255]]
    assert np.stack([points["x"], points["y"], points["z"]], -1).tolist() == scene.points.tolist()


def test_colours_keep_their_bits():
    levels = torch.randint(0, 256, (1000, 3), generator=torch.Generator().manual_seed(0))
    assert (unpack_rgb(pack_rgb(levels / 255)) == levels.numpy()).all()


def test_clouds_can_be_cut_and_thinned():
    scene = panoptic([segment(7), segment(9)], num_points=3000)
    assert set(cloud_records(scene, {9})["instance"]) == {9}
    assert len(cloud_records(scene, set())) == 0
    thin = cloud_records(scene, max_points=300)
    assert len(thin) == 300
    assert 60 < (thin["instance"] == 7).sum() < 140
    assert cloud_message(cloud_records(panoptic([], 0)), Header()).width == 0


def test_large_buffers_are_filled_whole():
    from sensor_msgs.msg import PointCloud2

    content = np.arange(1000, dtype=np.uint32)
    message = PointCloud2()
    assign_bytes(message, content)
    assert bytes(message.data) == content.tobytes()
    assign_bytes(message, np.zeros(0, np.uint8))
    assert len(message.data) == 0


def test_instances():
    message = instance_message(segment(), LABELS, 1_500_000_000, 2_500_000_000)
    assert (message.id, message.state, message.class_name, message.label) == (7, message.TRACKED, "mug", 1)
    assert (message.size.x, message.size.y, message.size.z) == pytest.approx((0.04, 0.05, 0.06))
    assert (message.first_seen.sec, message.first_seen.nanosec) == (1, 500_000_000)
    unnamed = instance_message(segment(class_id=-1), LABELS, 5, 5)
    assert (unnamed.class_name, unnamed.label, unnamed.class_score, unnamed.state) == ("", 0, 0.0, unnamed.NEW)


@pytest.mark.parametrize("package", ["vision_msgs.msg", "vision_stand_ins"])
def test_detections_of_vision_msgs(monkeypatch, package):
    monkeypatch.setattr(instances, "vision_msgs", pytest.importorskip(package))
    array = InstanceArray(header=Header(frame_id="base_link"))
    array.instances = [instance_message(segment(), LABELS, 0, 0), instance_message(segment(8, class_id=-1), LABELS, 0, 0)]
    array.instances.append(instance_message(segment(9), LABELS, 0, 0))
    array.instances[2].state = array.instances[2].LOST
    message = detections(array)
    assert [d.id for d in message.detections] == ["7", "8"]
    named, unnamed = message.detections
    assert named.header.frame_id == message.header.frame_id == "base_link"
    assert (named.bbox.center, named.bbox.size) == (array.instances[0].pose, array.instances[0].size)
    assert (named.results[0].hypothesis.class_id, named.results[0].hypothesis.score) == ("mug", pytest.approx(0.8))
    assert (unnamed.results[0].hypothesis.class_id, unnamed.results[0].hypothesis.score) == ("", pytest.approx(0.9))
    assert named.results[0].pose.pose == array.instances[0].pose


def test_vision_info_names_the_topic_of_the_labels(monkeypatch):
    monkeypatch.setattr(instances, "vision_msgs", None)
    assert instances.vision_info("pan3d-mini", "/pan3d/label_info", "base_link", 5) is None
    monkeypatch.setattr(instances, "vision_msgs", SimpleNamespace(VisionInfo=lambda **fields: SimpleNamespace(**fields)))
    message = instances.vision_info("pan3d-mini", "/pan3d/label_info", "base_link", 1_000_000_005)
    assert (message.method, message.database_location) == ("pan3d-mini", "/pan3d/label_info")
    assert (message.header.frame_id, message.header.stamp.sec, message.header.stamp.nanosec) == ("base_link", 1, 5)


def draw(drawing, segments, cameras=None):
    array = InstanceArray(header=Header(frame_id="base_link"))
    array.instances = [instance_message(s, LABELS, 0, 0) for s in segments]
    return drawing.draw(array, {s.instance_id: s for s in segments}, 1.5, cameras).markers


def line_ends(marker):
    """(lines, 2, 3) of a LINE_LIST."""
    assert marker.type == Marker.LINE_LIST
    return np.array([[p.x, p.y, p.z] for p in marker.points]).reshape(-1, 2, 3)


def test_markers_keep_their_ids_and_delete_only_what_went():
    drawing = MarkerDrawing()
    first = draw(drawing, [segment(7), segment(8)])
    assert {(m.ns, m.id, m.action) for m in first} == {
        *((ns, i, Marker.ADD) for ns in ("instances/box", "instances/label") for i in (7, 8)),
        ("instances/axis", 0, Marker.ADD),
    }
    box = next(m for m in first if m.ns == "instances/box")
    assert (box.type, len(box.points), len(box.colors)) == (Marker.LINE_LIST, 24, 24)
    assert [box.colors[0].r, box.colors[0].g, box.colors[0].b] == pytest.approx([c / 255 for c in instance_color(7)])
    assert (box.lifetime.sec, box.lifetime.nanosec) == (1, 500_000_000)
    edges = line_ends(box)
    np.testing.assert_allclose(
        sorted(np.linalg.norm(edges[:, 0] - edges[:, 1], axis=1)), sorted([0.04, 0.05, 0.06] * 4), atol=1e-6
    )
    second = draw(drawing, [segment(8)])
    assert {(m.ns, m.id) for m in second if m.action == Marker.DELETE} == {("instances/box", 7), ("instances/label", 7)}
    assert all(m.action == Marker.ADD for m in draw(drawing, [segment(8)]))
    nothing = draw(drawing, [])
    assert {(m.ns, m.id, m.action) for m in nothing} == {
        ("instances/box", 8, Marker.DELETE), ("instances/label", 8, Marker.DELETE), ("instances/axis", 0, Marker.DELETE)
    }  # fmt: skip
    assert drawing.clear().markers[0].action == Marker.DELETEALL
    assert all(m.action == Marker.ADD for m in draw(drawing, [segment(7)]))


def test_many_boxes_share_one_marker():
    markers = draw(MarkerDrawing(), [segment(i + 1) for i in range(MAX_SINGLE_BOXES + 1)])
    assert [m.ns for m in markers] == ["instances/box", "instances/axis"]
    assert [len(m.points) for m in markers] == [24 * (MAX_SINGLE_BOXES + 1), 6 * (MAX_SINGLE_BOXES + 1)]


def test_axes_are_those_of_the_box_in_red_green_blue():
    one = segment(7)
    marker = next(m for m in draw(MarkerDrawing(), [one]) if m.ns == "instances/axis")
    lines = line_ends(marker)
    np.testing.assert_allclose(lines[:, 0], np.tile(one.box.world_from_box[:3, 3], (3, 1)), atol=1e-6)
    directions = (lines[:, 1] - lines[:, 0]) / 0.03  # half of the longest side
    np.testing.assert_allclose(directions.T, one.box.world_from_box[:3, :3], atol=1e-5)
    assert [(c.r, c.g, c.b) for c in marker.colors[::2]] == [(1, 0, 0), (0, 1, 0), (0, 0, 1)]
    assert marker.colors[::2] == marker.colors[1::2]


def test_frusta_end_on_the_corners_of_the_images():
    world_from_cam = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))  # looks down from 0.5 m
    world_from_cam[:3, 3] = torch.tensor([0.1, 0.2, 0.5])
    cam_from_world = torch.linalg.inv(world_from_cam)
    intrinsics = torch.tensor([[100.0, 0, 9.5], [0, 100.0, 7.5], [0, 0, 1.0]])
    depth = torch.full((2, 16, 20), 0.5)
    cameras = Reconstruction(
        depth, torch.ones_like(depth), intrinsics.expand(2, 3, 3), cam_from_world.expand(2, 4, 4), is_metric=True
    )
    markers = draw(MarkerDrawing(), [], cameras)
    assert [(m.ns, m.id) for m in markers] == [("cameras/frustum", 0)]
    lines = line_ends(markers[0])
    assert len(lines) == 2 * 8
    eyes, corners = lines[:8:2, 0], lines[:8:2, 1]
    np.testing.assert_allclose(eyes, [[0.1, 0.2, 0.5]] * 4, atol=1e-6)
    distance = 0.06  # 12 % of the depth that is seen
    expected = [
        [0.1 + sx * 0.095 * distance, 0.2 - sy * 0.075 * distance, 0.5 - distance]
        for sx, sy in ((-1, -1), (1, -1), (1, 1), (-1, 1))
    ]
    np.testing.assert_allclose(corners, expected, atol=1e-6)
    np.testing.assert_allclose(lines[1:8:2, 0], corners, atol=1e-9)
    np.testing.assert_allclose(lines[1:8:2, 1], np.roll(corners, -1, axis=0), atol=1e-9)
    drawing = MarkerDrawing()
    draw(drawing, [], cameras)
    assert [(m.ns, m.action) for m in draw(drawing, [])] == [("cameras/frustum", Marker.DELETE)]


def test_grasps():
    world_from_grasp = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
    world_from_grasp[:3, 3] = torch.tensor([0.1, 0.2, 0.05])
    grasp = GraspTarget(7, 0, 0.75, world_from_grasp, 0.05, 0.1, segment().box, 42, "base_link", 0.08, 0.03, 0.01)
    message = grasp_message(grasp, LABELS)
    assert (message.width, message.opening) == pytest.approx((0.05, 0.08))
    assert (message.object_width, message.depth) == pytest.approx((0.03, 0.01))
    assert grasp_message(replace(grasp, opening_m=0.0), LABELS).opening == pytest.approx(0.05)
    back = grasp_from_message(message)
    assert (back.opening_m, back.object_width_m, back.depth_m) == pytest.approx((0.08, 0.03, 0.01))
    assert (message.header.frame_id, message.header.stamp.nanosec, message.class_name) == ("base_link", 42, "mug")
    assert (message.approach_direction.z, message.retreat_direction.z) == (-1.0, 1.0)
    assert message.method == GraspTargetMessage.METHOD_TOP_DOWN
    assert (message.width, message.approach_distance, message.quality) == pytest.approx((0.05, 0.1, 0.75))
    assert message.allowed_touch_objects == ["pan3d/7"]
    assert grasp_poses([message]).poses == [message.grasp_pose]
    for pose, height in ((message.pre_grasp_pose, 0.15), (message.grasp_pose, 0.05), (message.retreat_pose, 0.15)):
        place = pose.position
        assert (place.x, place.y, place.z) == pytest.approx((0.1, 0.2, height)) and pose.orientation.x == pytest.approx(1.0)
    cup = grasp_message(replace(grasp, width_m=0.0, opening_m=0.0, object_width_m=0.0, kind="suction"), LABELS)
    assert cup.method == GraspTargetMessage.METHOD_SUCTION and cup.width == cup.opening == 0.0
    assert grasp_from_message(cup).kind == "suction" and back.kind == "parallel"
    cup.width = 0.05
    with pytest.raises(ValueError, match=r"grasp.width: expected 0 of a suction cup, got 0.05"):
        grasp_from_message(cup)
    sideways = torch.eye(4)
    sideways[:3, :3] = torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])  # approaches along +x
    message = grasp_message(replace(grasp, world_from_grasp=sideways, pregrasp_distance_m=0.07), LABELS)
    before, after = message.pre_grasp_pose.position, message.retreat_pose.position
    assert (before.x, before.y, before.z) == pytest.approx((-0.07, 0.0, 0.0))
    assert (after.x, after.y, after.z) == pytest.approx((0.0, 0.0, message.retreat_distance))
    assert message.pre_grasp_pose.orientation == message.grasp_pose.orientation == message.retreat_pose.orientation
    assert grasp_poses([]).poses == []
