"""Fitting the space of looks: first the directions that tell objects apart, then a small network by comparing scenes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

Floats = npt.NDArray[np.float64]

DIMENSIONS, RIDGE = 128, 0.3  # of the space, and share of the mean spread that is added to every direction's
HIDDEN, STEPS, RATE, DROPPED = 256, 2500, 1e-3, 0.2
_EPISODES_AT_ONCE, _VIEWS = 3, (2, 5)  # of a step, and how many views of a scene are taken: at least, and fewer than
_SAME_SHARE = 0.25  # of pairs of one object, of as many pairs of two, in the loss that says how alike is alike enough
_LOSS_OF_PAIRS = 4.0
_SEED = 0


@dataclass(frozen=True)
class Sample:
    """Pictures of the objects of an episode."""

    features: npt.NDArray[np.float32]  # (K, N, F), of K ways to show each
    owners: npt.NDArray[np.int64]  # (N,) which object each is of
    scenes: npt.NDArray[np.int64]  # (N,) and in which scene

    def by_object(self) -> list[list[npt.NDArray[np.int64]]]:
        """Of each object that several scenes show, the rows of each scene."""
        found = []
        for owner in np.unique(self.owners):
            mine = np.flatnonzero(self.owners == owner)
            rows = [mine[self.scenes[mine] == scene] for scene in np.unique(self.scenes[mine])]
            if len(rows) > 1:
                found.append(rows)
        return found


def discriminant(values: Floats, owners: npt.NDArray[np.int64]) -> tuple[Floats, Floats, Floats]:
    """Find the directions in which objects differ most, over how much pictures of one object do.

    Args:
        values: (N, F) features.
        owners: (N,) which object each is of.

    Returns:
        Mean (F,), standard deviation (F,) and projection (F, D), D at most `DIMENSIONS`.
    """
    mean, deviation = values.mean(0), values.std(0) + 1e-6
    standard = (values - mean) / deviation
    _, rows = np.unique(owners, return_inverse=True)
    middles = np.zeros((rows.max() + 1, standard.shape[1]))
    np.add.at(middles, rows, standard)
    middles /= np.bincount(rows)[:, None]
    rest = standard - middles[rows]
    within = rest.T @ rest / len(rest)
    within += RIDGE * np.eye(len(within)) * np.trace(within) / len(within)
    sizes, axes = np.linalg.eigh(within)
    whiten = axes / np.sqrt(sizes)
    _, turned = np.linalg.eigh(np.cov((middles @ whiten).T))
    projection: Floats = whiten @ turned[:, ::-1][:, :DIMENSIONS]
    return mean, deviation, projection


class _Space(nn.Module):
    """A projection, and a small network that adds to it."""

    def __init__(self, mean: Floats, deviation: Floats, matrix: Floats) -> None:
        super().__init__()
        self.mean, self.deviation = torch.from_numpy(mean).float(), torch.from_numpy(deviation).float()
        self.matrix = nn.Parameter(torch.from_numpy(matrix).float())
        self.hidden, self.added = nn.Linear(matrix.shape[1], HIDDEN), nn.Linear(HIDDEN, matrix.shape[1])
        nn.init.normal_(self.hidden.weight, std=0.015)
        nn.init.zeros_(self.added.weight)
        nn.init.zeros_(self.added.bias)
        self.log_sharpness, self.alike = nn.Parameter(torch.tensor(2.3)), nn.Parameter(torch.tensor(0.3))

    def forward(self, features: Tensor) -> Tensor:
        flat = F.dropout((features - self.mean) / self.deviation, DROPPED) @ self.matrix
        added: Tensor = self.added(F.dropout(F.relu(self.hidden(flat)), DROPPED))
        return flat + added


def fitted_space(plain: Sequence[Sample], others: Sequence[Sample]) -> dict[str, Tensor]:
    """Fit the space so that what two scenes show of one object is more alike than what they show of two.

    Args:
        plain: Pictures of objects as they are; the directions to begin with are of these.
        others: Further objects.

    Returns:
        Tensors of a `pan3d_core.teaching.Projection`, in half precision.
    """
    values = np.concatenate([item.features.reshape(-1, item.features.shape[-1]) for item in plain]).astype(np.float64)
    first_of = np.cumsum([0, *(item.owners.max() + 1 for item in plain)])
    owners = np.concatenate([np.tile(item.owners + first, len(item.features)) for item, first in zip(plain, first_of)])
    torch.manual_seed(_SEED)
    space, rng = _Space(*discriminant(values, owners)), np.random.default_rng(_SEED)
    samples = [(item.features, item.by_object()) for item in (*plain, *others)]
    optimiser = torch.optim.Adam(space.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, STEPS, pct_start=0.1)
    for _ in range(STEPS):
        chosen = [samples[index] for index in rng.choice(len(samples), min(_EPISODES_AT_ONCE, len(samples)), replace=False)]
        loss = _loss(space, rng, chosen)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    held = {
        "mean": space.mean, "deviation": space.deviation, "matrix": space.matrix,
        "hidden": space.hidden.weight.T, "hidden_bias": space.hidden.bias,
        "added": space.added.weight.T, "added_bias": space.added.bias,
    }  # fmt: skip
    return {name: value.detach().half() for name, value in held.items()}


def _loss(
    space: _Space, rng: np.random.Generator, chosen: Sequence[tuple[npt.NDArray[np.float32], list[list[npt.NDArray[np.int64]]]]]
) -> Tensor:
    """Of two scenes of every object: which one of all is it, and how alike is alike enough."""
    taken, owners, count = [], [], 0
    for features, objects in chosen:
        for scenes in objects:
            for scene in rng.choice(len(scenes), 2, replace=False):
                views = min(len(scenes[scene]), int(rng.integers(*_VIEWS)))
                rows = rng.choice(scenes[scene], views, replace=False)
                taken.append(features[rng.integers(0, len(features), views), rows])
                owners += [count] * views
                count += 1
    rows = space(torch.from_numpy(np.concatenate(taken)).float())
    sums = torch.zeros(count, rows.shape[1]).index_add(0, torch.tensor(owners), F.normalize(rows, dim=1))
    units = F.normalize(sums, dim=1)
    cosines = units[0::2] @ units[1::2].T
    own, same = torch.arange(len(cosines)), torch.eye(len(cosines))
    sharpness = space.log_sharpness.exp()
    which = F.cross_entropy(sharpness * cosines, own) + F.cross_entropy(sharpness * cosines.T, own)
    weights = same * len(cosines) * _SAME_SHARE + 1 - same
    log_odds = 2 * sharpness * (cosines - space.alike)
    pairs = F.binary_cross_entropy_with_logits(log_odds, same, weights, reduction="sum") / weights.sum()
    return which / 2 + _LOSS_OF_PAIRS * pairs
