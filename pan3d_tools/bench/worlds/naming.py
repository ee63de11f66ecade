"""`pan3d bench naming`: words for things that are there and for things that are not, in scenes that no network was trained on.

Every class whose object the engine found is asked for in the words written beside the scenes, which no training has seen; so is
a class that is not there, in one of its descriptions, and a thing of no class. `top1` is the share of the former whose likeliest
segment is right, `answered` of those that are right and fit well enough to be handed to a robot, `refused` of the latter two
that find nothing. `none_ece` compares the probability of "none of these" with how often none is there. Rows are ways of naming
on the same results. "cosines fitted": temperature and place of none, by maximum likelihood, for single segments' vectors and
descriptions, on every other scene; "cosines' numbers" names with them.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pan3d_core.config import ModelConfig, NamingConfig, PipelineConfig
from pan3d_core.language.known_names import KnownNames
from pan3d_core.language.namer import Namer
from pan3d_core.language.prompts import FOUND, resolve_prompt
from pan3d_core.structures import Panoptic3D
from pan3d_eval.datasets.scenes import SceneReference, list_scenes, paraphrases
from pan3d_eval.metrics.calibration import expected_calibration_error
from pan3d_eval.metrics.none_fitting import fit_none, none_calibration
from pan3d_eval.runner import EvaluationProtocol, evaluate_result
from pan3d_eval.workers import scene_worker
from pan3d_sim.objects.vocabulary import PARAPHRASES
from pan3d_tools.bench.options import add_engine_options

SIZE = (144, 112)  # pixels, as on the scoreboard
STRANGERS = (
    "helicopter", "violin", "pizza", "lawn mower", "telescope", "bathtub", "horse", "piano", "traffic light", "surfboard",
    "fire extinguisher", "hair dryer", "skateboard", "garden hose", "stethoscope", "chess board",
)  # fmt: skip
TEMPLATES = ("a {}", "a photo of a {}", "a {} on a table")
VARIANTS: dict[str, dict[str, object]] = {
    "as shipped": {},
    "templates": {"templates": TEMPLATES},
    "template 'a {}'": {"templates": ("a {}",)},
}


@dataclass(frozen=True)
class SeenScene:
    """A result, and which segments are the found objects of each class."""

    panoptic: Panoptic3D
    found: Mapping[str, frozenset[int]]
    present: frozenset[str]  # classes in the scene, found or not


@dataclass(frozen=True)
class Question:
    """Words, and the segments that they mean; none for what is not there."""

    scene: SeenScene
    number: int  # of the scene
    words: str
    meant: frozenset[int]


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="pan3d bench naming", description=__doc__.splitlines()[0])
    parser.add_argument("scenes", nargs="+", type=Path, help="scene folders or shards that hold descriptions")
    add_engine_options(parser)
    parser.add_argument("--limit", type=int, default=40, help="scenes (default: %(default)s)")
    parser.add_argument("--none", type=float, nargs="*", default=[], help="other values of naming.none_similarity to try")
    return parser.parse_args(argv)


def run(argv: list[str]) -> dict[str, object]:
    options = parse(argv)
    references = list_scenes(options.scenes, options.limit)
    words = paraphrases(references, PARAPHRASES)
    scenes, known = seen_scenes(options, references)
    questions = [question for index, scene in enumerate(scenes) for question in asked(scene, words, index)]
    variants = VARIANTS | {f"none {value:g}": {"none_similarity": value} for value in options.none}
    numbers = fitted(questions, Namer(known))
    by_fit = {"similarity_temperature": numbers["temperature"], "none_similarity": numbers["none_similarity"]}
    variants |= {"cosines' numbers": by_fit}
    rows = {name: judged(questions, Namer(known, config=NamingConfig(**changes))) for name, changes in variants.items()}
    return {"scenes": len(scenes), "questions": len(questions), **rows, "cosines fitted": numbers}


def seen_scenes(options: argparse.Namespace, references: Sequence[SceneReference]) -> tuple[list[SeenScene], KnownNames | None]:
    """Results with their truth, and the engine's known names."""
    config = PipelineConfig(model=ModelConfig(name=options.engine, weights=options.weights))
    worker = scene_worker(config, EvaluationProtocol(use_depth=False), SIZE)
    scenes = []
    for reference in references:
        scene = reference.read()
        result = worker.process(scene)
        truth = scene.known_truth()
        class_of = {item.instance_id: truth.labels.name(item.class_id) for item in truth.objects}
        found: dict[str, set[int]] = {}
        for item in evaluate_result(result, scene).objects:
            if item.found:
                found.setdefault(class_of[item.instance_id], set()).add(item.segment_id)
        sets = {name: frozenset(ids) for name, ids in found.items()}
        scenes.append(SeenScene(result.panoptic, sets, frozenset(class_of.values())))
    return scenes, worker.pipeline.engine.facts.known_names


def asked(scene: SeenScene, words: Mapping[str, Sequence[str]], number: int) -> list[Question]:
    """All descriptions of what was found; one of each class that is not there; as many things of no class."""
    draw = np.random.default_rng(number)
    questions = [Question(scene, number, text, ids) for name, ids in scene.found.items() for text in words.get(name, ())]
    absent = [name for name in words if name not in scene.present]
    questions += [Question(scene, number, str(draw.choice(words[name])), frozenset()) for name in absent]
    strange = draw.choice(STRANGERS, min(len(absent), len(STRANGERS)), replace=False)
    return questions + [Question(scene, number, str(name), frozenset()) for name in strange]


def judged(questions: Sequence[Question], namer: Namer) -> dict[str, float]:
    """Figures of one way of naming."""
    top1, answered, refused, p_none = [], [], [], []
    for question in questions:
        result = resolve_prompt(question.words, question.scene.panoptic, namer)
        p_none.append(result.p_none)
        if question.meant:
            right = bool(result.matches) and result.matches[0].instance_id in question.meant
            top1.append(right)
            answered.append(right and result.status == FOUND)
        else:
            refused.append(result.status != FOUND)
    is_none = np.array([not question.meant for question in questions])
    calibration = expected_calibration_error(np.array(p_none), is_none)
    names = ("top1", "answered", "refused", "none_ece", "none_brier")
    figures = [float(np.mean(item)) for item in (top1, answered, refused)] + [calibration.ece, calibration.brier]
    return {name: round(value, 4) for name, value in zip(names, figures)}


def fitted(questions: Sequence[Question], namer: Namer) -> dict[str, float]:
    """`fit_none` on one half of the scenes, judged on the other: every segment's vector with every description alone."""
    halves: tuple[list[tuple[float, bool]], ...] = ([], [])
    for question in questions:
        text = namer.embed(question.words)
        for segment in question.scene.panoptic.segments:
            if segment.text_embedding is not None and text is not None:
                halves[question.number % 2].append(
                    (float(segment.text_embedding.cpu().float() @ text), segment.instance_id in question.meant)
                )
    cosines, is_there = zip(*(map(torch.tensor, zip(*half)) for half in halves))
    numbers, config = fit_none(cosines[0], is_there[0]), namer.config
    shipped = (config.similarity_temperature, config.none_similarity)
    before, after = (none_calibration(cosines[1], is_there[1], *pair) for pair in (shipped, numbers))
    names = ("temperature", "none_similarity", "ece_before", "ece_after", "brier_before", "brier_after")
    figures = (*numbers, before.ece, after.ece, before.brier, after.brier)
    return {name: round(value, 4) for name, value in zip(names, figures)}
