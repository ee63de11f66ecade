"""Any segmenter in an ONNX file as a teacher: a YAML file says what its numbers mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from pan3d_core.labelling.teachers.request import TeacherRequest, needed_package
from pan3d_core.labelling.teachers.table import OpenedModel
from pan3d_core.labels import LabelSpace
from pan3d_core.refine.labels.sources import UNNAMED, VOID, FoundSegments, things_first
from pan3d_core.settings import Checked, read_settings, read_yaml, setting
from pan3d_core.structures import require_shape

INSTALL = 'pip install "pan3d[onnx]"'
SCORE = 0.5
_MEANINGS = ("masks", "scores", "labels", "semantics")


@dataclass(frozen=True)
class OnnxSegmenter(Checked):
    """What goes into a model, and what comes out of it."""

    classes: tuple[str, ...] = setting((), "of the model, in its order")
    stuff: tuple[str, ...] = setting((), "those of them that are not counted")
    first_label: int = setting(0, "number of the first class among its labels; 1 where 0 is none", range=(-1, 10**6))
    size: tuple[int, ...] = setting((), "rows and columns that it takes; empty = those that the file names, else the picture's")
    white: float = setting(1.0, "value of white before mean and deviation are applied: 1 or 255", range=(1e-6, 1e6))
    mean: tuple[float, float, float] = setting((0.0, 0.0, 0.0), "subtracted, of red, green and blue")
    deviation: tuple[float, float, float] = setting((1.0, 1.0, 1.0), "divided by, of red, green and blue")
    values: str = setting("probabilities", "of masks and semantics", choices=("probabilities", "logits"))
    masks: str = setting("", "output (N, h, w) or (1, N, h, w), a mask for each object")
    scores: str = setting("", "output (N,), how sure of each mask; empty = all alike")
    labels: str = setting("", "output (N,) whole numbers, class of each mask; empty = no classes")
    semantics: str = setting("", "output (1, C, h, w), a value for each class and pixel")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.masks and not self.semantics:
            raise ValueError("masks, semantics: expected the name of an output for one of them, got none")
        if unknown := [name for name in self.stuff if name not in self.classes]:
            raise ValueError(f"stuff: expected some of the classes, got {unknown[0]!r}")
        if (self.semantics or self.labels) and not self.classes:
            raise ValueError("classes: expected names of the model's classes, got none")
        if self.size and len(self.size) != 2:
            raise ValueError(f"size: expected rows and columns, got {self.size}")

    def outputs(self) -> dict[str, str]:
        """Meaning -> name of the output, of those that there are."""
        return {meaning: getattr(self, meaning) for meaning in _MEANINGS if getattr(self, meaning)}


def open_onnx(request: TeacherRequest) -> OpenedModel:
    """Open a model in ONNX Runtime; errors as `build_teacher`."""
    path, config = request.file("weights", "an ONNX file"), request.file("config", "a YAML file that describes the model")
    described = read_settings(OnnxSegmenter, read_yaml(config, "what a model's numbers mean"), str(config))
    with needed_package(request.name, INSTALL):
        import onnxruntime
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # its kinds of errors have no base of their own
        raise ValueError(f"weights: expected an ONNX file that ONNX Runtime opens, got {path} ({error})") from error
    entry, hw = _input(session, described, str(path))
    wanted = described.outputs()
    there = [item.name for item in session.get_outputs()]
    if lost := [f"{meaning}: {name}" for meaning, name in wanted.items() if name not in there]:
        raise ValueError(f"{config}: {lost[0]}: expected one of the model's outputs {', '.join(there)}")
    names = described.classes or (UNNAMED,)
    own = LabelSpace(names, tuple(name not in described.stuff for name in names))
    labels = things_first(own)
    if request.things or request.stuff:
        raise ValueError(f"teacher {request.name}: classes: expected them in {config.name} alone, got some beside it")

    def look(image: Tensor) -> FoundSegments:
        try:
            arrays = session.run(list(wanted.values()), {entry: prepared(image, described, hw).numpy(force=True)})
        except Exception as error:  # as above
            raise ValueError(f"weights: {path} failed while running: {error}") from error
        outputs = {meaning: torch.from_numpy(value) for meaning, value in zip(wanted, arrays, strict=True)}
        table = torch.tensor([labels.names.index(name) for name in own.names])
        return segments_of(outputs, described, table, (image.shape[-2], image.shape[-1]), request.score(SCORE))

    return OpenedModel(labels, look)


def _input(session: Any, described: OnnxSegmenter, origin: str) -> tuple[str, tuple[int, int] | None]:
    """Name of the one input, and rows and columns that it takes; None = any."""
    inputs = session.get_inputs()
    if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].type != "tensor(float)" or inputs[0].shape[1] not in (3, "3"):
        got = ", ".join(f"{item.name} {item.type} {item.shape}" for item in inputs)
        raise ValueError(f"weights: expected one input of float32 (1, 3, rows, columns) in {origin}, got {got}")
    fixed = [side for side in inputs[0].shape[2:] if isinstance(side, int)]
    if len(fixed) == 2 and described.size and tuple(fixed) != described.size:
        raise ValueError(f"size: expected {tuple(fixed)} as {origin} takes, got {described.size}")
    size = described.size or tuple(fixed)
    return inputs[0].name, (int(size[0]), int(size[1])) if len(size) == 2 else None


def prepared(image: Tensor, described: OnnxSegmenter, hw: tuple[int, int] | None) -> Tensor:
    """Bring a picture to what the model takes.

    Args:
        image: (3, H, W) RGB 0..1.
        described: White, mean and deviation.
        hw: Rows and columns; None = the picture's own.

    Returns:
        (1, 3, h, w) float32.
    """
    picture = image[None].float().cpu()
    if hw is not None and hw != tuple(picture.shape[-2:]):
        picture = F.interpolate(picture, size=hw, mode="bilinear", antialias=True)
    mean, deviation = (torch.tensor(value)[:, None, None] for value in (described.mean, described.deviation))
    return (picture * described.white - mean) / deviation


def segments_of(
    outputs: Mapping[str, Tensor], described: OnnxSegmenter, table: Tensor, hw: tuple[int, int], min_score: float
) -> FoundSegments:
    """Read a model's outputs.

    Args:
        outputs: Meaning -> what came.
        described: What they are.
        table: The model's class -> class of the labels, things first.
        hw: Rows and columns of the picture.
        min_score: Masks below are left out.

    Returns:
        Masks and classes of pixels at the picture's size.

    Raises:
        ValueError: An output has another shape, kind or range; names it.
    """
    nothing = torch.zeros(0, *hw, dtype=torch.bool)
    semantics = None
    if "semantics" in outputs:
        scores = _floats(outputs["semantics"], "semantics", described)
        require_shape(f"output semantics ({described.semantics})", scores, (1, len(described.classes), None, None))
        classes = F.interpolate(scores, size=hw, mode="bilinear")[0].argmax(0)
        semantics = table[classes]
    if "masks" not in outputs:
        return FoundSegments(nothing, torch.zeros(0, dtype=torch.int64), semantics=semantics)
    raw = outputs["masks"][0] if outputs["masks"].ndim == 4 and len(outputs["masks"]) == 1 else outputs["masks"]
    require_shape(f"output masks ({described.masks})", raw, (None, None, None))
    values = _floats(raw, "masks", described)
    if len(values):
        values = F.interpolate(values[None], size=hw, mode="bilinear")[0]
    sure = _scores(outputs, described, len(raw))
    classes = _classes(outputs, described, len(raw))
    keep = sure >= min_score
    masks = values.reshape(len(raw), *hw)[keep] > (0.0 if described.values == "logits" else 0.5)
    return FoundSegments(masks, torch.where(classes >= 0, table[classes], VOID)[keep], sure[keep], semantics)


def _floats(values: Tensor, meaning: str, described: OnnxSegmenter) -> Tensor:
    name = f"output {meaning} ({getattr(described, meaning)})"
    if values.dtype == torch.bool:
        return values.float()
    if not values.is_floating_point():
        raise ValueError(f"{name}: expected numbers with a point, or True and False, got {values.dtype}")
    if not bool(torch.isfinite(values).all()):
        raise ValueError(f"{name}: expected finite values, got others")
    if described.values == "probabilities" and values.numel() and not (float(values.min()) >= 0 and float(values.max()) <= 1):
        low, high = (float(value) for value in values.aminmax())
        raise ValueError(f"{name}: expected probabilities, got {low:g} to {high:g}; values: logits says that they are others")
    return values.float()


def _scores(outputs: Mapping[str, Tensor], described: OnnxSegmenter, count: int) -> Tensor:
    if "scores" not in outputs:
        return torch.ones(count)
    sure = outputs["scores"].flatten().float()
    require_shape(f"output scores ({described.scores})", sure, (count,))
    return sure


def _classes(outputs: Mapping[str, Tensor], described: OnnxSegmenter, count: int) -> Tensor:
    """(count,) row of the model's classes, -1 = none of them."""
    if "labels" not in outputs:
        return torch.zeros(count, dtype=torch.int64)
    labels, name = outputs["labels"].flatten(), f"output labels ({described.labels})"
    require_shape(name, labels, (count,))
    if labels.is_floating_point() or labels.dtype == torch.bool:
        raise ValueError(f"{name}: expected whole numbers, got {labels.dtype}")
    rows = labels.long() - described.first_label
    last = len(described.classes) - 1
    if count and int(rows.max()) > last:
        raise ValueError(
            f"{name}: expected at most {last + described.first_label}, of {last + 1} classes, got {int(labels.max())}"
        )
    return rows.clamp(min=-1)
