"""Poses that contradict the pictures: a textured table with a box, seen by up to four cameras."""

import re
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from table_rig import EYES, MADE, moved, rig, texture, turned

from pan3d_core.assembly.pose_checks import ground_matches, view_matches
from pan3d_core.assembly.pose_checks.consistency import _Camera, _is_doubtful, _is_refuted, check_poses, refuse_metres
from pan3d_core.assembly.pose_checks.consistency_watch import ConsistencyWatch, times_longer
from pan3d_core.assembly.pose_checks.mirrored_pictures import _MIRRORED
from pan3d_core.assembly.pose_checks.pose_fit import small_motion
from pan3d_core.assembly.pose_checks.pose_hypotheses import MISTAKES
from pan3d_core.assembly.pose_checks.view_matches import CONTRAST, grey_picture, match_views, sift_features
from pan3d_core.config import ConsistencyConfig
from pan3d_core.geometry.transforms import invert_rigid
from pan3d_core.structures import PoseConsistency, Reconstruction


@pytest.fixture(scope="module")
def views():
    return rig()


def test_right_poses_agree_with_the_pictures(views):
    found = check_poses(views)
    assert min(found.figures) > 0.85
    assert found.contradiction == "" and found.warnings == ()


@pytest.mark.parametrize("words", MADE)
def test_a_usual_mistake_with_all_poses_is_named(views, words):
    found = check_poses(moved(views, MADE[words]))
    assert words in found.contradiction


def test_what_mends_each_mistake_differs_from_what_mends_the_others():
    pose = rig(EYES[:1])[0].cam_from_world.double().numpy()
    mended = [mend(pose) for _, mend in MISTAKES]
    for index, one in enumerate(mended):
        np.testing.assert_allclose(one[:3, :3] @ one[:3, :3].T, np.eye(3), atol=1e-6)
        assert all(np.abs(one - other).max() > 1e-3 for other in mended[index + 1 :])


def test_quaternions_read_in_the_wrong_order_are_recognised():
    pose = rig(EYES[:1])[0].cam_from_world.double().numpy()
    mend = dict(MISTAKES)
    there = mend["quaternions read as wxyz that are xyzw"](pose)
    np.testing.assert_allclose(mend["quaternions read as xyzw that are wxyz"](there), pose, atol=1e-6)


def test_cameras_of_one_pose_are_named(views):
    found = check_poses([replace(view, cam_from_world=views[0].cam_from_world) for view in views])
    assert "share one pose: camera_0, camera_1, camera_2, camera_3" in found.contradiction


def test_a_camera_that_sends_its_picture_twice_is_no_contradiction(views):
    found = check_poses([*views[:3], replace(views[0], camera="copy")])
    assert found.contradiction == "" and found.left_out == ()


def test_exchanged_cameras_are_named(views):
    poses = [views[index].cam_from_world for index in (1, 0, 2, 3)]
    found = check_poses([replace(view, cam_from_world=pose) for view, pose in zip(views, poses)])
    assert "exchanged cameras: camera_0 and camera_1" in found.contradiction


def test_one_camera_of_another_convention_is_left_out_with_its_fault(views):
    found = check_poses(moved(views, MADE["body or *_link frame"], which=2))
    assert found.left_out == ("camera_2",) and "*_link" in found.reasons[0]
    assert found.contradiction == "" and min(found.figures[:2]) > 0.8


def test_a_knocked_camera_is_left_out_and_by_how_much_is_said(views):
    found = check_poses(moved(views, lambda pose: turned(6.0) @ pose, which=1))
    assert found.left_out == ("camera_1",) and "turned by" in found.reasons[0]
    assert "camera_1 is left out" in found.warnings[0]


def test_of_two_cameras_that_disagree_neither_is_believed(views):
    found = check_poses(moved(views[:2], lambda pose: turned(6.0) @ pose, which=1))
    assert "do not fit together" in found.contradiction and found.left_out == ()


def test_two_right_views_agree(views):
    found = check_poses(views[:2])
    assert found.contradiction == "" and min(found.figures) > 0.85


def test_pictures_without_texture_say_nothing():
    plain = torch.full((3, 480, 480), 0.6)
    found = check_poses(moved(rig(EYES[:3], plain, plain), MADE["the inverse"]))
    assert found.figures == (None, None, None) and found.contradiction == ""


def test_views_of_different_scenes_say_nothing(views):
    elsewhere = rig(EYES[1:2], texture(5), texture(6))
    found = check_poses([views[0], elsewhere[0]])
    assert found.contradiction == "" and found.warnings == ()


def test_a_mirrored_picture_is_told_though_nothing_is_found_again_in_it(views):
    one = [replace(view, image=view.image.flip(2)) if view.camera == "camera_1" else view for view in views]
    found = check_poses(one)
    assert (found.left_out, found.reasons) == (("camera_1",), ("its picture looks mirrored",))
    everyone = check_poses([replace(view, image=view.image.flip(2)) for view in views])
    assert everyone.contradiction == "the pictures of all cameras look mirrored"


def test_what_describes_a_mirrored_place_is_known_without_looking_again(views):
    picture = grey_picture(views[0], 480)
    detector = cv2.SIFT.create(500, contrastThreshold=CONTRAST)
    (_, own), (_, mirrored) = (sift_features(item, item.shape, detector) for item in (picture, picture[:, ::-1].copy()))
    distance = 2 - 2 * (own[:, _MIRRORED] @ mirrored.T)
    assert np.median(distance.min(1)) < 0.05 < np.median((2 - 2 * own @ mirrored.T).min(1))


@pytest.mark.parametrize("axis", [1, 2])
def test_pictures_mirrored_either_way_are_found_beside_others_that_agree(views, axis):
    given = [*views[:3], replace(views[3], image=views[3].image.flip(axis))]
    assert check_poses(given).left_out == ("camera_3",)
    assert check_poses(given, matches=match_views(given, ConsistencyConfig())).left_out == ("camera_3",)


def test_a_comparison_of_more_work_is_done_though_each_set_is_due_and_the_next_comes_later(views):
    dark = [*views[:3], replace(views[3], image=torch.zeros_like(views[3].image))]
    words = "the poses of camera_3 were not checked: too little of what they show is found in other pictures"
    watch, config = ConsistencyWatch(), ConsistencyConfig(every=1)
    first = watch.check(dark, config)
    assert first.unchecked == (words,)
    found = [watch.check(dark, config) for _ in range(4)]
    assert any(item is not first for item in found) and all(item.unchecked == (words,) for item in found)
    assert [times_longer(portions, 4) for portions in (5, 11, 22)] == [1.0, 1.0, 2.0]


@pytest.mark.parametrize(
    ("given", "size", "doubted"),
    [
        (10, (1.0, 0.01), True),
        (70, (1.0, 0.01), True),
        (70, (6.0, 0.02), False),
        (55, (6.0, 0.02), True),
        (55, (9.0, 0.1), False),
    ],
)
def test_a_camera_that_sees_most_where_it_should_is_not_far_off(given, size, doubted):
    degrees, metres = size
    moved_so = small_motion(np.array([np.radians(degrees), 0, 0, 0, metres, 0]))
    assert _is_doubtful(_Camera("a", (0,), given, 100, moved_so), ConsistencyConfig()) == doubted


@pytest.mark.parametrize("given, refuted", [(29, False), (20, True)])
def test_a_camera_that_sees_most_places_where_it_should_is_not_refuted_for_a_few(given, refuted):
    moved_so = small_motion(np.array([np.radians(2.6), 0, 0, 0, 0.033, 0]))
    assert _is_refuted(_Camera("a", (0,), given, 41, moved_so), ConsistencyConfig()) == refuted


@pytest.mark.parametrize(
    "given, possible, degrees, refuted", [(1, 12, 5, True), (1, 12, 2, False), (4, 14, 5, False), (1, 9, 5, False)]
)
def test_a_camera_that_sees_hardly_a_place_where_it_should_is_refuted_by_few(given, possible, degrees, refuted):
    moved_so = small_motion(np.array([np.radians(degrees), 0, 0, 0, 0, 0]))
    assert _is_refuted(_Camera("a", (0,), given, possible, moved_so), ConsistencyConfig()) == refuted


def test_the_pose_of_a_picture_that_shows_nothing_is_not_checked_which_is_no_doubt(views):
    dark = replace(views[2], image=torch.zeros_like(views[2].image))
    words = "the poses of camera_2 were not checked: too little of what they show is found in other pictures"
    for given in ([*views[:2], dark, views[3]], [*views[:2], dark]):
        found = check_poses(given)
        assert found.unchecked == (words,) and found.warnings == ()


UP = np.array([[1.0, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])


def test_poses_in_a_world_that_is_not_level_are_told_and_refused_where_a_height_is_given(views):
    first = views[0].cam_from_world
    relative = moved(views, lambda pose: pose @ invert_rigid(first))
    said = r"the widest surface that is seen is tilted by \d\d degrees in the world of the poses, .*relative to a camera"
    found = check_poses(relative)
    assert re.search(said, found.doubts[0]) and found.contradiction == "" and min(found.figures) > 0.85
    assert re.search(said, check_poses(relative, support_height_m=0.0).contradiction)
    sideways = check_poses(moved(views, lambda pose: pose @ torch.from_numpy(UP).float()), support_height_m=0.0)
    assert "is y up in it?" in sideways.contradiction and "cannot see the support at 0.000 m" in sideways.contradiction


def test_views_without_pose_are_not_judged(views):
    found = check_poses([replace(views[0], cam_from_world=None), *views[1:]])
    assert found.figures[0] is None and min(found.figures[1:]) > 0.8


def test_a_contradiction_takes_the_metres():
    depth = torch.ones(1, 2, 2)
    made = Reconstruction(depth, depth, torch.eye(3)[None], torch.eye(4)[None], is_metric=True)
    assert refuse_metres(made, PoseConsistency(("a",), (1.0,))).is_metric
    refused = refuse_metres(made, PoseConsistency(("a",), (0.0,), contradiction="they look like something else"))
    assert not refused.is_metric and "something else" in refused.alignment


def test_a_watch_compares_again_after_some_sets_and_while_poses_are_refuted(views):
    watch, config = ConsistencyWatch(), ConsistencyConfig(every=3)
    wrong = moved(views, MADE["the inverse"])
    assert watch.check(views, config).contradiction == ""
    assert watch.check(wrong, config).contradiction, "poses that jump are compared at once"
    first = watch.check(wrong, config)
    assert watch.check(wrong, config) is not first, "as long as they are refuted, each set is compared"
    good = watch.check(views, config)
    assert good.contradiction == ""
    # Less than a jump: the next comparison begins three sets later, and takes at most as many.
    drifted = moved(views, lambda pose: turned(2.0) @ pose, which=0)
    found = [watch.check(drifted, config) for _ in range(5)]
    assert [item is good for item in found[:3]] == [True, True, True] and found[4].doubts + found[4].left_out


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("fewest", [0, 10_000], ids=["from the side", "from above too"])
@pytest.mark.parametrize("every", [1, 7, 60])
def test_a_comparison_spread_over_view_sets_finds_the_same_and_is_done_before_the_next(views, count, fewest, every, monkeypatch):
    monkeypatch.setattr(ground_matches, "ENOUGH", fewest)
    done = []
    for name in ("sift_features", "_pair_rows"):
        counted(monkeypatch, view_matches, name, done)
    monkeypatch.setattr(ground_matches, "sift_features", view_matches.sift_features)
    watch, config = ConsistencyWatch(), ConsistencyConfig(every=every)
    first, at_first = watch.check(views[:count], config), len(done)
    for _ in range(every - 1):
        assert watch.check(views[:count], config) is first
    assert len(done) == at_first, "nothing is compared while nothing is due"
    work, found = [], first
    for _ in range(every):
        before = len(done)
        found = watch.check(views[:count], config)
        work.append(len(done) - before)
    assert found is not first and found == first
    assert sum(work) == at_first and max(work) <= -(-(count * (count + 1) + 1) // every)


def counted(monkeypatch, module, name, calls):
    """Every call of a function of a module is noted."""
    function = getattr(module, name)
    monkeypatch.setattr(module, name, lambda *arguments: calls.append(name) or function(*arguments))


def test_a_comparison_that_is_under_way_is_left_when_other_settings_come_and_when_a_pose_jumps(views):
    watch, config = ConsistencyWatch(), ConsistencyConfig(every=30)
    first = watch.check(views, config)
    for _ in range(30):
        assert watch.check(views, config) is first
    assert watch.check(moved(views, MADE["the inverse"]), config).contradiction
    assert watch.check(views, config).contradiction == ""
    for _ in range(30):
        watch.check(views, config)
    assert watch.check(views, replace(config, enabled=False)).figures == (None,) * len(views)


def test_a_platform_that_moved_between_the_exposures_is_no_contradiction():
    before, after = rig(shift_m=0.0), rig(shift_m=0.06)
    found = check_poses([*before[:2], *after[2:]], support_height_m=0.0)
    assert found.contradiction == "" and found.left_out == () and found.doubts == ()


def test_all_poses_off_by_one_motion_in_the_world_are_not_seen_without_a_support_height(views):
    off = np.eye(4)
    off[:3, 3] = 0.03, 0.0, 0.08
    shifted = moved(views, lambda pose: torch.from_numpy(pose.double().numpy() @ off))
    assert check_poses(shifted).warnings == ()
    found = check_poses(shifted, support_height_m=0.0)
    assert "workspace.support_height_m says 0.000" in found.contradiction


def test_a_wrist_camera_whose_hand_eye_calibration_is_off_is_doubted(views):
    off = np.eye(4)
    off[:3, 3] = 0.0, 0.03, 0.04
    wrist = [replace(view, camera="wrist") for view in moved(views, lambda pose: torch.from_numpy(off).float() @ pose)]
    found = check_poses(wrist, support_height_m=0.0)
    assert found.contradiction or found.doubts


def repeating(kind, cells=24, side=480):
    """(3, side, side) squares, dots or stripes across each other, which repeat `cells` times."""
    across, down = np.meshgrid(*[np.arange(side) * cells / side] * 2)
    first, second = across % 1 < 0.5, down % 1 < 0.5
    shown = {
        "squares": first ^ second,
        "dots": np.square(across % 1 - 0.5) + np.square(down % 1 - 0.5) < 0.09,
        "plaid": 0.5 * first + 0.5 * second,
    }[kind]
    noise = np.random.default_rng(0).normal(0, 0.01, (3, side, side))
    return torch.from_numpy(0.2 + 0.6 * shown * np.array([1.0, 0.9, 0.8])[:, None, None] + noise).float().clamp(0, 1)


@pytest.mark.parametrize("kind", ["squares", "dots", "plaid"])
def test_what_repeats_itself_neither_refutes_right_poses_nor_confirms_wrong_ones(kind):
    """Which square is which, their looks cannot say; one camera is shown off by the period, at which patterns agree."""
    pattern = repeating(kind)
    views = rig(EYES[:2], pattern, pattern)
    found = check_poses(views)
    assert found.contradiction == "" and found.warnings == () and "camera_0, camera_1 were not checked" in found.unchecked[0]
    shift = torch.eye(4)
    shift[0, 3] = 2 * 0.6 / 24
    wrong = check_poses(moved(views, lambda pose: pose @ shift, 1))
    assert wrong.contradiction or wrong.warnings or wrong.unchecked
