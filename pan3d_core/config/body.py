"""Settings of how the robot's own body is told from what stands around it."""

from __future__ import annotations

from dataclasses import dataclass

from pan3d_core.settings import SHARE, Checked, setting


@dataclass(frozen=True)
class BodyConfig(Checked):
    """The robot's own body in what its cameras see. Without a description of the robot nothing is done."""

    enabled: bool = setting(True, "take the robot's own body out of what is seen, where its description and joints are known")
    padding_m: float = setting(0.01, "what is seen this near to the body's surface is taken for it", range=(0.0, 0.3))
    measured_tolerance: float = setting(0.01, "share of the distance that measured depth of the body may be off", range=SHARE)
    predicted_tolerance: float = setting(
        0.03, "share of the distance that predicted depth beside its outline may be off", range=SHARE
    )
    predicted_nearer: float = setting(
        0.4, "share of the distance by which predicted depth of what stands before the body is nearer, at least", range=SHARE
    )
    min_rest: float = setting(
        0.3, "an instance that keeps less than this share of its pixels beside the body was the body", range=SHARE
    )
