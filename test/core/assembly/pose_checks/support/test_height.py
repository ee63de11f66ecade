"""The support's height as the views show it, on places that are made and on a textured table that is drawn."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from table_rig import BOX_HEIGHT_M, EYES, rig

from pan3d_core.assembly.pose_checks.consistency import check_poses
from pan3d_core.assembly.pose_checks.consistency_watch import ConsistencyWatch
from pan3d_core.assembly.pose_checks.support.height import (
    SeenPlaces,
    estimate_support_height,
    find_support,
    measured_places,
    support_doubt,
)
from pan3d_core.config import ConsistencyConfig

CONFIG = ConsistencyConfig()


def layer(rng, height, count, half_m=0.4, noise_m=0.001):
    """(count, 3) places of a level surface."""
    places = rng.uniform(-half_m, half_m, (count, 3))
    places[:, 2] = height + rng.normal(0.0, noise_m, count)
    return places


@pytest.fixture(scope="module")
def views():
    return rig()


def seen(*layers):
    return SeenPlaces(np.concatenate(layers), 0.7, by_depth=False)


def doubt(places, given_m):
    found = find_support(places)
    assert found is not None
    return support_doubt(places, found, given_m, CONFIG)


def with_depth(views, height=0.0):
    """The views with what a sensor measures of a bare surface at a height."""
    measured = []
    for view in views:
        rows, columns = torch.meshgrid(*(torch.arange(size).double() for size in view.hw), indexing="ij")
        pixels = torch.stack([columns, rows, torch.ones_like(rows)], dim=-1) @ torch.linalg.inv(view.intrinsics.double()).T
        world_from_cam = torch.linalg.inv(view.cam_from_world.double())
        down = (pixels @ world_from_cam[:3, :3].T)[..., 2]
        measured.append(replace(view, depth=((height - world_from_cam[2, 3]) / down).clamp(0, 20).float()))
    return measured


def test_a_height_in_another_unit_than_the_poses_is_told_as_that():
    places = seen(layer(np.random.default_rng(0), 0.975, 80))
    words, refuted = doubt(places, 0.75)
    assert refuted and "0.77 times that; are poses and height in one unit?" in words
    assert "one unit" not in doubt(places, 0.9)[0] and "one unit" not in doubt(places, -0.9)[0]


def test_the_support_is_the_lowest_of_the_surfaces_that_are_seen():
    rng = np.random.default_rng(0)
    found = find_support(seen(layer(rng, 0.742, 40), layer(rng, 0.80, 70, half_m=0.05), layer(rng, 0.85, 25, half_m=0.05)))
    assert found is not None and abs(found.height_m - 0.742) < 0.002
    assert abs(found.height_m - 0.742) < 3 * found.sigma_m and found.places >= 35


def test_a_floor_under_the_table_is_not_the_support():
    rng = np.random.default_rng(1)
    found = find_support(seen(layer(rng, 0.0, 60), layer(rng, 0.75, 80)))
    assert found is not None and abs(found.height_m - 0.75) < 0.002


def test_stray_places_below_do_not_lower_the_support():
    rng = np.random.default_rng(2)
    stray = rng.uniform(-0.5, 0.3, (30, 3))
    found = find_support(seen(layer(rng, 0.1, 60), stray))
    assert found is not None and abs(found.height_m - 0.1) < 0.002


def test_a_wall_and_a_small_top_are_no_wide_surface():
    rng = np.random.default_rng(8)
    wall = rng.uniform(-0.4, 0.4, (200, 3)) * [1.0, 0.01, 1.0]
    wall[:60, 2] = 0.05 + rng.normal(0.0, 0.001, 60)  # a row of its pattern
    for places in (wall, layer(rng, 0.1, 60, half_m=0.1)):
        found = find_support(seen(places))
        assert found is not None and not found.wide
    table = find_support(seen(layer(rng, 0.1, 60)))
    assert table is not None and table.wide


def test_few_places_say_nothing():
    rng = np.random.default_rng(3)
    few = seen(layer(rng, 0.0, 8))
    assert find_support(few) is None
    assert find_support(seen(np.zeros((0, 3)))) is None


@pytest.mark.parametrize(
    "off_m, warns, refutes", [(0.005, False, False), (0.02, True, False), (0.1, True, True), (-0.1, True, True)]
)
def test_a_wrong_height_is_told_with_the_one_that_is_seen(off_m, warns, refutes):
    rng = np.random.default_rng(4)
    words, refuted = doubt(seen(layer(rng, 0.742, 60), layer(rng, 0.79, 15, half_m=0.05)), 0.742 + off_m)
    assert bool(words) == warns and refuted == refutes
    if warns:
        assert "the support is at 0.74" in words and f"workspace.support_height_m says {0.742 + off_m:.3f}" in words


def test_a_textured_box_on_a_plain_table_is_no_other_support():
    box = layer(np.random.default_rng(5), 0.1, 60, half_m=0.1)
    assert doubt(seen(box), 0.0) == ("", False)


def things_on(rng, height, half_m, lower=0):
    """A narrow layer with things about on it, and so many places between 0 and the layer."""
    about = np.concatenate([layer(rng, height + rise, 15, half_m=half_m) for rise in (0.03, 0.06)])
    return seen(layer(rng, height, 60, half_m=0.1), about, layer(rng, height / 2, lower))


def test_what_things_stand_about_on_is_the_support_where_nothing_lower_is_seen():
    rng = np.random.default_rng(8)
    words, refuted = doubt(things_on(rng, 0.1, half_m=0.3), 0.0)
    assert "the support is at 0.10" in words and refuted
    assert doubt(things_on(rng, 0.1, half_m=0.3, lower=8), 0.0) == ("", False)  # those stand beside a box
    assert doubt(things_on(rng, 0.1, half_m=0.08), 0.0) == ("", False)  # those stand on a box


def test_a_tray_on_a_table_may_be_the_support():
    rng = np.random.default_rng(6)
    assert doubt(seen(layer(rng, 0.0, 40), layer(rng, 0.03, 60)), 0.03) == ("", False)


def test_matches_of_two_views_place_the_support(views):
    for chosen in (views, views[:2]):
        found = estimate_support_height(chosen)
        assert found is not None and not found.by_depth
        assert abs(found.height_m) < 0.003


def test_sensor_depth_places_the_support_better(views):
    found = estimate_support_height(with_depth(views, height=0.0123))
    assert found is not None and found.by_depth and abs(found.height_m - 0.0123) < 1e-4


def test_one_view_with_depth_is_enough_to_doubt_the_height(views):
    found = check_poses(with_depth(views[:1]), CONFIG, support_height_m=0.1)
    assert "the support is at -0.000 m" in found.contradiction or "the support is at 0.000 m" in found.contradiction
    assert check_poses(views[:1], CONFIG, support_height_m=0.1).contradiction == ""


def test_depth_of_another_unit_is_told_and_refused_where_all_have_it(views):
    right = with_depth(views)
    assert check_poses(right, CONFIG).warnings == ()
    tenth = [replace(view, depth=view.depth / 10) for view in right]
    words = "the depth of camera_1 is 0.1 times what the poses say; is one of them in another unit?"
    one = check_poses([right[0], tenth[1], *right[2:]], CONFIG, support_height_m=0.0)
    assert one.warnings == (words,) and one.support.by_depth
    assert words in check_poses(tenth, CONFIG, support_height_m=0.0).contradiction


def test_depth_of_noise_and_holes_still_finds_the_support(views):
    rng = np.random.default_rng(7)
    noisy = [
        replace(view, depth=view.depth * torch.from_numpy(rng.normal(1.0, 0.003, view.hw) * (rng.random(view.hw) > 0.5)).float())
        for view in with_depth(views, height=0.05)
    ]
    found = find_support(measured_places(noisy))
    assert found is not None and abs(found.height_m - 0.05) < 3 * found.sigma_m


def test_a_wrong_support_height_takes_the_metres_and_names_the_setting(views):
    assert check_poses(views, CONFIG, support_height_m=0.0).warnings == ()
    near = check_poses(views, CONFIG, support_height_m=0.02)
    assert near.contradiction == "" and "workspace.support_height_m says 0.020" in near.warnings[0]
    far = check_poses(views, CONFIG, support_height_m=0.1)
    assert "workspace.support_height_m says 0.100" in far.contradiction and min(far.figures) > 0.85


def test_a_plain_table_under_textured_things_says_nothing():
    plain = torch.full((3, 480, 480), 0.6)
    found = check_poses(rig(EYES, table=plain), CONFIG, support_height_m=0.0)
    assert found.contradiction == "" and found.warnings == ()
    assert found.support is None or abs(found.support.height_m - BOX_HEIGHT_M) < 0.01


def test_a_watch_compares_another_height_at_once(views):
    watch, config = ConsistencyWatch(), ConsistencyConfig(every=100)
    assert watch.check(views, config, 0.0).contradiction == ""
    assert watch.check(views, config, 0.1).contradiction
    assert watch.check(views, config, 0.0).contradiction == ""
