"""Do words that were never trained on lead to the right object?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pan3d_core.language.namer import Namer
from pan3d_core.language.prompts import FOUND, UNKNOWN_WORD, resolve_prompt
from pan3d_core.structures import Panoptic3D
from pan3d_core.views.scene_folder import SceneTruth
from pan3d_eval.metrics.objects import ObjectErrors


@dataclass(frozen=True)
class PromptAnswer:
    """One description, asked in one scene."""

    prompt: str
    class_name: str  # of the object that it describes
    right: bool  # the most likely segment is an object of that class
    answered: bool  # the segment fits well enough to be handed to a robot


def prompt_answers(
    panoptic: Panoptic3D,
    objects: Sequence[ObjectErrors],
    truth: SceneTruth,
    prompts: Mapping[str, Sequence[str]],
    namer: Namer,
) -> tuple[PromptAnswer, ...]:
    """Ask for every class whose object was found, in words.

    Objects that no mask covers are left out: this measures words, not masks. Words that nothing can embed (no text encoder is
    installed) are left out as well.

    Args:
        panoptic: The result.
        objects: What `object_errors` says of the true objects.
        truth: Of the scene.
        prompts: Class name -> descriptions, each of which is asked for.
        namer: What compares words with segments.

    Returns:
        One for each description that was asked.
    """
    class_of = {item.instance_id: truth.labels.name(item.class_id) for item in truth.objects}
    segments_of: dict[str, set[int]] = {}
    for item in objects:
        if item.found:
            segments_of.setdefault(class_of[item.instance_id], set()).add(item.segment_id)
    answers = []
    for class_name, segments in segments_of.items():
        for prompt in prompts.get(class_name, ()):
            result = resolve_prompt(prompt, panoptic, namer)
            if result.status != UNKNOWN_WORD and result.matches:
                right = result.matches[0].instance_id in segments
                answers.append(PromptAnswer(prompt, class_name, right, result.status == FOUND))
    return tuple(answers)
