"""Cameras that are not where they are said to be: a textured table with a platform, seen by three cameras."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from table_rig import rig

from pan3d_core.assembly.pose_checks.pose_fit import motion_size, small_motion
from pan3d_core.calibration import check_calibration, corrected

KNOCK = small_motion(np.array([0.012, -0.01, 0.006, 0.012, -0.008, 0.01]))  # about a degree and 18 mm


def moved(view, motion, **changes):
    pose = torch.from_numpy(motion @ view.cam_from_world.double().numpy()).float()
    return replace(view, cam_from_world=pose, **changes)


@pytest.fixture(scope="module")
def views():
    return rig()[:3]


@pytest.fixture(scope="module")
def knocked(views):
    """The second camera is not where it is said to be."""
    given = [views[0], moved(views[1], KNOCK), views[2]]
    return given, check_calibration([given])


def test_right_cameras_are_said_to_be_right_and_how_sure_that_is(views):
    check = check_calibration([views])
    assert check.off == () and check.views == 3 and all(item.known for item in check.cameras)
    assert max(item.sigma_m for item in check.cameras) < 0.005 and max(item.sigma_deg for item in check.cameras) < 0.5
    assert corrected(views, check) == views


def test_the_knocked_camera_is_found_and_mended(views, knocked):
    given, check = knocked
    (off,) = check.off
    assert off.camera == "camera_1" and off.fits_given < 0.7 < off.fits_corrected
    degrees, metres = motion_size(off.cam_from_given @ KNOCK)
    assert degrees < 0.2 and metres < 0.004
    assert degrees < 4 * off.sigma_deg + 0.05 and metres < 4 * off.sigma_m + 0.001
    mended = corrected(given, check)
    torch.testing.assert_close(mended[1].cam_from_world, views[1].cam_from_world, atol=0.006, rtol=0)
    assert mended[0] is given[0] and mended[2] is given[2]


def test_a_hand_eye_calibration_is_one_error_of_all_its_views(views):
    check = check_calibration([[moved(view, KNOCK, camera="wrist") for view in views]])
    (off,) = check.off
    degrees, metres = motion_size(off.cam_from_given @ KNOCK)
    assert off.camera == "wrist" and degrees < 0.2 and metres < 0.005


def test_a_camera_that_is_trusted_stays_and_the_others_follow(views):
    given = [moved(views[0], KNOCK), views[1], views[2]]
    check = check_calibration([given], trusted="camera_0")
    assert check.trusted == "camera_0" and not check.of("camera_0").is_off
    mended = [view.cam_from_world.double().numpy() for view in corrected(given, check)]
    true = [view.cam_from_world.double().numpy() for view in views]
    for index in (1, 2):
        degrees, metres = motion_size(mended[index] @ np.linalg.inv(mended[0]) @ true[0] @ np.linalg.inv(true[index]))
        assert check.of(f"camera_{index}").is_off and degrees < 0.3 and metres < 0.006


def test_pictures_that_share_nothing_tell_nothing(views):
    plain = [replace(view, image=torch.full_like(view.image, 0.5)) for view in views]
    check = check_calibration([plain])
    assert check.off == () and not any(item.known for item in check.cameras)


@pytest.mark.parametrize(
    ("sets", "trusted", "words"),
    [
        (lambda views: [views[:1]], "", "expected at least two of one scene"),
        (lambda views: [[replace(view, cam_from_world=None) for view in views]], "", "got none such"),
        (lambda views: [views], "front", "expected one of the cameras camera_0, camera_1, camera_2, got 'front'"),
    ],
)
def test_what_cannot_be_checked_is_refused(views, sets, trusted, words):
    with pytest.raises(ValueError, match=words):
        check_calibration(sets(views), trusted=trusted)
