"""`pan3d bench consistency`: faults are what they say, and verdicts are counted as they are."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from table_rig import rig

from pan3d_core.assembly.pose_checks.pose_fit import motion_size
from pan3d_core.assembly.pose_checks.view_matches import match_views
from pan3d_core.config import ConsistencyConfig
from pan3d_core.views.scene_folder import Scene, write_scene
from pan3d_tools.bench.cameras import consistency
from pan3d_tools.bench.cameras.consistency import CLEAN, FAULTS, REFUSED, Verdict, among, judge, knocked, motion, run, summarize

ROWS = {fault.name: fault for fault in FAULTS}


@pytest.fixture(scope="module")
def views():
    return [replace(view, depth=torch.zeros(view.hw)) for view in rig()[:3]]


@pytest.fixture(scope="module")
def matches(views):
    return match_views(views, ConsistencyConfig())


@pytest.mark.parametrize("metres, degrees", [(0.01, 0.0), (0.0, 5.0), (0.05, 1.0)])
def test_a_motion_has_the_size_that_is_asked_for(metres, degrees):
    assert motion_size(motion(np.random.default_rng(0), metres, degrees)) == pytest.approx((degrees, metres), abs=1e-6)


def test_one_camera_is_knocked_or_all_by_the_same():
    poses = np.repeat(np.eye(4)[None], 3, 0)
    one, every = (knocked(0.02, 0, of_all)(poses, np.random.default_rng(1)) for of_all in (False, True))
    assert sorted(np.abs(one[:, :3, 3]).sum(1) > 0) == [False, False, True]
    np.testing.assert_allclose(every, np.repeat(every[:1], 3, 0))


@pytest.mark.parametrize(
    "name, refused, told", [("clean", False, False), ("OpenGL axes", True, True), ("support 2 cm too high", False, True)]
)
def test_what_is_said_of_a_row_is_its_verdict(views, matches, name, refused, told):
    found = judge(ROWS[name], views, 0.0, matches, np.random.default_rng(0))
    assert found == Verdict(told=told, refused=refused, named=told, unknown=False)


def test_a_smaller_rig_has_the_matches_of_its_own_views(matches):
    part = among(matches, 2)
    assert len(part.intrinsics) == 2 and set(part.second) == {1} and 0 < len(part) < len(matches)


def test_shares_are_compared_with_their_targets():
    good, bad = Verdict(True, True, True, False), Verdict(False, False, False, True)
    rows = summarize({(2, fault.name): [good] * 3 + [bad] for fault in FAULTS}, 2)
    shares = {"told": 0.75, "refused": 0.75, "named": 0.75, "unknown": 0.25, "unchecked": 0.0}
    assert rows["OpenGL axes"] == {**shares, "reached": False}
    assert not rows["clean"]["reached"], "told of a clean rig is a false alarm"
    quiet = summarize({(2, fault.name): [bad if fault.expected == CLEAN else good] for fault in FAULTS}, 2)
    assert all(row["reached"] for row in quiet.values())
    assert ROWS["the inverse"].expected == REFUSED


def test_scenes_of_folders_are_judged_instead_of_cells(tmp_path, views, monkeypatch):
    monkeypatch.setattr(consistency, "cost", lambda *_: {})
    for name, height in (("one", 0.0), ("two", 0.0)):
        write_scene(tmp_path / "scenes" / name, Scene(name, tuple(views), support_height_m=height))
    rows = ["--faults", "clean", "OpenGL axes"]
    found = run(["--folder", str(tmp_path / "scenes"), "--cameras", "2", "3", *rows])
    assert found["scenes"] == 2 and found["folder"] == ["scenes"]
    for rig_of in found["rigs"].values():
        assert rig_of["clean"]["told"] == 0.0 and rig_of["OpenGL axes"]["refused"] == 1.0
    with pytest.raises(ValueError, match="--folder: expected scenes of at least 4 views, got 3"):
        run(["--folder", str(tmp_path / "scenes"), "--cameras", "4", *rows])
    write_scene(tmp_path / "bare" / "two", Scene("two", tuple(views)))
    with pytest.raises(ValueError, match="--folder: expected scenes with the height of their support, got two without"):
        run(["--folder", str(tmp_path / "bare"), "--cameras", "2", *rows])


@pytest.mark.slow
def test_the_command_judges_cells_and_measures_its_cost():
    found = run(["--first-seed", "3000", "--scenes", "1", "--cameras", "3", "--frames", "1"])
    assert found["rigs"]["3 cameras"]["clean"]["told"] == 0.0
    assert 0 < found["cost"]["share"] < 1
