"""The object under a ray: known scenes of a few Gaussians, and agreement with the rendered picture."""

import pytest
import torch
from gaussian_boxes import BOXES, boxes_scene

from pan3d_core.gaussians.picking import pick_along_ray
from pan3d_core.geometry.cameras import unproject_depth
from pan3d_core.geometry.transforms import invert_rigid
from pan3d_core.rendering.rasterizer import rasterize
from pan3d_core.structures import Gaussians

EYE, FORWARD = torch.zeros(3), torch.tensor([1.0, 0.0, 0.0])


def spheres(*specification: tuple[tuple[float, float, float], float, float]) -> Gaussians:
    """Gaussians of (mean, standard deviation, opacity)."""
    count = len(specification)
    return Gaussians(
        means=torch.tensor([mean for mean, _, _ in specification]).reshape(count, 3),
        scales=torch.tensor([scale for _, scale, _ in specification]).reshape(count, 1).expand(count, 3),
        quats_wxyz=torch.tensor([1.0, 0.0, 0.0, 0.0]).expand(count, 4),
        opacities=torch.tensor([opacity for _, _, opacity in specification]),
        colors=torch.full((count, 3), 0.5),
    )


def test_the_nearer_of_two_opaque_objects_is_picked():
    gaussians = spheres(((2.0, 0.0, 0.0), 0.1, 0.9), ((1.0, 0.0, 0.0), 0.1, 0.9))
    pick = pick_along_ray(gaussians, torch.tensor([4, 7]), EYE, FORWARD, 500.0)
    assert pick.instance_id == 7
    assert pick.share == pytest.approx(0.9, abs=0.01)
    assert torch.allclose(pick.point, torch.tensor([1.0, 0.0, 0.0]), atol=1e-4)


def test_glass_in_front_is_seen_through():
    gaussians = spheres(((1.0, 0.0, 0.0), 0.1, 0.3), ((2.0, 0.0, 0.0), 0.1, 0.9))
    pick = pick_along_ray(gaussians, torch.tensor([1, 2]), EYE, 5 * FORWARD, 500.0)
    assert pick.instance_id == 2
    assert pick.share == pytest.approx(0.7 * 0.9, abs=0.01)
    assert torch.allclose(pick.point, torch.tensor([2.0, 0.0, 0.0]), atol=1e-4)


def test_many_thin_parts_of_one_object_outweigh_one_of_another():
    layers = [((1.0 + 0.01 * k, 0.0, 0.0), 0.1, 0.25) for k in range(4)]
    gaussians = spheres(*layers, ((0.9, 0.0, 0.0), 0.1, 0.35))
    pick = pick_along_ray(gaussians, torch.tensor([3, 3, 3, 3, 5]), EYE, FORWARD, 500.0)
    assert pick.instance_id == 3


def test_what_no_object_owns_answers_zero_and_the_background_none():
    gaussians = spheres(((1.0, 0.0, 0.0), 0.1, 0.9), ((-1.0, 0.0, 0.0), 0.1, 0.9))
    assert pick_along_ray(gaussians, torch.tensor([0, 6]), EYE, FORWARD, 500.0).instance_id == 0
    assert pick_along_ray(gaussians, torch.tensor([0, 6]), EYE, torch.tensor([0.0, 0.0, 1.0]), 500.0) is None


def test_an_empty_scene_has_nothing_to_pick():
    assert pick_along_ray(spheres(), torch.zeros(0, dtype=torch.int64), EYE, FORWARD, 500.0) is None


def test_picks_agree_with_the_rendered_picture():
    scene = boxes_scene(spacing=0.02)
    one_hot = torch.nn.functional.one_hot(scene.instance_id, len(BOXES) + 1).float()
    pose, intrinsics = scene.cam_from_world[:1], scene.intrinsics[:1]
    picture = rasterize(scene.gaussians, pose, intrinsics, scene.image_hw, one_hot)
    ids, eye = picture.features[0].argmax(0), invert_rigid(pose)[0, :3, 3]
    far = unproject_depth(torch.ones(1, *scene.image_hw), intrinsics, pose)[0]
    checked = 0
    for row in range(3, 90, 8):
        for column in range(3, 120, 8):  # clear of borders, where sorting by depth and along the ray differ
            clear = picture.opacity[0, row, column] > 0.9 and picture.features[0, :, row, column].max() > 0.9
            if not clear:
                continue
            pick = pick_along_ray(scene.gaussians, scene.instance_id, eye, far[row, column] - eye, float(intrinsics[0, 0, 0]))
            assert pick.instance_id == int(ids[row, column]), (row, column)
            checked += int(ids[row, column]) > 0
    assert checked >= 6, checked


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"direction": torch.zeros(3)}, "direction: expected a finite length above 0"),
        ({"direction": torch.tensor([float("nan"), 0.0, 0.0])}, "direction"),
        ({"origin": torch.zeros(2)}, "origin: expected shape"),
        ({"focal_px": 0.0}, "focal_px"),
        ({"instance_id": torch.zeros(3, dtype=torch.int64)}, "instance_id: expected shape"),
    ],
)
def test_bad_input_is_named(changed, message):
    arguments = {"instance_id": torch.tensor([1]), "origin": EYE, "direction": FORWARD, "focal_px": 500.0} | changed
    with pytest.raises(ValueError, match=message):
        pick_along_ray(spheres(((1.0, 0.0, 0.0), 0.1, 0.9)), **arguments)
