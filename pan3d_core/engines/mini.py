"""The engines `pan3d-mini` and `pan3d-mini-fast3dis`: small networks that take the cameras' calibration as input.

With intrinsics, poses and the height of the support plane it answers in metres in the world frame. Without any of them it
still finds objects and relative depth; its cameras then come from the objects that the views share, in the frame of the first
view, and nothing is metric.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from pan3d_core.config import ModelConfig, PreprocessConfig
from pan3d_core.engines.facts import EngineFacts
from pan3d_core.engines.parts.mini_inputs import mini_inputs
from pan3d_core.engines.parts.picture_sizes import network_size
from pan3d_core.labels import LabelSpace
from pan3d_core.language.known_names import KnownNames
from pan3d_core.models.mini.calibration import CalibrationMemory, MiniInputs
from pan3d_core.models.mini.cameras import unposed_cameras
from pan3d_core.models.mini.crops import StemCrops
from pan3d_core.models.mini.decode import ScoreCalibration, find_instances
from pan3d_core.models.mini.eps3d import Eps3dMini, Eps3dMiniSettings
from pan3d_core.models.mini.fast3dis import Fast3disMini, Fast3disMiniSettings
from pan3d_core.models.mini.graph import graph_inputs, graph_outputs, mini_graph
from pan3d_core.models.mini.network import MiniArchitecture, MiniOutputs, PanMini
from pan3d_core.runtime.checksums import CHECKSUM, checksum_of
from pan3d_core.runtime.device import select_device
from pan3d_core.runtime.files import named_file
from pan3d_core.runtime.networks.built import Wanted
from pan3d_core.runtime.networks.interface import Graph
from pan3d_core.runtime.networks.sized import SizedNetworks
from pan3d_core.runtime.weights import assign_weights, read_metadata, read_weights
from pan3d_core.settings import to_plain
from pan3d_core.structures import InstanceSet, Reconstruction, ViewBatch

MINI, FAST3DIS, EPS3D = "pan3d-mini", "pan3d-mini-fast3dis", "pan3d-mini-eps3d"
FORMATS = {MINI: "pan3d-mini/1", FAST3DIS: "pan3d-mini-fast3dis/1", EPS3D: "pan3d-mini-eps3d/1"}
SHIPPED = {name: Path(__file__).parent.parent / "weights" / f"{name}.safetensors" for name in FORMATS}
DEFAULT_WEIGHTS = SHIPPED[MINI]
FIRST_HW = (112, 144)  # of checkpoints that do not say for which size they are
PREPROCESS = PreprocessConfig(height=FIRST_HW[0], width=FIRST_HW[1], mode="whole", multiple=16, resample="area")
NAMES_PREFIX = "names."
AUTOCAST_DTYPES = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}
NAME_TEMPERATURE = 0.07
Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class MiniCheckpoint:
    """Contents of a weight file of one of the two."""

    model: PanMini | Fast3disMini | Eps3dMini
    known_names: KnownNames
    facts: dict[str, Any]  # how it was made: data, schedule, seed, figures
    stuff_names: KnownNames | None = None  # of what is no object, in networks that know such
    checksum: str = ""  # of its tensors and words
    scores: ScoreCalibration | None = None  # how its scores become probabilities; None = they are taken as they are

    @property
    def preprocess(self) -> PreprocessConfig:
        """How views are prepared for this network: at the size of the pictures that it was trained on."""
        height, width = self.facts.get("image_hw", FIRST_HW)
        return replace(PREPROCESS, height=int(height), width=int(width))

    @property
    def name_temperature(self) -> float:
        """Cosine difference that changes the odds of two names by a factor of e, as calibrated for this network."""
        return float(self.facts.get("name_temperature", NAME_TEMPERATURE))


def read_checkpoint(path: Path, name: str = MINI) -> MiniCheckpoint:
    """Read weights strictly: every name and shape must agree.

    Args:
        path: A safetensors file as the exporters write it.
        name: The engine that it is for.

    Returns:
        The network in evaluation mode on the CPU, its names and how it was made.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is damaged, or of another model or format version.
    """
    found = read_weights(path)
    metadata = read_metadata(path)
    names = found.get(NAMES_PREFIX + "embeddings")
    if metadata.get("format") != FORMATS[name] or names is None:
        raise ValueError(
            f"weights: expected a checkpoint of format {FORMATS[name]!r}, got {path} of format "
            f"{metadata.get('format', 'unknown')!r}; is it for another model?"
        )
    with named_file(path, "a checkpoint with names and architecture"):
        content = json.loads(metadata["content"])
        model = build_network(name, content["architecture"])
        assign_weights(model, found, origin=path, ignored_prefixes=(NAMES_PREFIX,))
        known = KnownNames(tuple(content["names"]), tuple(content["class_names"]), names.float())
        words, stuff = tuple(content.get("stuff", ())), None
        if words:
            stuff = KnownNames(words, words, found[NAMES_PREFIX + "stuff"].float())
        checksum = metadata.get(CHECKSUM) or checksum_of(found, metadata)
        scores = ScoreCalibration.from_dict(content["scores"]) if "scores" in content else None
        return MiniCheckpoint(model.eval(), known, content["facts"], stuff, checksum, scores)


def engine_of(path: Path) -> str:
    """Return the name of the engine that the weights of a file are for; `ValueError` for none of these."""
    found = read_metadata(path).get("format", "unknown")
    names = [name for name, own in FORMATS.items() if own == found]
    if not names:
        raise ValueError(f"weights: expected a checkpoint of {' or '.join(FORMATS)}, got {path} of format {found!r}")
    return names[0]


def build_network(name: str, architecture: Mapping[str, Any]) -> PanMini | Fast3disMini | Eps3dMini:
    """Build the network of the engine `name` without weights, from the plain values that its checkpoints hold."""
    if name == FAST3DIS:
        return Fast3disMini(Fast3disMiniSettings.from_dict(architecture))
    if name == EPS3D:
        return Eps3dMini(Eps3dMiniSettings.from_dict(architecture))
    return PanMini(MiniArchitecture.of(architecture))


def fold_batch_norms(model: nn.Module) -> None:
    """Replace every convolution + batch normalisation pair by one convolution; for inference only."""
    for module in model.modules():
        if not isinstance(module, nn.Sequential) or len(module) != 2:
            continue
        convolution, norm = module
        if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            module[0] = fuse_conv_bn_eval(convolution, norm)
            module[1] = nn.Identity()


def ready_network(model: Network, device: torch.device) -> Network:
    """Make the network of a checkpoint ready: batch normalisations folded, weights in the order that convolutions like."""
    fold_batch_norms(model)
    return model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]  # unknown to torch's stubs


def graph_of_checkpoint(checkpoint: MiniCheckpoint, hw: tuple[int, int]) -> Graph:
    """Describe the network of a checkpoint for pictures of one size.

    Args:
        checkpoint: Ready for inference.
        hw: Rows and columns.

    Returns:
        The graph, with what the engine needs beside it.
    """
    model = checkpoint.model
    base = model if isinstance(model, PanMini) else model.base
    name = {PanMini: MINI, Fast3disMini: FAST3DIS, Eps3dMini: EPS3D}[type(model)]
    described = mini_graph(name, model, hw, checkpoint.checksum)
    known, prepared = checkpoint.known_names, replace(checkpoint.preprocess, height=hw[0], width=hw[1])
    content = {
        "names": known.names, "class_names": known.class_names, "facts": checkpoint.facts, "preprocess": to_plain(prepared),
        "sweep_heights": base.sweep.levels, "head_dim": base.head_dim,
    }  # fmt: skip
    if checkpoint.scores is not None:
        content["scores"] = checkpoint.scores.to_dict()
    if checkpoint.stuff_names is not None:
        content["stuff"] = checkpoint.stuff_names.names
    beside = {"names.embeddings": known.embeddings}
    if checkpoint.stuff_names is not None:
        beside["names.stuff"] = checkpoint.stuff_names.embeddings
    if isinstance(model, Eps3dMini):
        beside |= {f"text_decoder.{key}": value for key, value in model.text_decoder.expand.state_dict().items()}
    metadata = {"format": FORMATS[name], "content": json.dumps(content)}
    return replace(described, metadata=metadata, beside=beside)


@dataclass(frozen=True)
class NameTable:
    """Known names on the network's device, to tell classes from text-aligned vectors."""

    labels: LabelSpace
    embeddings: Tensor  # (K, E) unit vectors
    class_of_name: Tensor  # (K,) int64
    temperature: float  # cosine difference that changes the odds by a factor of e

    @classmethod
    def of(cls, known: KnownNames, temperature: float, device: torch.device) -> NameTable:
        """The table of a checkpoint's names."""
        labels = LabelSpace.things(tuple(dict.fromkeys(known.class_names)))
        class_id = [labels.names.index(name) for name in known.class_names]
        return cls(labels, known.embeddings.to(device), torch.tensor(class_id, device=device), temperature)

    def class_cosines(self, vectors: Tensor) -> Tensor:
        """Unit vectors (K, E) -> (K, C), the likeness to the best of each class's names."""
        best = torch.full((len(vectors), len(self.labels)), -1.0, device=vectors.device)
        return best.scatter_reduce(1, self.class_of_name.expand(len(vectors), -1), vectors @ self.embeddings.T, "amax")

    def class_logits(self, vectors: Tensor, objectness_logits: Tensor) -> Tensor:
        """(K, C + 1): likeness to the classes; the last column makes softmax agree with the objectness (K,)."""
        logits = self.class_cosines(vectors) / self.temperature
        return torch.cat([logits, logits.logsumexp(-1, keepdim=True) - objectness_logits[:, None]], dim=-1)


class MiniEngine:
    """Views at network size -> geometry, and named objects, best first."""

    def __init__(self, checkpoint: MiniCheckpoint, config: ModelConfig, device: torch.device) -> None:
        self._names = NameTable.of(checkpoint.known_names, checkpoint.name_temperature, device)
        self._config, self._device, self._scores = config, device, checkpoint.scores
        base = checkpoint.model if isinstance(checkpoint.model, PanMini) else checkpoint.model.base
        crops = None if base.image_stem is None else StemCrops(base.image_stem.stem)
        self._model = ready_network(checkpoint.model, device)
        self._calibrations = CalibrationMemory(self._model.calibrate)
        self._dtype = AUTOCAST_DTYPES[config.precision]
        preprocess = checkpoint.preprocess
        self._networks: SizedNetworks | None = None
        if not isinstance(self._model, Eps3dMini):
            graph_of = partial(graph_of_checkpoint, replace(checkpoint, model=self._model))
            wanted = Wanted(torch.get_num_threads(), config.precision)
            self._networks = SizedNetworks(graph_of, (preprocess.height, preprocess.width), config.runtime, wanted)
        self.facts = EngineFacts(
            preprocess,
            self._names.labels,
            known_names=checkpoint.known_names,
            device=str(device),
            runtime=None if self._networks is None else self._networks.facts,
            checkpoint=checkpoint.checksum,
            appearance=self.appearance,
            crops=crops,
            crops_checkpoint="" if crops is None else crops.checkpoint,
        )

    @torch.inference_mode()
    def __call__(self, views: ViewBatch) -> tuple[Reconstruction, InstanceSet]:
        """Instances best first; metric only where cameras and support plane are known (see the module docstring)."""
        inputs = mini_inputs(views, self._device)
        if self._networks is None or (isinstance(self._model, Fast3disMini) and not bool(inputs.posed[0])):
            return self._described(self._whole(inputs), inputs)
        calibration = self._calibrations(inputs)
        answer = self._networks(views.hw)(graph_inputs(inputs, calibration))
        return self._described(graph_outputs(answer, calibration), inputs)

    @torch.inference_mode()
    def outputs(self, views: ViewBatch) -> tuple[MiniOutputs, Reconstruction, InstanceSet]:
        """Return what a call gives, and first all raw outputs of the network in torch that it was made from."""
        inputs = mini_inputs(views, self._device)
        outputs = self._whole(inputs)
        return outputs, *self._described(outputs, inputs)

    @torch.inference_mode()
    def appearance(self, views: ViewBatch) -> Tensor:
        """Return features (S, F, h, w) of each view at an eighth of its size, from before the views meet."""
        inputs = mini_inputs(views, self._device)
        base = self._model if isinstance(self._model, PanMini) else self._model.base
        return base.single_views(inputs.images, self._calibrations(inputs)).stem[2]

    def _whole(self, inputs: MiniInputs) -> MiniOutputs:
        """The network in torch, with all that it says."""
        with torch.autocast(self._device.type, self._dtype, enabled=self._dtype is not None):
            outputs: MiniOutputs = self._model(inputs, self._calibrations(inputs))
        return outputs

    def _described(self, outputs: MiniOutputs, inputs: MiniInputs) -> tuple[Reconstruction, InstanceSet]:
        instances = self._instances(outputs)
        return self._reconstruction(outputs, inputs, instances), instances

    def _reconstruction(self, outputs: MiniOutputs, inputs: MiniInputs, instances: InstanceSet) -> Reconstruction:
        log_error = nn.functional.interpolate(outputs.log_error, size=outputs.plane_depth.shape[-2:], mode="bilinear")[0]
        posed = bool(inputs.posed[0] > 0)
        depth = outputs.depth()[0]
        if posed:
            cam_from_world = inputs.cam_from_world[0]
        else:
            cam_from_world = unposed_cameras(outputs, 0, instances.mask_logits, inputs.intrinsics[0])
        return Reconstruction(
            depth=depth,
            depth_conf=torch.exp(-log_error.clamp(-7, 1)),  # one over the expected relative error
            intrinsics=inputs.intrinsics[0],
            cam_from_world=cam_from_world,
            is_metric=posed,
        )

    def _instances(self, outputs: MiniOutputs) -> InstanceSet:
        rows, scores = find_instances(outputs, 0, self._config.min_score, self._config.nms_iou, self._scores)
        rows, scores = rows[: self._config.max_instances], scores[: self._config.max_instances]
        vectors = outputs.queries.text_embedding[0, rows]
        return InstanceSet(
            mask_logits=outputs.queries.mask_logits[0, rows],
            class_logits=self._names.class_logits(vectors, outputs.queries.layers[-1].objectness_logits[0, rows]),
            scores=scores,
            labels=self.facts.labels,
            text_embeddings=vectors,
        )


def build(config: ModelConfig) -> MiniEngine:
    """Build `pan3d-mini` or `pan3d-mini-fast3dis`.

    Args:
        config: `name`, which of the two, any other name meaning the first; `weights`, the path of a checkpoint, empty for the one
            that comes with the package; limits, device, precision and threads.

    Returns:
        The engine, its network ready for inference.

    Raises:
        FileNotFoundError: The checkpoint is not there.
        ValueError: It is damaged or that of another model or format version; or the device is unknown.
    """
    device = select_device(config.device)
    name = config.name if config.name in FORMATS else MINI  # baselines build on the default network under their own names
    checkpoint = read_checkpoint(Path(config.weights) if config.weights else SHIPPED[name], name)
    prepare_threads(config)
    return MiniEngine(checkpoint, config, device)


def graph(config: ModelConfig, picture_hw: tuple[int, int] | None = None) -> Graph:
    """Describe the network of `pan3d-mini` as `pan3d export` writes it.

    Args:
        config: As for `build`; only name, weights and device count.
        picture_hw: Rows and columns of the cameras' pictures; None = of the shape that the network was trained on.

    Returns:
        The graph.

    Raises:
        FileNotFoundError: As `build`.
        ValueError: As `build`; or the engine is another one.
    """
    name = config.name if config.name in FORMATS else MINI
    found = read_checkpoint(Path(config.weights) if config.weights else SHIPPED[name], name)
    ready = replace(found, model=ready_network(found.model, select_device(config.device)))
    return graph_of_checkpoint(ready, network_size(found.preprocess, picture_hw))


def prepare_threads(config: ModelConfig) -> None:
    """So small a network gains little from more threads, and the cameras' messages need the other cores."""
    torch.set_num_threads(config.threads or max(1, len(os.sched_getaffinity(0)) // 2))
