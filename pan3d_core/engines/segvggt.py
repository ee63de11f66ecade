"""The SegVGGT engine: official checkpoints, indoor classes of ScanNet or ScanNet200."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

import torch

from pan3d_core.config import ModelConfig, PreprocessConfig
from pan3d_core.engines.decoding import DecodingThresholds, instances_of_queries
from pan3d_core.engines.facts import EngineFacts
from pan3d_core.engines.foreign_weights import named_weights
from pan3d_core.engines.picture_sizes import network_size
from pan3d_core.labels import LabelSpace
from pan3d_core.models.layers.transformer import merge_lora
from pan3d_core.models.vggt.graph import segvggt_graph, segvggt_output
from pan3d_core.models.vggt.segvggt import SegVGGT, SegVggtOutput, official_name, segvggt_1b
from pan3d_core.runtime.checksums import checksum_of
from pan3d_core.runtime.device import autocast_dtype, select_device
from pan3d_core.runtime.networks.built import Wanted
from pan3d_core.runtime.networks.interface import Graph
from pan3d_core.runtime.networks.sized import SizedNetworks, networks_of_large
from pan3d_core.runtime.weights import assign_weights, read_weights
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


def label_space(label_set: str) -> LabelSpace:
    """Return the names of the class logits of "scannetv2" (18) or "scannet200" (198); wall and floor have none."""
    content = json.loads(files("pan3d_core.engines").joinpath("segvggt_classes.json").read_text(encoding="utf-8"))
    return LabelSpace.things(content[label_set]["names"])


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
    """Build the engine with an official checkpoint; ScanNet or ScanNet200 is recognised by its class head.

    Args:
        config: `weights`, the path of the checkpoint; limits, device, precision and threads.

    Returns:
        The engine, with the low-rank corrections merged into the network.

    Raises:
        FileNotFoundError: The checkpoint is not there.
        ValueError: None is named, or it is damaged or that of another model; or the device is unknown.
    """
    model, labels = _load(config)
    if config.threads:
        torch.set_num_threads(config.threads)
    thresholds = DecodingThresholds(
        min_score=config.min_score, nms_iou=config.nms_iou, class_agnostic=True, max_instances=config.max_instances
    )
    wanted = Wanted(torch.get_num_threads(), config.precision)
    networks = networks_of_large(
        "segvggt", _graphs_of(model, labels), network_size(OFFICIAL_PREPROCESS, USUAL_PICTURE), config.runtime, wanted
    )
    device = str(next(model.parameters()).device)
    return SegVggtEngine(
        model=model,
        facts=EngineFacts(OFFICIAL_PREPROCESS, labels, device=device, runtime=None if networks is None else networks.facts),
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
    model, labels = _load(config)
    return _graphs_of(model, labels)(network_size(OFFICIAL_PREPROCESS, picture_hw or USUAL_PICTURE))


def _load(config: ModelConfig) -> tuple[SegVGGT, LabelSpace]:
    """The network ready for inference on its device, and the names of its classes."""
    device = select_device(config.device)
    weights = named_weights(config, "an official SegVGGT checkpoint", LICENCE_NOTE)
    found = read_weights(weights)
    outputs = len(found[CLASS_BIAS]) if CLASS_BIAS in found else OUTPUTS_OF_LABEL_SET["scannetv2"]
    label_set = next((name for name, count in OUTPUTS_OF_LABEL_SET.items() if count == outputs), None)
    if label_set is None:
        raise ValueError(f"ModelConfig.weights: expected 19 or 199 class outputs, got {outputs} in {weights}")
    labels = label_space(label_set)
    with torch.device("meta"):
        model = segvggt_1b(len(labels))
    assign_weights(model, found, origin=weights, name_in_file=official_name)
    logger.warning("%s", LICENCE_NOTE)
    merge_lora(model)
    return model.eval().to(device), labels


def _graphs_of(model: SegVGGT, labels: LabelSpace) -> Callable[[tuple[int, int]], Graph]:
    """Rows and columns to graph."""

    @cache  # gigabytes of weights are summed up once
    def checksum() -> str:
        return checksum_of({name: value.cpu() for name, value in model.state_dict().items()}, {})

    def graph_of(hw: tuple[int, int]) -> Graph:
        content = {"labels": labels.names, "preprocess": to_plain(replace(OFFICIAL_PREPROCESS, height=hw[0], width=hw[1]))}
        metadata = {"format": "segvggt/1", "content": json.dumps(content)}
        return replace(segvggt_graph(model, hw, checksum()), metadata=metadata)

    return graph_of
