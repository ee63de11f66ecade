"""The SegVGGT engine: official checkpoints with the indoor classes of ScanNet or ScanNet200, and files of own classes."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path

import torch

from pan3d_core.config import ModelConfig, PreprocessConfig
from pan3d_core.engines.facts import EngineFacts
from pan3d_core.engines.parts.decoding import DecodingThresholds, instances_of_queries
from pan3d_core.engines.parts.foreign_weights import named_weights
from pan3d_core.engines.parts.picture_sizes import network_size
from pan3d_core.labels import LabelSpace
from pan3d_core.models.layers.transformer import merge_lora
from pan3d_core.models.vggt.files import FORMAT, load_segvggt
from pan3d_core.models.vggt.graph import segvggt_graph, segvggt_output
from pan3d_core.models.vggt.segvggt import SegVGGT, SegVggtOutput, official_name, segvggt_1b
from pan3d_core.runtime.checksums import checksum_of
from pan3d_core.runtime.device import autocast_dtype, select_device
from pan3d_core.runtime.networks.built import Wanted
from pan3d_core.runtime.networks.interface import Graph
from pan3d_core.runtime.networks.sized import SizedNetworks, networks_of_large
from pan3d_core.runtime.weights import assign_weights, read_metadata, read_weights
from pan3d_core.settings import to_plain
from pan3d_core.structures import InstanceSet, Reconstruction, ViewBatch

logger = logging.getLogger("pan3d.engines.segvggt")

LICENCE_NOTE = (
    "SegVGGT weights are not part of pan3d. They build on VGGT, whose licence (VGGT License v1) restricts use, and their own "
    "terms are set by their authors: read both before using results, above all commercially."
)
# The last layer of the class head tells which checkpoint it is; one of its outputs means "no match".
CLASS_BIAS = "semantic_head.scratch.output_instance.2.bias"
OUTPUTS_OF_LABEL_SET = {"scannetv2": 19, "scannet200": 199}

# The rule of the official evaluation: OpenCV's Lanczos to 518 columns, rows in multiples of 14, at most a square.
OFFICIAL_PREPROCESS = PreprocessConfig(height=518, width=518, mode="width", multiple=14, resample="lanczos")
USUAL_PICTURE = (480, 640)  # whose network is prepared when nobody says what the cameras give
MIN_MASK_PIXELS = 200  # over all views, at the published width of 518 pixels


def label_space(label_set: str) -> LabelSpace:
    """Return the names of the class logits of "scannetv2" (18) or "scannet200" (198); wall and floor have none."""
    content = json.loads(files("pan3d_core.engines").joinpath("segvggt_classes.json").read_text(encoding="utf-8"))
    return LabelSpace.things(content[label_set]["names"])


def classes_of_outputs(outputs: int) -> tuple[str, ...]:
    """Return the names of an official checkpoint with so many outputs of its class head; empty where there is no such one."""
    label_set = next((name for name, count in OUTPUTS_OF_LABEL_SET.items() if count == outputs), None)
    return () if label_set is None else label_space(label_set).names


@dataclass(frozen=True)
class LoadedSegVggt:
    """A checkpoint of either kind, ready for inference on its device."""

    model: SegVGGT
    labels: LabelSpace
    preprocess: PreprocessConfig

    @property
    def min_pixels(self) -> int:
        """The published limit of small masks at the size of these pictures."""
        return round(MIN_MASK_PIXELS * (self.preprocess.width / OFFICIAL_PREPROCESS.width) ** 2)


@dataclass(frozen=True)
class SegVggtEngine:
    """Views at network size -> geometry in the frame of the first camera (unknown unit) and instances.

    Cameras and depth of the views are not used by this network: aligning to them is the next stage's work.
    """

    model: SegVGGT
    facts: EngineFacts
    thresholds: DecodingThresholds
    aggregator_dtype: torch.dtype | None = None
    networks: SizedNetworks | None = None  # in a runtime that may be another than torch

    @torch.inference_mode()
    def __call__(self, views: ViewBatch) -> tuple[Reconstruction, InstanceSet]:
        output = self._look(views.images[None].to(self.facts.device))
        cam_from_world, intrinsics = output.geometry.cameras()
        reconstruction = Reconstruction(
            depth=output.geometry.depth[0],
            depth_conf=output.geometry.depth_conf[0],
            intrinsics=intrinsics[0],
            cam_from_world=cam_from_world[0],
            is_metric=False,
        )
        instances = instances_of_queries(
            output.class_logits[0], lambda rows: output.mask_logits(rows)[0], self.facts.labels, self.thresholds
        )
        return reconstruction, instances

    def _look(self, images: torch.Tensor) -> SegVggtOutput:
        if self.networks is not None:
            return segvggt_output(self.networks((images.shape[-2], images.shape[-1]))({"images": images}))
        output: SegVggtOutput = self.model(images, aggregator_dtype=self.aggregator_dtype)
        return output


def build(config: ModelConfig) -> SegVggtEngine:
    """Build the engine with an official checkpoint, whose classes are recognised by their number, or with an exported file, which
    names its classes and sizes.

    Args:
        config: `weights`, the path of the checkpoint; limits, device, precision and threads.

    Returns:
        The engine, with the low-rank corrections merged into the network.

    Raises:
        FileNotFoundError: The checkpoint is not there.
        ValueError: None is named, or it is damaged or that of another model; or the device is unknown.
    """
    loaded = _load(config)
    if config.threads:
        torch.set_num_threads(config.threads)
    thresholds = DecodingThresholds(
        min_score=config.min_score, min_pixels=loaded.min_pixels, nms_iou=config.nms_iou, class_agnostic=True,
        max_instances=config.max_instances,
    )  # fmt: skip
    wanted = Wanted(torch.get_num_threads(), config.precision)
    networks = networks_of_large(
        "segvggt", _graphs_of(loaded), network_size(loaded.preprocess, USUAL_PICTURE), config.runtime, wanted
    )
    device, runtime = str(next(loaded.model.parameters()).device), None if networks is None else networks.facts
    return SegVggtEngine(
        model=loaded.model,
        facts=EngineFacts(loaded.preprocess, loaded.labels, device=device, runtime=runtime),
        thresholds=thresholds,
        aggregator_dtype=autocast_dtype(config.precision),
        networks=networks,
    )


def graph(config: ModelConfig, picture_hw: tuple[int, int] | None = None) -> Graph:
    """Describe the network as `pan3d export` writes it.

    Args:
        config: As for `build`; only weights and device count.
        picture_hw: Rows and columns of the cameras' pictures; None = 480 x 640.

    Returns:
        The graph.

    Raises:
        FileNotFoundError: As `build`.
        ValueError: As `build`.
    """
    loaded = _load(config)
    return _graphs_of(loaded)(network_size(loaded.preprocess, picture_hw or USUAL_PICTURE))


def _load(config: ModelConfig) -> LoadedSegVggt:
    """The network ready for inference on its device, and what goes with it."""
    device = select_device(config.device)
    weights = named_weights(config, "an official SegVGGT checkpoint or an exported file", LICENCE_NOTE)
    if Path(weights).is_file() and read_metadata(weights).get("format") == FORMAT:
        model, content = load_segvggt(weights)
        preprocess = replace(OFFICIAL_PREPROCESS, height=content.width, width=content.width)
        loaded = LoadedSegVggt(model, LabelSpace.things(content.classes), preprocess)
    else:
        loaded = LoadedSegVggt(*_official(weights), OFFICIAL_PREPROCESS)
    logger.warning("%s", LICENCE_NOTE)
    merge_lora(loaded.model)
    loaded.model.eval().to(device)
    return loaded


def _official(weights: str) -> tuple[SegVGGT, LabelSpace]:
    """The network of an official checkpoint and the names of its classes."""
    found = read_weights(weights)
    outputs = len(found[CLASS_BIAS]) if CLASS_BIAS in found else OUTPUTS_OF_LABEL_SET["scannetv2"]
    classes = classes_of_outputs(outputs)
    if not classes:
        raise ValueError(
            f"ModelConfig.weights: expected 19 or 199 class outputs, got {outputs} in {weights}; a file of other classes must "
            "name them, as python -m training.export writes it"
        )
    with torch.device("meta"):
        model = segvggt_1b(len(classes))
    assign_weights(model, found, origin=weights, name_in_file=official_name)
    return model, LabelSpace.things(classes)


def _graphs_of(loaded: LoadedSegVggt) -> Callable[[tuple[int, int]], Graph]:
    """Rows and columns to graph."""

    @cache  # gigabytes of weights are summed up once
    def checksum() -> str:
        return checksum_of({name: value.cpu() for name, value in loaded.model.state_dict().items()}, {})

    def graph_of(hw: tuple[int, int]) -> Graph:
        prepared = to_plain(replace(loaded.preprocess, height=hw[0], width=hw[1]))
        metadata = {"format": "segvggt/1", "content": json.dumps({"labels": loaded.labels.names, "preprocess": prepared})}
        return replace(segvggt_graph(loaded.model, hw, checksum()), metadata=metadata)

    return graph_of
