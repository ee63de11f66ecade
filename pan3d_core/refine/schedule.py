"""When what happens in a refinement, and how fast each parameter may change, for any budget of steps or minutes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pan3d_core.geometry.transforms import invert_rigid
from pan3d_core.refine.density import DensitySettings
from pan3d_core.refine.losses import PANOPTICSPLATTING_WEIGHTS, PanopticSplattingLossWeights
from pan3d_core.refine.rendering import RenderChoices

PUBLISHED_STEPS = 30_000  # to which `labels_from` and `warp_from` of the weights refer
CAMERA_MARGIN = 1.1  # of the cameras' radius around their middle, as in 3D Gaussian splatting


@dataclass(frozen=True)
class LearningRates:
    """Of Adam. Those of the Gaussians are 3D Gaussian splatting's, but for `means`. That, features, queries and decoders are
    assumed: larger than theirs, so that a few hundred steps suffice, and labels' fall, so that contradicting ones are averaged in
    the end."""

    means: float = 1e-3  # times the radius of the scene, falls by `means_fall` over the run; 3D Gaussian splatting has 1.6e-4
    means_fall: float = 0.01
    colors: float = 2.5e-3
    opacities: float = 5e-2
    scales: float = 5e-3
    quats: float = 1e-3
    features: float = 1e-1
    queries: float = 1e-2  # tokens, sizes and turns
    query_means: float = 1e-3  # times the radius of the scene
    decoders: float = 1e-2
    labels_fall: float = 0.1  # of the last four, over the run


@dataclass(frozen=True)
class EarlyStop:
    """When losses have stopped falling: the mean total of `window` steps is less than a share `below` under that of the
    `window` steps before. The paper always uses up its budget; both numbers are assumed."""

    below: float = 0.0  # 0 = never stop early
    window: int = 60  # steps; several rounds over the views, so that easy and hard ones are in both halves

    def __post_init__(self) -> None:
        if not 0 <= self.below < 1:
            raise ValueError(f"EarlyStop.below: expected 0 to less than 1, got {self.below:g}")
        if self.window < 1:
            raise ValueError(f"EarlyStop.window: expected at least 1 step, got {self.window}")

    def after(self, totals: tuple[float, ...], total: float) -> tuple[float, ...]:
        """The totals that matter, oldest first, with one more; none are kept where nothing stops early."""
        return (*totals, total)[-2 * self.window :] if self.below else ()

    def reached(self, totals: tuple[float, ...]) -> bool:
        """Whether these totals have stopped falling."""
        if not self.below or len(totals) < 2 * self.window:
            return False
        before, now = (sum(part) / self.window for part in (totals[: self.window], totals[self.window :]))
        return before - now < self.below * before


@dataclass(frozen=True)
class RefineSettings:
    """One refinement. `ValueError` names a field out of range."""

    steps: int = 600  # assumed; the paper's 30,000 need a GPU
    minutes: float | None = None  # stop after this long, with the schedule stretched over it; not repeatable to the bit
    weights: PanopticSplattingLossWeights = PANOPTICSPLATTING_WEIGHTS
    rates: LearningRates = field(default_factory=LearningRates)
    choices: RenderChoices = field(default_factory=RenderChoices)
    density: DensitySettings = field(default_factory=DensitySettings)
    prune_from: float = 0.5  # assumed: share of the run from which queries that never got a mask are dropped
    collapse_share: float = 0.9  # assumed: of all masks in one query is a collapse
    faint: float = 0.05  # assumed: no query that covers any mask more surely than this is one as well
    max_reseeds: int = 2  # assumed
    checkpoint_every: int = 100
    stop: EarlyStop = field(default_factory=EarlyStop)  # with minutes or steps as the most
    harmonics: int = 0  # highest degree by which colours depend on the view; 3D Gaussian splatting has 3
    harmonics_every: float = 1_000 / PUBLISHED_STEPS  # share of the run after which the next degree joins, as there
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps < 1 or self.checkpoint_every < 1 or self.max_reseeds < 0:
            got = f"{self.steps}, {self.checkpoint_every}, {self.max_reseeds}"
            raise ValueError(f"RefineSettings.steps, checkpoint_every, max_reseeds: expected 1, 1 and 0 or more, got {got}")
        if self.minutes is not None and not 0 < self.minutes < math.inf:
            raise ValueError(f"RefineSettings.minutes: expected a positive time, got {self.minutes:g}")
        if not 0 <= self.harmonics <= 3:
            raise ValueError(f"RefineSettings.harmonics: expected a degree of 0 to 3, got {self.harmonics}")
        if not self.harmonics_every > 0:
            raise ValueError(f"RefineSettings.harmonics_every: expected a share above 0, got {self.harmonics_every:g}")
        for name in ("prune_from", "collapse_share", "faint"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"RefineSettings.{name}: expected 0 to 1, got {getattr(self, name):g}")

    def share_done(self, step: int, elapsed_s: float) -> float:
        """0..1 of the run: of the minutes where they are given, else of the steps."""
        return min(1.0, step / self.steps if self.minutes is None else elapsed_s / (60 * self.minutes))

    def all_started(self, share: float) -> bool:
        """Whether all terms count by then; before that a total rises where a term joins it."""
        return round(share * PUBLISHED_STEPS) >= max(self.weights.labels_from, self.weights.warp_from)

    def degree_at(self, share: float) -> int:
        """Degree of the harmonics that are shown by then."""
        return min(self.harmonics, int(share / self.harmonics_every + 1e-9))

    def weights_at(self, share: float) -> PanopticSplattingLossWeights:
        """The weights of the terms that have started by then, at the published shares of the run."""
        return self.weights.at(round(share * PUBLISHED_STEPS))


def rates_at(rates: LearningRates, share: float, radius_m: float) -> dict[str, float]:
    """Learning rate of every group of parameters at a share of the run, in a scene of this radius."""
    falling = rates.labels_fall**share
    return {
        "means": rates.means * radius_m * rates.means_fall**share,
        "colors": rates.colors,
        "harmonics": rates.colors / 20,  # as in 3D Gaussian splatting
        "opacity_logits": rates.opacities,
        "log_scales": rates.scales,
        "quats_wxyz": rates.quats,
        "semantic_features": rates.features * falling,
        "instance_features": rates.features * falling,
        "queries": rates.queries * falling,
        "query_means": rates.query_means * radius_m * falling,
        "decoders": rates.decoders * falling,
    }


def scene_radius(cam_from_world: Sequence[Tensor]) -> float:
    """Metres from the middle of the cameras to the farthest one, and a tenth more; 1 for a single place."""
    centers = torch.stack([invert_rigid(pose)[:3, 3] for pose in cam_from_world])
    radius = CAMERA_MARGIN * float((centers - centers.mean(0)).norm(dim=-1).max())
    return radius if radius > 0 else 1.0


def view_of_step(step: int, count: int, seed: int) -> int:
    """Which of `count` views a step is for: every round of `count` steps sees each once, in an order of its own."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + step // count)
    return int(torch.randperm(count, generator=generator)[step % count])
