"""Where the cameras of a path stand and look."""

import json
import math
from dataclasses import replace

import pytest
import torch
from gaussian_boxes import BOXES, boxes_scene
from PIL import Image

from pan3d_core.gaussians.camera_paths import PathSettings, camera_path
from pan3d_core.gaussians.places import extent_of, foot_of, scene_up
from pan3d_core.gaussians.scene import GaussianScene
from pan3d_core.geometry.cameras import project, resized_intrinsics
from pan3d_core.geometry.rotations import matrix_from_quat_xyzw
from pan3d_core.geometry.transforms import invert_rigid, look_at, transform_points
from pan3d_core.structures import Gaussians


def centers(path) -> torch.Tensor:
    return invert_rigid(path.cam_from_world.double())[:, :3, 3]


def ring(elevation_deg: float, count: int, target=(0.0, 0.0, 0.05), radius=0.7) -> torch.Tensor:
    """Cameras all around a point, at one height."""
    target = torch.tensor(target, dtype=torch.float64)
    poses = []
    for angle in range(count):
        around, up = 2 * math.pi * angle / count, math.radians(elevation_deg)
        outward = torch.tensor([math.cos(around) * math.cos(up), math.sin(around) * math.cos(up), math.sin(up)])
        poses.append(look_at(target + radius * outward.double(), target))
    return torch.stack(poses)


def with_views(scene: GaussianScene, poses: torch.Tensor) -> GaussianScene:
    return replace(scene, cam_from_world=poses.float(), intrinsics=scene.intrinsics[:1].expand(len(poses), 3, 3))


def test_pictures_of_another_size_show_the_same():
    intrinsics = torch.tensor([[100.0, 0, 70.0], [0, 90.0, 40.0], [0, 0, 1]])
    points = torch.tensor([[0.1, 0.05, 1.0], [-0.2, 0.1, 2.0]])
    before, _ = project(points, intrinsics)
    after, _ = project(points, resized_intrinsics(intrinsics, (90, 120), (180, 240)))
    torch.testing.assert_close(after, 2 * before + 0.5)  # pixel centres: corner to corner
    wide, _ = project(points, resized_intrinsics(intrinsics, (90, 120), (90, 200)))
    torch.testing.assert_close(wide, before + torch.tensor([40.0, 0.0]))
    corners, _ = project(points, resized_intrinsics(intrinsics, (90, 120), (45, 240)))
    assert float((corners[0] - corners[1]).norm() / (before[0] - before[1]).norm()) == pytest.approx(0.5, abs=1e-5)


def test_views_are_the_scene_s_own():
    scene = boxes_scene(0.03)
    path = camera_path(scene, "views")
    assert torch.equal(path.cam_from_world, scene.cam_from_world) and torch.equal(path.intrinsics, scene.intrinsics)
    larger = camera_path(scene, "views", PathSettings(image_hw=(180, 240)))
    assert larger.image_hw == (180, 240) and float(larger.intrinsics[0, 0, 0]) == pytest.approx(
        2 * float(scene.intrinsics[0, 0, 0])
    )


def test_an_orbit_goes_around_the_objects_and_keeps_them_in_the_picture():
    scene = boxes_scene(0.02)
    path = camera_path(scene, "orbit", PathSettings(frames=8))
    middle = extent_of(scene).center
    objects = scene.gaussians.means[scene.instance_id > 0]
    assert float((middle - (objects.amin(0) + objects.amax(0)) / 2).norm()) < 0.02
    offsets = centers(path) - middle
    torch.testing.assert_close(offsets.norm(dim=-1), offsets.norm(dim=-1)[:1].expand(8))
    assert float(offsets[:, 2].std()) < 1e-6 and float(offsets[0, 2]) > 0.1
    steps = torch.atan2(offsets[:, 1], offsets[:, 0]).diff().rad2deg() % 360
    torch.testing.assert_close(steps, torch.full((7,), 45.0, dtype=torch.float64), atol=1e-3, rtol=0)
    for pose, matrix in zip(path.cam_from_world, path.intrinsics):
        pixels, z = project(transform_points(pose, objects), matrix)
        assert (z > 0).all() and (pixels > 0).all() and (pixels[:, 0] < 119).all() and (pixels[:, 1] < 89).all()
        assert float(pose[1, 2]) < 0  # the image's down is not the world's up
        looked_at, _ = project(transform_points(pose, middle[None].float()), matrix)
        torch.testing.assert_close(looked_at[0], matrix[:2, 2], atol=1e-2, rtol=0)


def test_a_part_of_an_orbit_swings_around_the_views():
    scene = with_views(boxes_scene(0.03), ring(30.0, 12)[2:5])
    path = camera_path(scene, "orbit", PathSettings(frames=5, arc_deg=80.0))
    offsets = centers(path) - extent_of(scene).center
    azimuths = torch.atan2(offsets[:, 1], offsets[:, 0]).rad2deg()
    assert azimuths.tolist() == pytest.approx([50, 70, 90, 110, 130], abs=3)
    elevation = torch.atan2(offsets[:, 2], offsets[:, :2].norm(dim=-1)).rad2deg()
    assert elevation.tolist() == pytest.approx([30.0] * 5, abs=2)


@pytest.mark.parametrize("views", [[], [0], "from above"])
def test_an_orbit_needs_no_views_and_copes_with_one_from_above(views):
    scene = boxes_scene(0.05)
    if views == "from above":
        above = look_at(torch.tensor([0.0, 0.0, 1.0]), torch.zeros(3), torch.tensor([0.0, 1.0, 0.0]))[None]
        scene = with_views(scene, above)
    else:
        scene = replace(scene, cam_from_world=scene.cam_from_world[views], intrinsics=scene.intrinsics[views])
    path = camera_path(scene, "orbit", PathSettings(frames=4))
    assert len(path) == 4 and float((centers(path) - extent_of(scene).center).norm(dim=-1).min()) > 0.1


def test_between_views_of_an_orbit_the_camera_stays_on_it():
    scene = boxes_scene(0.03)
    middle = extent_of(scene).center
    scene = with_views(scene, ring(30.0, 4, middle.tolist()))
    path = camera_path(scene, "between", PathSettings(frames=13))
    torch.testing.assert_close(path.cam_from_world[::4], scene.cam_from_world, atol=1e-5, rtol=0)
    offsets = centers(path) - middle
    torch.testing.assert_close(offsets.norm(dim=-1), torch.full((13,), 0.7, dtype=torch.float64), atol=1e-4, rtol=0)
    assert float(offsets[:, 2].std()) < 1e-4
    angles = (path.cam_from_world[1:, :3, :3] @ path.cam_from_world[:-1, :3, :3].mT).diagonal(dim1=1, dim2=2).sum(-1)
    torch.testing.assert_close(angles, angles[:1].expand(12), atol=1e-4, rtol=0)


def test_between_views_that_only_shift_the_camera_goes_straight():
    scene = boxes_scene(0.05)
    pose = scene.cam_from_world[0]
    shifted = pose.clone()
    shifted[:3, 3] += torch.tensor([0.4, 0.0, 0.0])
    path = camera_path(with_views(scene, torch.stack([pose, shifted])), "between", PathSettings(frames=3))
    torch.testing.assert_close(path.cam_from_world[1], (pose + shifted) / 2, atol=1e-6, rtol=0)
    still = camera_path(with_views(scene, pose[None]), "between", PathSettings(frames=3))
    assert torch.equal(still.cam_from_world, pose.expand(3, 4, 4))


def test_what_is_up():
    scene = boxes_scene(0.05)
    assert scene_up(scene).tolist() == [0, 0, 1]
    rolled = matrix_from_quat_xyzw(torch.tensor([0.5, 0.1, -0.2, 0.8]))
    poses = scene.cam_from_world.clone()
    poses[:, :3, :3] = poses[:, :3, :3] @ rolled.T
    up = scene_up(replace(with_views(scene, poses), is_metric=False))
    torch.testing.assert_close(up, (rolled @ torch.tensor([0.0, 0.0, 1.0])).double(), atol=0.1, rtol=0)
    without = replace(scene, is_metric=False, cam_from_world=torch.zeros(0, 4, 4), intrinsics=torch.zeros(0, 3, 3))
    assert scene_up(without).tolist() == [0, -1, 0]


def test_where_an_object_stands():
    scene = boxes_scene(0.01)
    _, center, size, _, _ = BOXES[2]
    assert foot_of(scene, [3]).tolist() == pytest.approx([center[0], center[1], center[2] - size[2] / 2], abs=2e-3)
    assert extent_of(scene, [3]).radius == pytest.approx(math.dist(size, (0, 0, 0)) / 2, rel=0.05)
    nothing = Gaussians(torch.zeros(0, 3), torch.zeros(0, 3), torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, 3))
    empty = replace(scene, gaussians=nothing, instance_id=torch.zeros(0, dtype=torch.int64), text_space=None)
    assert extent_of(empty).radius == 1.0 and len(camera_path(empty, "orbit", PathSettings(frames=2))) == 2


def view_entry(scene: GaussianScene, index: int) -> dict:
    return {"cam_from_world": scene.cam_from_world[index].tolist(), "intrinsics": scene.intrinsics[index].tolist()}


def test_cameras_of_a_file(tmp_path):
    scene = boxes_scene(0.05)
    entries = [view_entry(scene, 0), {**view_entry(scene, 1), "image_hw": [180, 240]}]
    (tmp_path / "p.json").write_text(json.dumps(entries))
    path = camera_path(scene, str(tmp_path / "p.json"))
    torch.testing.assert_close(path.cam_from_world, scene.cam_from_world[:2])
    assert path.intrinsics[:, 0, 0].tolist() == pytest.approx([108, 54])
    (tmp_path / "images").mkdir()
    Image.new("RGB", (240, 180)).save(tmp_path / "images" / "a.png")
    (tmp_path / "scene.json").write_text(json.dumps({"views": [{**view_entry(scene, 2), "image": "images/a.png"}]}))
    path = camera_path(scene, str(tmp_path / "scene.json"), PathSettings(image_hw=(360, 480)))
    assert float(path.intrinsics[0, 0, 0]) == pytest.approx(216) and path.image_hw == (360, 480)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[", "expected JSON"),
        ("[]", "views: expected a list of views"),
        ('{"frames": []}', r"frames: .*did you mean views\?"),
        ("[3]", "view 0: expected keys such as intrinsics with values, got int"),
        ('[{"cam_from_world": EYE}]', "view 0: expected cam_from_world and intrinsics, got cam_from_world"),
        ('[{"cam_from_world": [[1]], "intrinsics": [[1]]}]', "view 0: cam_from_world: expected 4 rows of 4 numbers"),
        ('[{"cam_from_world": EYE, "intrinsics": "wide"}]', "view 0: intrinsics: expected 3 rows"),
        ('[{"cam_from_world": DOUBLE, "intrinsics": LENS}]', "view 0: cam_from_world: expected a rotation"),
        ('[{"cam_from_world": EYE, "intrinsics": LENS, "image_hw": [0, 5]}]', "view 0: image_hw: expected height and width"),
        ('[{"cam_from_world": EYE, "intrinsics": LENS, "image": "p.json"}]', "view 0: image: expected a picture"),
        ('[{"cam_from_world": NAN, "intrinsics": LENS}]', "view 0: cam_from_world: expected finite numbers"),
    ],
)
def test_files_that_are_no_paths(tmp_path, content, message):
    eye, lens = torch.eye(4), torch.eye(3)
    for word, matrix in (("EYE", eye), ("DOUBLE", 2 * eye), ("NAN", eye * math.nan), ("LENS", lens)):
        content = content.replace(word, json.dumps(matrix.tolist()))
    (tmp_path / "p.json").write_text(content)
    with pytest.raises(ValueError, match=f"p.json: {message}"):
        camera_path(boxes_scene(0.1), str(tmp_path / "p.json"))


def test_paths_that_cannot_be(tmp_path):
    scene = boxes_scene(0.1)
    without = replace(scene, cam_from_world=torch.zeros(0, 4, 4), intrinsics=torch.zeros(0, 3, 3))
    for name in ("views", "between"):
        with pytest.raises(ValueError, match="expected a scene with views"):
            camera_path(without, name)
    with pytest.raises(ValueError, match="expected one of views, orbit, between or a .json file, got 'spiral'"):
        camera_path(scene, "spiral")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        camera_path(scene, str(tmp_path / "no.json"))
    for wrong, message in (({"frames": 0}, "frames: expected at least 1"), ({"arc_deg": 400.0}, "arc: expected more than 0")):
        with pytest.raises(ValueError, match=message):
            PathSettings(**wrong)
