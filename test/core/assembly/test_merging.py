"""The panoptic merge against scenes whose every pixel is known."""

from dataclasses import replace

import pytest
import torch
from raycast_scene import TABLE_SCENE, Ball, Block, camera_ring, cast

from pan3d_core.assembly.merging import between_surfaces, merge_panoptic
from pan3d_core.assembly.ownership import own_pixels
from pan3d_core.config import CloudConfig, MergeConfig, PipelineConfig, PreprocessConfig, WorkspaceConfig
from pan3d_core.geometry.boxes import OrientedBox, box_iou
from pan3d_core.geometry.transforms import rigid
from pan3d_core.labels import LabelSpace
from pan3d_core.structures import InstanceSet, Reconstruction
from pan3d_core.views.preprocessing import preprocess


@pytest.fixture(scope="module")
def table():
    scene = cast(TABLE_SCENE)
    views = preprocess(scene.views, PreprocessConfig(), support_height_m=0.0)
    return scene, views, perfect(scene, views)


def perfect(scene, views) -> Reconstruction:
    return Reconstruction(scene.depth, torch.ones_like(scene.depth), views.intrinsics, views.cam_from_world, is_metric=True)


def true_box(item: Ball | Block) -> OrientedBox:
    if isinstance(item, Ball):
        return OrientedBox(rigid(torch.eye(3), torch.tensor(item.center)), torch.full((3,), 2 * item.radius))
    yaw = torch.tensor(item.yaw)
    turn = torch.tensor([[yaw.cos(), -yaw.sin(), 0], [yaw.sin(), yaw.cos(), 0], [0, 0, 1]])
    return OrientedBox(rigid(turn, torch.tensor(item.center)), torch.tensor(item.size))


def merged(reconstruction, instances, views, **groups):
    """The scene with these groups of settings."""
    config = PipelineConfig(**groups)
    return merge_panoptic(reconstruction, own_pixels(instances, views.hw, config.merge.mask_threshold), views, config)


def test_objects_come_out_where_they_are(table):
    scene, views, reconstruction = table
    panoptic = merged(reconstruction, scene.instance_set(), views)
    assert [segment.instance_id for segment in panoptic.segments] == [1, 2, 3, 4]
    for item, segment in zip(TABLE_SCENE, panoptic.segments):
        assert box_iou(segment.box, true_box(item)) > 0.6
        assert (segment.box.world_from_box[:3, 3] - torch.tensor(item.center)).norm() < 0.012
        assert torch.allclose(segment.color_rgb, torch.tensor(item.rgb), atol=0.02)
        assert segment.num_views == 4
        assert panoptic.labels.name(segment.class_id) == ("ball" if isinstance(item, Ball) else "box")
        assert segment.class_score > 0.9
        mine = panoptic.point_instance_id == segment.instance_id
        assert int(mine.sum()) == segment.num_points
    assert panoptic.stamp_ns == max(view.stamp_ns for view in scene.views)
    assert panoptic.segment(2).instance_id == 2
    with pytest.raises(KeyError, match="instance_id"):
        panoptic.segment(9)


def test_id_images_follow_the_masks(table):
    scene, views, reconstruction = table
    panoptic = merged(reconstruction, scene.instance_set(half_size=False), views)
    assert float((panoptic.instance_id == scene.ids).float().mean()) > 0.999
    named = panoptic.instance_id > 0
    assert bool((panoptic.semantic_id[named] >= 0).all())
    assert bool((panoptic.semantic_id[~named] == -1).all())


def test_normals_point_out_of_the_objects(table):
    scene, views, reconstruction = table
    panoptic = merged(reconstruction, scene.instance_set(), views)
    points = panoptic.points[panoptic.point_instance_id == 4]
    normals = panoptic.point_normals[panoptic.point_instance_id == 4]
    outward = torch.nn.functional.normalize(points - torch.tensor(TABLE_SCENE[3].center), dim=-1)
    assert float((normals * outward).sum(-1).median()) > 0.97
    assert torch.allclose(panoptic.point_normals.norm(dim=-1), torch.ones(len(panoptic.points)), atol=1e-4)


def test_a_contested_pixel_goes_to_the_better_instance(table):
    scene, views, reconstruction = table
    single = scene.instance_set()
    doubled = InstanceSet(
        torch.cat([single.mask_logits, single.mask_logits[:1]]),
        torch.cat([single.class_logits, single.class_logits[:1]]),
        torch.cat([single.scores, torch.tensor([0.5])]),
        single.labels,
    )
    panoptic = merged(reconstruction, doubled, views)
    assert len(panoptic.segments) == 4
    assert max(segment.instance_id for segment in panoptic.segments) == 4


def test_bleeding_edges_are_cut(table):
    """A network smears depth across outlines; the smeared pixels must not stretch the boxes."""
    scene, views, reconstruction = table
    smeared = torch.nn.functional.avg_pool2d(scene.depth[:, None], 3, 1, 1, count_include_pad=False)[:, 0]
    grown = scene.instance_set(mask_shift=(1.0,) * 4)
    panoptic = merged(replace(reconstruction, depth=smeared), grown, views)
    for item, segment in zip(TABLE_SCENE, panoptic.segments):
        assert box_iou(segment.box, true_box(item)) > 0.35


def test_between_surfaces_spares_outlines_and_slopes():
    depth = torch.full((1, 6, 8), 1.0)
    depth[:, :, 4:] = 0.6
    assert not bool(between_surfaces(depth, 0.03).any())
    depth[:, :, 4] = 0.8
    assert between_surfaces(depth, 0.03)[0, 2].tolist() == [False] * 4 + [True] + [False] * 3
    slope = torch.linspace(0.6, 0.7, 8).expand(1, 6, 8)
    assert not bool(between_surfaces(slope, 0.03).any())


def merged_boxes(objects, change, config=None, cameras=None):
    """Boxes of the instances after `change(mask_logits (Q, S, h, w), scene)`, from exact depth."""
    scene = cast(objects, cameras)
    views = preprocess(scene.views, PreprocessConfig(), support_height_m=0.0)
    instances = scene.instance_set(half_size=False)
    logits = change(instances.mask_logits.clone(), scene)
    kept = replace(instances, mask_logits=logits, class_logits=None, scores=instances.scores[: len(logits)])
    return [segment.box for segment in merged(perfect(scene, views), kept, views, merge=config or MergeConfig()).segments]


def world_points(scene):
    return perfect(scene, preprocess(scene.views, PreprocessConfig())).world_points


def test_a_mask_on_an_occluder_does_not_swell_the_box():
    """Some pixels of the mask lie on a wall far behind; sharp depth puts them there."""
    objects = (Block((0.1, 0.0, 0.03), (0.06, 0.05, 0.06)), Block((-0.2, 0.0, 0.1), (0.03, 0.3, 0.2)))

    def spill(logits, scene):
        points = world_points(scene)
        on_the_wall = (scene.ids == 2) & (points[..., 1].abs() < 0.01) & ((points[..., 2] - 0.17).abs() < 0.015)
        assert 0.06 < float(on_the_wall.sum() / (scene.ids == 1).sum()) < 0.12
        logits[0][on_the_wall] = 8.0
        return logits[:1]

    truth = true_box(objects[0])
    assert box_iou(merged_boxes(objects, spill, MergeConfig(min_part_share=0.0))[0], truth) < 0.2
    assert box_iou(merged_boxes(objects, spill)[0], truth) > 0.6


def test_what_an_occluder_splits_stays_whole():
    objects = (Block((0.0, 0.0, 0.02), (0.04, 0.24, 0.04)),)

    def hide_the_middle(logits, scene):
        across = world_points(scene)[..., 1]
        logits[0][(across > -0.03) & (across < 0.05)] = -8.0
        return logits

    box = merged_boxes(objects, hide_the_middle)[0]
    assert float(box.size_m[0]) == pytest.approx(0.24, abs=0.015)


def test_far_objects_of_few_pixels_stay_whole():
    """Neighbouring pixels are 3 cm apart here, more than the gap between parts at close range."""
    objects = (Block((0.0, 0.0, 0.15), (0.3, 0.2, 0.3)),)
    box = merged_boxes(objects, lambda logits, scene: logits, cameras=camera_ring(3, distance=3.9))[0]
    assert box_iou(box, true_box(objects[0])) > 0.6


def test_workspace_support_and_limits_crop(table):
    scene, views, reconstruction = table
    instances = scene.instance_set()
    cropped = merged(
        reconstruction, instances, views, workspace=WorkspaceConfig(lower_m=(-0.2, 0.0, -0.01), upper_m=(0.2, 0.3, 0.3))
    )
    assert float(cropped.points[:, 1].min()) >= 0.0
    assert {segment.class_id for segment in cropped.segments} == {1}
    raised = merged(reconstruction, instances, views, workspace=WorkspaceConfig(support_height_m=0.035))
    assert float(raised.points[raised.point_instance_id > 0, 2].min()) > 0.035
    thinned = merged(reconstruction, instances, views, cloud=CloudConfig(max_points=500))
    assert len(thinned.points) == 500
    sparse = merged(reconstruction, instances, views, cloud=CloudConfig(voxel_size_m=0.02))
    every = merged(reconstruction, instances, views, cloud=CloudConfig(voxel_size_m=0.0))
    assert len(sparse.points) < len(every.points) / 10
    demanding = merged(reconstruction, instances, views, merge=MergeConfig(min_points=100_000))
    assert demanding.segments == ()
    assert int(demanding.instance_id.max()) == 0


def test_a_scene_far_from_the_worlds_origin_is_the_same_scene(table):
    scene, views, reconstruction = table
    shift = torch.eye(4)
    shift[:3, 3] = torch.tensor([-400.0, 250.0, 0.0])
    moved = reconstruction.cam_from_world @ shift
    here = merged(reconstruction, scene.instance_set(), views)
    there = merged(replace(reconstruction, cam_from_world=moved), scene.instance_set(), replace(views, cam_from_world=moved))
    assert len(there.segments) == len(here.segments) == 4
    assert abs(len(there.points) - len(here.points)) < 0.02 * len(here.points)
    assert (there.segments[0].centroid + shift[:3, 3] - here.segments[0].centroid).abs().max() < 1e-3


def test_nothing_found_and_nothing_named(table):
    scene, views, reconstruction = table
    empty = InstanceSet(torch.zeros(0, 4, 56, 72), None, torch.zeros(0), LabelSpace.things(()))
    panoptic = merged(reconstruction, empty, views)
    assert panoptic.segments == ()
    assert len(panoptic.points) > 1000
    unnamed = replace(scene.instance_set(), class_logits=None)
    assert {segment.class_id for segment in merged(reconstruction, unnamed, views).segments} == {-1}
    blind = replace(reconstruction, depth=torch.zeros_like(scene.depth))
    assert merged(blind, scene.instance_set(), views).points.shape == (0, 3)


def test_without_metres_the_shape_is_the_same(table):
    scene, views, reconstruction = table
    moved = views.cam_from_world.clone()
    moved[:, :3, 3] *= 50.0
    unmetric = replace(reconstruction, depth=scene.depth * 50.0, cam_from_world=moved, is_metric=False)
    panoptic = merged(unmetric, scene.instance_set(), views)
    assert len(panoptic.segments) == 4
    assert 5.0 < float(panoptic.segments[3].box.size_m.max()) / (2 * 0.04) < 60.0
