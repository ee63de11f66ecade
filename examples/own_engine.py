"""An engine of one's own: a callable that takes views and gives geometry and instances, with the facts about its answers.

This one takes measured depth as geometry and finds what is red, green or blue above the table. Everything around it, from
alignment to grasps, the command line and the figures, works as with any other engine.
"""

from __future__ import annotations

from pathlib import Path

import torch

from pan3d_core import InstanceSet, PipelineConfig, Reconstruction, ViewBatch, reconstruct
from pan3d_core.config import ModelConfig, PreprocessConfig
from pan3d_core.engines import ENGINES, EngineFacts
from pan3d_core.labels import LabelSpace
from pan3d_sim.data import render_scene_folder

COLOURS = LabelSpace.things(("red thing", "green thing", "blue thing"))


class PrimaryColours:
    """At most one instance of each colour, over all views."""

    facts = EngineFacts(PreprocessConfig(height=120, width=160), labels=COLOURS, needs_depth=True)

    def __call__(self, views: ViewBatch) -> tuple[Reconstruction, InstanceSet]:
        """Views at 120 x 160 pixels, colours in 0..1, depth in metres, to geometry and instances."""
        geometry = Reconstruction(
            views.depth, torch.ones_like(views.depth), views.intrinsics, views.cam_from_world, is_metric=True
        )
        above_m = geometry.world_points[..., 2] - (views.support_height_m or 0.0)  # (S, h, w)
        strongest, channel = views.images.max(dim=1)
        vivid = (views.depth > 0) & (above_m > 0.008) & (strongest - views.images.amin(dim=1) > 0.3)
        masks = torch.stack([vivid & (channel == color) for color in range(3)])  # (3, S, h, w)
        found = masks.flatten(1).sum(dim=1) > 100
        class_logits = torch.cat([20 * torch.eye(3), torch.zeros(3, 1)], dim=1)  # the last column is "no object"
        scores = torch.full((int(found.sum()),), 0.9)
        return geometry, InstanceSet(20.0 * masks[found] - 10.0, class_logits[found], scores, COLOURS)


def build(config: ModelConfig) -> PrimaryColours:
    """Build it; an engine with weights or settings takes them from `config`."""
    return PrimaryColours()


def main() -> None:
    """Give the engine a name, and look at a rendered table with it."""
    ENGINES["primary-colours"] = build
    config = PipelineConfig.from_dict({"model": {"name": "primary-colours"}})
    result = reconstruct(render_scene_folder(Path("out/scenes"), 3, width=320, height=240), config)
    for segment in result.panoptic.segments:
        print(f"{segment.instance_id} {result.panoptic.labels.names[segment.class_id]}: {segment.num_points} points")


if __name__ == "__main__":
    main()
