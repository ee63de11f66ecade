"""The engine `pan3d-mini-eps3d`: panoptic Gaussians, and the objects that are read from them.

Inputs, metres and frames are those of `pan3d-mini`, on whose network it stands. The Gaussians come with the reconstruction; the
text space that their semantics are compared in is one of the engine's facts.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from pan3d_core.config import ModelConfig
from pan3d_core.engines.facts import EngineFacts
from pan3d_core.engines.mini import (
    AUTOCAST_DTYPES,
    EPS3D,
    SHIPPED,
    MiniCheckpoint,
    NameTable,
    graph_of_checkpoint,
    prepare_threads,
    read_checkpoint,
    ready_network,
)
from pan3d_core.engines.parts.gaussian_objects import RenderedObjects, rendered_objects
from pan3d_core.engines.parts.mini_inputs import mini_inputs
from pan3d_core.geometry.alignment import Similarity
from pan3d_core.geometry.cameras import unproject_depth
from pan3d_core.geometry.transforms import invert_rigid
from pan3d_core.language.text_space import TextSpace
from pan3d_core.models.eps3d.network import PanopticRendering, render_panoptic
from pan3d_core.models.mini.calibration import CalibrationMemory, MiniInputs
from pan3d_core.models.mini.eps3d import Eps3dMini, Eps3dMiniOutputs
from pan3d_core.models.mini.graph import eps3d_mini_outputs, graph_inputs
from pan3d_core.rendering.motion import moved_gaussians
from pan3d_core.runtime.device import select_device
from pan3d_core.runtime.networks.built import Wanted
from pan3d_core.runtime.networks.sized import SizedNetworks
from pan3d_core.structures import InstanceSet, Reconstruction, ViewBatch, present


class Eps3dMiniEngine:
    """Views at network size -> geometry with panoptic Gaussians, and named objects, best first."""

    def __init__(self, checkpoint: MiniCheckpoint, config: ModelConfig, device: torch.device) -> None:
        self._config, self._device = config, device
        if not isinstance(checkpoint.model, Eps3dMini):
            raise ValueError(f"checkpoint: expected one of {EPS3D}, got {type(checkpoint.model).__name__}")
        self._model = ready_network(checkpoint.model, device)
        self._calibrations = CalibrationMemory(self._model.calibrate)
        self._dtype = AUTOCAST_DTYPES[config.precision]
        self._names = NameTable.of(checkpoint.known_names, checkpoint.name_temperature, device)
        self._stuff = NameTable.of(present("MiniCheckpoint.stuff_names", checkpoint.stuff_names), self._names.temperature, device)
        expand = self._model.text_decoder.expand
        bias = present("bias", expand.bias).detach()
        self._space = TextSpace(
            expand.weight.detach().flatten(1), bias, encoder="minilm", **checkpoint.facts.get("text_space", {})
        )
        preprocess = checkpoint.preprocess
        self._networks = SizedNetworks(
            partial(graph_of_checkpoint, replace(checkpoint, model=self._model)),
            (preprocess.height, preprocess.width),
            config.runtime,
            Wanted(torch.get_num_threads(), config.precision),
        )
        self.facts = EngineFacts(
            preprocess,
            self._names.labels,
            known_names=checkpoint.known_names,
            text_space=self._space,
            device=str(device),
            runtime=self._networks.facts,
        )

    @torch.inference_mode()
    def __call__(self, views: ViewBatch) -> tuple[Reconstruction, InstanceSet]:
        """Instances best first; metric only where cameras and support plane are known."""
        inputs = mini_inputs(views, self._device)
        outputs = self.network(inputs)
        rendering = self.render(outputs, inputs)
        points = unproject_depth(outputs.geometry.depth()[0], inputs.intrinsics[0], outputs.cam_from_scene[0])
        objects = rendered_objects(rendering, self._space, self._config.readout, points)
        return self._reconstruction(outputs, inputs), self._instances(objects)

    def network(self, inputs: MiniInputs) -> Eps3dMiniOutputs:
        """Run the network alone, Gaussians included; without poses in torch, which then looks for cameras by what it finds."""
        calibration = self._calibrations(inputs)
        if bool(inputs.posed[0]):
            named = self._networks((inputs.images.shape[-2], inputs.images.shape[-1]))(graph_inputs(inputs, calibration))
            return eps3d_mini_outputs(self._model, named, inputs, calibration)
        with torch.autocast(self._device.type, self._dtype, enabled=self._dtype is not None):
            outputs: Eps3dMiniOutputs = self._model(inputs, calibration)
        return outputs

    @staticmethod
    def render(outputs: Eps3dMiniOutputs, inputs: MiniInputs) -> PanopticRendering:
        """Render the Gaussians of the first scene in the views that they were made from."""
        size = (inputs.images.shape[-2], inputs.images.shape[-1])
        return render_panoptic(outputs.gaussians[0], outputs.cam_from_scene[0], inputs.intrinsics[0], size)

    def _reconstruction(self, outputs: Eps3dMiniOutputs, inputs: MiniInputs) -> Reconstruction:
        dense = outputs.geometry
        log_error = torch.nn.functional.interpolate(dense.log_error, size=dense.plane_depth.shape[-2:], mode="bilinear")[0]
        world_from_scene = outputs.world_from_scene[0]
        return Reconstruction(
            depth=dense.depth()[0],
            depth_conf=torch.exp(-log_error.clamp(-7, 1)),  # one over the expected relative error
            intrinsics=inputs.intrinsics[0],
            cam_from_world=outputs.cam_from_scene[0] @ invert_rigid(world_from_scene),
            is_metric=bool(inputs.posed[0] > 0),
            gaussians=moved_gaussians(outputs.gaussians[0], Similarity(1.0, world_from_scene[:3, :3], world_from_scene[:3, 3])),
        )

    def _instances(self, objects: RenderedObjects) -> InstanceSet:
        """What is a thing rather than table or floor."""
        names, stuff = self._names, self._stuff
        thing = names.class_cosines(objects.vectors).amax(-1) - stuff.class_cosines(objects.vectors).amax(-1)
        scores = objects.certainty * (thing / names.temperature).sigmoid()
        rows = scores.argsort(descending=True)[: self._config.max_instances]
        rows = rows[scores[rows] >= self._config.min_score]
        objectness = torch.logit(scores[rows], eps=1e-4)
        return InstanceSet(
            mask_logits=objects.mask_logits[rows],
            class_logits=names.class_logits(objects.vectors[rows], objectness),
            scores=scores[rows],
            labels=self.facts.labels,
            text_embeddings=objects.vectors[rows],
        )


def build(config: ModelConfig) -> Eps3dMiniEngine:
    """Build the engine with `config.weights` or the checkpoint that comes with the package; errors as `engines.mini.build`."""
    device = select_device(config.device)
    checkpoint = read_checkpoint(Path(config.weights) if config.weights else SHIPPED[EPS3D], EPS3D)
    prepare_threads(config)
    return Eps3dMiniEngine(checkpoint, config, device)
