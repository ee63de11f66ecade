"""What few places, surfaces and pictures from above say of poses where little is recognised."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from table_rig import EYES, MADE, moved, rig

from pan3d_core.assembly.pose_checks import ground_matches
from pan3d_core.assembly.pose_checks.consistency import check_poses
from pan3d_core.assembly.pose_checks.portions import at_once
from pan3d_core.assembly.pose_checks.pose_fit import pair_transforms, ray_errors, small_motion
from pan3d_core.assembly.pose_checks.view_matches import match_views
from pan3d_core.config import ConsistencyConfig
from pan3d_core.geometry.transforms import invert_rigid


@pytest.fixture(scope="module")
def views():
    return rig()


def weakly_wrong(views, right, wrong):
    """Matches of two views: so many that are right, and so many that agree on the second camera turned by 2 degrees."""
    matches = match_views(views, ConsistencyConfig())
    poses = np.stack([view.cam_from_world.double().numpy() for view in views])
    fits = ray_errors(matches.rays(), pair_transforms(matches, poses)) < np.radians(0.1)
    kept = matches.of(fits & (np.cumsum(fits) <= right + wrong))
    moved_pixels = kept.second_pixels.copy()
    turn = small_motion(np.array([np.radians(2.0), 0, 0, 0, 0, 0]))[:3, :3]
    homography = kept.intrinsics[1] @ turn @ np.linalg.inv(kept.intrinsics[1])
    elsewhere = moved_pixels[right:] @ homography.T
    moved_pixels[right:] = elsewhere / elsewhere[:, 2:]
    return replace(kept, second_pixels=moved_pixels)


@pytest.mark.parametrize("one_camera", [False, True])
def test_surfaces_keep_two_views_that_some_places_would_have_elsewhere(views, one_camera, monkeypatch):
    two = [replace(view, camera="wrist" if one_camera else view.camera) for view in views[:2]]
    matches = weakly_wrong(two, right=12, wrong=20)
    monkeypatch.setattr(ground_matches, "ENOUGH", 0)
    words = f"the poses of {', '.join(dict.fromkeys(view.camera for view in two))} do not fit together"
    assert words in check_poses(two, matches=matches).contradiction, "without a height there is no surface to compare"
    kept = check_poses(two, support_height_m=0.0, matches=matches)
    assert kept.contradiction == "" and kept.warnings == ()
    plain = torch.full((3, 480, 480), 0.6)
    bare = [replace(view, camera=own.camera) for view, own in zip(rig(EYES[:2], plain, plain), two)]
    assert words in check_poses(bare, support_height_m=0.0, matches=matches).contradiction, "surfaces that show nothing"


def test_surfaces_do_not_keep_two_views_where_most_places_are_elsewhere(views, monkeypatch):
    monkeypatch.setattr(ground_matches, "ENOUGH", 0)
    matches = weakly_wrong(views[:2], right=7, wrong=20)
    found = check_poses(views[:2], support_height_m=0.0, matches=matches)
    assert "camera_0, camera_1 do not fit together" in found.contradiction


def right_matches(views, which, count):
    """Right matches of all views, of them only so many that see what one camera sees."""
    matches = match_views(views, ConsistencyConfig())
    poses = np.stack([view.cam_from_world.double().numpy() for view in views])
    right = ray_errors(matches.rays(), pair_transforms(matches, poses)) < np.radians(0.1)
    own = (matches.first == which) | (matches.second == which)
    return matches.of(right & (~own | (np.cumsum(right & own) <= count)))


@pytest.mark.parametrize(("metres", "refuted"), [(0.012, False), (0.05, True)])
def test_few_places_refute_a_camera_that_is_far_off_and_doubt_one_that_is_near(views, metres, refuted):
    def shifted(pose):
        pose = pose.clone()
        pose[1, 3] += metres
        return pose

    found = check_poses(moved(views, shifted, which=2), matches=right_matches(views, 2, count=14))
    assert found.left_out == (("camera_2",) if refuted else ()) and "camera_2" in " ".join(found.warnings)


@pytest.mark.parametrize("count", [2, 4])
def test_one_camera_with_the_pose_of_its_link_is_found_where_only_pictures_from_above_are_alike(views, count):
    matches = match_views(views[:count], ConsistencyConfig())
    none = matches.of(np.zeros(len(matches), bool))
    given = moved(views[:count], MADE["body or *_link frame"], which=1)
    found = check_poses(given, matches=none)
    if count == 2:
        assert "camera_1" in found.contradiction
    else:
        assert found.left_out == ("camera_1",) and "body or *_link frame" in found.reasons[0]
    assert check_poses(views[:count], matches=none).warnings == ()


@pytest.mark.parametrize("mistake", ["exchanged cameras", "the inverse"])
def test_poses_of_a_mistake_are_tried_where_two_cameras_look_down_at_one_place_and_see_nothing_alike(views, mistake, monkeypatch):
    """Plain tables look alike from above only where the pictures from above are laid by the right poses."""
    two = views[:2]
    poses = torch.stack([view.cam_from_world for view in two])
    given = poses.flip(0) if mistake == "exchanged cameras" else torch.stack([invert_rigid(pose) for pose in poses])
    right = match_views(two, ConsistencyConfig())
    junk = replace(right, second_pixels=np.random.default_rng(0).permutation(right.second_pixels)).of(np.arange(len(right)) < 30)

    def from_above(views, tried, config):
        yield
        return right if np.abs(tried - poses.double().numpy()).max() < 1e-4 else junk

    monkeypatch.setattr(ground_matches, "match_on_ground", from_above)
    wrong = [replace(view, cam_from_world=pose) for view, pose in zip(two, given)]
    assert mistake in check_poses(wrong, matches=junk.of(np.zeros(len(junk), bool))).contradiction


@pytest.mark.parametrize(("found", "looks"), [(11, 1), (12, 2)])
def test_pictures_that_show_hardly_a_place_from_above_are_not_laid_by_the_poses_of_mistakes(views, found, looks, monkeypatch):
    right = match_views(views[:2], ConsistencyConfig())
    junk = replace(right, second_pixels=np.random.default_rng(0).permutation(right.second_pixels)).of(
        np.arange(len(right)) < found
    )
    tried = []

    def from_above(views, poses, config):
        tried.append(poses)
        yield
        return junk if len(tried) == 1 else right

    monkeypatch.setattr(ground_matches, "match_on_ground", from_above)
    monkeypatch.setattr(ground_matches, "_fitting", lambda matches, poses, config: len(matches) if matches is right else 0)
    poses = np.stack([view.cam_from_world.double().numpy() for view in views[:2]])
    at_once(ground_matches.with_ground_matches(junk.of(np.zeros(len(junk), bool)), views[:2], poses, ConsistencyConfig()))
    assert len(tried) == looks
