"""Keyframes: enough movement, enough views, no old world."""

import pytest
import torch

from pan3d_core.config import KeyframeConfig
from pan3d_core.geometry.transforms import look_at
from pan3d_core.structures import CameraView
from pan3d_core.views.keyframes import KeyframeWindow

MOVING = KeyframeConfig(enabled=True, window_size=3, min_views=2)


def view(y: float, stamp_s: float = 0.0, target_y: float | None = None, camera: str = "wrist") -> CameraView:
    target = torch.tensor([0.0, y if target_y is None else target_y, 0.0])
    return CameraView(
        image=torch.zeros(3, 4, 4),
        cam_from_world=look_at(torch.tensor([0.6, y, 0.4]), target),
        stamp_ns=int(stamp_s * 1e9),
        camera=camera,
    )


def test_a_fixed_rig_passes_every_set():
    window = KeyframeWindow()
    views = [view(0.0), view(0.1, camera="left")]
    assert window.add(views) == tuple(views)
    assert window.add(views) == tuple(views)


def test_only_movement_makes_keyframes_and_the_oldest_leave():
    window = KeyframeWindow(MOVING)
    assert window.add([view(0.0, 0.0)]) is None
    assert window.add([view(0.01, 0.1)]) is None
    assert len(window.add([view(0.06, 0.2)])) == 2
    assert window.add([view(0.07, 0.3)]) is None
    window.add([view(0.12, 0.4)])
    newest = window.add([view(0.2, 0.5)])
    assert [kept.stamp_ns for kept in newest] == [200_000_000, 400_000_000, 500_000_000]


def test_a_turn_makes_a_keyframe():
    window = KeyframeWindow(MOVING)
    window.add([view(0.0, 0.0)])
    assert window.add([view(0.0, 0.1, target_y=0.03)]) is None
    assert len(window.add([view(0.0, 0.2, target_y=0.1)])) == 2


def test_a_standing_camera_renews_its_view():
    window = KeyframeWindow(MOVING)
    window.add([view(0.0, 0.0)])
    window.add([view(0.1, 0.1)])
    assert window.add([view(0.1, 1.0)]) is None
    renewed = window.add([view(0.1, 2.2)])
    assert [kept.stamp_ns for kept in renewed] == [0, 2_200_000_000]


def test_cameras_are_judged_apart():
    window = KeyframeWindow(MOVING)
    assert len(window.add([view(0.0), view(0.0, camera="left")])) == 2


def test_clock_that_jumps_back_empties_the_window(caplog):
    window = KeyframeWindow(MOVING)
    window.add([view(0.0, 5.0)])
    window.add([view(0.1, 6.0)])
    assert window.add([view(0.2, 1.0)]) is None
    assert len(window) == 1
    assert "time went back" in caplog.text


def test_views_without_pose_are_refused():
    with pytest.raises(ValueError, match="cam_from_world"):
        KeyframeWindow(MOVING).add([CameraView(image=torch.zeros(3, 4, 4))])
