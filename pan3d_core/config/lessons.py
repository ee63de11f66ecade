"""Settings of what is learnt from picks."""

from __future__ import annotations

from dataclasses import dataclass

from pan3d_core.settings import SHARE, Checked, setting


@dataclass(frozen=True)
class LessonConfig(Checked):
    """When two views of a table differ, by what, and how much of it is kept."""

    longest_px: int = setting(320, "longer side of the pictures that are compared and kept, at most", range=(32, 4096))
    color_step: float = setting(
        0.045, "difference of colour (0 to 1 each) from which on a pixel shows another thing", range=SHARE
    )
    depth_step_m: float = setting(0.008, "difference of measured depth from which on something went or came", range=(0.0, 1.0))
    depth_step: float = setting(0.015, "the same as a share of the distance; the larger one counts", range=SHARE)
    changed_share: float = setting(0.4, "share of a picture from which on it is not one object that changed", range=SHARE)
    above_support_m: float = setting(0.006, "what is lower above the support is no part of an object", range=(0.0, 0.1))
    min_pixels: int = setting(25, "of a mask in a view; fewer are void", range=(1, 10**6))
    min_views: int = setting(2, "that must show the object", range=(1, 64))
    nearer_share: float = setting(
        0.12, "share of the object's pixels from which on it counts that something is nearer there than before", range=SHARE
    )
    elsewhere_share: float = setting(
        0.5,
        "pixels that changed elsewhere, as a share of the object's, from which on more than one object moved",
        range=(0.0, 100.0),
    )
    around_m: float = setting(0.03, "how far outside its box an object may reach", range=(0.0, 0.5))
    camera_step_m: float = setting(0.003, "a camera that is farther from where it was has moved", range=(0.0, 1.0))
    camera_turn_deg: float = setting(0.3, "a camera that is turned by more has moved", range=(0.0, 180.0))
    quota_mb: int = setting(500, "of scenes in a folder, at most; the oldest are deleted", range=(1, 10**6))
