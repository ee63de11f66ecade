"""Whole surfaces that pictures agree on: soft patterns without one corner that could be recognised."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from table_rig import EYES, rig

from pan3d_core.assembly.pose_checks.consistency import check_poses
from pan3d_core.assembly.pose_checks.portions import at_once
from pan3d_core.assembly.pose_checks.pose_fit import small_motion
from pan3d_core.assembly.pose_checks.support.height import SeenPlaces
from pan3d_core.assembly.pose_checks.support.plane_sweep import overall, plane_agreement, sweep_pictures
from pan3d_core.assembly.pose_checks.support.sweep import SurfaceVote, surface_vote, sweep_support
from pan3d_core.assembly.pose_checks.support.verdict import judge_support
from pan3d_core.config import ConsistencyConfig
from pan3d_core.structures import PoseConsistency

CONFIG = ConsistencyConfig()
PLAIN = torch.full((3, 480, 480), 0.6)


def soft_spots():
    """(3, 480, 480) soft spots without one edge, as of a cloth."""
    spots = torch.rand((1, 1, 36, 36), generator=torch.Generator().manual_seed(3))
    return 0.2 + 0.6 * torch.nn.functional.interpolate(spots, (480, 480), mode="bicubic").clamp(0, 1)[0].expand(3, -1, -1)


def poses_of(views):
    return np.stack([view.calibration()[1].double().numpy() for view in views])


@pytest.fixture(scope="module")
def cloth():
    return rig(EYES, table=soft_spots(), top=PLAIN, shift_m=5.0)


@pytest.fixture(scope="module")
def plain():
    return rig(EYES, table=PLAIN, top=PLAIN, shift_m=5.0)


def swept(views, given_m):
    found = at_once(sweep_support(views, poses_of(views), given_m))
    assert found is not None
    return found


def test_pictures_agree_on_the_plane_that_they_show_and_on_no_other(cloth):
    pictures = sweep_pictures(cloth, poses_of(cloth), 0.0)
    assert pictures is not None
    right, off, leaning = (
        overall(plane_agreement(pictures, height, slope))
        for height, slope in ((0.0, (0.0, 0.0)), (0.02, (0.0, 0.0)), (0.0, (0.2, 0.0)))
    )
    assert right > 0.8 and off < 0.75 * right and leaning < 0.6 * right


def test_plain_pictures_agree_on_nothing(plain):
    pictures = sweep_pictures(plain, poses_of(plain), 0.0)
    assert pictures is not None and overall(plane_agreement(pictures, 0.0)) < 0.05


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize(
    "off_m, doubted, refuted",
    [(0.0, False, False), (0.02, True, False), (-0.02, True, False), (0.1, True, True), (-0.1, True, True)],
)
def test_a_height_is_told_by_soft_spots(cloth, count, off_m, doubted, refuted):
    found = swept(cloth[:count], off_m)
    assert found.doubts == doubted and found.may_be != doubted and found.tells(0.05)
    assert found.refutes or not refuted
    assert abs(found.height_m) < 0.006 and found.lowest_m <= found.height_m <= found.highest_m
    assert found.tilt_deg is None


def test_what_a_plain_table_is_at_stays_unknown(plain):
    for off_m in (0.0, 0.1, -0.1):
        found = swept(plain, off_m)
        assert not found.doubts and not found.may_be and found.tilt_deg is None


def leaning(views, degrees):
    """The views with poses in a world that is turned about its x axis."""
    turn = small_motion(np.array([np.radians(degrees), 0, 0, 0, 0, 0]))
    return [replace(view, cam_from_world=torch.from_numpy(pose @ turn).float()) for view, pose in zip(views, poses_of(views))]


@pytest.mark.parametrize("degrees", [10, -25])
def test_a_surface_that_leans_is_measured(cloth, degrees):
    found = swept(leaning(cloth, degrees), 0.0)
    assert found.tilt_deg == pytest.approx(abs(degrees), abs=1.0)


def test_a_leaning_world_is_told_and_refused_from_twenty_degrees_on(cloth):
    slightly, much = (check_poses(leaning(cloth[:2], degrees), CONFIG, 0.0) for degrees in (10, 25))
    assert slightly.contradiction == "" and "tilted by 10 degrees" in slightly.warnings[-1]
    assert "tilted by 25 degrees" in much.contradiction


def test_a_camera_stands_right_where_surfaces_agree_and_not_where_it_was_moved(cloth):
    given = poses_of(cloth)
    moved = given.copy()
    moved[1] = small_motion(np.array([0.0, 0.06, 0.0, 0.05, 0.0, 0.0])) @ moved[1]
    assert surface_vote(cloth, given, moved, [1], 0.0).stands_right
    assert not surface_vote(cloth, moved, given, [1], 0.0).stands_right
    assert not surface_vote(cloth, given, given, [1], 0.0).stands_right


def test_cameras_that_look_up_lay_nothing_on_a_plane(cloth):
    assert sweep_pictures(cloth, poses_of(cloth), 2.0) is None
    assert at_once(sweep_support(cloth[:1], poses_of(cloth[:1]), 0.0)) is None


def test_the_height_of_two_views_of_a_cloth_is_refused_and_named(cloth):
    found = check_poses(cloth[:2], CONFIG, support_height_m=-0.1)
    assert "workspace.support_height_m says -0.100" in found.contradiction and found.support is not None
    assert abs(found.support.height_m) < 0.006
    right = check_poses(cloth[:2], CONFIG, support_height_m=0.0)
    assert right.contradiction == "" and right.warnings == () and "support" not in " ".join(right.unchecked)


def test_what_the_pictures_do_not_show_is_said_to_be_unchecked(plain):
    found = check_poses(plain, CONFIG, support_height_m=0.1)
    assert found.contradiction == "" and found.warnings == ()
    poses, height = found.unchecked
    assert "the poses of camera_0, camera_1, camera_2, camera_3 were not checked" in poses
    assert "0.100 m (workspace.support_height_m): it was not checked" in height


def test_nothing_is_unchecked_where_all_is_seen():
    assert check_poses(rig(EYES[:2]), CONFIG, support_height_m=0.0).unchecked == ()


def test_one_camera_without_depth_leaves_the_height_unchecked(cloth):
    (height,) = check_poses(cloth[:1], CONFIG, support_height_m=0.0).unchecked
    assert "was not checked" in height
    assert check_poses(cloth[:1], CONFIG).unchecked == ()


def on_a_plane(degrees):
    """Places on a plane through the origin that leans, as a row of things of many sizes has them."""
    flat = np.random.default_rng(0).uniform(-0.3, 0.3, (80, 2))
    return SeenPlaces(np.column_stack([flat, np.tan(np.radians(degrees)) * flat[:, 0]]), distance_m=0.8, by_depth=False)


def told_of(views, places, height_m):
    names = tuple(view.camera for view in views)
    return at_once(judge_support(PoseConsistency(names, (1.0,) * len(names)), places, views, height_m, CONFIG))


@pytest.mark.parametrize("degrees", [12.0, 40.0])
def test_pictures_outvote_places_that_happen_to_share_a_plane_that_leans(cloth, degrees):
    places = on_a_plane(degrees)
    assert told_of(cloth, places, 0.0).warnings == () and told_of(cloth, places, 0.0).contradiction == ""
    leaning_too = leaning(cloth, degrees)
    told = told_of(leaning_too, places_of_world(leaning_too, cloth), 0.0)
    assert "is tilted by" in f"{told.contradiction} {' '.join(told.doubts)}"


def places_of_world(views, level):
    """Places on the level table of some views, in the world of others that see the same."""
    world_from_level = np.linalg.inv(poses_of(views)[0]) @ poses_of(level)[0]
    places = on_a_plane(0.0)
    return replace(places, points=places.points @ world_from_level[:3, :3].T + world_from_level[:3, 3])


def test_places_that_show_a_wide_support_at_the_given_height_outvote_a_plane_that_leans(cloth):
    told = told_of(leaning(cloth, 25.0), on_a_plane(0.0), 0.0)
    assert "is tilted by" not in f"{told.contradiction} {' '.join(told.doubts)}"


def test_where_pictures_show_nothing_places_that_share_a_plane_that_leans_are_told(plain):
    assert "is tilted by 40 degrees" in told_of(plain, on_a_plane(40.0), 0.0).contradiction


def test_scattered_places_refute_a_world_unless_pictures_show_the_support_where_it_was_given(cloth, plain):
    flat = np.random.default_rng(0).uniform(-0.3, 0.3, (14, 2))
    scattered = SeenPlaces(np.column_stack([flat, np.linspace(-0.2, 0.2, 14)]), distance_m=0.8, by_depth=False)
    assert "lies below the support at 0.000 m" in told_of(plain, scattered, 0.0).contradiction
    assert told_of(cloth, scattered, 0.0).contradiction == ""
    assert "below the support" not in told_of(plain, scattered, None).contradiction, "no support was given"


@pytest.mark.parametrize(("here", "there", "worse"), [(0.5, 0.35, True), (0.5, 0.45, False), (0.05, 0.0, False)])
def test_two_views_agree_worse_once_moved_where_they_show_something_and_lose_a_fifth(here, there, worse):
    assert SurfaceVote(here, there, rest=0.0).worse_moved == worse


def test_surfaces_speak_far_more_for_a_right_pose_than_for_a_wrong_one(cloth, plain):
    given = poses_of(cloth)
    moved = given.copy()
    moved[1] = small_motion(np.array([0.0, np.radians(4.0), 0.0, 0.03, 0.0, 0.0])) @ moved[1]
    assert surface_vote(cloth, given, moved, [1], 0.0).far_worse_moved
    assert not surface_vote(cloth, moved, given, [1], 0.0).far_worse_moved
    assert not surface_vote(plain, poses_of(plain), moved, [1], 0.0).far_worse_moved
