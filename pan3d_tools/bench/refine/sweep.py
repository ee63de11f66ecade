"""Every constant of a refinement that is assumed, changed alone: what the map is worth then.

Part of `pan3d bench refine`, on the cell and labels of its `quality`. `unchanged` runs with several seeds; their spread says
which differences mean something.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from pan3d_core.refine.density import DensitySettings
from pan3d_core.refine.first_map.initialise import SurfaceSettings
from pan3d_core.refine.model import PanopticMap
from pan3d_core.refine.run import SceneSettings, refine_scene
from pan3d_core.refine.schedule import RefineSettings
from pan3d_eval.rendered.refined import map_figures
from pan3d_tools.bench.refine.quality import BRIEF, Case, QualitySettings, made_case

logger = logging.getLogger("pan3d.bench.refine")

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")
UNCHANGED_SEEDS = 3

# A smaller and a larger value of each.
SWEPT: dict[str, tuple[float, ...]] = {
    "run.weights.semantics": (0.3, 3.0),
    "run.weights.instances": (0.3, 3.0),
    "run.weights.warp": (0.0, 1.0),
    "run.weights.no_object": (0.03, 0.3),
    "run.weights.depth_tolerance": (0.02, 0.1),
    "run.weights.min_overlap": (0.1, 0.5),
    "run.weights.labels_from": (1000, 9000),
    "run.rates.features": (0.03, 0.3),
    "run.rates.queries": (3e-3, 3e-2),
    "run.rates.query_means": (3e-4, 3e-3),
    "run.rates.decoders": (3e-3, 3e-2),
    "run.rates.labels_fall": (0.03, 0.3),
    "run.rates.means": (1.6e-4, 3e-3),
    "run.prune_from": (0.3, 0.8),
    "run.collapse_share": (0.7, 1.0),
    "run.faint": (0.0, 0.2),
    "run.max_reseeds": (0, 4),
    "run.steps": (300, 1200),
    "surface.voxel_m": (0.003, 0.008),
    "surface.opacity": (0.5, 0.99),
    "surface.size": (0.3, 0.8),
    "surface.tolerance": (0.0, 0.05),
    "surface.max_gaussians": (20_000, 80_000),
    "queries.count": (12, 48),
    "queries.merge_m": (0.025, 0.1),
    "queries.spread": (2.0, 5.0),
    "queries.min_scale_m": (0.01, 0.04),
    "queries.min_pixels": (4, 40),
    # Of modules, by their names.
    "constants.SEMANTIC_HIDDEN": (32, 128),
    "constants.CLASS_HIDDEN": (64, 256),
    "constants.SURFACE_OPACITY": (0.3, 0.7),
    "constants.ALIKE": (0.1, 0.5),
    "constants.OWN_SHARE": (0.2, 0.8),
    "constants.HIDDEN_OFTEN": (2, 6),
    "constants.INSIDE_WITHIN": (0.1, 1.0),
}
OF_MODULES = "constants."


def changed(settings: T, path: str, value: Any) -> T:
    """`settings` with the field at `path`, names joined by dots, at `value`."""
    first, _, rest = path.partition(".")
    return replace(settings, **{first: changed(getattr(settings, first), rest, value) if rest else value})


@contextmanager
def constant_at(name: str, value: float) -> Iterator[None]:
    """The constant `name` at `value` in all modules of the refinement that know it, and as it was afterwards. Raises `ValueError`
    where none does."""
    holders = [module for path, module in sys.modules.items() if path.startswith("pan3d_core.refine.") and hasattr(module, name)]
    if not holders:
        raise ValueError(f"constants: expected one of pan3d_core.refine, got {name!r}")
    before = getattr(holders[0], name)
    for module in holders:
        setattr(module, name, value)
    try:
        yield
    finally:
        for module in holders:
            setattr(module, name, before)


def refined_with(case: Case, settings: SceneSettings) -> PanopticMap:
    """The map of the given views with their noisy labels, on the CPU."""
    cameras = case.scene.views(case.scene.given)
    return refine_scene(cameras, case.noisy["given"], settings).refinement.model.cpu()


def held_out_figures(case: Case, settings: SceneSettings) -> dict[str, float]:
    """Strict and per-view PQ, mIoU and identity switches of the map in the views that were held out."""
    chosen = case.scene.held_out
    model = refined_with(case, settings)
    figures = map_figures(model, case.scene.views(chosen), case.scene.truth(chosen), settings.run.choices)
    return {name: getattr(figures, name) for name in BRIEF}


def _figures_with(case: Case, base: SceneSettings, change: tuple[str, float]) -> dict[str, float]:
    name, value = change
    if not name.startswith(OF_MODULES):
        return held_out_figures(case, changed(base, name, value))
    with constant_at(name.removeprefix(OF_MODULES), value):
        return held_out_figures(case, base)


def sweep(settings: QualitySettings, names: list[str], unchanged_seeds: int = UNCHANGED_SEEDS) -> dict:
    """Figures by constant and value; `names` of `SWEPT`."""
    case = made_case(replace(settings, path_views=4))
    base = SceneSettings(
        run=RefineSettings(
            steps=settings.steps, minutes=settings.minutes, density=DensitySettings("none"), seed=settings.seed
        ),  # the number of Gaussians is fixed, on a GPU as on a CPU
        surface=SurfaceSettings(max_gaussians=settings.max_gaussians),
        device=settings.device,
    )
    result: dict = {"unchanged": {}}
    for seed in range(settings.seed, settings.seed + unchanged_seeds):
        result["unchanged"][f"seed {seed}"] = held_out_figures(case, changed(base, "run.seed", seed))
    for name in names:
        result[name] = {f"{value:g}": _figures_with(case, base, (name, value)) for value in SWEPT[name]}
        logger.info("%s: %s", name, result[name])
    return result
