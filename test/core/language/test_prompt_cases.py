"""Requests as people type them, on scenes of known objects: the right thing, and never one that they exclude."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.labels import LabelSpace
from pan3d_core.language import KnownNames, Namer, PromptResult, resolve_prompt
from pan3d_core.language.colors import typical_rgb
from pan3d_core.structures import Panoptic3D, Segment
from pan3d_sim.objects.vocabulary import DESCRIPTIONS, SYNONYMS_PER_KIND

DATA = Path(__file__).parents[2] / "data" / "prompts"
SIZES = {
    "mug": (0.08, 0.08, 0.10), "bottle": (0.07, 0.07, 0.22), "bowl": (0.15, 0.15, 0.07), "box": (0.08, 0.10, 0.12),
    "can": (0.07, 0.07, 0.12), "ball": (0.07, 0.07, 0.07), "book": (0.15, 0.21, 0.03), "pan": (0.25, 0.40, 0.06),
    "banana": (0.05, 0.18, 0.04), "plate": (0.22, 0.22, 0.025), "hammer": (0.10, 0.28, 0.04), "tape": (0.10, 0.10, 0.05),
    "vase": (0.10, 0.10, 0.22), "block": (0.045, 0.045, 0.045),
}  # fmt: skip
KINDS = tuple(DESCRIPTIONS)


def lines(name: str) -> list[list[str]]:
    """Fields of the lines of a table, without comments."""
    text = (DATA / name).read_text(encoding="utf-8")
    separator = "|" if name != "scenes.txt" else None
    return [
        [field.strip() for field in line.split(separator)]
        for line in text.splitlines()
        if line.strip() and not line.startswith("#")
    ]


def noisy(vector: torch.Tensor, seed: int) -> torch.Tensor:
    noise = torch.randn(len(vector), generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(vector + 0.6 * noise / noise.norm(), dim=0)


@pytest.fixture(scope="module")
def namer(encoder) -> Namer:
    names = {kind: list(words[:SYNONYMS_PER_KIND]) for kind, words in DESCRIPTIONS.items()}
    return Namer(KnownNames.encode(names, encoder), encoder)


@pytest.fixture(scope="module")
def scenes(namer) -> dict[str, Panoptic3D]:
    segments: dict[str, list[Segment]] = {}
    for number, (scene, index, color, kind, x, y, bottom, scale) in enumerate(lines("scenes.txt")):
        size = torch.tensor(SIZES[kind]) * float(scale)
        center = torch.tensor([float(x), float(y), float(bottom) + float(size[2]) / 2])
        box = torch.eye(4)
        box[:3, 3] = center
        vector = namer.embed(kind)
        assert vector is not None
        segments.setdefault(scene, []).append(
            Segment(
                instance_id=int(index), class_id=KINDS.index(kind), class_score=0.85, score=0.9, num_points=100, num_views=3,
                centroid=center, box=OrientedBox(box, size), color_rgb=torch.tensor(typical_rgb(color), dtype=torch.float32),
                text_embedding=noisy(vector, number),
            )
        )  # fmt: skip
    empty, grid = torch.zeros(0, 3), torch.zeros(1, 4, 4, dtype=torch.int64)
    labels = LabelSpace.things(list(KINDS))
    return {
        name: Panoptic3D(grid - 1, grid, tuple(found), empty, empty, torch.zeros(0, dtype=torch.int64), empty, labels)
        for name, found in segments.items()
    }


def is_right(result: PromptResult, answer: str) -> bool:
    """Whether a result is what the table says."""
    if "?" in answer:
        return any(is_right(result, option) for option in answer.split("?"))
    if answer in ("not_found", "not_understood"):
        return result.status == answer and result.best is None
    if result.best is None:
        return False
    fitting = {match.instance_id for match in result.fitting}
    if answer.startswith("="):
        return fitting == {int(item) for item in answer[1:].split(",")}
    if " of " in answer:
        number, choice = answer.split(" of ")
        return len(fitting) == int(number) and fitting <= {int(item) for item in choice.split(",")}
    return result.best.instance_id in {int(item) for item in answer.split("/")}


def handed_out(result: PromptResult) -> set[int]:
    """Ids that a robot may take after this answer."""
    best = {result.best.instance_id} if result.best else set()
    return best | {match.instance_id for match in result.fitting}


@pytest.mark.parametrize("table", ["cases.txt", "held_back.txt"])
def test_requests_find_what_is_meant_and_never_what_is_not(table, scenes, namer):
    wrong, taken, cases = [], [], lines(table)
    for scene, prompt, answer, never in cases:
        result = resolve_prompt(prompt, scenes[scene], namer)
        ids = sorted(handed_out(result))
        said = f"{scene}: {prompt!r} expected {answer}, got {result.status} {ids}: {result.message}"
        if not is_right(result, answer):
            wrong.append(said)
        if set(ids) & {int(item) for item in never.split(",") if item}:
            taken.append(said)
    assert not taken, "\n".join(taken)
    assert len(wrong) <= 0.05 * len(cases), f"{len(wrong)} of {len(cases)}:\n" + "\n".join(wrong)
