"""The SegVGGT engine: official checkpoints, indoor classes of ScanNet or ScanNet200."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from importlib.resources import files

import torch

from pan3d_core.config import ModelConfig, PreprocessConfig
from pan3d_core.engines.decoding import DecodingThresholds, instances_of_queries
from pan3d_core.engines.facts import EngineFacts
from pan3d_core.engines.foreign_weights import named_weights
from pan3d_core.labels import LabelSpace
from pan3d_core.models.layers.transformer import merge_lora
from pan3d_core.models.vggt.segvggt import SegVGGT, SegVggtOutput, official_name, segvggt_1b
from pan3d_core.runtime.device import autocast_dtype, select_device
from pan3d_core.runtime.weights import assign_weights, read_weights
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

    @torch.inference_mode()
    def __call__(self, views: ViewBatch) -> tuple[Reconstruction, InstanceSet]:
        output: SegVggtOutput = self.model(views.images[None].to(self.facts.device), aggregator_dtype=self.aggregator_dtype)
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
    if config.threads:
        torch.set_num_threads(config.threads)
    thresholds = DecodingThresholds(
        min_score=config.min_score, nms_iou=config.nms_iou, class_agnostic=True, max_instances=config.max_instances
    )
    return SegVggtEngine(
        model=model.eval().to(device),
        facts=EngineFacts(OFFICIAL_PREPROCESS, labels, device=str(device)),
        thresholds=thresholds,
        aggregator_dtype=autocast_dtype(config.precision),
    )
