"""SAM 2 (Ravi et al. 2024) and SAM 3 (Carion et al. 2025) as teachers, by the packages of their authors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pan3d_core.labelling.teachers.request import TeacherRequest, needed_package, pixels_of
from pan3d_core.labelling.teachers.table import OpenedModel
from pan3d_core.labels import LabelSpace
from pan3d_core.refine.labels.sources import UNNAMED, VOID, FoundSegments
from pan3d_core.runtime.device import select_device
from pan3d_core.settings import did_you_mean

SAM2_SOURCE = "install SAM 2 from github.com/facebookresearch/sam2"
SAM3_SOURCE = "install SAM 3 from github.com/facebookresearch/sam3 (Python 3.12 or later)"
SAM2_SCORE, SAM3_SCORE = 0.8, 0.5  # least scores of the authors' programs
# Published checkpoints and the configurations that they are of.
SAM2_CONFIGS = {
    f"{family}_hiera_{size}": f"configs/{family}/{family}_hiera_{short}.yaml"
    for family in ("sam2", "sam2.1")
    for size, short in (("tiny", "t"), ("small", "s"), ("base_plus", "b+"), ("large", "l"))
}


def open_automatic(request: TeacherRequest) -> OpenedModel:
    """Open SAM 2 to find masks of everything; errors as `build_teacher`."""
    if request.things or request.stuff:
        raise ValueError(f"teacher {request.name}: classes: expected none, since it names nothing, got some; see grounded-sam2")
    model = sam2_model(request)
    with needed_package(request.name, SAM2_SOURCE):
        import sam2.automatic_mask_generator
    generator = sam2.automatic_mask_generator.SAM2AutomaticMaskGenerator(model, pred_iou_thresh=request.score(SAM2_SCORE))

    def look(image: Tensor) -> FoundSegments:
        records = generator.generate(pixels_of(image))
        hw = (image.shape[-2], image.shape[-1])
        masks = mask_stack([record["segmentation"] for record in records], hw)
        scores = torch.tensor([float(record["predicted_iou"]) for record in records])
        return FoundSegments(masks, torch.zeros(len(masks), dtype=torch.int64), scores)

    return OpenedModel(LabelSpace.things([UNNAMED]), look)


def open_concepts(request: TeacherRequest) -> OpenedModel:
    """Open SAM 3 to find what words name; errors as `build_teacher`."""
    labels, weights = request.words(), request.file("weights", "a checkpoint of SAM 3")
    with needed_package(request.name, SAM3_SOURCE):
        import sam3.model.sam3_image_processor
        import sam3.model_builder
    device = str(select_device(request.device))
    model = sam3.model_builder.build_sam3_image_model(checkpoint_path=str(weights), load_from_HF=False, device=device)
    processor = sam3.model.sam3_image_processor.Sam3Processor(
        model, device=device, confidence_threshold=request.score(SAM3_SCORE)
    )

    def look(image: Tensor) -> FoundSegments:
        hw = (image.shape[-2], image.shape[-1])
        state = processor.set_image(Image.fromarray(pixels_of(image)))
        found: list[tuple[Tensor, Tensor]] = []
        for word in labels.names:
            processor.reset_all_prompts(state)
            answer = processor.set_text_prompt(prompt=word, state=state)
            masks = mask_stack([mask.squeeze(0) for mask in torch.as_tensor(answer["masks"])], hw)
            found.append((masks, torch.as_tensor(answer["scores"]).float().cpu()))
        return segments_of_words(labels, found, hw)

    return OpenedModel(labels, look)


def segments_of_words(labels: LabelSpace, found: Sequence[tuple[Tensor, Tensor]], hw: tuple[int, int]) -> FoundSegments:
    """Join what a model found for each word.

    Args:
        labels: Words, things first.
        found: For each word masks (N, H, W) and scores (N,).
        hw: Rows and columns of the picture.

    Returns:
        Masks of things; masks of stuff as classes of pixels, the surer one where they overlap.
    """
    masks, classes, scores = [torch.zeros(0, *hw, dtype=torch.bool)], [torch.zeros(0, dtype=torch.int64)], [torch.zeros(0)]
    semantics, best = torch.full(hw, VOID), torch.zeros(hw)
    for class_id, (own, sure) in enumerate(found):
        if labels.is_thing[class_id]:
            masks.append(own)
            classes.append(torch.full((len(own),), class_id))
            scores.append(sure)
            continue
        for mask, score in zip(own, sure.tolist(), strict=True):
            wins = mask & (score > best)
            semantics, best = torch.where(wins, class_id, semantics), torch.where(wins, score, best)
    return FoundSegments(torch.cat(masks), torch.cat(classes), torch.cat(scores), semantics)


def sam2_model(request: TeacherRequest) -> Any:
    """SAM 2's network of a checkpoint, in the configuration that is named or that the file's name tells."""
    weights = request.file("weights", "a checkpoint of SAM 2")
    config = request.config or SAM2_CONFIGS.get(weights.stem, "")
    if not config:
        hint = did_you_mean(weights.stem, SAM2_CONFIGS)
        raise ValueError(f"teacher {request.name}: config: expected the configuration that {weights.name} is of{hint}, got none")
    with needed_package(request.name, SAM2_SOURCE):
        import sam2.build_sam
    return sam2.build_sam.build_sam2(config, str(weights), device=str(select_device(request.device)))


def mask_stack(masks: Sequence[Any], hw: tuple[int, int]) -> Tensor:
    """Stack masks of a model, each an array of the picture's size.

    Args:
        masks: N arrays or tensors of True and False, or 0 and 1.
        hw: Rows and columns of the picture.

    Returns:
        (N, H, W) bool.

    Raises:
        ValueError: One has another size, or other values.
    """
    made = [torch.zeros(0, *hw, dtype=torch.bool)]
    for mask in masks:
        values = torch.from_numpy(np.ascontiguousarray(mask)) if isinstance(mask, np.ndarray) else torch.as_tensor(mask).cpu()
        if tuple(values.shape) != hw:
            raise ValueError(f"masks: expected {hw[0]} rows and {hw[1]} columns as the picture has, got {tuple(values.shape)}")
        if values.dtype != torch.bool and not bool(((values == 0) | (values == 1)).all()):
            raise ValueError(f"masks: expected True and False, or 0 and 1, got {values.dtype} with other values")
        made.append(values.bool()[None])
    return torch.cat(made)
