"""What `pan3d refine` leaves behind: the scene, pictures along the way, and the figures of the run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pan3d_core.gaussians.files import write_scene_file
from pan3d_core.gaussians.scene import GaussianScene
from pan3d_core.pictures import overlays
from pan3d_core.refine.optimise import Refinement, StepReport
from pan3d_core.refine.readout import panoptic_view, query_classes
from pan3d_core.refine.rendering import render_color
from pan3d_core.refine.views import RefineView

TILE_WIDTH = 320
PICTURES = "pictures"
FILES_OF_OLDER = ("gaussians.safetensors", "gaussians.ply", "report.json", f"{PICTURES}/step_[0-9]*.png")
"""What results had that are not listed yet."""
CAPTIONS = ("photograph", "its 2D labels", "refined map", "its objects")


def write_scene(folder: Path, scene: GaussianScene) -> list[Path]:
    """`gaussians.safetensors` and `gaussians.ply` in `folder`; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"gaussians{suffix}" for suffix in (".safetensors", ".ply")]
    for path in paths:
        write_scene_file(path, scene)
    return paths


def picture_name(refinement: Refinement) -> str:
    """Name the picture of a step."""
    return f"step_{refinement.progress.step:06d}.png"


def write_picture(path: Path, refinement: Refinement, index: int = 0) -> Path:
    """One view as it was given and as the map shows it; the folder of `path` is made where needed."""
    overlays.save(path, view_picture(refinement, refinement.views[index]))
    return path


def view_picture(refinement: Refinement, view: RefineView) -> np.ndarray:
    """Photograph, 2D labels, rendered colour and rendered objects side by side."""
    model = refinement.model
    shown = panoptic_view(model, view.camera, refinement.settings.choices)
    given = (
        view.labels.masks.float() * torch.arange(1, len(view.labels.masks) + 1, device=view.labels.masks.device)[:, None, None]
    )
    ids = given.amax(0) if len(given) else torch.zeros(view.image_hw)
    photograph, rendered = overlays.to_picture(view.labels.image), overlays.to_picture(shown.color)
    names = [model.labels.name(int(value)) for value in view.labels.class_id]
    found = {row + 1: model.labels.name(value) for row, value in enumerate(query_classes(model).tolist())}
    tiles = [
        overlays.enlarge(photograph, TILE_WIDTH),
        _with_objects(photograph, ids, {row + 1: name for row, name in enumerate(names)}),
        overlays.enlarge(rendered, TILE_WIDTH),
        _with_objects(rendered, shown.instance_id, found),
    ]
    return overlays.montage(tiles, len(tiles), CAPTIONS)


def _with_objects(picture: np.ndarray, ids: torch.Tensor, names: dict[int, str]) -> np.ndarray:
    large = overlays.enlarge(ids.numpy(force=True).astype(np.uint8), TILE_WIDTH, smooth=False)
    return overlays.overlay(overlays.enlarge(picture, TILE_WIDTH), large.astype(np.int64), names)


@torch.no_grad()
def refinement_report(refinement: Refinement, scene: GaussianScene, steps: Sequence[StepReport]) -> dict[str, Any]:
    """Figures of a run as plain values; `steps` are those of this call, earlier parts of a resumed run are not among them."""
    model, progress = refinement.model, refinement.progress
    errors = [
        float((render_color(model, view.camera).image.color.clamp(0, 1) - view.labels.image).square().mean())
        for view in refinement.views
    ]
    terms = sorted({name for report in steps for name in report.losses})
    last = steps[-len(refinement.views) :]
    objects = [
        {
            "instance_id": value,
            "name": scene.names[value],
            "gaussians": int((scene.instance_id == value).sum()),
            "centroid": scene.gaussians.means[scene.instance_id == value].mean(0).tolist(),
        }
        for value in scene.ids()
    ]
    return {
        "views": len(refinement.views),
        "image_hw": list(scene.image_hw),
        "gaussians": len(model.means),
        "queries": model.num_queries,
        "queries_alive": int(model.alive.sum()),
        "queries_begun_again": progress.reseeds,
        "steps": progress.step,
        "minutes": round(progress.elapsed_s / 60, 2),
        "psnr_db": float(-10 * np.log10(max(float(np.mean(errors)), 1e-10))),
        "losses": {name: float(np.mean([r.losses[name] for r in last if name in r.losses] or [0.0])) for name in terms},
        "objects": objects,
    }
