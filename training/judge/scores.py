"""Scores that are probabilities: how often a mask is right, learnt from what a network says of it where it was not trained.

python -m training.judge.scores --fit odd=DIR --fit wild=DIR --world modelled=DIR --network WEIGHTS.safetensors

DIR holds val/ as `pan3d sim render --shards` writes it. Prints the calibration error of the worlds learnt from (`--fit`) and of
others (`--world`), before and after: with cameras known, without poses, of one picture. `--write` puts the calibration into the
weight file, whose checksum changes. Things of which no two scenes show the same, printed and nameless ones, say more than those
that the network knows by heart.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from pan3d_core.models.mini.decode import EVIDENCE, ScoreCalibration, decode_scene, mask_evidence
from pan3d_core.runtime.checksums import CHECKSUM, read_stored, write_weights
from pan3d_eval.metrics.calibration import expected_calibration_error
from training.data.arrays import ShardSet
from training.judge.objects import HELD_OUT_VIEWS, TrueCells, Vary, answered, object_network, unvaried
from training.judge.worlds import Judged, folders_by_name, unposed, worlds_and_networks
from training.run.refusing import refusing


@dataclass(frozen=True)
class Case:
    """What a network is given of each scene."""

    vary: Vary
    views: int = HELD_OUT_VIEWS


CASES = {"cameras known": Case(unvaried), "no poses": Case(unposed), "one picture": Case(unposed, 1)}


@dataclass(frozen=True)
class JudgedMasks:
    """N masks of a network, each with what the network says of it and whether it is right."""

    evidence: np.ndarray  # (N, len(EVIDENCE))
    scores: np.ndarray  # (N,) as the network gives them
    right: np.ndarray  # (N,) bool, IoU over 0.5 with an object

    @classmethod
    def of(cls, judged: Judged, shards: ShardSet, scenes: int, case: Case) -> JudgedMasks:
        """Those of the first scenes; masks on what is void are left out."""
        found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = [(np.zeros((0, len(EVIDENCE))), np.zeros(0), np.zeros(0, bool))]
        network, shown = object_network(judged.model), judged.sized(case.vary)
        answers = answered(network, shards, scenes=scenes, posed=True, views=case.views, bfloat16=False, vary=shown)
        for outputs, batch, b in answers:
            rows, scores = decode_scene(outputs.queries, b)
            masks = (outputs.queries.mask_logits[b, rows] > 0).flatten(1)
            overlaps = TrueCells.of(batch, b).overlaps(masks, scores)
            counted = torch.as_tensor(np.asarray(overlaps.predicted_rows), dtype=torch.int64)
            evidence = mask_evidence(outputs, b, rows)[counted].numpy()
            right = np.asarray((np.asarray(overlaps.ious) > 0.5).any(axis=1))
            found.append((evidence, np.asarray(overlaps.scores), right))
        return cls(*(np.concatenate(parts) for parts in zip(*found, strict=True)))

    def joined(self, other: JudgedMasks) -> JudgedMasks:
        """These and those."""
        pairs = ((self.evidence, other.evidence), (self.scores, other.scores), (self.right, other.right))
        return JudgedMasks(*(np.concatenate(pair) for pair in pairs))

    def errors(self, calibration: ScoreCalibration) -> tuple[float, float]:
        """Expected calibration error of the network's own scores and of the calibrated ones."""
        calibrated = calibration(torch.from_numpy(self.evidence).float()).numpy()
        before, after = (expected_calibration_error(scores, self.right).ece for scores in (self.scores, calibrated))
        return before, after


def judged_cases(judged: Judged, shards: ShardSet, scenes: int) -> dict[str, JudgedMasks]:
    """The masks of the first scenes in each of `CASES`."""
    return {name: JudgedMasks.of(judged, shards, scenes, case) for name, case in CASES.items()}


def fitted(masks: JudgedMasks) -> ScoreCalibration:
    """Fit the calibration by logistic regression.

    Args:
        masks: Of scenes that the network has not been trained on.

    Returns:
        The calibration.

    Raises:
        ValueError: All masks are right, or none is.
    """
    if len(np.unique(masks.right)) < 2:
        raise ValueError(f"masks: expected right and wrong ones to learn from, got {len(masks.right)} of one sort")
    scale = StandardScaler().fit(masks.evidence)
    model = LogisticRegression(C=1.0, max_iter=1000).fit(scale.transform(masks.evidence), masks.right)
    weights = model.coef_[0] / scale.scale_
    bias = float(model.intercept_[0] - weights @ scale.mean_)
    return ScoreCalibration(torch.from_numpy(weights).float(), bias)


def write_scores(path: Path, calibration: ScoreCalibration, worlds: Iterable[str]) -> None:
    """Put a calibration into a weight file, with the names of the worlds that it was learnt in.

    Args:
        path: Of the weights; replaced whole or not at all.
        calibration: Of their scores.
        worlds: Names for the card.
    """
    tensors, metadata = read_stored(path, "weights", "a weight file of a small network")
    content = json.loads(metadata["content"])
    content["scores"] = calibration.to_dict()
    content["facts"]["score_worlds"] = list(worlds)
    words = {name: text for name, text in metadata.items() if name != CHECKSUM}
    write_weights(path, tensors, {**words, "content": json.dumps(content)})


JudgedWorlds = Mapping[str, Mapping[str, JudgedMasks]]  # by world and case


def score_table(fit: JudgedWorlds, held_out: JudgedWorlds, calibration: ScoreCalibration) -> Iterable[str]:
    """Yield the lines of a Markdown table: calibration errors before and after in every world."""
    yield "| world | | " + " | ".join(f"{case}: ECE as the network says | calibrated" for case in CASES) + " |"
    yield "|---|---|" + "---:|---:|" * len(CASES)
    for part, worlds in (("fit", fit), ("held out", held_out)):
        for name, cases in worlds.items():
            errors = [error for masks in cases.values() for error in masks.errors(calibration)]
            yield f"| {name} | {part} | " + " | ".join(format(error, ".3f") for error in errors) + " |"


def main() -> None:
    """Command line entry."""
    parser = worlds_and_networks(__doc__)
    parser.add_argument("--fit", action="append", required=True, metavar="NAME=DIR", help="a world to learn from")
    parser.add_argument("--write", action="store_true", help="put the calibration into the file")
    arguments = parser.parse_args()
    path, *others = arguments.network
    if others or (arguments.write and path.suffix != ".safetensors"):
        expected = "one weight file to write to" if arguments.write else "one network"
        raise ValueError(f"--network: expected {expected}, got {', '.join(map(str, arguments.network))}")
    judged = Judged.read(path)
    fit, held_out = (
        {name: judged_cases(judged, ShardSet(folder / "val"), arguments.scenes) for name, folder in worlds.items()}
        for worlds in map(folders_by_name, (arguments.fit, arguments.world))
    )
    calibration = fitted(reduce(JudgedMasks.joined, (masks for cases in fit.values() for masks in cases.values())))
    print("\n".join(score_table(fit, held_out, calibration)))
    if arguments.write:
        write_scores(path, calibration, fit)


if __name__ == "__main__":
    with refusing("scores"):
        main()
