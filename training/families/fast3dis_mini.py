"""`pan3d-mini-fast3dis`: 3D anchors on the frozen network of `pan3d-mini`.

Settings (`model:` in the file): those of `Fast3disMiniSettings`, none are needed for the shipped architecture, and `loss`, the
fields of `Fast3disMiniLossWeights`. `start_from` takes a weight file of `pan3d-mini` (the embedded one by default), which becomes
the frozen base, one of this network (the embedded one, say), or a training checkpoint of this family.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from pan3d_core.engines.mini import DEFAULT_WEIGHTS, FAST3DIS
from pan3d_core.models.mini.fast3dis import Fast3disMini, Fast3disMiniOutputs, Fast3disMiniSettings
from pan3d_core.runtime.weights import assign_weights
from pan3d_core.settings import read_settings
from training.data.targets.mini import batch_targets
from training.families.family import FamilyEntry, ParameterGroup, groups_by_origin
from training.families.mini import MiniData, MiniObjects, MiniSample
from training.families.starting.corrections import fit_corrections
from training.families.starting.mini import load_start, start_settings
from training.losses.fast3dis_mini import Fast3disMiniLossWeights, fast3dis_mini_losses
from training.run.devices import channels_last
from training.settings import OptimizerConfig, TrainConfig


def loss_weights(values: Mapping[str, Any]) -> Fast3disMiniLossWeights:
    """Weights of plain values, any left out; `anchors` holds those of the published terms. `ValueError` names an unknown one."""
    return read_settings(Fast3disMiniLossWeights(), values, "model.loss")


class Fast3disMiniFamily(MiniObjects[Fast3disMini, Fast3disMiniOutputs]):
    """See `Family`. Samples, figures and pictures are those of `pan3d-mini`."""

    def __init__(self, config: TrainConfig) -> None:
        self.data = MiniData(config)
        own = {name: value for name, value in config.model.items() if name != "loss"}
        self.settings = Fast3disMiniSettings.from_dict({**start_settings(config.start_from, FAST3DIS), **own})
        self.architecture = self.settings.to_dict()
        self.weights = loss_weights(config.model.get("loss", {}))

    def build(self) -> Fast3disMini:
        return channels_last(Fast3disMini(self.settings))

    def load(self, model: Fast3disMini, path: str) -> None:
        load_start(model, path, FAST3DIS, adopt_base)

    def groups(self, model: Fast3disMini, optimizer: OptimizerConfig) -> list[ParameterGroup]:
        return groups_by_origin(model, lambda name: name.startswith("base."), optimizer)

    def blocks(self, model: Fast3disMini) -> list[nn.Module]:
        return list(model.base.blocks)

    def losses(self, outputs: Fast3disMiniOutputs, sample: MiniSample, progress: float) -> dict[str, Tensor]:
        targets = batch_targets(sample.truth, outputs.plane_from_world)
        return fast3dis_mini_losses(outputs, targets, sample.descriptions, progress, self.weights)


def adopt_base(model: Fast3disMini, found: dict[str, Tensor], origin: str) -> None:
    """Give `model` the network of `pan3d-mini` as its base, strictly; the pixel decoder starts from a copy of its pyramid."""
    assign_weights(model.base, fit_corrections(found, model.base.state_dict()), origin=origin)
    model.base.requires_grad_(False)
    for layer in model.lora_layers():
        layer.lora.requires_grad_(True)
    model.pixels.pyramid.load_state_dict(model.base.pyramid.state_dict())


FAST3DIS_MINI = FamilyEntry(
    Fast3disMiniFamily,
    {
        "start_from": str(DEFAULT_WEIGHTS),
        "optimizer": {"learning_rate": 7e-4, "lora_learning_rate": 3.5e-4, "beta2": 0.98, "clip_norm": 2.0},
    },
)
