"""`pan3d-mini`: the small network of the embedded checkpoint, with text targets for its queries.

Settings (`model:` in the file): those of `PanMini`'s constructor; those that are not given are the ones of the weight file that
`start_from` names, or the constructor's. `start_from` takes such a file (the embedded one, say) or a training checkpoint; a
network with more queries keeps the ones that it had.
"""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Generator, Tensor, nn

from pan3d_core.engines.mini import FORMATS, read_checkpoint
from pan3d_core.engines.mini import MINI as MINI_ENGINE
from pan3d_core.models.mini.decode import decode_scene
from pan3d_core.models.mini.fast3dis import Fast3disMini
from pan3d_core.models.mini.network import MiniInputs, MiniOutputs, PanMini
from pan3d_core.runtime.weights import read_metadata
from pan3d_core.settings import refuse_unknown
from training.data.arrays import SceneBatch, ShardSet, training_vocabulary
from training.data.augment import AugmentConfig, augment, plain_inputs
from training.data.targets import batch_targets
from training.data.text_targets import TextTargets, encode_descriptions, load_text_targets, save_text_targets
from training.families.family import FamilyEntry, Figures, ParameterGroup, best_of, split_by_decay
from training.judge.objects import HELD_OUT_VIEWS, evaluate
from training.judge.pictures import label_picture
from training.losses.mini import mini_losses
from training.run.checkpoints import read_state
from training.run.devices import channels_last, to_device
from training.settings import OptimizerConfig, TrainConfig

_log = logging.getLogger("pan3d.training")

B = TypeVar("B", bound=nn.Module)  # a network on the frozen one of `pan3d-mini`
N = TypeVar("N", PanMini, Fast3disMini)  # a network that finds objects
A = TypeVar("A", bound=MiniOutputs)  # what it answers
TEXT_FILE = "text_embeddings.npz"
QUERIES = "decoder.learned"  # the one parameter whose size is the number of queries


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
        if self.augmentation is None:
            return batch, plain_inputs(batch, posed=True)
        return augment(batch, self.augmentation, generator)

    def sample(self, batch: SceneBatch, generator: Generator) -> MiniSample:
        """A batch to learn objects from."""
        varied, inputs = self.varied(batch, generator)
        return MiniSample(inputs, varied, self.text.draw(generator))


def load_averaged(model: nn.Module, path: str) -> None:
    """Give `model` the averaged weights of a training checkpoint. Parts that its network did not have stay fresh."""
    try:
        state = read_state(Path(path))
    except (ValueError, FileNotFoundError) as error:
        raise ValueError(
            f"start_from: expected a training checkpoint or a weight file of the family, got {path} ({error})"
        ) from error
    if "ema" not in state:
        raise ValueError(f"start_from: expected a training checkpoint, got {path} without averaged weights")
    assign_start(model, state["ema"], path)


def assign_start(model: nn.Module, weights: Mapping[str, Tensor], path: str) -> None:
    """Give `model` weights by name. What is new in it stays fresh, and so do the queries that it has more of.

    Args:
        model: The network that learns.
        weights: Of an earlier network, of the same or fewer parts.
        path: Where they come from, for messages.

    Raises:
        ValueError: Weights that the network has no place for, or of other shapes.
    """
    own = model.state_dict()
    if unexpected := [name for name in weights if name not in own]:
        raise ValueError(f"start_from: expected weights of pan3d-mini, got {path} with {', '.join(unexpected[:4])}")
    missing = [name for name in own if name not in weights]
    grown = {name: _grown(name, value, own[name], path) for name, value in weights.items()}
    model.load_state_dict(grown, strict=False)
    if missing:
        _log.warning("%s lacks %d weights, which stay fresh: %s ...", path, len(missing), ", ".join(missing[:4]))


def _grown(name: str, value: Tensor, fresh: Tensor, path: str) -> Tensor:
    """`value` in the shape of `fresh`, whose further queries it gets."""
    if value.shape == fresh.shape:
        return value
    if name.endswith(QUERIES) and value.shape[1:] == fresh.shape[1:] and len(value) < len(fresh):
        _log.warning("%s has %d queries, %d more start fresh", path, len(value), len(fresh) - len(value))
        return torch.cat([value.to(fresh), fresh[len(value) :]])
    raise ValueError(
        f"start_from: expected {name} of shape {tuple(fresh.shape)}, got {path} with {tuple(value.shape)}; "
        "is it another network? See model: in the settings"
    )


def start_architecture(path: str) -> dict[str, Any]:
    """The architecture that a weight file of `pan3d-mini` says it has, as plain values; empty for any other file."""
    if not path.endswith(".safetensors") or not Path(path).is_file():
        return {}
    try:
        metadata = read_metadata(path)
    except ValueError:  # damaged: whoever reads the weights says so
        return {}
    if metadata.get("format") != FORMATS[MINI_ENGINE]:
        return {}
    architecture: dict[str, Any] = json.loads(metadata["content"])["architecture"]
    return architecture


def load_start(model: B, path: str, adopt: Callable[[B, dict[str, Tensor], str], None]) -> None:
    """Give `model` a weight file of `pan3d-mini` by `adopt`, or the averaged weights of a training checkpoint."""
    if not path.endswith(".safetensors"):
        load_averaged(model, path)
        return
    try:
        weights = read_checkpoint(Path(path)).model.state_dict()
    except (FileNotFoundError, ValueError) as error:
        raise ValueError(f"start_from: expected a weight file of pan3d-mini, got {path} ({error})") from error
    adopt(model, weights, path)


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
            figures = evaluate(model, data.validation, data.text, scenes=scenes, posed=posed, bfloat16=data.bfloat16)
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
    """The arguments of `PanMini` that the settings give; `ValueError` for an unknown name."""
    refuse_unknown(values, sorted(set(inspect.signature(PanMini.__init__).parameters) - {"self"}), "model.")
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


class MiniFamily(MiniObjects[PanMini, MiniOutputs]):
    """See `Family`."""

    def __init__(self, config: TrainConfig) -> None:
        self.data = MiniData(config)
        self.architecture = plain_architecture({**start_architecture(config.start_from), **config.model})

    def build(self) -> PanMini:
        return channels_last(PanMini(**self.architecture))

    def load(self, model: PanMini, path: str) -> None:
        load_start(model, path, assign_start)

    def groups(self, model: PanMini, optimizer: OptimizerConfig) -> list[ParameterGroup]:
        return split_by_decay("new", model.parameters(), optimizer.learning_rate, optimizer.weight_decay)

    def blocks(self, model: PanMini) -> list[nn.Module]:
        return list(model.blocks)

    def losses(self, outputs: MiniOutputs, sample: MiniSample, progress: float) -> dict[str, Tensor]:
        targets = batch_targets(sample.truth, outputs.plane_from_world)
        return mini_losses(outputs, targets, sample.inputs.posed, sample.descriptions)


MINI = FamilyEntry(MiniFamily, {"optimizer": {"beta2": 0.98, "clip_norm": 2.0}})
