"""The plane sweep answers at the height where things are."""

import torch
from raycast_scene import TABLE_SCENE, cast

from pan3d_core.models.mini.plane import plane_rays
from pan3d_core.models.mini.sweep import HEIGHTS_M, HeightSweep, sweep_grid, sweep_points


def scene_rays(scene, posed=1.0):
    cameras = torch.stack([view.cam_from_world for view in scene.views])[None]
    intrinsics = torch.stack([view.intrinsics for view in scene.views])[None]
    hw = tuple(scene.views[0].image.shape[-2:])
    return plane_rays(cameras, intrinsics, torch.tensor([posed]), hw, 4), cameras, intrinsics


def texture(points):
    """Colours (3, ...) that belong to places (..., 3) in the world, smooth over a few centimetres."""
    x, y, z = (60 * points).unbind(-1)
    return torch.stack([torch.sin(x + 0.3 * y), torch.sin(y - 0.5 * z + 1.0), torch.sin(0.7 * x + z + 2.0)])


def test_points_lie_at_their_heights_on_their_rays():
    rays, cameras, _ = scene_rays(cast(TABLE_SCENE))
    points = sweep_points(rays, cameras)
    for number, height in enumerate(HEIGHTS_M):
        torch.testing.assert_close(
            points[:, :, number, :, 2], torch.full_like(points[:, :, number, :, 2], height), atol=1e-4, rtol=0
        )
    in_cam = points[0, 1] @ cameras[0, 1, :3, :3].T + cameras[0, 1, :3, 3]
    directions = in_cam / in_cam[..., 2:]
    torch.testing.assert_close(directions[3], rays.rays_cam[0, 1].flatten(0, 1), atol=1e-4, rtol=0)


@torch.no_grad()
def test_surfaces_look_alike_at_their_own_height():
    """Views of a table painted with a texture: the likeness of other views is highest at height 0, and that of a table that was
    lifted by 7 cm at 7 cm."""
    scene = cast(())
    rays, cameras, intrinsics = scene_rays(scene)
    sweep, at = HeightSweep(3, 4, channels=3), sweep_grid(rays, cameras, intrinsics)
    sweep.describe = torch.nn.Identity()  # colours themselves
    found = {}
    sweep.project = type("Keep", (torch.nn.Module,), {"forward": lambda self, x: found.setdefault("likeness", x)})()
    grid = plane_rays(cameras, intrinsics, torch.ones(1), tuple(scene.views[0].image.shape[-2:]), 2)
    for height in (0.0, 0.07):
        found.clear()
        number = HEIGHTS_M.index(height)
        share = 1 - height / torch.linalg.inv(cameras)[..., 2, 3]
        points = (
            torch.linalg.inv(cameras)[:, :, None, None, :3, 3]
            + grid.rays_plane * (grid.plane_depth * share[..., None, None])[..., None]
        )
        colors = texture(points)[:, 0].transpose(0, 1)
        sweep(colors, at, torch.ones(1))
        likeness, seen = found["likeness"][:, : len(HEIGHTS_M)], found["likeness"][:, 2 * len(HEIGHTS_M) :]
        everywhere = (seen > 0.9).all(1)
        best = likeness.argmax(1)[everywhere]
        assert float((best == number).float().mean()) > 0.8, (height, best.bincount())


@torch.no_grad()
def test_without_poses_or_other_views_there_is_nothing_to_say():
    torch.manual_seed(0)
    scene = cast(TABLE_SCENE)
    sweep = HeightSweep(6, 4)
    torch.nn.init.normal_(sweep.project.weight)
    rays, cameras, intrinsics = scene_rays(scene, posed=0.0)
    height, width = (2 * size for size in rays.plane_depth.shape[-2:])
    features = torch.rand(4, 6, height, width)
    assert not sweep(features, sweep_grid(rays, cameras, intrinsics), torch.zeros(1)).any()
    rays, cameras, intrinsics = scene_rays(scene)
    first = type(rays)(**{name: value[:, :1] for name, value in vars(rays).items()})
    alone = sweep(features[:1], sweep_grid(first, cameras[:, :1], intrinsics[:, :1]), torch.ones(1))
    torch.testing.assert_close(alone, sweep.project.bias[None, :, None, None].expand_as(alone))
