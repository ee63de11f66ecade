"""`eps3d`: EPS3D's heads on the frozen network of AnySplat, at any size.

Settings (`model:` in the file) are the fields of `Eps3dFamilySettings`, whose group `loss` can be set name by name. `start_from`
takes official weights of AnySplat (the semantic and instance parts then start fresh) or of EPS3D, an exported file, or a training
checkpoint of this family. The network sees some views of a sample; it is compared where it is rendered, in these and in
others.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor, nn

from pan3d_core.language.encoders import EMBEDDED, TEXT_ENCODERS
from pan3d_core.models.eps3d.cameras import counted_from_centers, novel_cameras
from pan3d_core.models.eps3d.files import NAMES, Eps3dSizes, build_eps3d
from pan3d_core.models.eps3d.heads import TextDecoder
from pan3d_core.models.eps3d.network import (
    IGNORED_PREFIXES,
    PARTS,
    Eps3d,
    Eps3dOutput,
    official_name,
    panoptic_features,
    render_panoptic,
)
from pan3d_core.runtime.weights import assign_weights, family_of, read_weights
from pan3d_core.settings import read_settings, to_plain
from training.data.arrays import SceneBatch
from training.data.augment import flip_batch, jitter_colors
from training.data.targets.teachers import FileTeacher, Teacher, cell_teacher, draw_context, require_range, taught
from training.families.family import FamilyEntry, Figures, ParameterGroup, best_of, groups_by_origin, require_patches
from training.families.held_out import SizedData
from training.families.mini import ensure_text_targets
from training.families.starting.kept import Kept
from training.judge.gaussians import ShownScene, class_texts, rendered_figures, scene_picture
from training.losses.eps3d import Eps3dLossWeights, RenderedView, eps3d_losses
from training.run.checkpoints import read_state
from training.run.devices import to_device
from training.settings import OptimizerConfig, TrainConfig

PATCH = 14
TEXT_DECODER = official_name("text_decoder.expand.")
_log = logging.getLogger("pan3d.training")


@dataclass(frozen=True)
class Eps3dFamilySettings(Eps3dSizes):
    """Which network, at which size, and what it learns from; the defaults are published ones."""

    height: int = 392  # network size in pixels, multiples of 14; the paper's long edge is 518
    width: int = 518
    sem2ins: bool = True
    context_views: tuple[int, int] = (2, 24)  # fewest and most views that the network sees, of those of a sample
    rendered_views: int = 4  # drawn from all of a sample's views
    teacher: str = ""  # folder with what 2D models said (`training.data.targets.teachers.FileTeacher`); empty = the data's truth
    text_encoder: str = ""  # in whose space the teacher's features are; empty = lseg of a folder, minilm of the data's truth
    train_gaussians: bool = True  # the head of the Gaussians learns; the released checkpoint keeps AnySplat's
    loss: Eps3dLossWeights = field(default_factory=Eps3dLossWeights)

    def __post_init__(self) -> None:
        require_patches(self.height, self.width, PATCH)
        if self.rendered_views < 1:
            raise ValueError(f"model.rendered_views: expected at least 1, got {self.rendered_views}")
        require_range(self.context_views)
        if self.text_encoder and self.text_encoder not in TEXT_ENCODERS:
            raise ValueError(f"model.text_encoder: expected one of {', '.join(TEXT_ENCODERS)}, got {self.text_encoder!r}")

    @property
    def encoder(self) -> str:
        """The text encoder in whose space semantics and texts are compared."""
        return self.text_encoder or ("lseg" if self.teacher else EMBEDDED)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Eps3dFamilySettings:
        """Of plain values, any of them left out. `ValueError` names an unknown one or one of another type."""
        return read_settings(cls(), values, "model")

    def architecture(self) -> dict[str, Any]:
        """Plain values that say which network it is."""
        learning = ("context_views", "rendered_views", "teacher", "text_encoder", "train_gaussians", "loss")
        return {name: value for name, value in to_plain(self).items() if name not in learning}


def trained_eps3d(settings: Eps3dFamilySettings) -> Eps3d:
    """The network with random weights; everything but the three heads (that of the Gaussians where it shall learn), Sem2Ins and
    the text decoder is frozen."""
    model = build_eps3d(settings)
    model.vggt.requires_grad_(False)
    model.gaussian_head.requires_grad_(settings.train_gaussians)
    if not settings.sem2ins:  # the gate closed for good
        nn.init.zeros_(model.sem2ins.w_1)
        model.sem2ins.requires_grad_(False)
    return model


@dataclass(frozen=True)
class Eps3dPrediction:
    """Outputs from the context, and the cameras of all views in their frame."""

    output: Eps3dOutput
    cam_from_world: Tensor  # (B, V, 4, 4)
    intrinsics: Tensor  # (B, V, 3, 3)
    decoder: TextDecoder


@dataclass(frozen=True)
class Eps3dSample:
    """All views of a batch with the teacher's maps; the network sees the first `context` ones."""

    truth: SceneBatch
    context: int


class Eps3dFamily:
    """See `Family`."""

    def __init__(self, config: TrainConfig) -> None:
        self.settings = Eps3dFamilySettings.from_dict(config.model)
        self.architecture: dict[str, Any] = self.settings.architecture()
        self.data = SizedData(config, (self.settings.height, self.settings.width))
        self.text = ensure_text_targets(config.data)
        self.truth = cell_teacher(self.text, config.data)
        self.teacher: Teacher = FileTeacher(Path(self.settings.teacher)) if self.settings.teacher else self.truth
        if self.settings.teacher and config.sampling.aspects:
            raise ValueError("sampling.aspects: expected none with model.teacher, which knows whole pictures, got some")
        self.dtype = config.execution.dtype
        if not config.start_from:
            _log.warning("start_from: no weights are given, so the frozen network stays as random as it begins")

    def build(self) -> Eps3d:
        return trained_eps3d(self.settings)

    def load(self, model: Eps3d, path: str) -> None:
        for line in start_eps3d(model, path).lines():
            _log.info("%s", line)

    def groups(self, model: Eps3d, optimizer: OptimizerConfig) -> list[ParameterGroup]:
        return groups_by_origin(model, lambda name: name.startswith("vggt."), optimizer)

    def blocks(self, model: Eps3d) -> list[nn.Module]:
        return [model.gaussian_head, model.semantic_head, model.instance_head]

    def prepare(self, batch: SceneBatch, generator: Generator) -> Eps3dSample:
        batch, augmentation = self.data.drawn(taught(batch, self.teacher, generator)), self.data.augmentation
        width = batch.taught.features.shape[2]
        if width != self.settings.text_channels:
            own = self.settings.text_channels
            raise ValueError(f"model.text_channels: expected {width} as the teacher's features, got {own}")
        if augmentation is not None:
            if torch.rand((), generator=generator) < augmentation.flip_probability:
                batch = flip_batch(batch)
            batch = SceneBatch(**{**vars(batch), "images": jitter_colors(batch.images, augmentation, generator)})
        return Eps3dSample(batch, draw_context(self.settings.context_views, batch.images.shape[1], generator))

    def forward(self, model: Eps3d, sample: Eps3dSample, dtype: torch.dtype | None) -> Eps3dPrediction:
        images = sample.truth.images
        output = model(images[:, : sample.context], parts=PARTS, aggregator_dtype=dtype)
        cameras = output.geometry.cameras()
        if sample.context < images.shape[1]:
            novel = novel_cameras(model.vggt, images, cameras[0], dtype)
            cameras = (torch.cat([cameras[0], novel[0]], dim=1), torch.cat([cameras[1], novel[1]], dim=1))
        return Eps3dPrediction(output, cameras[0], cameras[1], model.text_decoder)

    def losses(self, outputs: Eps3dPrediction, sample: Eps3dSample, progress: float) -> dict[str, Tensor]:
        """EPS3D's objective, the mean over the scenes. The geometry is frozen, so nothing holds it."""
        truth, hw = sample.truth, (sample.truth.images.shape[-2], sample.truth.images.shape[-1])
        scenes = []
        for b, gaussians in enumerate(outputs.output.gaussians):
            views = torch.randperm(outputs.cam_from_world.shape[1])[: self.settings.rendered_views]
            lenses = counted_from_centers(outputs.intrinsics[b, views])
            shown = render_panoptic(gaussians, outputs.cam_from_world[b, views], lenses, hw)
            decoded = outputs.decoder(shown.semantics)
            pairs = [
                RenderedView(
                    color=shown.colors[place],
                    true_color=truth.images[b, view],
                    semantics=decoded[place],
                    true_semantics=at_size(truth.taught.features[b, view], decoded.shape[-2:]),
                    instances=shown.instances[place],
                    instance_ids=truth.taught.ids[b, view],
                )
                for place, view in enumerate(views.tolist())
            ]
            features = panoptic_features(gaussians)
            scenes.append(eps3d_losses(pairs, features, self.settings.loss))
        return {name: torch.stack([terms[name] for terms in scenes]).mean() for name in scenes[0]}

    @torch.no_grad()
    def show(self, model: Eps3d, index: int) -> ShownScene:
        """A held-out scene, all views but the last one being seen."""
        batch = self.data.scene(index)
        context = max(1, batch.images.shape[1] - 1)
        sample = to_device(Eps3dSample(batch, context), next(model.parameters()).device)
        found = self.forward(model, sample, self.dtype)
        gaussians = found.output.gaussians[0]
        views = render_panoptic(gaussians, found.cam_from_world[0], counted_from_centers(found.intrinsics[0]), self.data.hw)
        return ShownScene(batch, views, len(gaussians), context)

    def evaluate(self, model: Eps3d, scenes: int) -> list[Figures]:
        model.eval()
        count = len(self.data.shown(scenes))
        return [asdict(rendered_figures(partial(self.show, model), model.text_decoder, count, self.text, self.truth))]

    def score(self, figures: list[Figures]) -> float:
        return best_of(figures, "instance_f") + best_of(figures, "semantic_miou")

    @torch.no_grad()
    def pictures(self, model: Eps3d, scenes: int) -> dict[str, np.ndarray]:
        model.eval()
        texts = class_texts(self.text, self.truth.stuff_embeddings)
        shown = ((index, self.show(model, index)) for index in self.data.shown(scenes))
        return {f"scene {index}": scene_picture(scene, model.text_decoder, texts) for index, scene in shown}


def start_eps3d(model: Eps3d, path: str) -> Kept:
    """Give a network the weights of a file.

    Args:
        model: The network.
        path: An official file of AnySplat (semantics and instances then begin fresh) or EPS3D, an exported file, or a training
            checkpoint. A text decoder into another space than the file's begins fresh.

    Returns:
        What was kept and what is new.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is damaged, or another name or shape does not fit.
    """
    found, notes = dict(read_weights(path)), []
    if Path(path).suffix == ".pt" and "gaussian_head.scratch.output_conv1.weight" in found:
        found = {official_name(name): value for name, value in read_state(Path(path))["ema"].items()}
    family = family_of(found)
    part = Eps3d(model.vggt, model.gaussian_head) if family == "AnySplat" else model
    own = {official_name(name): value for name, value in model.state_dict().items()}
    fresh = [] if part is model else [name for name in own if name not in found]
    decoder = [name for name in own if name.startswith(TEXT_DECODER) and name in found]
    if any(found[name].shape[0] != own[name].shape[0] for name in decoder):
        theirs, ours = (len(values[decoder[0]]) for values in (found, own))
        notes.append(f"text decoder: new, into {ours} channels; that of the file leads into {theirs}")
        found |= {name: own[name] for name in decoder}
        fresh += decoder
    assign_weights(part, found, origin=path, name_in_file=official_name, ignored_prefixes=(*IGNORED_PREFIXES, NAMES))
    return Kept(path, len(own) - len(fresh), tuple(fresh), tuple(notes))


def at_size(features: Tensor, hw: tuple[int, int]) -> Tensor:
    """(E, h, w) features of the nearest place at another size; features are not mixed, since 0 means none."""
    if tuple(features.shape[-2:]) == tuple(hw):
        return features
    return nn.functional.interpolate(features[None], size=hw, mode="nearest")[0]


EPS3D = FamilyEntry(
    Eps3dFamily,
    {
        "model": to_plain(Eps3dFamilySettings()),
        "optimizer": {"learning_rate": 2e-4, "beta2": 0.999, "clip_norm": 1.0},
        "schedule": {"warmup_steps": 1000},
        "sampling": {"batch": 1, "view_counts": [24], "view_weights": [1.0]},
    },
)
