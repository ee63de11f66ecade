"""Settings of the rehearsal of grasps in a physics twin of what is perceived."""

from __future__ import annotations

from dataclasses import dataclass

from pan3d_core.settings import Checked, setting


@dataclass(frozen=True)
class RehearsalConfig(Checked):
    """How long, and how many ways."""

    budget_s: float = setting(3.0, "time of a rehearsal; it then stops with what it knows", range=(0.1, 600.0))
    place_sigmas: float = setting(
        0.5, "places are drawn with so many times the standard deviations of the objects' boxes", range=(0.0, 3.0)
    )
    threads: int = setting(2, "trials at the same time", range=(1, 64))
    candidates: int = setting(16, "most grasps that are tried, best first", range=(1, 1000))
    rounds: int = setting(6, "twins, each with other unseen sides and places, in which the survivors are tried", range=(1, 100))
    seed: int = setting(0, "of what is drawn", range=(0, 2**31 - 1))
