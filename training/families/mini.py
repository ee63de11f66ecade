"""`pan3d-mini`: the small network of the embedded checkpoint, with text targets for its queries.

Settings (`model:` in the file): those of `PanMini`'s constructor; none are needed for the shipped architecture.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor, nn

from pan3d_core.models.mini.decode import decode_scene
from pan3d_core.models.mini.network import MiniInputs, MiniOutputs, PanMini
from training.data.arrays import SceneBatch, ShardSet, training_vocabulary
from training.data.augment import AugmentConfig, augment, plain_inputs
from training.data.targets import batch_targets
from training.data.text_targets import TextTargets, encode_descriptions, load_text_targets, save_text_targets
from training.families.family import FamilyEntry, Figures, ParameterGroup, best_of, split_by_decay
from training.judge.objects import evaluate
from training.judge.pictures import label_picture
from training.losses.mini import mini_losses
from training.run.devices import to_device
from training.settings import OptimizerConfig, TrainConfig

_log = logging.getLogger("pan3d.training")

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


class MiniFamily:
    """See `Family`."""

    def __init__(self, config: TrainConfig) -> None:
        if config.execution.compile:  # torch 2.13 fails on the strides of its channels-last backward pass
            raise ValueError(
                f"execution.compile: expected false for {config.family}, which cannot be traced for training, got true"
            )
        self.architecture = self.plain_architecture(config.model)
        self.data = config.data
        self.augmentation = AugmentConfig() if config.sampling.augment else None
        self.bfloat16 = config.execution.precision == "bfloat16"
        self.text = ensure_text_targets(config.data)

    @staticmethod
    def plain_architecture(values: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of `PanMini` that the settings give; `ValueError` for an unknown name."""
        known = set(inspect.signature(PanMini.__init__).parameters) - {"self"}
        unknown = set(values) - known
        if unknown:
            raise ValueError(f"model.{min(unknown)}: expected one of {', '.join(sorted(known))}, got an unknown name")
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}

    @cached_property
    def validation(self) -> ShardSet:
        return ShardSet(self.data / "val")

    def build(self) -> PanMini:
        return PanMini(**self.architecture).to(memory_format=torch.channels_last)

    def load(self, model: nn.Module, path: str) -> None:
        """`path`: a training checkpoint; its averaged weights are taken. Parts that its network did not have stay fresh."""
        state = torch.load(path, map_location="cpu", weights_only=True)
        if "ema" not in state:
            raise ValueError(f"start_from: expected a training checkpoint, got {path} without averaged weights")
        missing, unexpected = model.load_state_dict(state["ema"], strict=False)
        if unexpected:
            raise ValueError(f"start_from: expected weights of pan3d-mini, got {path} with {', '.join(unexpected[:4])}")
        if missing:
            _log.warning("%s lacks %d weights, which stay fresh: %s ...", path, len(missing), ", ".join(missing[:4]))

    def groups(self, model: nn.Module, optimizer: OptimizerConfig) -> list[ParameterGroup]:
        return split_by_decay("new", model.parameters(), optimizer.learning_rate, optimizer.weight_decay)

    def blocks(self, model: PanMini) -> list[nn.Module]:
        return list(model.blocks)

    def prepare(self, batch: SceneBatch, generator: Generator) -> MiniSample:
        if self.augmentation is None:
            inputs = plain_inputs(batch, posed=True)
        else:
            batch, inputs = augment(batch, self.augmentation, generator)
        return MiniSample(inputs, batch, self.text.draw(generator))

    def forward(self, model: nn.Module, sample: MiniSample, dtype: torch.dtype | None) -> MiniOutputs:
        with torch.autocast(sample.inputs.images.device.type, dtype, enabled=dtype is not None):
            return model(sample.inputs)

    def losses(self, outputs: MiniOutputs, sample: MiniSample, progress: float) -> dict[str, Tensor]:
        targets = batch_targets(sample.truth, outputs.plane_from_world)
        return mini_losses(outputs, targets, sample.inputs.posed, sample.descriptions)

    def evaluate(self, model: PanMini, scenes: int) -> list[Figures]:
        cases = []
        for posed in (True, False):
            figures = evaluate(model, self.validation, self.text, scenes=scenes, posed=posed, bfloat16=self.bfloat16)
            cases.append({"posed": posed, **asdict(figures)})
        return cases

    def score(self, figures: list[Figures]) -> float:
        return best_of(figures, "ap50")

    @torch.no_grad()
    def pictures(self, model: PanMini, scenes: int) -> dict[str, np.ndarray]:
        model.eval()
        shown = {}
        for index in range(min(scenes, len(self.validation))):
            batch = self.validation.batch(np.array([index]), [np.arange(self.validation.num_views)])
            outputs = model(to_device(plain_inputs(batch, posed=True), next(model.parameters()).device))
            kept, _ = decode_scene(outputs.queries, 0)
            masks = (outputs.queries.mask_logits[0, kept] > 0).cpu()
            shown[f"scene {index}"] = label_picture(
                batch.images[0], batch.ids[0], masks, batch.depth[0], outputs.depth()[0].cpu()
            )
        return shown


MINI = FamilyEntry(MiniFamily, {"optimizer": {"beta2": 0.98, "clip_norm": 2.0}})
