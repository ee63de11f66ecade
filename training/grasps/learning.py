"""The scorer learns from trials, and is judged on scenes that it has not seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pan3d_core.grasping.hand_views import TERMS, HandViews
from pan3d_core.grasping.scorer import GraspScorer, ScorerNetwork, tensors_of
from training.grasps.scene import MOVED, SceneTrials
from training.run.averaging import AveragedModel

HELD_OUT_SHARE = 0.1  # of the scenes: for the calibration and the figures
BATCH = 512
NOISE_M = 0.0005  # of places, so that no number is learnt by heart
AVERAGE = 0.995  # decay of the averaged weights
DROPPED = 0.1  # of points, at most
# What a mirrored hand sees: a parallel hand is the same from both sides, in both directions.
_MIRRORED = (("up_x", "lever_x"), ("up_y", "lever_y"))
Say = Callable[[int, float, float], None]


@dataclass(frozen=True)
class LearnRequest:
    """How the scorer learns."""

    epochs: int = 12
    learning_rate: float = 2e-3
    weight_decay: float = 2e-2
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise ValueError(f"epochs: expected at least 1, got {self.epochs}")


@dataclass(frozen=True)
class Split:
    """Trials of scenes that are learnt from, and of others."""

    learnt: np.ndarray  # rows
    held_out: np.ndarray  # rows


def split_by_scene(seeds: np.ndarray) -> Split:
    """Keep the last scenes apart.

    Args:
        seeds: (T,) of each trial.

    Returns:
        Rows of both parts; no scene is in both.

    Raises:
        ValueError: There are fewer than two scenes.
    """
    scenes = np.unique(seeds)
    if len(scenes) < 2:
        raise ValueError(f"trials: expected those of at least two scenes, got {len(scenes)}")
    first = scenes[-max(1, round(HELD_OUT_SHARE * len(scenes)))]
    return Split(np.flatnonzero(seeds < first), np.flatnonzero(seeds >= first))


def learn(trials: SceneTrials, seeds: np.ndarray, split: Split, request: LearnRequest, say: Say) -> ScorerNetwork:
    """Train and calibrate a scorer.

    Args:
        trials: All of them.
        seeds: (T,) their scenes.
        split: Which are learnt from; the others stop nothing, but calibrate and are told.
        request: How long, how fast.
        say: Called after every epoch with its number and the losses (nats a trial) on both parts.

    Returns:
        The network of the last epoch, with weights averaged over its steps, calibrated on the held-out scenes.
    """
    torch.manual_seed(request.seed)
    rng = np.random.default_rng(request.seed)
    network, copy = ScorerNetwork(), ScorerNetwork()
    averaged = AveragedModel(network, copy, sharded=False)
    optimizer = torch.optim.AdamW(network.parameters(), request.learning_rate, weight_decay=request.weight_decay)
    batches = max(1, len(split.learnt) // BATCH)
    objects = objects_of(trials, seeds)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, request.learning_rate, total_steps=request.epochs * batches + 1, pct_start=0.1
    )
    clean, steps = torch.from_numpy(trials.clean.astype(np.float32)), 0
    for epoch in range(request.epochs):
        total = 0.0
        for rows in _batches(split.learnt, objects, batches, rng):
            found = network(*_varied(trials.views[rows], rng))
            loss = _loss(found, clean[rows]) + _pair_loss(found, clean[rows], torch.from_numpy(objects[rows]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            steps += 1
            averaged.follow(min(AVERAGE, 1 - 2 / (steps + 1)))  # forgets its start quickly
            total += float(_loss(found.detach(), clean[rows])) / batches
        say(epoch, total, float(_loss(outputs(copy, trials.views[split.held_out]), clean[split.held_out])))
    # What is chosen from at use are settled hands; hands that were moved for the sake of failures calibrate nothing.
    rows = split.held_out[trials.chosen[split.held_out] != MOVED]
    calibrate(copy, outputs(copy, trials.views[rows]), clean[rows])
    return copy.eval()


def objects_of(trials: SceneTrials, seeds: np.ndarray) -> np.ndarray:
    """Number trials by what was to be lifted.

    Args:
        trials: All of them.
        seeds: (T,) their scenes.

    Returns:
        (T,) the same number for trials of one object of one scene as one input shows it.
    """
    keys = np.stack([seeds, trials.given, trials.target]).astype(np.int64)
    numbers: np.ndarray = np.unique(keys, axis=1, return_inverse=True)[1].ravel()
    return numbers


_loss = torch.nn.functional.binary_cross_entropy_with_logits


def _batches(rows: np.ndarray, objects: np.ndarray, count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """The rows in parts of about the same size, in another order every time, with trials of one object together."""
    place = rng.permutation(int(objects.max()) + 1)[objects[rows]]
    return np.array_split(rows[np.argsort(place, kind="stable")], count)


def _pair_loss(found: Tensor, clean: Tensor, objects: Tensor) -> Tensor:
    """Log loss of which of two trials of one object is clean, over all such pairs (Burges et al. 2005, "RankNet", equation 3)."""
    better = (objects[:, None] == objects[None]) & (clean[:, None] > clean[None])
    lead = (found[:, None] - found[None])[better]
    return torch.nn.functional.softplus(-lead).sum() / max(int(better.sum()), 1)


def outputs(network: ScorerNetwork, views: HandViews) -> Tensor:
    """(T,) of the network before its calibration."""
    with torch.inference_mode():
        parts = [network(*tensors_of(views[np.arange(k, min(k + 4096, len(views)))])) for k in range(0, len(views), 4096)]
    return torch.cat(parts)


def calibrate(network: ScorerNetwork, found: Tensor, clean: Tensor) -> None:
    """Set scale and shift so that probabilities are shares (Platt 1999, "Probabilistic outputs for support vector machines").

    Args:
        network: Whose buffers are set.
        found: (T,) outputs.
        clean: (T,) 0 or 1.
    """
    scale, shift = torch.ones(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.LBFGS([scale, shift], max_iter=100)
    found = found.clone()

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = _loss(scale * found + shift, clean)
        loss.backward()
        return loss

    optimizer.step(closure)
    with torch.no_grad():
        network.scale.copy_(scale)
        network.shift.copy_(shift)


def _varied(views: HandViews, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The same hands mirrored at random, with places a little off and some points missing."""
    own, other, terms = views.own.copy(), views.other.copy(), views.terms.copy()
    for axis, names in enumerate(_MIRRORED):
        rows = rng.random(len(own)) < 0.5
        own[rows, :, axis] *= -1
        own[rows, :, 3 + axis] *= -1
        other[rows, :, axis] *= -1
        for name in names:
            terms[rows, TERMS.index(name)] *= -1
    own[:, :, :3] += rng.normal(0, NOISE_M, (*own.shape[:2], 3)).astype(np.float32)
    keep = 1 - DROPPED * rng.random()
    fewer = np.where(views.own_count > 0, np.maximum(1, (views.own_count * keep).astype(np.int64)), 0)
    counts = np.stack([fewer, views.other_count], axis=1)
    slots = rng.permutation(own.shape[1])
    present = slots[None] < views.own_count[:, None]
    order = slots[np.argsort(~present, axis=1, kind="stable")]  # points first, those to be missing by chance
    own = np.take_along_axis(own, order[:, :, None], 1)
    return torch.from_numpy(own), torch.from_numpy(other), torch.from_numpy(counts), torch.from_numpy(terms)


@dataclass(frozen=True)
class Judgement:
    """Shares on held-out scenes."""

    trials: int
    clean: float  # of all trials
    auc: float  # how often a clean one is above another
    auc_analytic: float
    brier: float  # mean squared error of the probability
    gap: float  # expected calibration error, ten bins of equal size
    objects: int  # with at least two hands and not all alike
    first_clean: float  # of these, those whose best-scored hand is clean
    first_clean_analytic: float


def judge(scorer: GraspScorer, trials: SceneTrials, seeds: np.ndarray, rows: np.ndarray) -> Judgement:
    """Judge a scorer on settled hands beside the analytic ranking.

    Args:
        scorer: With its calibration.
        trials: All of them.
        seeds: (T,) their scenes.
        rows: Which count.

    Returns:
        Figures.
    """
    rows = rows[trials.chosen[rows] != MOVED]
    likely, analytic = scorer(trials.views[rows]), trials.views.terms[rows, TERMS.index("score")]
    clean = trials.clean[rows]
    edges = np.array_split(np.argsort(likely, kind="stable"), 10)
    gap = sum(len(part) / len(rows) * abs(likely[part].mean() - clean[part].mean()) for part in edges if len(part))
    groups = objects_of(trials, seeds)[rows]
    mixed = [part for part in (np.flatnonzero(groups == k) for k in np.unique(groups)) if 0 < clean[part].mean() < 1]
    first = [float(np.mean([clean[part[values[part].argmax()]] for part in mixed])) for values in (likely, analytic)]
    return Judgement(
        len(rows), float(clean.mean()), _auc(likely, clean), _auc(analytic, clean), float(((likely - clean) ** 2).mean()),
        float(gap), len(mixed), *first,
    )  # fmt: skip


def _auc(values: np.ndarray, clean: np.ndarray) -> float:
    """Share of pairs of a clean and another trial in which the clean one is above; ties are half."""
    order = np.unique(values, return_inverse=True)[1].ravel()
    counts = np.bincount(order)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[order]
    good = int(clean.sum())
    return float((ranks[clean].sum() - good * (good + 1) / 2) / max(good * (len(clean) - good), 1))
