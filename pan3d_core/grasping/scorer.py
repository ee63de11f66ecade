"""A small network that says how likely a grasp lifts its object and moves nothing else, from what the hand has before it.

Points of the object and of what is around go through one small network each, are pooled over points (Qi et al. 2017, "PointNet",
section 4.2) and meet the numbers of the analytic search. `python -m training.grasps` makes it learn from grasps tried in physics.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import pan3d_core
from pan3d_core.config import GripperConfig
from pan3d_core.grasping.hand_views import OTHER_POINTS, OWN_POINTS, TERMS, HandViews
from pan3d_core.runtime.checksums import check_checksum, read_stored, write_weights
from pan3d_core.runtime.files import named_file

FILE = Path(pan3d_core.__file__).parent / "weights" / "pan3d-grasps.safetensors"
FORMAT = "pan3d grasp scorer 1"
HAND = GripperConfig()  # whose grasps were learnt from
_NEAR_M = 0.05  # places are divided by this
_OWN_WIDTH, _OTHER_WIDTH, _HEAD_WIDTH = 80, 48, 96


class ScorerNetwork(nn.Module):
    """From what H hands have before them to the log odds of a clean lift, before calibration."""

    scale: Tensor
    shift: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.own = nn.Sequential(nn.Linear(7, _OWN_WIDTH // 2), nn.ReLU(), nn.Linear(_OWN_WIDTH // 2, _OWN_WIDTH), nn.ReLU())
        self.other = nn.Sequential(
            nn.Linear(3, _OTHER_WIDTH // 2), nn.ReLU(), nn.Linear(_OTHER_WIDTH // 2, _OTHER_WIDTH), nn.ReLU()
        )
        pooled = 2 * _OWN_WIDTH + _OTHER_WIDTH + len(TERMS)
        self.head = nn.Sequential(
            nn.Linear(pooled, _HEAD_WIDTH), nn.ReLU(), nn.Linear(_HEAD_WIDTH, _HEAD_WIDTH), nn.ReLU(), nn.Linear(_HEAD_WIDTH, 1)
        )
        self.register_buffer("scale", torch.ones(1))  # of the calibration: log odds are scale * output + shift
        self.register_buffer("shift", torch.zeros(1))

    def forward(self, own: Tensor, other: Tensor, counts: Tensor, terms: Tensor) -> Tensor:
        """Judge hands.

        Args:
            own: (H, K, 7) as `HandViews.own`.
            other: (H, L, 3) as `HandViews.other`.
            counts: (H, 2) points of each that count.
            terms: (H, T) as `HandViews.terms`.

        Returns:
            (H,) without the calibration.
        """
        is_own = (torch.arange(own.shape[1]) < counts[:, :1])[:, :, None]
        is_other = (torch.arange(other.shape[1]) < counts[:, 1:])[:, :, None]
        places = torch.cat([own[:, :, :3] / _NEAR_M, own[:, :, 3:]], dim=2)
        mine = self.own(places) * is_own
        theirs = self.other(other / _NEAR_M) * is_other
        mean = mine.sum(1) / counts[:, :1].clamp(min=1)
        found: Tensor = self.head(torch.cat([mine.amax(1), mean, theirs.amax(1), terms], dim=1))[:, 0]
        return found


def tensors_of(views: HandViews) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What the network takes of H hands."""
    counts = np.stack([views.own_count, views.other_count], axis=1).astype(np.int64)
    return torch.from_numpy(views.own), torch.from_numpy(views.other), torch.from_numpy(counts), torch.from_numpy(views.terms)


@dataclass(frozen=True)
class GraspScorer:
    """A network that was read, and whose it is."""

    network: ScorerNetwork
    checksum: str

    def __call__(self, views: HandViews) -> np.ndarray:
        """Judge hands.

        Args:
            views: Of H hands.

        Returns:
            (H,) float32, calibrated probability of a lift that moves nothing else.
        """
        if len(views) == 0:
            return np.zeros(0, np.float32)
        with torch.inference_mode():
            odds = self.network.scale * self.network(*tensors_of(views)) + self.network.shift
            likely: np.ndarray = torch.sigmoid(odds).numpy()
        return likely


def knows_hand(gripper: GripperConfig) -> bool:
    """Whether the scorer has learnt with such a hand; it says nothing of others."""
    return replace(gripper, kind=HAND.kind, suction=HAND.suction) == HAND


def read_scorer(path: Path | str) -> GraspScorer:
    """Read a scorer strictly.

    Args:
        path: A file of `python -m training.grasps learn`.

    Returns:
        The scorer.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It is damaged, of another kind, or has other tensors than expected; names the file and the tensor.
    """
    tensors, metadata = read_stored(path, "grasp scorer", "one that `python -m training.grasps learn` wrote")
    check_checksum(path, tensors, metadata)
    with named_file(path, "a scorer of grasps"):
        if metadata.get("format") != FORMAT or metadata.get("terms") != ",".join(TERMS):
            raise ValueError(
                f"format: expected {FORMAT} with {len(TERMS)} terms, got {metadata.get('format', 'nothing')} with "
                f"{len(metadata.get('terms', '').split(','))}"
            )
        network = ScorerNetwork().eval()
        expected = network.state_dict()
        if missing := sorted(set(expected) ^ set(tensors)):
            raise ValueError(f"{missing[0]}: expected the tensors of a scorer, got others ({', '.join(missing)})")
        for name, tensor in expected.items():
            if tensors[name].shape != tensor.shape or tensors[name].dtype != tensor.dtype:
                raise ValueError(f"{name}: expected {tuple(tensor.shape)} {tensor.dtype}, got {tuple(tensors[name].shape)}")
            if not torch.isfinite(tensors[name]).all():
                raise ValueError(f"{name}: expected finite numbers, got others")
        network.load_state_dict(tensors)
    return GraspScorer(network, metadata.get("checksum", ""))


def write_scorer(path: Path | str, network: ScorerNetwork, told: dict[str, str]) -> None:
    """Write a scorer with its checksum.

    Args:
        path: The safetensors file.
        network: With its calibration.
        told: What it has learnt from, in words.
    """
    sizes = {"own_points": str(OWN_POINTS), "other_points": str(OTHER_POINTS)}
    write_weights(path, network.state_dict(), {"format": FORMAT, "terms": ",".join(TERMS), **sizes, **told})


@cache
def shipped_scorer() -> GraspScorer:
    """The one that comes with the package."""
    return read_scorer(FILE)
