"""How good the labels are that recordings get without anybody: against the truth of rendered scenes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from pan3d_core.labelling import LabelledScene, LabelSettings, label_scene
from pan3d_core.labels import LabelSpace
from pan3d_core.pipeline import PerceptionPipeline
from pan3d_core.structures import CameraView
from pan3d_core.views.scene_folder import Scene, SceneObject, SceneTruth
from pan3d_eval.metrics.panoptic import PanopticCounts, average_quality, coco_panoptic_counts
from pan3d_sim.cameras.depth_sensors import depth_sensor
from pan3d_sim.cameras.measured_views import MeasuredViews
from pan3d_sim.cell.robot_cell import camera_view
from pan3d_sim.data.bank import RenderedScene
from pan3d_sim.data.refine_scene import RefineSceneSettings, render_refine_scene
from pan3d_sim.data.repeated_objects import RepeatedObjects
from pan3d_tools.bench.teaching.person import clicked
from pan3d_tools.bench.teaching.tables import Source

logger = logging.getLogger("pan3d.bench.teach")

FIRST_SEED, ON_TABLE = 1000, 6
BACKGROUND, OBJECT = 0, 1
VOID = -1
DEPTH_ASKED, COLOUR_ASKED, CLICKED_ASKED = 0.85, 0.75, 0.93


@dataclass(frozen=True)
class LabelQuality:
    """Of one scene."""

    counts: PanopticCounts  # per view, of background and objects
    named: int  # objects of the labels that have the name of the true object's kind
    wrong: int  # that have another kind's
    doubted: int  # objects that are void
    void_share: float


def judged_labels(found: LabelledScene, truth: SceneTruth) -> LabelQuality:
    """Compare labels with the truth, view by view.

    Args:
        found: Of all views of a scene, in their order.
        truth: Of the same views.

    Returns:
        Counts by COCO's rules; void of the labels is neither object nor background.

    Raises:
        ValueError: The labels are not of all views.
    """
    labels = found.scene.known_truth()
    if len(labels.instance_ids) != len(truth.instance_ids):
        raise ValueError(f"labels: expected {len(truth.instance_ids)} views, got {len(labels.instance_ids)}")
    counts, void_ids = [], torch.tensor(labels.void_ids)
    for own, true in zip(labels.instance_ids, truth.instance_ids, strict=True):
        void = torch.isin(own, void_ids)
        classes = torch.where(void, VOID, torch.where(own > 0, OBJECT, BACKGROUND))
        mine = classes, torch.where(void, 0, own)
        counts.append(coco_panoptic_counts(mine, (torch.where(true > 0, OBJECT, BACKGROUND), true), 2))
    stacked, right = torch.stack(truth.instance_ids), []
    kinds = {item.instance_id: truth.labels.name(item.class_id) for item in truth.objects}
    for item in found.objects:
        shown = stacked[torch.stack(labels.instance_ids) == item.instance_id]
        best = int(torch.bincount(shown).argmax()) if len(shown) else 0
        right.append(kinds.get(best, "") == item.name)
    return LabelQuality(
        sum(counts[1:], start=counts[0]), sum(right), len(right) - sum(right), len(found.doubted), found.void_share
    )


@dataclass(frozen=True)
class Recordings:
    """What is labelled and judged."""

    count: int
    views: int  # of each
    sensor: str  # whose errors depth has; "exact" = none
    source: Source | None = None  # modelled objects and surfaces; None = procedural objects in the plain cell

    @property
    def about(self) -> str:
        """What the scenes show, in words."""
        if self.source is None:
            return f"procedural, {ON_TABLE} to a scene, of kinds that training shows"
        return f"modelled, {ON_TABLE} to a scene, of the split {self.source.split}"

    def scene(self, number: int) -> Scene:
        """Render one, with exact depth and the truth.

        Args:
            number: Of the scene, from 0.

        Returns:
            The scene; of modelled objects no two scenes show the same one.
        """
        if self.source is None:
            return render_refine_scene(FIRST_SEED + number, RefineSceneSettings(num_views=self.views, hold_out_every=0)).scene
        objects = self.source.draw(number, ON_TABLE)
        world, size = self.source.world(), (RefineSceneSettings.width, RefineSceneSettings.height)
        with RepeatedObjects(FIRST_SEED + number, objects, world=world, size=size) as repeated:
            return known_scene(f"modelled_{number}", repeated.scene(0, range(ON_TABLE), self.views).rendered)


def known_scene(name: str, rendered: RenderedScene) -> Scene:
    """Make a scene with its truth of what was rendered.

    Args:
        name: Of the scene.
        rendered: Views with ids and depth.

    Returns:
        The scene, metres.
    """
    pictures = zip(rendered.cameras, rendered.images, rendered.depth, strict=True)
    views = tuple(camera_view(camera, image, depth) for camera, image, depth in pictures)
    kinds = tuple(dict.fromkeys(item.spec.kind for item in rendered.objects))
    objects = tuple(
        SceneObject(number, item.spec.name, kinds.index(item.spec.kind)) for number, item in enumerate(rendered.objects, start=1)
    )
    ids, depths = torch.from_numpy(rendered.ids).long(), torch.from_numpy(rendered.depth)
    return Scene(name, views, SceneTruth(tuple(ids), tuple(depths), objects, LabelSpace.things(kinds)), rendered.support_height_m)


def label_figures(pipeline: PerceptionPipeline, recordings: Recordings, settings: LabelSettings) -> dict[str, float | int | str]:
    """Label rendered scenes and judge the labels, with noisy depth and from colours.

    Args:
        pipeline: That proposes.
        recordings: Which scenes.
        settings: Of the labelling.

    Returns:
        By name; a recording that is refused is counted, and in no other figure.
    """
    scenes, sensor = recordings.count, recordings.sensor
    told: dict[str, float | int | str] = {"scenes": scenes, "views of each": recordings.views, "depth": sensor}
    told["objects"] = recordings.about
    for name, asked in (("depth", DEPTH_ASKED), ("colour", COLOUR_ASKED)):
        found, after, seconds, refused = [], [], 0.0, 0
        for number in range(scenes):
            scene = recordings.scene(number)
            given = replace(scene.without_depth() if name == "colour" else measured(scene, sensor), truth=None)
            try:
                labelled = label_scene(given, pipeline, replace(settings, views=recordings.views))
            except ValueError as refusal:
                logger.warning("%s: %s", name, refusal)
                refused += 1
                continue
            found.append(judged_labels(labelled, scene.known_truth()))
            person = clicked(labelled, scene.known_truth())
            after.append(judged_labels(person.found, scene.known_truth()))
            seconds += person.seconds
        told[f"{name}: refused recordings"] = refused
        if not found:
            continue
        told |= {f"{name}: {key}": value for key, value in _averages(found, asked).items()}
        told |= {f"{name}, clicked: {key}": value for key, value in _averages(after, CLICKED_ASKED).items()}
        told[f"{name}, clicked: seconds of a person for each scene, assumed"] = seconds / len(found)
    return told


def measured(scene: Scene, sensor: str) -> Scene:
    """See a scene by a depth camera.

    Args:
        scene: With exact depth.
        sensor: Of `depth_sensor`, or "exact".

    Returns:
        The scene with measured depth.
    """
    made = depth_sensor(sensor)
    if made is None:
        return scene
    camera = MeasuredViews(made)

    def seen(view: CameraView) -> CameraView:
        return replace(view, depth=camera(view, scene.name))

    return replace(scene, views=tuple(seen(view) for view in scene.views))


def _averages(found: Sequence[LabelQuality], asked: float) -> dict[str, float]:
    total = average_quality(sum((item.counts for item in found[1:]), start=found[0].counts), (BACKGROUND, OBJECT))
    pq, sq, rq = total.per_class[OBJECT]
    named, wrong = sum(item.named for item in found), sum(item.wrong for item in found)
    return {
        "per-view PQ, objects": pq,
        "SQ": sq,
        "RQ": rq,
        "per-view PQ, objects and background": total.pq,
        "per-view PQ, asked": asked,
        "named right": named / max(named + wrong, 1),
        "doubtful objects": sum(item.doubted for item in found),
        "void": sum(item.void_share for item in found) / len(found),
    }
