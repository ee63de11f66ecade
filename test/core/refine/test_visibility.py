"""What a camera sees, by ellipsoids against planes: known places, brute force over surfaces, and the block of attention."""

import math

import pytest
import torch
from refine_scenes import table_map, table_views

from pan3d_core.geometry.cameras import project
from pan3d_core.geometry.rotations import matrix_from_quat_xyzw
from pan3d_core.geometry.transforms import look_at, transform_points
from pan3d_core.refine.views import view_camera
from pan3d_core.refine.visibility import CONFIDENCE_99, ellipsoids_in_frustum

INTRINSICS = torch.tensor([[50.0, 0.0, 31.5], [0.0, 50.0, 23.5], [0.0, 0.0, 1.0]])
CAMERA = view_camera(torch.eye(4), INTRINSICS, (48, 64))
TURN = torch.tensor([[1.0, 0.0, 0.0, 0.0]])


def seen(center, scales=(0.01, 0.01, 0.01), quat=TURN, camera=CAMERA):
    return bool(ellipsoids_in_frustum(torch.tensor([center]), torch.tensor([scales]), quat, camera)[0])


def test_the_radius_holds_99_percent_of_a_gaussian():
    samples = torch.randn(400_000, 3, generator=torch.Generator().manual_seed(0))
    assert float((samples.norm(dim=-1) < CONFIDENCE_99).float().mean()) == pytest.approx(0.99, abs=5e-4)


def test_known_places():
    assert seen((0.0, 0.0, 1.0)) and not seen((0.0, 0.0, -1.0))
    assert not seen((3.0, 0.0, 1.0)) and not seen((0.0, -3.0, 1.0))
    assert seen((3.0, 0.0, 1.0), (1.0, 1.0, 1.0))  # large enough to reach in
    assert seen((0.0, 0.0, -0.03), (0.01, 0.01, 0.02))  # its front end passes the near plane


def test_a_long_ellipsoid_reaches_in_only_along_its_own_axis():
    across, along = (0.3, 0.01, 0.01), (0.01, 0.3, 0.01)
    assert seen((1.5, 0.0, 1.0), across) and not seen((1.5, 0.0, 1.0), along)
    quarter = torch.tensor([[math.cos(math.pi / 4), 0.0, 0.0, math.sin(math.pi / 4)]])  # about z: y becomes -x
    assert seen((1.5, 0.0, 1.0), along, quarter) and not seen((1.5, 0.0, 1.0), across, quarter)


def test_no_ellipsoid_with_a_point_in_the_image_is_left_out():
    draw = torch.Generator().manual_seed(3)
    means = 4 * torch.rand(300, 3, generator=draw) - 2
    scales = 0.2 * torch.rand(300, 3, generator=draw) + 1e-3
    quats = torch.randn(300, 4, generator=draw)
    pose = look_at(torch.tensor([1.2, -0.8, 0.9]), torch.tensor([0.0, 0.1, 0.0]))
    camera = view_camera(pose, INTRINSICS, (48, 64))
    kept = ellipsoids_in_frustum(means, scales, quats, camera)
    directions = torch.nn.functional.normalize(torch.randn(2000, 3, generator=draw), dim=-1)
    inside = torch.zeros(300, dtype=torch.bool)
    for radius in (0.0, 0.5, 1.0):
        unit = radius * CONFIDENCE_99 * directions
        points = torch.einsum("nij,nj,pj->npi", matrix_from_quat_xyzw(quats.roll(-1, -1)), scales, unit) + means[:, None]
        pixels, z = project(transform_points(pose, points.flatten(0, 1)), INTRINSICS)
        hit = (z > camera.near) & (pixels > -0.5).all(-1) & (pixels[:, 0] < 63.5) & (pixels[:, 1] < 47.5)
        inside |= hit.view(300, -1).any(1)
    assert not (inside & ~kept).any()
    assert 0.2 < float(kept.float().mean()) < 0.9 and float((kept & ~inside).float().mean()) < 0.1


def test_attention_of_the_block_is_that_of_all_and_reaches_nothing_else():
    views, _ = table_views(2)
    model = table_map(views, voxel_m=0.03)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        model.instance_features.copy_(torch.randn(model.instance_features.shape, generator=generator))
    corner = INTRINSICS.clone()
    corner[0, 2] = -10.0  # sees the right end of the table alone
    block = model.seen_by(view_camera(views[0].cam_from_world, corner, (48, 64)))
    whole = model.everything()
    assert 0 < len(block.rows) < len(whole.rows) and 0 < len(block.queries) <= len(whole.queries)
    every, part = model.attention(whole), model.attention(block)
    torch.testing.assert_close(part, every[block.rows][:, block.queries], rtol=0, atol=1e-6)
    part.sum().backward()
    outside = torch.ones(len(model.means), dtype=torch.bool)
    outside[block.rows] = False
    assert not model.instance_features.grad[outside].any() and model.instance_features.grad[block.rows].any()
    others = torch.ones(model.num_queries, dtype=torch.bool)
    others[block.queries] = False
    assert not model.query_tokens.grad[others].any() and not model.query_means.grad[others].any()
