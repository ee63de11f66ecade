"""The network's promises that hold for any weights."""

import math
from dataclasses import replace

import pytest
import torch

from pan3d_core.geometry.cameras import pixel_grid, pixel_rays, project, unproject_depth
from pan3d_core.geometry.transforms import invert_rigid, look_at, transform_points
from pan3d_core.models.mini.calibration import MiniInputs
from pan3d_core.models.mini.decode import decode_scene, suppress_masks
from pan3d_core.models.mini.network import MiniArchitecture, PanMini
from pan3d_core.models.mini.plane import grid_intrinsics, plane_from_world, plane_rays
from pan3d_core.models.mini.queries import mask_facts, select_seeds

TINY = {
    "dim": 48,
    "heads": 3,
    "blocks": 2,
    "stem": (8, 16, 24),
    "pyramid": (8, 16, 24),
    "queries": 6,
    "decoder_layers": 2,
    "text_dim": 16,
}


def make_inputs(views: int, *, posed: bool = True, batch: int = 1, support: float = 0.0, center=(0.0, 0.0)) -> MiniInputs:
    torch.manual_seed(views)
    cameras = []
    for k in range(views):
        eye = torch.tensor([center[0] + 0.6 * math.cos(k), center[1] + 0.6 * math.sin(k), 0.45 + 0.05 * k + support])
        cameras.append(look_at(eye, torch.tensor([*center, support])))
    intrinsics = torch.tensor([[130.0, 0.0, 71.5], [0.0, 130.0, 55.5], [0.0, 0.0, 1.0]])
    return MiniInputs(
        images=torch.rand(batch, views, 3, 112, 144),
        intrinsics=intrinsics.expand(batch, views, 3, 3).contiguous(),
        cam_from_world=torch.stack(cameras).expand(batch, views, 4, 4).contiguous(),
        support_height=torch.full((batch,), support),
        posed=torch.full((batch,), float(posed)),
    )


@pytest.fixture(scope="module")
def model() -> PanMini:
    torch.manual_seed(0)
    model = PanMini(MiniArchitecture(**TINY)).eval()
    # Untrained heads answer nearly nothing; make them matter.
    torch.nn.init.normal_(model.dense4.weight, std=0.2)
    torch.nn.init.normal_(model.dense2.weight, std=0.2)
    return model


@pytest.mark.parametrize("views", [1, 2, 3, 6])
@pytest.mark.parametrize("posed", [True, False])
@torch.no_grad()
def test_shapes_for_any_number_of_views(model, views, posed):
    outputs = model(make_inputs(views, posed=posed, batch=2))
    assert outputs.depth().shape == (2, views, 112, 144) and bool((outputs.depth() > 0).all())
    assert outputs.log_error.shape == outputs.foreground_logits.shape == (2, views, 56, 72)
    assert outputs.center_offset.shape == (2, views, 28, 36, 3)
    assert outputs.queries.mask_logits.shape == (2, 6, views, 56, 72)
    assert outputs.queries.text_embedding.shape == (2, 6, 16)
    torch.testing.assert_close(outputs.queries.text_embedding.norm(dim=-1), torch.ones(2, 6))
    assert len(outputs.queries.layers) == 3 and outputs.queries.layers[0].mask_logits.shape == (2, 6, views, 28, 36)
    for value in (outputs.depth(), outputs.queries.mask_logits, outputs.queries.quality_logits, outputs.view1_from_cam):
        assert bool(torch.isfinite(value).all())


@torch.no_grad()
def test_with_poses_the_order_of_the_views_does_not_matter(model):
    inputs, order = make_inputs(4), torch.tensor([2, 0, 3, 1])
    turned = replace(
        inputs,
        images=inputs.images[:, order],
        intrinsics=inputs.intrinsics[:, order],
        cam_from_world=inputs.cam_from_world[:, order],
    )
    plain, other = model(inputs), model(turned)
    torch.testing.assert_close(plain.depth()[:, order], other.depth(), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(plain.queries.mask_logits[:, :, order], other.queries.mask_logits, atol=1e-2, rtol=1e-3)


@torch.no_grad()
def test_without_poses_they_are_ignored(model):
    inputs = make_inputs(3, posed=False)
    other = replace(inputs, cam_from_world=torch.eye(4).expand(1, 3, 4, 4), support_height=torch.ones(1))
    for name in ("log_ratio", "view1_from_cam", "foreground_logits"):
        assert torch.equal(getattr(model(inputs), name), getattr(model(other), name))


@torch.no_grad()
def test_moving_the_world_moves_nothing(model):
    """The plane frame follows the cameras, so neither the table's place nor its height matters."""
    near, far = make_inputs(3), make_inputs(3, support=0.7, center=(2.0, -1.0))
    torch.testing.assert_close(model(near).depth(), model(far).depth(), atol=1e-3, rtol=1e-3)


@torch.no_grad()
def test_samples_of_a_batch_do_not_meet(model):
    inputs = make_inputs(2, batch=2)
    mixed = replace(inputs, posed=torch.tensor([1.0, 0.0]))
    alone = replace(make_inputs(2, batch=1), images=inputs.images[:1])
    torch.testing.assert_close(model(mixed).depth()[0], model(alone).depth()[0], atol=1e-4, rtol=1e-4)


def test_wrong_shapes_are_named(model):
    inputs = make_inputs(2)
    with pytest.raises(ValueError, match="images: expected height and width to be multiples of 16, got 110 x 144"):
        model(replace(inputs, images=inputs.images[..., :110, :]))
    with pytest.raises(ValueError, match=r"cam_from_world: expected shape \(1, 2, 4, 4\)"):
        model(replace(inputs, cam_from_world=inputs.cam_from_world[:, :1]))


def test_plane_depth_is_where_the_ray_meets_the_plane():
    inputs = make_inputs(3, support=0.2, center=(0.3, -0.4))
    shift = plane_from_world(inputs.cam_from_world, inputs.intrinsics, inputs.support_height, (112, 144))
    cam_from_plane = inputs.cam_from_world @ invert_rigid(shift)[:, None]
    rays = plane_rays(cam_from_plane, inputs.intrinsics, inputs.posed, (112, 144), 1)
    points = unproject_depth(rays.plane_depth[0], inputs.intrinsics[0], inputs.cam_from_world[0])
    assert (points[..., 2] - 0.2).abs()[rays.hits[0] > 0].max() < 1e-4
    # All cameras look at (0.3, -0.4), which is the origin of the plane frame.
    torch.testing.assert_close(
        transform_points(shift, torch.tensor([[[0.3, -0.4, 0.2]]])), torch.zeros(1, 1, 3), atol=1e-4, rtol=0
    )
    pixels, _ = project(
        transform_points(cam_from_plane[0], torch.cat([rays.plane_xy[0], torch.zeros(3, 112, 144, 1)], -1).flatten(1, 2)),
        inputs.intrinsics[0],
    )
    grid = pixel_grid(112, 144).reshape(-1, 2)
    seen = rays.hits[0].flatten(1) > 0
    assert (pixels - grid).abs()[seen].max() < 0.01


def test_rays_above_the_horizon_are_clamped_and_flagged():
    inputs = replace(
        make_inputs(1), cam_from_world=look_at(torch.tensor([0.0, 0.0, 0.5]), torch.tensor([1.0, 0.0, 0.5]))[None, None]
    )
    rays = plane_rays(inputs.cam_from_world, inputs.intrinsics, inputs.posed, (112, 144), 4)
    assert rays.hits[0, 0, 0].eq(0).all() and rays.plane_depth[0, 0, 0].eq(3.0).all()
    assert torch.isfinite(rays.plane_xy).all() and rays.plane_xy.abs().max() <= 1.5


def test_cells_are_centred_on_their_pixels():
    intrinsics = torch.tensor([[130.0, 0.0, 71.5], [0.0, 120.0, 55.5], [0.0, 0.0, 1.0]])
    fine = pixel_rays(intrinsics, pixel_grid(112, 144).reshape(-1, 2)).reshape(112, 144, 3)
    coarse = pixel_rays(grid_intrinsics(intrinsics, 4), pixel_grid(28, 36).reshape(-1, 2)).reshape(28, 36, 3)
    torch.testing.assert_close(coarse, fine.unflatten(0, (28, 4)).unflatten(2, (36, 4)).mean((1, 3)), atol=1e-5, rtol=1e-5)


def test_seeds_are_spread_over_the_objects():
    centers = torch.tensor([[[0.0, 0, 0], [0.001, 0, 0], [0.2, 0, 0], [0.0, 0.2, 0]]])
    weights = torch.tensor([[0.9, 0.89, 0.8, 0.3]])
    assert select_seeds(weights, centers, 3).tolist() == [[0, 2, 3]]


def test_duplicates_and_empty_masks_are_suppressed():
    masks = torch.zeros(5, 100, dtype=torch.bool)
    masks[0, :50] = True
    masks[1, 5:55] = True  # nearly the same
    masks[2, 10:20] = True  # inside another, as a ball in a bowl
    masks[3, 60:90] = True
    assert suppress_masks(masks, torch.tensor([0.6, 0.9, 0.5, 0.3, 0.8])).tolist() == [1, 2, 3]


@torch.no_grad()
def test_decoding_gives_falling_scores_above_the_limit(model):
    rows, scores = decode_scene(model(make_inputs(2)).queries, 0, min_score=0.05)
    assert bool((scores[:-1] >= scores[1:]).all()) and bool((scores >= 0.05).all()) and len(set(rows.tolist())) == len(rows)
    assert len(decode_scene(model(make_inputs(2)).queries, 0, min_score=1.01)[0]) == 0


def test_what_a_mask_says_of_itself_does_not_jump_where_rounding_moves_a_pixel_over_its_border():
    inside = torch.full((1, 1, 1, 4, 4), 6.0)
    on_border = inside.clone()
    on_border[..., 0, 0] = 1e-5
    beyond = inside.clone()
    beyond[..., 0, 0] = -1e-5
    assert (mask_facts(on_border) - mask_facts(beyond)).abs().max() < 1e-5
    outside = inside.clone()
    outside[..., 0, 0] = -6.0
    certainty_and_size = torch.stack([torch.tensor(6.0).sigmoid(), torch.tensor(16.0).log() / 8])
    assert torch.allclose(mask_facts(outside)[0, 0], certainty_and_size, atol=1e-5)
