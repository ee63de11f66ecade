"""EPS3D for inference on a GPU: what does not depend on the scene is recorded and replayed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from pan3d_core.geometry.cameras import unproject_depth
from pan3d_core.models.eps3d.network import PARTS, Eps3d, Eps3dOutput
from pan3d_core.models.vggt.network import VggtOutput
from pan3d_core.runtime.cuda_graphs import CudaGraphs


class RecordedEps3d:
    """Calls give what `Eps3d` gives for the same images up to rounding; only averaging over voxels is launched kernel by kernel.

    `recorded` makes the replayed form of a function of tensors.
    """

    def __init__(
        self,
        model: Eps3d,
        aggregator_dtype: torch.dtype | None = None,
        recorded: Callable[[Callable[..., Any]], Callable[..., Any]] = CudaGraphs,
    ) -> None:
        self.model = model
        self._dtype = aggregator_dtype
        self._parts = PARTS if model.is_panoptic else PARTS[:1]
        heads = [model.gaussian_head, *((model.semantic_head, model.instance_head) if model.is_panoptic else ())]
        self._layers = sorted({layer for head in heads for layer in head.layers})
        self._geometry = recorded(self._run_geometry)
        self._frame = recorded(self._run_frame)

    @torch.inference_mode()
    def geometry(self, images: Tensor) -> VggtOutput:
        """(B, S, 3, H, W) RGB 0..1 -> cameras and depth."""
        return self._kept_geometry(self._geometry(images)[1])

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Eps3dOutput:
        """(B, S, 3, H, W) RGB 0..1 -> `Eps3dOutput` with all that the network has."""
        tokens, shared = self._geometry(images)
        geometry = self._kept_geometry(shared)
        cam_from_world, intrinsics = geometry.cameras()
        points = unproject_depth(geometry.depth, intrinsics, cam_from_world)
        scenes = range(len(images))
        gaussians = (self.model.averaged(points[b], self._portions(tokens, images, b), self._parts) for b in scenes)
        return Eps3dOutput(geometry, tuple(gaussians))

    def _portions(self, tokens: dict[int, Tensor], images: Tensor, b: int) -> Iterator[tuple[Tensor, ...]]:
        for s in range(images.shape[1]):
            yield self._frame(images[b, s : s + 1], *(tokens[layer][b : b + 1, s : s + 1] for layer in self._layers))

    @staticmethod
    def _kept_geometry(shared: VggtOutput) -> VggtOutput:
        own = {name: value.clone() for name, value in vars(shared).items() if isinstance(value, Tensor)}
        return replace(shared, **own)

    def _run_geometry(self, images: Tensor) -> tuple[dict[int, Tensor], VggtOutput]:
        tokens = self.model.vggt.features(images, aggregator_dtype=self._dtype)
        return tokens, self.model.vggt.predict(tokens, (images.shape[-2], images.shape[-1]))

    def _run_frame(self, frames: Tensor, *levels: Tensor) -> tuple[Tensor, ...]:
        """Of one frame: what `Eps3d.portions` gives."""
        (portion,) = self.model.portions(dict(zip(self._layers, levels, strict=True)), frames, self._parts)
        return portion
