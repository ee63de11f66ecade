"""Placement by masks, on ray-cast scenes whose truth is known."""

import random
from dataclasses import replace

import pytest
import torch
from raycast_scene import TABLE_SCENE, Ball, Block, Scene, camera_ring, cast

from pan3d_core.assembly.merging import merge_panoptic
from pan3d_core.assembly.ownership import own_masks, own_pixels
from pan3d_core.assembly.placement import refine_placement
from pan3d_core.config import MergeConfig, PlacementConfig, PreprocessConfig
from pan3d_core.geometry.cameras import unproject_depth
from pan3d_core.structures import InstanceSet, Reconstruction, ViewBatch
from pan3d_core.views.preprocessing import preprocess

THRESHOLD = MergeConfig().mask_threshold


def placed(
    made: Reconstruction, instances: InstanceSet, views: ViewBatch, config: PlacementConfig | None = None
) -> Reconstruction:
    return refine_placement(made, own_masks(instances, views.hw, THRESHOLD), views, config)


def random_scene(seed: int) -> Scene:
    drawn = random.Random(seed)
    objects: list[Ball | Block] = []
    while len(objects) < 4:
        x, y, radius = drawn.uniform(-0.18, 0.18), drawn.uniform(-0.18, 0.18), drawn.uniform(0.025, 0.045)
        if all((x - o.center[0]) ** 2 + (y - o.center[1]) ** 2 > 0.11**2 for o in objects):
            size = (drawn.uniform(0.04, 0.09), drawn.uniform(0.04, 0.07), drawn.uniform(0.03, 0.1))
            block = Block((x, y, size[2] / 2), size, drawn.uniform(-1.5, 1.5))
            objects.append(Ball((x, y, radius), radius) if drawn.random() < 0.5 else block)
    return cast(tuple(objects))


def batch_of(scene: Scene) -> ViewBatch:
    return preprocess([replace(view, depth=None) for view in scene.views], PreprocessConfig(), support_height_m=0.0)


def predicted(scene: Scene, views: ViewBatch, ratios: torch.Tensor) -> Reconstruction:
    """Depth wrong by (S, Q) ratios on the objects, right on the table."""
    table = torch.cat([torch.ones(len(ratios), 1), ratios], dim=1)
    depth = scene.depth * table.gather(1, scene.ids.flatten(1)).reshape(scene.ids.shape)
    return Reconstruction(depth, torch.ones_like(depth), views.intrinsics, views.cam_from_world, is_metric=True)


def surface_errors(scene: Scene, reconstruction: Reconstruction) -> torch.Tensor:
    """Median depth error of every instance in every view that shows it, metres."""
    errors = []
    for view in range(len(scene.depth)):
        for k in range(len(scene.objects)):
            mine = scene.ids[view] == k + 1
            if int(mine.sum()) >= 20:
                errors.append((reconstruction.depth[view] - scene.depth[view])[mine].median())
    return torch.stack(errors)


def center_errors(scene: Scene, reconstruction: Reconstruction, instances: InstanceSet, views: ViewBatch) -> torch.Tensor:
    segments = merge_panoptic(reconstruction, own_pixels(instances, views.hw, THRESHOLD), views).segments
    found = torch.stack([segment.box.world_from_box[:3, 3] for segment in segments])
    return (found[:, None] - scene.centers).norm(dim=-1).amin(0)


@pytest.mark.parametrize("mask_noise", [0.0, 0.7])
def test_biased_depth_comes_back(mask_noise):
    generator = torch.Generator().manual_seed(0)
    before, after, centers = [], [], []
    for seed in range(6):
        scene = random_scene(seed)
        views = batch_of(scene)
        shifts = tuple((mask_noise * (2 * torch.rand(4, generator=generator) - 1)).tolist())
        instances = scene.instance_set(mask_shift=shifts)
        made = predicted(scene, views, 1 + 0.04 * (2 * torch.rand(4, 4, generator=generator) - 1))
        refined = placed(made, instances, views)
        before.append(surface_errors(scene, made).abs())
        after.append(surface_errors(scene, refined).abs())
        centers.append(center_errors(scene, refined, instances, views))
    assert float(torch.cat(before).median()) > 0.008
    assert float(torch.cat(after).median()) < 0.004
    assert float(torch.cat(centers).median()) < (0.0065 if mask_noise else 0.005)


@pytest.mark.parametrize("ratio", [0.93, 0.96, 1.04, 1.08])
def test_a_common_bias_is_seen_too(ratio):
    scene = cast(TABLE_SCENE)
    views = batch_of(scene)
    refined = placed(predicted(scene, views, torch.full((4, 4), ratio)), scene.instance_set(), views)
    assert float(surface_errors(scene, refined).abs().median()) < 0.004


def test_right_depth_stays_right():
    scene = cast(TABLE_SCENE)
    views = batch_of(scene)
    refined = placed(predicted(scene, views, torch.ones(4, 4)), scene.instance_set(), views)
    assert float(surface_errors(scene, refined).abs().max()) < 0.008
    assert torch.equal(refined.depth[scene.ids == 0].isfinite(), torch.ones_like(refined.depth[scene.ids == 0]).bool())


def test_the_networks_shape_is_kept():
    """A whole instance is scaled: depth differences inside it stay those of the network."""
    scene = cast((Ball((0.0, 0.0, 0.04), 0.04),))
    views = batch_of(scene)
    made = predicted(scene, views, torch.full((4, 1), 1.05))
    refined = placed(made, scene.instance_set(), views)
    inner = (scene.ids == 1) & (torch.nn.functional.avg_pool2d((scene.ids == 1).float()[:, None], 5, 1, 2)[:, 0] > 0.99)
    for view in range(4):
        change = (refined.depth[view] / made.depth[view])[inner[view]]
        assert float(change.std()) < 0.01
        assert float(change.median()) == pytest.approx(1 / 1.05, abs=0.008)


def test_an_instance_in_front_of_another_does_not_contradict():
    """The low camera sees the ball half hidden by the block; its mask there is only a part of the ball."""
    objects = (Ball((-0.06, 0.0, 0.04), 0.04), Block((0.06, 0.0, 0.035), (0.03, 0.14, 0.07)))
    cameras = torch.cat([camera_ring(3, arc_deg=150.0), camera_ring(1, arc_deg=0.0)])
    low = torch.tensor([0.65, 0.0, 0.2])
    from pan3d_core.geometry.transforms import look_at

    cameras[3] = look_at(low, torch.tensor([0.0, 0.0, 0.03]))
    scene = cast(objects, cameras)
    hidden = int((scene.ids[3] == 1).sum()) / int((cast(objects[:1], cameras).ids[3] == 1).sum())
    assert 0.1 < hidden < 0.7
    views = batch_of(scene)
    made = predicted(scene, views, torch.tensor([[1.04, 1.0], [0.96, 1.0], [1.03, 1.0], [1.0, 1.0]]))
    refined = placed(made, scene.instance_set(), views)
    errors = surface_errors(scene, refined).abs()
    assert float(errors.max()) < 0.012
    assert float(errors.median()) < 0.004


def test_an_instance_of_one_view_stays_untouched():
    scene = cast(TABLE_SCENE)
    views = batch_of(scene)
    instances = scene.instance_set()
    logits = instances.mask_logits.clone()
    logits[0, 1:] = -8.0
    made = predicted(scene, views, torch.full((4, 4), 1.04))
    refined = placed(made, replace(instances, mask_logits=logits), views)
    alone = scene.ids[0] == 1
    assert torch.equal(refined.depth[0][alone], made.depth[0][alone])
    assert float((refined.depth[0] - made.depth[0])[scene.ids[0] == 2].abs().median()) > 0.01


def test_nothing_is_moved_below_the_support():
    scene = cast(TABLE_SCENE)
    views = batch_of(scene)
    grown = scene.instance_set(mask_shift=(-1.0,) * 4)  # too small masks push the surface away from the cameras
    made = predicted(scene, views, torch.full((4, 4), 0.97))
    refined = placed(made, grown, views)
    changed = refined.depth != made.depth
    heights = unproject_depth(refined.depth, refined.intrinsics, refined.cam_from_world)[..., 2]
    assert bool(changed.any())
    assert float(heights[changed].min()) > -0.003


def test_views_from_one_direction_and_single_views_change_nothing():
    scene = cast(TABLE_SCENE, camera_ring(3, arc_deg=4.0)[[0, 2]])
    views = batch_of(scene)
    made = predicted(scene, views, torch.full((2, 4), 1.04))
    assert torch.equal(placed(made, scene.instance_set(), views).depth, made.depth)
    single = cast(TABLE_SCENE, camera_ring(1))
    views = batch_of(single)
    made = predicted(single, views, torch.full((1, 4), 1.04))
    assert placed(made, single.instance_set(), views) is made


def test_it_is_only_for_metric_calibrated_views_and_can_be_switched_off():
    scene = cast(TABLE_SCENE)
    views = batch_of(scene)
    made = predicted(scene, views, torch.full((4, 4), 1.04))
    instances = scene.instance_set()
    assert placed(made, instances, views, PlacementConfig(enabled=False)) is made
    unmetric = replace(made, is_metric=False)
    assert placed(unmetric, instances, views) is unmetric
    assert placed(made, instances, replace(views, cam_from_world=None)) is made
    empty = replace(instances, mask_logits=instances.mask_logits[:0], class_logits=None, scores=instances.scores[:0])
    assert placed(made, empty, views) is made


def test_large_images_are_judged_on_a_grid():
    """Three times the resolution: every third pixel is judged, all are moved."""
    scene = cast(TABLE_SCENE)
    views = batch_of(scene)
    made = predicted(scene, views, torch.full((4, 4), 1.04))

    def enlarged(values):
        return values.repeat_interleave(3, -1).repeat_interleave(3, -2)

    matrix = torch.tensor([[3.0, 0.0, 1.0], [0.0, 3.0, 1.0], [0.0, 0.0, 1.0]])
    large_views = replace(views, images=enlarged(views.images), intrinsics=matrix @ views.intrinsics)
    large = replace(made, depth=enlarged(made.depth), depth_conf=enlarged(made.depth_conf), intrinsics=large_views.intrinsics)
    refined = placed(large, scene.instance_set(), large_views)
    large_scene = replace(scene, depth=enlarged(scene.depth), ids=enlarged(scene.ids))
    assert float(surface_errors(large_scene, refined).abs().median()) < 0.004
