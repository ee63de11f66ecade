"""`pan3d-mini-eps3d`: panoptic Gaussians by heads on the frozen network of `pan3d-mini`.

Settings (`model:` in the file): those of `Eps3dMiniSettings`, none are needed for the shipped architecture; `loss`, the fields of
`Eps3dMiniLossWeights`; `context_views`, the fewest and most views that the network sees, of those of a sample (others are novel);
`teacher`, a folder with what 2D models said (`training.data.targets.teachers.FileTeacher`), empty = the cell's truth.
`start_from` takes a weight file of `pan3d-mini` (the embedded one by default), which becomes the frozen base, one of this
network, or a training checkpoint of this family.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor, nn

from pan3d_core.engines.mini import DEFAULT_WEIGHTS, EPS3D, PREPROCESS
from pan3d_core.models.eps3d.heads import TextDecoder
from pan3d_core.models.mini.calibration import MiniInputs
from pan3d_core.models.mini.eps3d import Eps3dMini, Eps3dMiniOutputs, Eps3dMiniSettings
from pan3d_core.runtime.weights import assign_weights
from pan3d_core.settings import read_settings
from training.data.arrays import SceneBatch
from training.data.augment import first_views
from training.data.targets.teachers import FileTeacher, Teacher, cell_teacher, draw_context, require_range, taught
from training.families.family import FamilyEntry, Figures, ParameterGroup, best_of, split_by_decay
from training.families.mini import MiniData
from training.families.starting.mini import load_start, start_settings
from training.judge.gaussians import class_texts, evaluate_eps3d, scene_picture, show_scene
from training.losses.eps3d_mini import Eps3dMiniLossWeights, eps3d_mini_losses
from training.run.devices import channels_last
from training.settings import OptimizerConfig, TrainConfig

DECODED_HW = (PREPROCESS.height // 2, PREPROCESS.width // 2)  # at which semantics are compared with a teacher's features
OWN_SETTINGS = ("loss", "context_views", "teacher")


@dataclass(frozen=True)
class Eps3dMiniPrediction:
    """Outputs, and the decoder that their semantics are compared with texts by."""

    outputs: Eps3dMiniOutputs  # of the context
    decoder: TextDecoder  # of the model, which trains it


@dataclass(frozen=True)
class Eps3dMiniSample:
    """What the network sees, and the truth of these views followed by those that it does not."""

    inputs: MiniInputs  # of the context
    truth: SceneBatch  # of all views, those of the context first


class Eps3dMiniFamily:
    """See `Family`."""

    def __init__(self, config: TrainConfig) -> None:
        self.data = MiniData(config)
        own = {name: value for name, value in config.model.items() if name not in OWN_SETTINGS}
        self.settings = Eps3dMiniSettings.from_dict({**start_settings(config.start_from, EPS3D), **own})
        self.architecture = self.settings.to_dict()
        self.weights = read_settings(Eps3dMiniLossWeights(), config.model.get("loss", {}), "model.loss")
        self.context_views = require_range(config.model.get("context_views", (2, 4)))
        folder = config.model.get("teacher", "")
        self.truth = cell_teacher(self.data.text, config.data)
        self.teacher: Teacher = FileTeacher(Path(folder), DECODED_HW) if folder else self.truth

    def build(self) -> Eps3dMini:
        return channels_last(Eps3dMini(self.settings))

    def load(self, model: Eps3dMini, path: str) -> None:
        load_start(model, path, EPS3D, adopt_base)

    def groups(self, model: Eps3dMini, optimizer: OptimizerConfig) -> list[ParameterGroup]:
        return split_by_decay("new", model.parameters(), optimizer.learning_rate, optimizer.weight_decay)

    def blocks(self, model: Eps3dMini) -> list[nn.Module]:
        return [model.gaussian_head, model.semantic_head, model.instance_head]

    def prepare(self, batch: SceneBatch, generator: Generator) -> Eps3dMiniSample:
        batch, inputs = self.data.varied(taught(batch, self.teacher, generator), generator)
        context = draw_context(self.context_views, batch.images.shape[1], generator)
        return Eps3dMiniSample(first_views(inputs, context), batch)

    def forward(self, model: Eps3dMini, sample: Eps3dMiniSample, dtype: torch.dtype | None) -> Eps3dMiniPrediction:
        with torch.autocast(sample.inputs.images.device.type, dtype, enabled=dtype is not None):
            return Eps3dMiniPrediction(model(sample.inputs), model.text_decoder)

    def losses(self, outputs: Eps3dMiniPrediction, sample: Eps3dMiniSample, progress: float) -> dict[str, Tensor]:
        return eps3d_mini_losses(outputs.outputs, sample.truth, sample.inputs.posed, outputs.decoder, self.weights, progress)

    def evaluate(self, model: Eps3dMini, scenes: int) -> list[Figures]:
        cases: list[Figures] = []
        for posed in (True, False):
            figures = evaluate_eps3d(model, self.data.validation, self.data.text, self.truth, scenes=scenes, posed=posed)
            cases.append({"posed": posed, **asdict(figures)})
        return cases

    def score(self, figures: list[Figures]) -> float:
        return best_of(figures, "instance_f") + best_of(figures, "semantic_miou")

    @torch.no_grad()
    def pictures(self, model: Eps3dMini, scenes: int) -> dict[str, np.ndarray]:
        model.eval()
        texts = class_texts(self.data.text, self.truth.stuff_embeddings)
        shown = range(min(scenes, len(self.data.validation)))
        made = {f"scene {index}": show_scene(model, self.data.validation, index, posed=True) for index in shown}
        return {name: scene_picture(scene, model.text_decoder, texts) for name, scene in made.items()}


def adopt_base(model: Eps3dMini, found: dict[str, Tensor], origin: str) -> None:
    """Give `model` the network of `pan3d-mini` as its base, strictly; every head starts from a copy of its pyramid."""
    assign_weights(model.base, found, origin=origin)
    model.base.requires_grad_(False)
    for head in (model.gaussian_head, model.semantic_head, model.instance_head):
        head.pyramid.load_state_dict(model.base.pyramid.state_dict())


EPS3D_MINI = FamilyEntry(
    Eps3dMiniFamily,
    {
        "start_from": str(DEFAULT_WEIGHTS),
        "optimizer": {"learning_rate": 1e-3, "beta2": 0.98, "clip_norm": 2.0},
        "sampling": {"batch": 1, "view_counts": (4,), "view_weights": (1.0,)},
    },
)
