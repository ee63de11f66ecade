"""What limits the masks of networks in worlds: AP50 as they answer, and with one thing after the other done by the truth.

python -m training.judge.limits --world heaps=DIR --network pan3d_core/weights/pan3d-mini.safetensors --scenes 60

Worlds and networks are those of `training.judge.worlds`. A figure that rises much says what is worth learning or deciding better.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pan3d_core.models.mini.decode import ScoreCalibration, find_instances
from pan3d_core.models.mini.network import MiniOutputs
from pan3d_eval.metrics.average_precision import instance_ap
from training.data.arrays import SceneBatch, ShardSet
from training.judge.objects import MIN_TRUE_CELLS, TrueCells, answered, object_network, unvaried
from training.judge.worlds import Judged, folders_by_name, worlds_and_networks
from training.run.refusing import refusing

MIN_SCORE = 0.3  # of an instance, as `model.min_score`


@dataclass(frozen=True)
class SceneAnswer:
    """What a network says of the N cells of one scene, and the truth."""

    kept: Tensor  # (K, N) bool, masks of the instances, best first
    scores: Tensor  # (K,)
    every: Tensor  # (Q, N) bool, masks of all queries, those that are no instances included
    foreground: Tensor  # (N,) bool, cells that show any object by a head of their own
    true: TrueCells

    @classmethod
    def of(cls, outputs: MiniOutputs, batch: SceneBatch, b: int, calibration: ScoreCalibration | None = None) -> SceneAnswer:
        """That of scene `b`, scored as the network's file says."""
        every = (outputs.queries.mask_logits[b] > 0).flatten(1)
        rows, scores = find_instances(outputs, b, MIN_SCORE, calibration=calibration)
        foreground = (outputs.foreground_logits[b] > 0).flatten()
        return cls(every[rows], scores, every, foreground, TrueCells.of(batch, b))

    def ious(self, masks: Tensor) -> Tensor:
        """(M, G) of masks (M, N) with the objects."""
        found, true = masks.float(), self.true.inside.float()
        both = found @ true.T
        return both / (found.sum(1)[:, None] + true.sum(1) - both).clamp_min(1)


Masks = tuple[Tensor, Tensor]  # (M, N) bool and their scores (M,)


def as_answered(answer: SceneAnswer) -> Masks:
    """The instances as they are."""
    return answer.kept, answer.scores


def ranked_by_truth(answer: SceneAnswer) -> Masks:
    """The instances with their best IoU as score: what a better score is worth."""
    return answer.kept, _best(answer.ious(answer.kept))


def pieces_joined(answer: SceneAnswer) -> Masks:
    """Instances of which most lies on one object become one: what it costs that things fall apart."""
    inside = answer.kept.float() @ answer.true.inside.float().T
    share, owner = inside.max(1) if inside.shape[1] else (inside.new_zeros(len(inside)), inside.new_zeros(len(inside)).long())
    is_piece = 2 * share > answer.kept.sum(1)
    masks, scores = [answer.kept[~is_piece]], [answer.scores[~is_piece]]
    for index in owner[is_piece].unique().tolist():
        rows = is_piece & (owner == index)
        masks.append(answer.kept[rows].any(0)[None])
        scores.append(answer.scores[rows].max()[None])
    return torch.cat(masks), torch.cat(scores)


def best_of_all(answer: SceneAnswer) -> Masks:
    """For each object the best mask of any query: what it costs to choose the wrong ones."""
    ious = answer.ious(answer.every)
    return answer.every[ious.argmax(0)], _best(ious.T)


def cut_by_truth(answer: SceneAnswer) -> Masks:
    """What all instances cover, cut into the true objects: what it costs to give cells to the wrong object."""
    return _cut(answer, answer.kept.any(0))


def foreground_cut_by_truth(answer: SceneAnswer) -> Masks:
    """The same of the cells that show any object by the foreground head."""
    return _cut(answer, answer.foreground)


def _best(ious: Tensor) -> Tensor:
    return ious.amax(1) if ious.shape[1] else ious.new_zeros(len(ious))


def _cut(answer: SceneAnswer, cells: Tensor) -> Masks:
    return answer.true.inside & cells, torch.ones(len(answer.true.inside))


LIMITS: Mapping[str, Callable[[SceneAnswer], Masks]] = {
    "as answered": as_answered, "ranked by truth": ranked_by_truth, "pieces joined": pieces_joined,
    "best of all queries": best_of_all, "cut by truth": cut_by_truth, "foreground cut by truth": foreground_cut_by_truth,
}  # fmt: skip


def limits_of(judged: Judged, shards: ShardSet, scenes: int) -> dict[str, float]:
    """Measure a network in one world.

    Args:
        judged: The network.
        shards: Scenes of the world.
        scenes: The most of them.

    Returns:
        AP50 by the names of `LIMITS`.
    """
    network, shown = object_network(judged.model), judged.sized(unvaried)
    shown_scenes = answered(network, shards, scenes=scenes, posed=True, bfloat16=False, vary=shown)
    answers = [SceneAnswer.of(*one, judged.scores) for one in shown_scenes]
    return {
        name: instance_ap([item.true.overlaps(*limit(item)) for item in answers], min_points=MIN_TRUE_CELLS).ap50
        for name, limit in LIMITS.items()
    }


def limit_table(worlds: Mapping[str, Path], networks: Iterable[Judged], scenes: int) -> Iterable[str]:
    """Yield the lines of a Markdown table as they are measured.

    Args:
        worlds: Folders with val/, by name.
        networks: To be compared.
        scenes: Of each world, the first ones.

    Yields:
        Lines.
    """
    networks = list(networks)
    yield "| world | network | " + " | ".join(LIMITS) + " |"
    yield "|---|---|" + "---:|" * len(LIMITS)
    for world, folder in worlds.items():
        shards = ShardSet(folder / "val")
        for network in networks:
            values = limits_of(network, shards, scenes).values()
            yield f"| {world} | {network.name} | " + " | ".join(format(value, ".3f") for value in values) + " |"


def main() -> None:
    """Command line entry."""
    arguments = worlds_and_networks(__doc__).parse_args()
    networks = [Judged.read(path) for path in arguments.network]
    for line in limit_table(folders_by_name(arguments.world), networks, arguments.scenes):
        print(line, flush=True)


if __name__ == "__main__":
    with refusing("limits"):
        main()
