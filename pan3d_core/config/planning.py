"""Settings of what a motion planner is told: shapes of objects and how sure of them one is."""

from __future__ import annotations

from dataclasses import dataclass

from pan3d_core.settings import Checked, setting


@dataclass(frozen=True)
class PlanningConfig(Checked):
    """Remembered objects as things that an arm must not touch."""

    padding_m: float = setting(0.003, "shapes are larger than what was seen by this on all sides", range=(0.0, 0.2))
    shape: str = setting(
        "hull",
        "box: the oriented box; hull: a prism over the outline seen from above; parts: four of them along the object; "
        "mesh: columns as high as the fused surface, so that a bowl stays hollow",
        choices=("box", "hull", "parts", "mesh"),
    )
    column_m: float = setting(0.008, "width of a column of a mesh; wide objects have wider ones", range=(0.001, 0.1))
    unseen_margin_m: float = setting(
        0.02, "objects are believed to reach this much further to sides from which they were never seen", range=(0.0, 0.5)
    )
    padding_sigmas: float = setting(
        1.0, "and by so many standard deviations of the object's place, axis by axis", range=(0.0, 10.0)
    )
    max_padding_m: float = setting(
        0.03, "most of both together, which is taken where the place's covariance is not known", range=(0.0, 0.5)
    )
    changed_m: float = setting(0.01, "outlines that differ by less are not told again", range=(0.0, 0.5))
    occupancy_height_m: float = setting(0.3, "height above the support up to which ~/occupancy looks", range=(0.01, 10.0))
