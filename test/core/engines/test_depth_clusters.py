from dataclasses import replace

import pytest
import torch

from pan3d_core.engines.depth_clusters import DepthClusters
from pan3d_core.geometry.support import find_support_plane
from pan3d_core.structures import ViewBatch
from pan3d_eval.metrics.average_precision import instance_ap, measure_overlaps


def batch(cell, support_height_m=0.0):
    """The cell's views at their own size, without any resizing."""
    views = cell.views
    height, width = views[0].image.shape[1:]
    return ViewBatch(
        images=torch.stack([view.image for view in views]),
        intrinsics=torch.stack([view.intrinsics for view in views]),
        cam_from_world=torch.stack([view.cam_from_world for view in views]),
        depth=torch.stack([view.depth for view in views]),
        stamps_ns=tuple(view.stamp_ns for view in views),
        cameras=tuple(view.camera for view in views),
        original_hw=((height, width),) * len(views),
        network_from_original=torch.eye(3).expand(len(views), 3, 3),
        support_height_m=support_height_m,
    )


def ap50(cell, support_height_m=0.0, **options) -> tuple[float, int]:
    _, instances = DepthClusters(**options)(batch(cell, support_height_m))
    overlaps = measure_overlaps(instances.mask_logits > 0, instances.scores, cell.ids, min_points=60)
    return instance_ap([overlaps], min_points=60).ap50, len(instances.scores)


@pytest.mark.parametrize("support_height_m", [0.0, None])
def test_separate_blocks_become_one_instance_each_in_all_views(cell, support_height_m):
    assert ap50(cell, support_height_m) == (pytest.approx(1.0), 3)


def test_one_view_is_enough(make_cell, cell):
    render_cell, _ = make_cell
    assert ap50(render_cell(cell.blocks, num_views=1)) == (pytest.approx(1.0), 3)


def test_geometry_is_the_sensors_and_nothing_is_named(cell):
    views = batch(cell)
    reconstruction, instances = DepthClusters()(views)
    assert reconstruction.is_metric and torch.equal(reconstruction.depth, views.depth)
    assert bool((reconstruction.depth_conf[views.depth == 0] == 0).all())
    assert instances.class_logits is None and instances.text_embeddings is None and len(instances.labels) == 0
    assert bool((torch.sigmoid(instances.mask_logits[instances.mask_logits > 0]) == 1).all())
    assert bool((instances.scores.diff() <= 0).all()) and 0 < float(instances.scores.min()) < 1


def test_touching_blocks_of_different_colour_are_cut_where_they_fold(make_cell):
    render_cell, Block = make_cell
    low = Block((0.0, 0.04, 0.02), (0.10, 0.08, 0.04), (0.8, 0.1, 0.1))
    high = Block((0.0, -0.03, 0.05), (0.06, 0.06, 0.10), (0.1, 0.2, 0.8))
    both = render_cell([low, high], width=320, height=240)
    assert ap50(both) == (pytest.approx(1.0), 2)
    assert ap50(both, color_step=0.0)[1] == 1
    painted = render_cell([replace(low, rgb=high.rgb), high], width=320, height=240)
    assert ap50(painted)[1] == 1  # one colour: a fold alone may be a handle


def test_empty_table_gives_no_instance(make_cell):
    render_cell, _ = make_cell
    _, instances = DepthClusters()(batch(render_cell([])))
    assert instances.mask_logits.shape == (0, 4, 120, 160) and instances.scores.shape == (0,)


def test_noise_on_the_table_is_not_an_object(cell):
    views = batch(cell)
    noisy = views.depth * (1 + 0.004 * torch.randn(views.depth.shape, generator=torch.Generator().manual_seed(0)))
    _, instances = DepthClusters()(replace(views, depth=noisy))
    overlaps = measure_overlaps(instances.mask_logits > 0, instances.scores, cell.ids, min_points=60)
    assert instance_ap([overlaps], min_points=60).ap50 == pytest.approx(1.0)


@pytest.mark.parametrize("name", ["depth", "intrinsics", "cam_from_world"])
def test_what_is_missing_is_named(cell, name):
    with pytest.raises(ValueError, match=rf"ViewBatch\.{name}: expected"):
        DepthClusters()(replace(batch(cell), **{name: None}))


def test_depth_without_any_measurement_is_refused(cell):
    views = batch(cell)
    with pytest.raises(ValueError, match="some measured pixels"):
        DepthClusters()(replace(views, depth=torch.zeros_like(views.depth)))


def test_support_plane_is_found_tilted_and_raised_but_not_upright():
    generator = torch.Generator().manual_seed(1)
    flat = torch.rand(4000, 3, generator=generator).double().numpy()
    flat[:, 2] = 0.7 + 0.1 * flat[:, 0]
    plane = find_support_plane(flat)
    assert abs(plane.height(flat)).max() < 1e-6 and plane.normal[2] > 0.99
    wall = flat[:, [2, 1, 0]]
    assert find_support_plane(wall) is None
    assert find_support_plane(flat[:50]) is None
