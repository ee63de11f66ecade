"""Grounding DINO (Liu et al. 2023) finds boxes of what words name, and SAM 2 the mask in each: Grounded SAM 2."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from pan3d_core.labelling.teachers.request import TeacherRequest, needed_package, pixels_of
from pan3d_core.labelling.teachers.sam import SAM2_SOURCE, mask_stack, sam2_model, segments_of_words
from pan3d_core.labelling.teachers.table import OpenedModel
from pan3d_core.refine.labels.sources import FoundSegments
from pan3d_core.runtime.device import select_device
from pan3d_core.structures import require_shape

SOURCE = "install Grounding DINO from github.com/IDEA-Research/GroundingDINO"
BOX_SCORE, TEXT_SCORE = 0.35, 0.25  # of the authors' program
SHORT_SIDE, LONG_SIDE = 800, 1333  # that their pictures are brought to
IMAGE_MEAN, IMAGE_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def open_grounded(request: TeacherRequest) -> OpenedModel:
    """Open both models; errors as `build_teacher`."""
    labels, device = request.words(), str(select_device(request.device))
    weights = request.file("detector_weights", "a checkpoint of Grounding DINO")
    config = request.file("detector_config", "Grounding DINO's configuration")
    with needed_package(request.name, SOURCE):
        import groundingdino.util.inference
    with needed_package(request.name, SAM2_SOURCE):
        import sam2.sam2_image_predictor
    detector = groundingdino.util.inference.load_model(str(config), str(weights), device=device)
    predictor = sam2.sam2_image_predictor.SAM2ImagePredictor(sam2_model(request))
    caption = " . ".join(labels.names) + " ."

    def look(image: Tensor) -> FoundSegments:
        hw = (image.shape[-2], image.shape[-1])
        boxes, scores, phrases = groundingdino.util.inference.predict(
            detector, detector_picture(image), caption, request.score(BOX_SCORE), TEXT_SCORE, device=device
        )
        require_shape("boxes", boxes, (len(phrases), 4))
        require_shape("scores", scores, (len(phrases),))
        named = [class_of_phrase(phrase, labels.names) for phrase in phrases]
        if any(row >= 0 for row in named):
            predictor.set_image(pixels_of(image))
        found: list[list[tuple[Tensor, float]]] = [[] for _ in labels.names]
        for box, score, row in zip(corners(boxes, hw), scores.tolist(), named, strict=True):
            if row >= 0:  # a phrase of none of the words says nothing that was asked
                masks, _, _ = predictor.predict(box=box.numpy(), multimask_output=False)
                found[row].append((mask_stack(list(masks), hw)[0], score))
        joined = []
        for own in found:
            stacked = torch.stack([mask for mask, _ in own]) if own else torch.zeros(0, *hw, dtype=torch.bool)
            joined.append((stacked, torch.tensor([score for _, score in own])))
        return segments_of_words(labels, joined, hw)

    return OpenedModel(labels, look)


def detector_picture(image: Tensor) -> Tensor:
    """Bring a picture to what Grounding DINO takes.

    Args:
        image: (3, H, W) RGB 0..1.

    Returns:
        (3, h, w), normalised; the short side has 800 pixels unless the long one would have more than 1333.
    """
    height, width = image.shape[-2:]
    scale = min(SHORT_SIDE / min(height, width), LONG_SIDE / max(height, width))
    size = (round(height * scale), round(width * scale))
    resized = F.interpolate(image[None], size=size, mode="bilinear", antialias=True)[0]
    made: Tensor = (resized - torch.tensor(IMAGE_MEAN)[:, None, None]) / torch.tensor(IMAGE_STD)[:, None, None]
    return made


def corners(boxes: Tensor, hw: tuple[int, int]) -> Tensor:
    """Boxes in pixels.

    Args:
        boxes: (N, 4) middle across, middle down, width and height as shares of the picture.
        hw: Its rows and columns.

    Returns:
        (N, 4) left, top, right, bottom in pixels.
    """
    middle, side = boxes.float().cpu()[:, :2], boxes.float().cpu()[:, 2:]
    return torch.cat([middle - side / 2, middle + side / 2], dim=1) * torch.tensor([hw[1], hw[0], hw[1], hw[0]])


def class_of_phrase(phrase: str, names: tuple[str, ...]) -> int:
    """Find which of the words a phrase of Grounding DINO means: it says those tokens of the caption that a box fits.

    Args:
        phrase: As the model says it.
        names: Words that were asked for.

    Returns:
        Index into `names`: the word itself, else the longest that is all in the phrase, else the one that has all of the phrase;
        -1 where none is meant, or two as much.
    """
    said = phrase.lower().replace(".", " ").split()
    words = [name.lower().split() for name in names]
    if said in words:
        return words.index(said)
    held = [row for row, own in enumerate(words) if set(own) <= set(said)]
    if held:
        longest = max(len(words[row]) for row in held)
        held = [row for row in held if len(words[row]) == longest]
    elif said:
        held = [row for row, own in enumerate(words) if set(said) <= set(own)]
    return held[0] if len(held) == 1 else -1
