import numpy as np
import pytest
import torch

from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.pictures import overlays
from pan3d_core.pictures.clouds import BACKGROUND, Viewpoint, cloud_picture, viewpoints_around
from pan3d_core.pictures.palette import UNASSIGNED, instance_color, instance_palette
from pan3d_core.structures import GraspTarget
from pan3d_tools.reports.html import Report


def test_palette_is_stable_and_neighbours_differ():
    palette = instance_palette(30).astype(int)
    assert tuple(palette[7]) == instance_color(7) and tuple(palette[0]) == UNASSIGNED
    distances = np.abs(palette[2:] - palette[1:-1]).max(axis=1)
    assert distances.min() > 60
    assert len({tuple(row) for row in palette}) == 31


def test_overlay_tints_instances_only_and_writes_names():
    picture, ids = np.full((120, 160, 3), 90, np.uint8), np.zeros((120, 160), np.int64)
    ids[60:100, 40:90] = 3
    plain = overlays.overlay(picture, ids, {})
    assert (plain[ids == 0] == 90).all() and (plain[ids == 3] != 90).any(axis=1).all()
    named = overlays.overlay(picture, ids, {3: "red mug"})
    changed = (named != plain).any(axis=2)
    assert changed[:60].any() and not changed[:20].any()  # the label sits right above the instance


def test_labels_of_neighbours_do_not_cover_each_other():
    ids = np.zeros((200, 300), np.int64)
    ids[100:150, 100:140], ids[100:150, 145:185] = 1, 2
    both = overlays.overlay(np.zeros((200, 300, 3), np.uint8), ids, {1: "orange bottle", 2: "orange bottle"})
    white = (both > 250).all(axis=2)
    rows = np.flatnonzero(white.any(axis=1))
    assert np.diff(rows).max() > 3  # two lines of text, one above the other


def test_depth_colours_share_one_scale_and_show_holes():
    depth = np.array([[0.0, 0.5, 1.0, 2.0]])
    picture = overlays.depth_picture(depth, 0.5, 1.0)
    assert tuple(picture[0, 0]) == overlays.NO_DEPTH and (picture[0, 2] == picture[0, 3]).all()
    assert (picture[0, 1] != picture[0, 2]).any()
    near, far = overlays.depth_range(depth, np.zeros((2, 2)))
    assert 0.49 < near < far <= 2.0
    assert overlays.depth_range(np.zeros((2, 2))) == (0.0, 1.0)
    error = overlays.error_picture(np.array([[1.0, 1.1, 0.9, 0.0]]), np.ones((1, 4)), 0.05)
    assert (error[0, 0] == 255).all() and error[0, 1, 0] > error[0, 1, 2] and error[0, 2, 2] > error[0, 2, 0]
    assert tuple(error[0, 3]) == overlays.NO_DEPTH
    assert overlays.depth_scale(0.4, 1.2, 400).shape == (46, 400, 3)


def test_nearer_points_hide_farther_ones():
    camera = Viewpoint((0.0, 0.0, 0.0), 1.0, azimuth_deg=0.0, elevation_deg=0.0).cam_from_world
    points = np.array([[0.0, 0.0, 0.0], [0.2, 0.0, 0.0]])  # the second one is nearer to a camera on +x
    colors = np.array([[255, 0, 0], [0, 0, 255]], np.uint8)
    for order in ([0, 1], [1, 0]):
        picture = cloud_picture(points[order], colors[order], camera, size=(64, 48), point_size=0.05)
        assert tuple(picture[24, 32]) == (0, 0, 255)
    assert tuple(picture[2, 2]) == BACKGROUND


def test_projection_of_the_splatter_is_a_pinhole_camera():
    camera = Viewpoint((0.0, 0.0, 0.0), 2.0, azimuth_deg=90.0).cam_from_world
    point = np.array([[0.1, -0.2, 0.05]])
    picture = cloud_picture(point, np.array([[255, 0, 0]], np.uint8), camera, size=(320, 240), point_size=0.0)
    row, column = np.argwhere((picture == [255, 0, 0]).all(axis=2))[0]
    cam = camera[:3, :3] @ point[0] + camera[:3, 3]
    assert abs(column - (160 + 1.35 * 320 * cam[0] / cam[2])) <= 1 and abs(row - (120 + 1.35 * 320 * cam[1] / cam[2])) <= 1


def test_empty_clouds_and_grasps_are_drawn():
    box = OrientedBox(torch.eye(4), torch.tensor([0.1, 0.1, 0.1]))
    grasp = GraspTarget(1, 0, 0.9, torch.eye(4), 0.06, 0.1, box)
    lines = overlays.grasp_lines(grasp) + overlays.box_lines(box, (0, 0, 0))
    assert len(lines) == 14 and np.allclose(lines[1][0][:, 0], [-0.03, -0.03, 0.03, 0.03])
    assert len(viewpoints_around(np.zeros((0, 3)))) == 2
    camera = Viewpoint((0.0, 0.0, 0.0), 1.0, azimuth_deg=60.0).cam_from_world
    picture = cloud_picture(np.zeros((0, 3)), np.zeros((0, 3), np.uint8), camera, lines=lines, grid_height=0.0)
    assert (picture == overlays.GRASP_COLOR).all(axis=2).any()


def test_montage_brings_pictures_to_one_width():
    tiles = [np.zeros((30, 40, 3), np.uint8), np.zeros((60, 80, 3), np.uint8), np.zeros((30, 40, 3), np.uint8)]
    joined = overlays.montage(tiles, 2, ("a", "b", "c"))
    assert joined.shape == (2 * (30 + 24 + 8) + 8, 2 * 48 + 8, 3)


def test_report_is_one_file_and_escapes_what_it_is_given(tmp_path):
    report = Report("<b>desk</b>")
    report.section("Objects & more")
    report.text("a < b", note=True)
    report.table(("name", "score"), [("mug <1>", 0.8768), ("can", 3)], [(255, 0, 0), (0, 255, 0)])
    report.pictures([np.zeros((4, 4, 3), np.uint8)], ["caption"])
    text = report.write(tmp_path / "report.html").read_text()
    assert "&lt;b&gt;desk" in text and "mug &lt;1&gt;" in text and "0.877" in text and "rgb(255, 0, 0)" in text
    assert text.count("data:image/jpeg;base64,") == 1 and "http" not in text.replace("http-equiv", "")


@pytest.mark.parametrize("width", [20, 80])
def test_enlarge_keeps_the_aspect(width):
    assert overlays.enlarge(np.zeros((30, 40, 3), np.uint8), width).shape == (round(30 * width / 40), width, 3)
