"""One recording labelled: views chosen, objects proposed, made one in all views, and what is doubtful kept apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from pan3d_core.assembly.pose_checks.support.height import estimate_support_height
from pan3d_core.config import ModelConfig
from pan3d_core.engines import Engine, build_engine
from pan3d_core.geometry.boxes import upright_box
from pan3d_core.labelling.chosen_views import clear_views, posed_views, spread_views
from pan3d_core.labelling.color_edges import at_color_edges
from pan3d_core.labelling.doubt import DoubtRules, MapViews, Verdicts, verdicts, void_places
from pan3d_core.labelling.motion import moved_places
from pan3d_core.labelling.places import Places, crumbs, places_of_depth, shown_places
from pan3d_core.labelling.proposals import CLASSES, OBJECT, Proposal, depth_proposal, engine_proposal, joined, teacher_proposal
from pan3d_core.labelling.recognition import recognised_in_views
from pan3d_core.labelling.teachers import LoadedTeacher
from pan3d_core.labels import LabelSpace
from pan3d_core.pipeline import PerceptionPipeline
from pan3d_core.refine.first_map.initialise import SurfaceSettings, gaussians_from_reconstruction
from pan3d_core.refine.labels.sources import STUFF, VOID
from pan3d_core.refine.readout import gaussian_ids, panoptic_view
from pan3d_core.refine.rendering import render_color
from pan3d_core.refine.run import FirstSurfaces, RefinedResult, SceneSettings, refine_scene
from pan3d_core.refine.schedule import RefineSettings
from pan3d_core.refine.views import view_camera
from pan3d_core.settings import Checked, setting
from pan3d_core.structures import CameraView, unit_range
from pan3d_core.views.keyframes import told_apart
from pan3d_core.views.scene_folder import VOID_NAME, Scene, SceneObject, SceneTruth
from pan3d_core.views.shrinking import shrunk

DEPTH_CLUSTERS = "depth_clusters"
_TRIM = 0.02  # share of an object's points that its box leaves out on every side


@dataclass(frozen=True)
class LabelSettings(Checked):
    """How a recording is labelled."""

    views: int = setting(24, "views that are labelled, at most", range=(2, 1000))
    longest_px: int = setting(320, "longer side of the pictures, at most", range=(32, 4096))
    steps: int = setting(400, "of the refinement, one view each; without depth", range=(1, 10**6))
    views_at_once: int = setting(4, "neighbouring views that a network sees together", range=(1, 64))
    max_gaussians: int = setting(40_000, "of the map, at most; without depth", range=(100, 10**7))
    device: str = setting("auto", "of the refinement: auto, cpu, cuda or cuda:N")
    seed: int = setting(0, "of everything that is drawn", range=(0, 2**31 - 1))
    doubt: DoubtRules = field(default_factory=DoubtRules)


@dataclass(frozen=True)
class LabelledScene:
    """A scene with labels in all its views."""

    scene: Scene  # its truth is what was labelled; void is an object of the name `VOID_NAME`
    doubted: tuple[str, ...]  # why, of each object that is void
    void_share: float  # of all pixels
    proposers: tuple[str, ...]
    warnings: tuple[str, ...] = ()

    @property
    def objects(self) -> tuple[SceneObject, ...]:
        """Those that are sure."""
        return tuple(item for item in self.scene.known_truth().objects if not item.is_void)


def label_scene(
    scene: Scene, pipeline: PerceptionPipeline, settings: LabelSettings | None = None, teacher: LoadedTeacher | None = None
) -> LabelledScene:
    """Label the views of a scene without anybody.

    Args:
        scene: Views with intrinsics and poses in metres; depth is used wherever they have it. Its truth is not looked at.
        pipeline: Its engine proposes objects and names; its library of taught objects, where it has one, names them.
        settings: None = the defaults.
        teacher: A 2D model of others that proposes, too; its masks are of whole objects.

    Returns:
        The chosen views with masks, names and depth.

    Raises:
        ValueError: Too few views have intrinsics and pose, or are clear, the height of the support is neither known nor seen, or
            no object was found that is sure; names scene and field.
    """
    settings = settings or LabelSettings()
    posed, unclear = clear_views(scene.name, posed_views(scene.name, scene.views))
    chosen = told_apart([shrunk(view, settings.longest_px) for view in spread_views(posed, settings.views)])
    support, warnings = _support(scene, posed, pipeline)
    config = replace(pipeline.config, workspace=replace(pipeline.config.workspace, support_height_m=support))
    proposals = _proposals(scene.name, chosen, pipeline, support, settings)
    if teacher is not None:
        proposals.insert(0, teacher_proposal(teacher, chosen))
    if any(view.depth is not None for view in chosen):
        shown, depth, places = _measured(chosen, proposals, support)
        shown = _with_color_edges(
            shown, chosen
        )  # before it is judged: where colours and depth disagree, nobody knows the outline
    else:
        shown, depth, places = _shown(chosen, _refined(scene.name, chosen, proposals, pipeline.fresh(config), settings))
    recognised: list[dict[int, str]] = [{} for _ in chosen]
    if pipeline.recogniser is not None and pipeline.recogniser.library.objects:
        recognised = recognised_in_views(pipeline.fresh(config), chosen, shown.instance_id, settings.views_at_once)
    moved = moved_places(chosen, support)
    if bool(moved.any()):
        count = int(moved.flatten(1).any(1).sum())
        told = (
            f"scene {scene.name}: in {count} of {len(chosen)} views something stands where others see through it: was it moved?"
        )
        warnings = (*warnings, told)
    found = verdicts(shown, proposals, recognised, settings.doubt, moved)
    doubted = tuple(f"object {value}: {why}" for value, why in found.doubted.items())
    if not found.names:
        raise ValueError(f"scene {scene.name}: objects: expected at least one that is sure, got none: {'; '.join(doubted)}")
    if not any(view.depth is not None for view in chosen):  # proposals by colours alone are less exact than the edges
        shown = _with_color_edges(shown, chosen)
        found = replace(found, void=void_places(shown, proposals, found.names, moved))
    truth = _truth(shown, depth, found, places)
    share = float(found.void.double().mean())
    labelled = Scene(scene.name, chosen, truth, support)
    return LabelledScene(
        labelled, doubted, share, tuple(item.name for item in proposals), warnings + ((unclear,) if unclear else ())
    )


def _support(scene: Scene, views: Sequence[CameraView], pipeline: PerceptionPipeline) -> tuple[float, tuple[str, ...]]:
    """World z of the support, as it is known or as it is seen, and a warning for the latter."""
    given = pipeline.config.workspace.support_height_m
    known = scene.support_height_m if given is None else given
    if known is not None:
        return known, ()
    seen = estimate_support_height(spread_views(views, 8), pipeline.config.consistency)
    if seen is None or not seen.wide:
        raise ValueError(
            f"scene {scene.name}: support_height_m: expected the height that objects stand on, got none, and too little of a "
            "surface is seen to find it"
        )
    return seen.height_m, (f"scene {scene.name}: the support's height is not given; {seen.height_m:.3f} m is taken",)


def _proposals(
    name: str, views: Sequence[CameraView], pipeline: PerceptionPipeline, support_height_m: float, settings: LabelSettings
) -> list[Proposal]:
    """Of the engine on colours, and where there is depth of what stands out of the support."""
    engine_name, has_depth = pipeline.config.model.name, any(view.depth is not None for view in views)
    made = []
    if not pipeline.engine.facts.needs_depth:
        colours = [replace(view, depth=None) for view in views]
        made.append(engine_proposal(engine_name, pipeline.engine, colours, support_height_m, settings.views_at_once))
    if has_depth:
        made.append(depth_proposal(DEPTH_CLUSTERS, _clusters(), views, support_height_m))
    if not made:
        raise ValueError(f"scene {name}: depth: expected it for the engine {engine_name}, got none")
    if not any(bool((item.ids > 0).any()) for item in made):
        tried = " and ".join(item.name for item in made)
        raise ValueError(f"scene {name}: objects: expected at least one in {len(views)} views, got none: {tried} found nothing")
    return made


def _clusters() -> Engine:
    return build_engine(ModelConfig(name=DEPTH_CLUSTERS))


def _measured(
    views: Sequence[CameraView], proposals: Sequence[Proposal], support_height_m: float
) -> tuple[MapViews, list[Tensor], Places]:
    """Objects and depth of every view by what the depth of all views shows together; nothing is learnt for it."""
    places = places_of_depth(_clusters(), [view for view in views if view.depth is not None], support_height_m)
    shown = shown_places(places, views)
    # Where depth has holes in all views somebody may still say that it is table.
    known = shown.known | torch.stack([proposal.stuff >= 0 for proposal in proposals]).any(0)
    semantics = torch.where(shown.ids > 0, OBJECT, torch.where(known, CLASSES.names.index(STUFF[0]), VOID))
    depth = [
        near if view.depth is None else torch.where(view.depth.cpu() > 0, view.depth.cpu(), near)
        for view, near in zip(views, shown.depth, strict=True)
    ]
    return MapViews(semantics, shown.ids, crumbs(places)), depth, places


def _refined(
    name: str, views: Sequence[CameraView], proposals: Sequence[Proposal], pipeline: PerceptionPipeline, settings: LabelSettings
) -> RefinedResult:
    """A map of a scene without depth; its first surfaces are the engine's."""
    surface = SurfaceSettings(max_gaussians=settings.max_gaussians)
    made = SceneSettings(RefineSettings(steps=settings.steps, seed=settings.seed), surface, device=settings.device)
    result = pipeline.process(views)
    if not result.is_metric:
        raise ValueError(
            f"scene {name}: cam_from_world: expected poses that the pictures fit, got {result.reconstruction.alignment}"
        )
    first = FirstSurfaces(gaussians_from_reconstruction(result.reconstruction, result.views.images, surface))
    return refine_scene(views, joined(views, proposals), made, first=first)


@torch.no_grad()
def _shown(views: Sequence[CameraView], refined: RefinedResult) -> tuple[MapViews, list[Tensor], Places]:
    """Objects and depth of every view by a refined map, on the CPU."""
    model = refined.refinement.model
    device = model.means.device
    semantics, ids, depth = [], [], []
    for view in views:
        intrinsics, cam_from_world = (item.float().to(device) for item in view.calibration())
        camera = view_camera(cam_from_world, intrinsics, view.hw)
        panoptic = panoptic_view(model, camera)
        semantics.append(panoptic.semantic_id.cpu())
        ids.append(panoptic.instance_id.cpu())
        depth.append(render_color(model, camera).image.depth.cpu())
    places = Places(model.means.detach().cpu(), gaussian_ids(model).cpu())
    return MapViews(torch.stack(semantics), torch.stack(ids)), depth, places


def _with_color_edges(shown: MapViews, views: Sequence[CameraView]) -> MapViews:
    ids = at_color_edges(shown.instance_id, torch.stack([unit_range(view.image).cpu() for view in views]))
    given_up = torch.where((shown.instance_id > 0) & (ids == 0), CLASSES.names.index(STUFF[0]), shown.semantic_id)
    return replace(shown, semantic_id=torch.where(ids > 0, OBJECT, given_up), instance_id=ids)


def _truth(shown: MapViews, depth: Sequence[Tensor], found: Verdicts, places: Places) -> SceneTruth:
    """The sure objects numbered from 1, behind them the doubtful ones, each void with its box, then all other void."""
    kinds = tuple(sorted(set(found.names.values())))
    ids, objects = torch.zeros_like(shown.instance_id), []
    ids[found.void] = len(found.names) + len(found.doubted) + 1
    for number, value in enumerate((*found.names, *found.doubted), start=1):
        ids[shown.instance_id == value] = number
        points = places.points[places.owner == value]
        box = upright_box(points, _TRIM) if len(points) > 3 else None
        name = found.names.get(value)
        objects.append(SceneObject(number, VOID_NAME if name is None else name, -1 if name is None else kinds.index(name), box))
    if bool((ids == len(objects) + 1).any()):
        objects.append(SceneObject(len(objects) + 1, VOID_NAME))
    return SceneTruth(tuple(ids), tuple(depth), tuple(objects), LabelSpace.things(kinds))
