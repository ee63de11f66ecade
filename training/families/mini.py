"""`pan3d-mini`: the small network of the embedded checkpoint, with text targets for its queries.

Settings (`model:` in the file): those of `PanMini`'s constructor; those that are not given are the ones of the weight file that
`start_from` names, or the constructor's. `start_from` takes such a file (the embedded one, say) or a training checkpoint; a
network with more queries keeps the ones that it had. `image_stem_weights` is the file of EfficientNet-Lite0's published weights,
for the first run of a network with `image_stem: true`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Generator, Tensor, nn

from pan3d_core.engines.mini import MINI as ENGINE
from pan3d_core.models.mini.calibration import MiniInputs
from pan3d_core.models.mini.decode import decode_scene
from pan3d_core.models.mini.fast3dis import Fast3disMini
from pan3d_core.models.mini.network import MiniArchitecture, MiniOutputs, PanMini
from training.data.arrays import SceneBatch, ShardSet, training_vocabulary
from training.data.augment import AugmentConfig, augment, plain_inputs
from training.data.targets.mini import batch_targets
from training.data.targets.text import TextTargets, encode_descriptions, load_text_targets, save_text_targets
from training.families.family import FamilyEntry, Figures, ParameterGroup, best_of, split_by_decay
from training.families.starting.mini import assign_start, load_image_stem, load_start, start_architecture
from training.judge.objects import HELD_OUT_VIEWS, answered, measured
from training.judge.pictures import label_picture
from training.losses.mini import mini_losses
from training.run.devices import channels_last, to_device
from training.settings import OptimizerConfig, TrainConfig

N = TypeVar("N", PanMini, Fast3disMini)  # a network that finds objects
A = TypeVar("A", bound=MiniOutputs)  # what it answers
TEXT_FILE = "text_embeddings.npz"


@dataclass(frozen=True)
class MiniSample:
    """A batch to learn from."""

    inputs: MiniInputs
    truth: SceneBatch
    descriptions: Tensor  # (K, text_dim) one per kind


def ensure_text_targets(data: Path) -> TextTargets:
    """The embedded descriptions beside the data, made on first use (needs the text encoder)."""
    path = data / TEXT_FILE
    if not path.exists():
        save_text_targets(encode_descriptions(training_vocabulary(data)), path)
    return load_text_targets(path)


class MiniData:
    """What all families of the small network share: held-out scenes, embedded descriptions, and how samples are varied."""

    def __init__(self, config: TrainConfig) -> None:
        if config.execution.compile:  # torch 2.13 fails on the strides of its channels-last backward pass
            raise ValueError(
                f"execution.compile: expected false for {config.family}, which cannot be traced for training, got true"
            )
        if config.sampling.aspects:
            raise ValueError(f"sampling.aspects: expected none for {config.family}, whose pictures have one shape, got some")
        self.folder = config.data
        self.augmentation = AugmentConfig() if config.sampling.augment else None
        self.bfloat16 = config.execution.precision == "bfloat16"
        self.text = ensure_text_targets(config.data)
        if (self.folder / "val").exists():  # refused now, not at the first evaluation hours later
            self.validation.require_views(HELD_OUT_VIEWS)

    @cached_property
    def validation(self) -> ShardSet:
        """Held-out scenes."""
        return ShardSet(self.folder / "val")

    def varied(self, batch: SceneBatch, generator: Generator) -> tuple[SceneBatch, MiniInputs]:
        """The batch as its images and cameras were changed together, and what the network is told of it."""
        if not bool(torch.isfinite(batch.support_height).all()):
            raise ValueError(
                "support_height: expected the height that objects stand on, as pan3d-mini needs it, got scenes without"
            )
        if self.augmentation is None:
            return batch, plain_inputs(batch, posed=True)
        return augment(batch, self.augmentation, generator)

    def sample(self, batch: SceneBatch, generator: Generator) -> MiniSample:
        """A batch to learn objects from."""
        varied, inputs = self.varied(batch, generator)
        return MiniSample(inputs, varied, self.text.draw(generator))


class MiniObjects(Generic[N, A]):
    """How networks that find objects as `pan3d-mini` does are fed, judged and shown."""

    data: MiniData

    def prepare(self, batch: SceneBatch, generator: Generator) -> MiniSample:
        return self.data.sample(batch, generator)

    def forward(self, model: N, sample: MiniSample, dtype: torch.dtype | None) -> A:
        with torch.autocast(sample.inputs.images.device.type, dtype, enabled=dtype is not None):
            return model(sample.inputs)

    def evaluate(self, model: N, scenes: int) -> list[Figures]:
        """With cameras known, then unknown."""
        cases: list[Figures] = []
        data = self.data
        for posed in (True, False):
            answers = answered(model, data.validation, scenes=scenes, posed=posed, bfloat16=data.bfloat16)
            sums = measured(answers, data.text)
            figures = sums.figures()
            cases.append({"posed": posed, **asdict(figures)})
        return cases

    def score(self, figures: list[Figures]) -> float:
        return best_of(figures, "ap50")

    @torch.no_grad()
    def pictures(self, model: N, scenes: int) -> dict[str, np.ndarray]:
        """With the masks that survive."""
        model.eval()
        shown, scenes_held_out = {}, self.data.validation
        for index in range(min(scenes, len(scenes_held_out))):
            batch = scenes_held_out.batch(np.array([index]), [np.arange(scenes_held_out.num_views)])
            outputs = model(to_device(plain_inputs(batch, posed=True), next(model.parameters()).device))
            kept, _ = decode_scene(outputs.queries, 0)
            masks, depth = (outputs.queries.mask_logits[0, kept] > 0).cpu(), outputs.depth()[0].cpu()
            shown[f"scene {index}"] = label_picture(batch.images[0], batch.ids[0], masks, batch.depth[0], depth)
        return shown


def plain_architecture(values: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `MiniArchitecture` that the settings give, as plain values; `ValueError` for an unknown name."""
    given = MiniArchitecture.of(values)
    plain = {name: getattr(given, name) for name in values}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()}


class MiniFamily(MiniObjects[PanMini, MiniOutputs]):
    """See `Family`."""

    def __init__(self, config: TrainConfig) -> None:
        self.data = MiniData(config)
        own = {name: value for name, value in config.model.items() if name != "image_stem_weights"}
        self.image_stem_weights = str(config.model.get("image_stem_weights", ""))
        self.architecture = plain_architecture({**start_architecture(config.start_from), **own})

    def build(self) -> PanMini:
        model = channels_last(PanMini(MiniArchitecture.of(self.architecture)))
        if self.image_stem_weights:
            load_image_stem(model, Path(self.image_stem_weights))
        return model

    def load(self, model: PanMini, path: str) -> None:
        load_start(model, path, ENGINE, assign_start)

    def groups(self, model: PanMini, optimizer: OptimizerConfig) -> list[ParameterGroup]:
        return split_by_decay("new", model.parameters(), optimizer.learning_rate, optimizer.weight_decay)

    def blocks(self, model: PanMini) -> list[nn.Module]:
        return list(model.blocks)

    def losses(self, outputs: MiniOutputs, sample: MiniSample, progress: float) -> dict[str, Tensor]:
        targets = batch_targets(sample.truth, outputs.plane_from_world)
        return mini_losses(outputs, targets, sample.inputs.posed, sample.descriptions)


MINI = FamilyEntry(MiniFamily, {"optimizer": {"beta2": 0.98, "clip_norm": 2.0}})
