"""The loop that refines a scene: one view a step, colour first, then labels, then labels that neighbours agree on."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pan3d_core.labels import LabelSpace
from pan3d_core.models.matching import NonFiniteCost, match_queries
from pan3d_core.refine.checkpoints import OtherLabels, Progress, named_checkpoint, read_checkpoint, write_checkpoint
from pan3d_core.refine.density import DensityControl
from pan3d_core.refine.losses import (
    PanopticSplattingLossWeights,
    RenderedLabels,
    ViewLabels,
    color_loss,
    instance_cost,
    neighbour_view,
    panopticsplatting_losses,
)
from pan3d_core.refine.model import FEATURE_PARAMETERS, QUERY_PARAMETERS, PanopticMap, QueryGaussians
from pan3d_core.refine.query_care import MatchCounts, alike, drop_repeated, prune, reseed
from pan3d_core.refine.rendering import MapView, render_color, render_view
from pan3d_core.refine.schedule import RefineSettings, rates_at, scene_radius, view_of_step
from pan3d_core.refine.views import RefineView, require_classes, thing_ranks
from pan3d_core.rendering.rasterizer import OnScreen

_log = logging.getLogger("pan3d.refine")
ADAM_EPS = 1e-15  # as in 3D Gaussian splatting: gradients of single Gaussians are tiny
CHECKPOINT_FILE = "checkpoint.pt"


class RefinementDiverged(ValueError):
    """A loss or a gradient was not finite; the map is as it was before that step, and so is the last checkpoint."""


@dataclass(frozen=True)
class StepReport:
    """What a step did."""

    step: int  # from 1
    share_done: float  # 0..1 of the budget
    elapsed_s: float  # earlier parts of a resumed run included
    losses: dict[str, float]  # unweighted terms and their weighted `total`
    queries: int  # alive


class Refinement:
    """A map being refined by `views`, whose numbers of classes are those of the map's labels.

    `checkpoint`: file that is written every `settings.checkpoint_every` steps and at the end, whole or not at all. Equal
    settings and views give equal maps, with and without an interruption, as long as the budget is in steps.
    """

    def __init__(
        self, model: PanopticMap, views: Sequence[RefineView], settings: RefineSettings, checkpoint: Path | None = None
    ) -> None:
        require_classes(views, model.labels)
        self.model, self.views, self.settings, self.checkpoint = model, tuple(views), settings, checkpoint
        ranks = thing_ranks(model.labels)
        self.targets = [_ranked(view.labels, ranks) for view in self.views]
        self.first_queries = QueryGaussians(
            model.query_means.detach().clone(), model.query_log_scales.detach().exp(), model.query_quats_wxyz.detach().clone()
        )
        self.radius_m = scene_radius([view.cam_from_world for view in self.views])
        self.optimizer = torch.optim.Adam(_groups(model), lr=0.0, eps=ADAM_EPS)
        self.density = DensityControl(model, self.optimizer, settings.density, self.radius_m, settings.seed)
        self.progress = Progress(step=0, elapsed_s=0.0, reseeds=0, neighbours=(), counts=MatchCounts.none(model.num_queries))

    @classmethod
    def resumed(
        cls, checkpoint: Path, views: Sequence[RefineView], settings: RefineSettings, labels: LabelSpace | None = None
    ) -> Refinement:
        """A refinement as its checkpoint left it. `labels`: those of the views' classes, where they may have changed.

        Raises `FileNotFoundError`, or `CheckpointProblem` for a file of another kind, other settings than those it began with
        (budget aside), other views and other labels."""
        stored = read_checkpoint(checkpoint, settings, views)
        if labels is not None and labels != stored.model.labels:
            raise OtherLabels(checkpoint, stored.model.labels, labels)
        made = cls(stored.model.to(views[0].labels.image.device), views, settings, checkpoint)
        with named_checkpoint(checkpoint):
            made.optimizer.load_state_dict(stored.optimizer)
            made.density.state |= {name: value.to(made.model.means.device) for name, value in stored.density.items()}
        made.progress, made.first_queries = stored.progress, stored.first_queries
        return made

    def run(self, progress: Callable[[StepReport], None] | None = None) -> None:
        """Use up the budget, or stop before where `settings.stop` says so. Raises `RefinementDiverged`; every exception
        leaves the last checkpoint as it is."""
        begin = time.monotonic() - self.progress.elapsed_s
        while not self.settled and (share := self._share_done()) < 1:
            losses = self.take_step(share)
            self.progress = replace(self.progress, step=self.progress.step + 1, elapsed_s=time.monotonic() - begin)
            if self.settings.all_started(share):
                totals = self.settings.stop.after(self.progress.totals, losses["total"])
                self.progress = replace(self.progress, totals=totals)
            if self.progress.step % len(self.views) == 0:
                self._look_after_queries()
            if progress is not None:
                progress(self.report(losses))
            if self.progress.step % self.settings.checkpoint_every == 0:
                self.save()
        self.conclude()

    @property
    def settled(self) -> bool:
        """Whether the losses have stopped falling, as `settings.stop` sees it."""
        return self.settings.stop.reached(self.progress.totals)

    def conclude(self) -> None:
        """End a run here: the checkpoint is written with all queries, then the map drops those that repeat others."""
        self.model.shown_degree = self.settings.degree_at(self._share_done())
        self.save()
        drop_repeated(self.model)

    def save(self) -> None:
        """Write the checkpoint, where one is kept."""
        if self.checkpoint is not None:
            write_checkpoint(self.checkpoint, self)

    def take_step(self, share: float) -> dict[str, float]:
        """One view's loss and one step of Adam at a share of the run; the terms' values."""
        self.model.shown_degree = self.settings.degree_at(share)
        weights = self.settings.weights_at(share)
        index = view_of_step(self.progress.step, len(self.views), self.settings.seed)
        if weights.warp and not self.progress.neighbours:
            self.progress = replace(self.progress, neighbours=self._neighbours())
        try:
            losses, screen = self._losses(index, weights)
        except NonFiniteCost as error:
            raise self._diverged(index, "the masks' matching cost") from error
        wrong = [name for name, value in losses.items() if not bool(torch.isfinite(value))]
        if wrong:
            raise self._diverged(index, f"the loss {', '.join(wrong)}")
        self.optimizer.zero_grad(set_to_none=True)
        losses["total"].backward()
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        if not bool(torch.isfinite(torch.stack([g.abs().max() for g in gradients if g.numel()])).all()):
            raise self._diverged(index, "a gradient")
        rates = rates_at(self.settings.rates, share, self.radius_m)
        for group in self.optimizer.param_groups:
            group["lr"] = rates[group["name"]]
        self.optimizer.step()
        if self.model.harmonics is None:  # else the constant alone says nothing of what is seen
            with torch.no_grad():
                self.model.colors.clamp_(0, 1)
        self.density.after_step(screen, self.views[index].image_hw, self.progress.step + 1, share)
        return {name: float(value.detach()) for name, value in losses.items()}

    def _losses(self, index: int, weights: PanopticSplattingLossWeights) -> tuple[dict[str, Tensor], OnScreen]:
        view, target = self.views[index], self.targets[index]
        if not (weights.semantics or weights.instances):
            shown = render_color(self.model, view.camera)
            color = color_loss(shown.image.color, target.image, weights.ssim)
            return {"color": color, "total": weights.color * color}, shown.screen
        shown = render_view(self.model, view.camera, self.settings.choices)
        match = self._matched(shown, target)
        neighbour = self._neighbour_of(index, shown.queries) if weights.warp else None
        logits = self.model.class_logits(shown.queries)
        return panopticsplatting_losses(shown.image, target, logits, match, neighbour, weights), shown.screen

    @torch.no_grad()
    def _matched(self, shown: MapView, target: ViewLabels) -> tuple[Tensor, Tensor]:
        """Queries of this rendering and masks of this view that belong together, counted for later."""
        probs = shown.image.instance_probs
        match = match_queries(instance_cost(probs, target.masks))
        coverage = probs.flatten(1) @ target.masks.to(probs).flatten(1).T / target.masks.flatten(1).sum(-1).clamp_min(1)
        self.progress = replace(self.progress, counts=self.progress.counts.after(shown.queries, match, coverage))
        return match

    @torch.no_grad()
    def _neighbour_of(self, index: int, queries: Tensor) -> RenderedLabels | None:
        other = self.progress.neighbours[index]
        return None if other < 0 else render_view(self.model, self.views[other].camera, self.settings.choices, queries).image

    @torch.no_grad()
    def _neighbours(self) -> tuple[int, ...]:
        """Which view each is warped to, -1 = none that sees enough of it."""
        shown = [render_color(self.model, view.camera).image for view in self.views]
        found = [neighbour_view(shown, index, self.settings.weights) for index in range(len(shown))]
        return tuple(-1 if other is None else other for other in found)

    def _look_after_queries(self) -> None:
        """After every round over the views: begin again after a collapse, drop what never got a mask."""
        counts, settings = self.progress.counts, self.settings
        collapsed = counts.collapsed(settings.collapse_share, settings.faint) or (alike(self.model) if counts.masks else "")
        if collapsed and self.progress.reseeds < settings.max_reseeds:
            _log.warning("step %d: %s; the queries begin again", self.progress.step, collapsed)
            reseeds = self.progress.reseeds + 1
            for parameter in reseed(self.model, self.first_queries, settings.seed + reseeds):
                self.optimizer.state.pop(parameter, None)
            counts = MatchCounts.none(self.model.num_queries)
            self.progress = replace(self.progress, reseeds=reseeds, totals=())
        elif self._share_done() >= settings.prune_from:
            prune(self.model, counts)
        self.progress = replace(self.progress, counts=counts.next_round())

    def report(self, losses: dict[str, float] | None = None) -> StepReport:
        """What is done, with the losses of a step where there are some."""
        now = self.progress
        return StepReport(now.step, self._share_done(), now.elapsed_s, losses or {}, int(self.model.alive.sum()))

    def _share_done(self) -> float:
        return self.settings.share_done(self.progress.step, self.progress.elapsed_s)

    def _diverged(self, index: int, what: str) -> RefinementDiverged:
        kept = "no checkpoint was kept"
        if self.checkpoint is not None and self.checkpoint.exists():
            kept = f"the last good state is {self.checkpoint}"
        return RefinementDiverged(
            f"step {self.progress.step + 1}, views[{index}]: {what} is not finite; {kept}. "
            "Lower the learning rates, or look at the views' depth and poses"
        )


def _ranked(labels: ViewLabels, ranks: Tensor) -> ViewLabels:
    """Classes of masks counted among the things, as the queries' class head counts them."""
    return replace(labels, class_id=ranks.to(labels.class_id.device)[labels.class_id])


def _groups(model: PanopticMap) -> list[dict[str, Any]]:
    """Parameters by learning rate, as `rates_at` names them."""
    named = {name: [getattr(model, name)] for name in (*model.gaussian_parameters, *FEATURE_PARAMETERS)}
    named["queries"] = [getattr(model, name) for name in QUERY_PARAMETERS if name != "query_means"]
    named["query_means"] = [model.query_means]
    modules = (model.semantic_decoder, model.query_projection, model.query_norm, model.class_head)
    named["decoders"] = [parameter for module in modules for parameter in module.parameters()]
    return [{"name": name, "params": parameters} for name, parameters in named.items()]
