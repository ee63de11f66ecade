"""`pan3d bench calibration`: what is said of a camera against what was done to it."""

import numpy as np
import pytest

pytest.importorskip("pan3d_sim.cell.robot_cell", reason="needs the extra sim")

from pan3d_core.assembly.pose_checks.pose_fit import small_motion  # noqa: E402
from pan3d_core.calibration import CalibrationCheck, CameraCheck  # noqa: E402
from pan3d_tools.bench.cameras.calibration import judge, summarize  # noqa: E402

MADE = small_motion(np.array([0.0, 0.0, 0.0, 0.02, 0.0, 0.0]))


def said(**moves):
    """A check that says by how much each camera is off; None = it cannot be told."""
    cameras = [
        CameraCheck(name, np.eye(4) if move is None else move, 0.1, 0.002, 50, 0.5, 1.0, move is not None)
        for name, move in moves.items()
    ]
    return CalibrationCheck(tuple(cameras), 4, "")


def test_what_is_left_after_mending_is_the_error():
    right = judge(said(a=np.linalg.inv(MADE), b=np.eye(4)), "a", MADE)
    assert right.found and right.others == 0 and right.error_m == pytest.approx(0.0, abs=1e-9)
    halfway = judge(said(a=small_motion(np.array([0.0, 0.0, 0.0, -0.01, 0.0, 0.0])), b=np.eye(4)), "a", MADE)
    figures = summarize([right, halfway])
    assert figures["found"] == 1.0 and figures["error_mm"] == pytest.approx(5.0)
    assert figures["error_over_sigma_m"] == pytest.approx(2.5)


def test_blame_of_others_and_of_clean_rigs_is_counted_and_silence_is_not_finding():
    blamed = judge(said(a=np.eye(4), b=MADE), "a", MADE)
    alarm = judge(said(a=MADE, b=np.eye(4)), "a", np.eye(4))
    silent = judge(said(a=None, b=np.eye(4)), "a", MADE)
    assert (blamed.found, blamed.others) == (False, 1) and (alarm.found, alarm.others) == (False, 1)
    assert silent.unknown and not silent.found
    figures = summarize([blamed, alarm, silent])
    assert figures["found"] == 0.0 and figures["wrongly_blamed"] == pytest.approx(2 / 3) and figures["error_mm"] is None
