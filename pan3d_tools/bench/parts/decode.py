"""`pan3d bench decode`: time from queries to objects beside the network's time on the same device.

Decoding is masks for the queries that can pass, their statistics, thresholds, duplicates; assembly is the
panoptic merge: pixels to instances, world points, cloud, boxes. Inputs are made up (a few planted objects,
all other queries rejected), at the published size: 400 queries of 128 channels, 16 views of 392x518, masks of 196x259.

The network's time is measured whole on a GPU. On a CPU, where it is tens of minutes, each kind of layer
is measured once at full size and counted as often as it occurs (24 times; dense heads per view): layers of a
kind do the same work, and everything left out (patch projection, camera head) makes the reported share larger.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable

import torch
from torch import Tensor

from pan3d_core.assembly.merging import merge_panoptic
from pan3d_core.assembly.ownership import own_pixels
from pan3d_core.config import MergeConfig
from pan3d_core.engines.parts.decoding import DecodingThresholds, decode_queries, instance_set
from pan3d_core.labels import LabelSpace
from pan3d_core.models.layers.dpt import DPT, dense_maps, dense_output
from pan3d_core.models.layers.transformer import Block, Mlp, Rope2d
from pan3d_core.models.vggt.segvggt import CrossBlock, class_head, instance_feature_map, segvggt_1b
from pan3d_core.runtime.device import select_device
from pan3d_core.structures import InstanceSet, Panoptic3D, Reconstruction, ViewBatch

NUM_QUERIES, EMBEDDING_DIM, NUM_CLASSES, LAYERS = 400, 128, 18, 24
DIM, HEADS, PATCH, SPECIAL = 1024, 16, 14, 5


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="pan3d bench decode", description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: %(default)s)")
    parser.add_argument("--views", type=int, default=16, help="number of views (default: %(default)s)")
    parser.add_argument("--height", type=int, default=392, help="image height, a multiple of 14 (default: %(default)s)")
    parser.add_argument("--width", type=int, default=518, help="image width, a multiple of 14 (default: %(default)s)")
    parser.add_argument("--objects", type=int, default=20, help="queries that are accepted (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="CPU threads (default: all)")
    parser.add_argument("--repeats", type=int, default=3, help="of decoding; the best counts (default: %(default)s)")
    return parser.parse_args(argv)


def timed(device: torch.device, work: Callable[[], object]) -> float:
    """Seconds of `work`, including what it leaves queued on the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def planted_scene(
    num_views: int, image_hw: tuple[int, int], objects: int, device: torch.device
) -> tuple[Reconstruction, ViewBatch, Tensor, Tensor, Tensor]:
    """Geometry, views, query embeddings (Q, D), feature map (S, h, w, D), class logits (Q, C + 1).

    Object k is a disc in every view; its pixels carry the feature that query k looks for.
    """
    generator = torch.Generator().manual_seed(0)
    height, width = image_hw
    half_h, half_w = height // 2, width // 2
    embeddings = torch.nn.functional.normalize(torch.randn(NUM_QUERIES, EMBEDDING_DIM, generator=generator), dim=-1) * 8
    feature_map = torch.randn(num_views, half_h, half_w, EMBEDDING_DIM, generator=generator) * 0.05
    feature_map -= 0.15 * embeddings[:objects].sum(0) / 8
    rows, columns = torch.meshgrid(torch.arange(half_h), torch.arange(half_w), indexing="ij")
    places = torch.rand(num_views, objects, 2, generator=generator) * torch.tensor([half_h, half_w])
    for view in range(num_views):
        for index in range(objects):
            inside = (rows - places[view, index, 0]) ** 2 + (columns - places[view, index, 1]) ** 2 < (half_h / 12) ** 2
            feature_map[view][inside] += embeddings[index] / 8
    class_logits = torch.zeros(NUM_QUERIES, NUM_CLASSES + 1)
    class_logits[:, -1] = 6.0
    class_logits[:objects, -1] = -6.0
    cam_from_world = torch.eye(4).repeat(num_views, 1, 1)
    cam_from_world[:, 0, 3] = torch.linspace(-0.2, 0.2, num_views)
    intrinsics = torch.tensor([[0.9 * width, 0, width / 2], [0, 0.9 * width, height / 2], [0, 0, 1.0]]).repeat(num_views, 1, 1)
    depth = 0.8 + 0.05 * torch.rand(num_views, 1, 1, generator=generator).expand(-1, height, width)
    reconstruction = Reconstruction(
        depth=depth.contiguous().to(device),
        depth_conf=torch.full((num_views, height, width), 5.0, device=device),
        intrinsics=intrinsics.to(device),
        cam_from_world=cam_from_world.to(device),
        is_metric=True,
    )
    views = ViewBatch(
        images=torch.rand(num_views, 3, height, width, generator=generator).to(device),
        intrinsics=intrinsics.to(device),
        cam_from_world=cam_from_world.to(device),
        depth=None,
        stamps_ns=(0,) * num_views,
        cameras=tuple(f"camera{index}" for index in range(num_views)),
        original_hw=(image_hw,) * num_views,
        network_from_original=torch.eye(3).repeat(num_views, 1, 1),
    )
    return reconstruction, views, embeddings.to(device), feature_map.to(device), class_logits.to(device)


@torch.inference_mode()
def decode_and_assemble(
    reconstruction: Reconstruction, views: ViewBatch, embeddings: Tensor, feature_map: Tensor, class_logits: Tensor
) -> tuple[Panoptic3D, float]:
    """What the engine does after the network, then the merge; with the seconds that decoding alone took."""
    thresholds = DecodingThresholds(min_score=0.3, nms_iou=0.5, class_agnostic=True)
    labels = LabelSpace.things([f"class {index}" for index in range(NUM_CLASSES)])
    found: list[InstanceSet] = []

    def decode() -> None:
        decoded = decode_queries(
            class_logits, lambda rows: torch.einsum("qd,shwd->qshw", embeddings[rows], feature_map), thresholds
        )
        found.append(instance_set(decoded, class_logits, labels, thresholds.mask_prob))

    decode_s = timed(feature_map.device, decode)
    owned = own_pixels(found[-1], views.hw, MergeConfig().mask_threshold)
    return merge_panoptic(reconstruction, owned, views), decode_s


@torch.inference_mode()
def network_parts_s(device: torch.device, num_views: int, image_hw: tuple[int, int]) -> dict[str, float]:
    """Seconds of each part of the network at full size, every kind of layer measured once and counted."""
    grid_hw = (image_hw[0] // PATCH, image_hw[1] // PATCH)
    tokens = SPECIAL + grid_hw[0] * grid_hw[1]
    per_frame = torch.randn(num_views, tokens, DIM, device=device)
    together = per_frame.reshape(1, -1, DIM).clone()
    queries = torch.randn(1, NUM_QUERIES, DIM, device=device)
    rope = Rope2d.for_grid(grid_hw, DIM // HEADS, num_special=SPECIAL, like=per_frame)
    with device:
        plain, mixed = Block(DIM, HEADS).eval(), Block(DIM, HEADS, qk_norm=True).eval()
        cross, own = CrossBlock(DIM, HEADS).eval(), Block(DIM, HEADS, qk_norm=True, mlp=Mlp(DIM, DIM)).eval()
        depth_head = DPT(output_conv2=dense_output(256, 32, 2)).eval()
        instance_head = DPT(output_instance=class_head(EMBEDDING_DIM, 32, NUM_CLASSES)).eval()
    one_view = {layer: torch.randn(1, 1, tokens, 2 * DIM, device=device) for layer in depth_head.layers}
    mixed(per_frame[:1].clone(), rope)  # the first call of a process also pays for library start-up
    parts = {
        "patch encoder": LAYERS * timed(device, lambda: plain(per_frame)),
        "frame attention": LAYERS * timed(device, lambda: mixed(per_frame, rope)),
        "global attention": LAYERS * timed(device, lambda: mixed(together, rope.repeated(num_views))),
        "query attention": LAYERS * timed(device, lambda: own(cross(queries, together)[0])),
    }
    parts["depth head"] = num_views * timed(device, lambda: dense_maps(depth_head, one_view, image_hw, grid_hw))
    parts["instance head"] = num_views * timed(device, lambda: instance_feature_map(instance_head, one_view, image_hw, grid_hw))
    return parts


@torch.inference_mode()
def whole_network_s(device: torch.device, num_views: int, image_hw: tuple[int, int]) -> float:
    """Seconds of one forward pass of the published size (random weights), the second of two."""
    with device:
        model = segvggt_1b(NUM_CLASSES).eval()
    images = torch.rand(1, num_views, 3, *image_hw, device=device)
    dtype = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return [timed(device, lambda: model(images, aggregator_dtype=dtype)) for _ in range(2)][-1]


def run(argv: list[str]) -> dict:
    """Measure and return seconds of decoding, assembly and network, and their `share`."""
    arguments = parse(argv)
    torch.set_num_threads(arguments.threads)
    device = select_device(arguments.device)
    image_hw = (arguments.height, arguments.width)
    scene = planted_scene(arguments.views, image_hw, arguments.objects, device)
    totals, decodes, found = [], [], 0
    for _ in range(arguments.repeats):
        start = time.perf_counter()
        panoptic, decode_s = decode_and_assemble(*scene)
        totals.append(time.perf_counter() - start)
        decodes.append(decode_s)
        found = len(panoptic.segments)
    del scene, panoptic
    if device.type == "cuda":
        how, parts = "whole forward pass, half precision aggregator", {}
        network_s = whole_network_s(device, arguments.views, image_hw)
    else:
        how, parts = "sum over layers, each kind measured once at full size", network_parts_s(device, arguments.views, image_hw)
        network_s = sum(parts.values())
    return {
        "device": str(device),
        "threads": arguments.threads,
        "views": arguments.views,
        "image_hw": list(image_hw),
        "queries": NUM_QUERIES,
        "objects_found": found,
        "decode_s": min(decodes),
        "assembly_s": min(totals) - min(decodes),
        "network_s": network_s,
        "network_measured_as": how,
        "network_parts_s": parts,
        "share": min(totals) / network_s,
    }
