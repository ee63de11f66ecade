"""2D labels of the views of one scene: what they are, and where they come from.

Labels are those of 2D models: masks of objects with a class each and a class per pixel, of one view alone. Nothing says which
mask of another view shows the same object; the order of the masks means nothing. Labels come from a feed-forward engine
(`labels_from_engine`), from any 2D model of the user's (`labels_from_callable`), from files (`label_files`), or from maps
(`labels_of_maps`). In the label space things come first, so that the class of a mask among the things is its class among all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from pan3d_core.assembly.ownership import owner_of_pixels
from pan3d_core.config import PreprocessConfig
from pan3d_core.geometry.cameras import pixel_grid, unproject_depth
from pan3d_core.labels import LabelSpace
from pan3d_core.refine.losses import ViewLabels
from pan3d_core.structures import CameraView, InstanceSet, Reconstruction, ViewBatch, require_shape, unit_range
from pan3d_core.views.preprocessing import preprocess

VOID = -1
STUFF = ("table", "floor")  # what `labels_from_engine` tells apart by its height
UNNAMED = "object"  # the one class of an engine that names nothing


@dataclass(frozen=True)
class SceneLabels:
    """Labels of V views of one scene."""

    labels: LabelSpace  # things first
    views: tuple[ViewLabels, ...]  # masks bool and exclusive; a view may have none and be all void

    def __post_init__(self) -> None:
        if things_first(self.labels) != self.labels:
            raise ValueError(f"SceneLabels.labels: expected things before stuff, got {', '.join(self.labels.names)}")


@dataclass(frozen=True)
class FoundSegments:
    """What a 2D model finds in one image (H, W)."""

    masks: Tensor  # (M, H, W) bool or 0/1; M may be 0
    class_id: Tensor  # (M,) integer class of each mask among the things, -1 = unknown
    scores: Tensor | None = None  # (M,) where masks overlap the higher one wins; None: the earlier one
    semantics: Tensor | None = None  # (H, W) integer class of each pixel, -1 = void; the masks' classes replace it; None: void


Labeller = Callable[[Tensor], FoundSegments]  # image (3, H, W) RGB float32 0..1 -> what is in it


class FeedForwardFacts(Protocol):
    """What is asked of an engine's facts, see `pan3d_core.engines.EngineFacts`."""

    @property
    def labels(self) -> LabelSpace: ...

    @property
    def preprocess(self) -> PreprocessConfig: ...

    @property
    def finds_objects(self) -> bool: ...


class FeedForward(Protocol):
    """What is asked of an engine, see `pan3d_core.engines.Engine`."""

    @property
    def facts(self) -> FeedForwardFacts: ...

    def __call__(self, views: ViewBatch) -> tuple[Reconstruction, InstanceSet]: ...


@dataclass(frozen=True)
class EngineLabelSettings:
    """How an engine is used as a 2D model; all assumed."""

    # Neighbouring views that the engine sees together; the masks are of one view alone all the same. With 4 instead of 1 the
    # labels of `pan3d-mini` have a panoptic quality of 0.78 instead of 0.67 (six cells of 18 views) in the same time.
    views_at_once: int = 4
    mask_prob: float = 0.5  # a pixel belongs to a mask above this probability
    min_pixels: int = 20  # of the image in a mask; smaller ones are left out
    table_thickness_m: float = 0.05  # what lies lower under the support's surface is floor
    classes: tuple[str, ...] = ()  # names that a mask may have, as those of a scene with a list of its own; empty = all

    def __post_init__(self) -> None:
        if self.views_at_once < 1:
            raise ValueError(f"views_at_once: expected at least 1, got {self.views_at_once}")
        if not 0 < self.mask_prob < 1:
            raise ValueError(f"mask_prob: expected between 0 and 1, got {self.mask_prob:g}")


def things_first(labels: LabelSpace) -> LabelSpace:
    """The same classes, things before stuff, otherwise in their order."""
    order = sorted(range(len(labels)), key=lambda index: not labels.is_thing[index])
    return LabelSpace(tuple(labels.names[index] for index in order), tuple(labels.is_thing[index] for index in order))


def labels_from_callable(labeller: Labeller, views: Sequence[CameraView], labels: LabelSpace) -> SceneLabels:
    """Label views by the user's own 2D model, called once per view with the image (3, H, W) RGB float32 in 0..1.

    It returns `FoundSegments` whose classes are indices into `labels`, things first. Raises `ValueError` naming the view and
    the field for anything else; errors of the model itself pass through.

    Args:
        labeller: From one image to `FoundSegments`.
        views: In the order in which labels are wanted.
        labels: Names of the classes, things before stuff.

    Returns:
        Labels of every view at the size of its image.
    """
    SceneLabels(labels, ())  # refuse an order that does not work before the model runs
    made = []
    for index, view in enumerate(views):
        image, name = unit_range(view.image), f"view {index} ({view.camera})"
        found = labeller(image)
        if not isinstance(found, FoundSegments):
            raise ValueError(f"{name}: expected FoundSegments of the labeller, got {type(found).__name__}")
        made.append(view_labels(image, found, labels, name))
    return SceneLabels(labels, tuple(made))


def view_labels(image: Tensor, found: FoundSegments, labels: LabelSpace, name: str = "view") -> ViewLabels:
    """Checked labels of one image (3, H, W) in 0..1, every pixel in one mask at most; masks that lose all pixels are left out.

    Raises `ValueError` that begins with `name` and says field, what was expected and what came.
    """
    hw = (image.shape[-2], image.shape[-1])
    require_shape(f"{name}: masks", found.masks, (None, *hw))
    count = len(found.masks)
    require_shape(f"{name}: class_id", found.class_id, (count,))
    masks = found.masks
    if masks.dtype != torch.bool and not bool(((masks == 0) | (masks == 1)).all()):
        low, high = (float(value) for value in masks.aminmax())
        raise ValueError(f"{name}: masks: expected 0 and 1 only, got values from {low:g} to {high:g}")
    semantics = torch.full(hw, VOID, device=masks.device) if found.semantics is None else found.semantics
    require_shape(f"{name}: semantics", semantics, hw)
    _require_classes(f"{name}: class_id", found.class_id, sum(labels.is_thing))
    _require_classes(f"{name}: semantics", semantics, len(labels))
    scores = torch.linspace(1.0, 0.5, count) if found.scores is None else found.scores
    require_shape(f"{name}: scores", scores, (count,))
    if not bool(torch.isfinite(scores).all()):
        raise ValueError(f"{name}: scores: expected finite values, got {scores.tolist()}")
    rank = scores.argsort(descending=True, stable=True).to(masks.device)
    owner = owner_of_pixels(masks[rank].float(), torch.linspace(1.0, 0.5, count, device=masks.device), mask_threshold=0.5)
    return _of_owners(image, owner, found.class_id.to(masks.device)[rank], semantics)


def labels_of_maps(image: Tensor, semantic_id: Tensor, instance_id: Tensor, labels: LabelSpace) -> ViewLabels:
    """Make labels of one view from maps of classes and instances.

    Every instance becomes a mask with the class of most of its pixels; pixels of stuff and of the unknown class belong to no
    instance.

    Args:
        image: (3, H, W) RGB 0..1.
        semantic_id: (H, W) integers, class in `labels`, -1 = void.
        instance_id: (H, W) integers, 0 = none.
        labels: Things first.

    Returns:
        The view's labels.

    Raises:
        ValueError: A map is not (H, W), or has a class that `labels` lacks.
    """
    hw = (image.shape[-2], image.shape[-1])
    require_shape("semantic_id", semantic_id, hw)
    require_shape("instance_id", instance_id, hw)
    _require_classes("semantic_id", semantic_id, len(labels))
    num_things = sum(labels.is_thing)
    instance_id = torch.where((semantic_id >= 0) & (semantic_id < num_things), instance_id, 0)
    ids = [value for value in instance_id.unique().tolist() if value != 0]
    owner = torch.zeros_like(instance_id)
    classes = []
    for row, value in enumerate(ids, start=1):
        owner[instance_id == value] = row
        classes.append(int(torch.bincount(semantic_id[instance_id == value]).argmax()))
    return _of_owners(image, owner, torch.tensor(classes, dtype=torch.int64, device=owner.device), semantic_id)


def maps_of_labels(view: ViewLabels) -> tuple[Tensor, Tensor]:
    """(H, W) int64 class, -1 = void, and (H, W) int64 row of the mask + 1, 0 = none. Where masks overlap the earlier wins."""
    count = len(view.masks)
    owner = owner_of_pixels(view.masks.float(), torch.linspace(1.0, 0.5, count, device=view.masks.device), mask_threshold=0.5)
    class_of = torch.cat([view.class_id.new_full((1,), VOID), view.class_id])[owner]
    return torch.where(class_of >= 0, class_of, view.semantics), owner


def in_label_space(scene: SceneLabels, labels: LabelSpace) -> SceneLabels:
    """Give labels the class numbers of another label space.

    Args:
        scene: Is left as it is.
        labels: Has at least the classes of the scene, things first.

    Returns:
        The same labels in `labels`.

    Raises:
        ValueError: Names the classes that `labels` lacks, or has as stuff instead of things or the other way round.
    """
    known = dict(zip(labels.names, labels.is_thing, strict=True))
    wrong = [name for name, thing in zip(scene.labels.names, scene.labels.is_thing, strict=True) if known.get(name) != thing]
    if wrong:
        raise ValueError(f"labels: expected {', '.join(wrong)} among the classes, of the same kind, got {', '.join(known)}")
    table = torch.tensor([*(labels.names.index(name) for name in scene.labels.names), VOID])  # the last one serves -1

    def renumbered(view: ViewLabels) -> ViewLabels:
        rows = table.to(view.semantics.device)
        return replace(view, semantics=rows[view.semantics], class_id=rows[view.class_id])

    return SceneLabels(labels, tuple(renumbered(view) for view in scene.views))


def labels_from_engine(
    engine: FeedForward,
    views: Sequence[CameraView],
    support_height_m: float | None = None,
    settings: EngineLabelSettings | None = None,
) -> SceneLabels:
    """Label views by a feed-forward engine that sees `views_at_once` views at a time, at the size of each image.

    An instance has its best class; instances of classes that are no things become stuff. Where the engine's depth is metric
    and `support_height_m` (world z) and the camera are known, pixels without an instance are `STUFF`: table above, floor
    below. All else is void, such as what the engine's picture cuts off. Raises `ValueError` for no views and for engines that
    look for no objects, and what the engine raises.

    Args:
        engine: Any engine that finds objects.
        views: Neighbours in the list are seen together.
        support_height_m: World z of the surface that objects stand on, metres; None = unknown, without stuff then.
        settings: How many views are seen together, and which answers count.

    Returns:
        Labels of every view in the engine's classes, things first, with `STUFF` behind them.
    """
    settings = settings or EngineLabelSettings()
    if not views:
        raise ValueError("views: expected at least one view, got none")
    if not engine.facts.finds_objects:
        raise ValueError(f"engine: expected one that finds objects, got {type(engine).__name__}, which looks for none")
    known = engine.facts.labels
    columns = [row for row, name in enumerate(known.names) if not settings.classes or name in settings.classes]
    if len(known) and not columns:
        wanted, got = ", ".join(known.names), ", ".join(settings.classes)
        raise ValueError(f"settings.classes: expected some of those that the engine knows, {wanted}, got {got}")
    chosen = LabelSpace(tuple(known.names[row] for row in columns), tuple(known.is_thing[row] for row in columns))
    named = chosen if len(known) else LabelSpace.things([UNNAMED])
    added = tuple(name for name in STUFF if name not in named.names)
    own = LabelSpace((*named.names, *added), (*named.is_thing, *(False for _ in added)))
    labels = things_first(own)
    class_of = torch.tensor([labels.names.index(name) for name in own.names])
    made = []
    for start in range(0, len(views), settings.views_at_once):
        group = views[start : start + settings.views_at_once]
        batch = preprocess(group, engine.facts.preprocess, support_height_m)
        with torch.no_grad():
            reconstruction, instances = engine(batch)
        for index, view in enumerate(group):
            semantics = _stuff_of_view(view, batch, reconstruction, index, settings, labels)
            made.append(_instances_of_view(view, batch, instances, index, (settings, labels, class_of, columns), semantics))
    return SceneLabels(labels, tuple(made))


def _instances_of_view(
    view: CameraView,
    batch: ViewBatch,
    instances: InstanceSet,
    index: int,
    rules: tuple[EngineLabelSettings, LabelSpace, Tensor, list[int]],
    semantics: Tensor,
) -> ViewLabels:
    """One view's masks at image size on top of `semantics`."""
    settings, labels, class_of, columns = rules
    image = unit_range(view.image).cpu()
    logits = _at_image_size(instances.mask_logits[:, index].float().cpu(), batch, index, "bilinear", outside=-torch.inf)
    owner = owner_of_pixels(logits.sigmoid(), instances.scores.cpu(), settings.mask_prob)
    if instances.class_logits is None:
        class_id = torch.zeros(len(logits), dtype=torch.int64)
    else:
        class_id = class_of[instances.class_logits[:, columns].argmax(-1).cpu()]
    stuff = [row for row, value in enumerate(class_id.tolist(), start=1) if not labels.is_thing[value]]
    is_stuff = torch.isin(owner, torch.tensor(stuff, dtype=torch.int64))
    semantics = torch.where(is_stuff, torch.cat([class_id.new_full((1,), VOID), class_id])[owner], semantics)
    small = torch.bincount(owner.flatten(), minlength=len(logits) + 1) < settings.min_pixels
    return _of_owners(image, torch.where(is_stuff | small[owner], 0, owner), class_id, semantics)


def _stuff_of_view(
    view: CameraView,
    batch: ViewBatch,
    reconstruction: Reconstruction,
    index: int,
    settings: EngineLabelSettings,
    labels: LabelSpace,
) -> Tensor:
    """(H, W) int64 `STUFF` by height, void where that is not known."""
    nothing = torch.full(tuple(view.image.shape[-2:]), VOID)
    if not reconstruction.is_metric or batch.support_height_m is None or view.intrinsics is None or view.cam_from_world is None:
        return nothing
    depth = _at_image_size(reconstruction.depth[index, None].float().cpu(), batch, index, "nearest", outside=0.0)[0]
    height = unproject_depth(depth, view.intrinsics.float().cpu(), view.cam_from_world.float().cpu())[..., 2]
    rows = [labels.names.index(name) for name in STUFF]
    table, floor = (VOID if labels.is_thing[row] else row for row in rows)  # a table that is a thing needs a mask
    found = torch.where(height > batch.support_height_m - settings.table_thickness_m, table, floor)
    return torch.where(depth > 0, found, nothing)


def _at_image_size(values: Tensor, batch: ViewBatch, index: int, mode: str, outside: float) -> Tensor:
    """(N, h, w) of any size over the network's picture -> (N, H, W) at the pixels of the original image."""
    height, width = batch.original_hw[index]
    mapping = batch.network_from_original[index].float().cpu()
    corners = pixel_grid(height, width) @ mapping[:2, :2].T + mapping[:2, 2] + 0.5  # counted from the picture's corner
    size = corners.new_tensor([batch.hw[1], batch.hw[0]])
    inside = ((corners >= 0) & (corners <= size)).all(-1)
    grid = corners / size * 2 - 1
    sampled = grid_sample(values[None], grid[None], mode=mode, padding_mode="border", align_corners=False)[0]
    return torch.where(inside, sampled, outside)


def _of_owners(image: Tensor, owner: Tensor, class_id: Tensor, semantics: Tensor) -> ViewLabels:
    """Labels of (H, W) rows + 1 of masks, 0 = none. Rows that own nothing are left out."""
    rows = [row for row in owner.unique().tolist() if row > 0]
    chosen = torch.tensor(rows, dtype=torch.int64, device=owner.device)
    class_of = torch.cat([class_id.long().new_full((1,), VOID), class_id.long()])[owner]
    return ViewLabels(
        image=image.clone(),
        semantics=torch.where(class_of >= 0, class_of, semantics.long()),
        masks=owner[None] == chosen[:, None, None],
        class_id=class_id.long()[chosen - 1],
    )


def _require_classes(field: str, classes: Tensor, count: int) -> None:
    if classes.is_floating_point() or classes.is_complex() or classes.dtype == torch.bool:
        raise ValueError(f"{field}: expected whole numbers, got {classes.dtype}")
    if classes.numel() and not (int(classes.min()) >= VOID and int(classes.max()) < count):
        raise ValueError(f"{field}: expected -1..{count - 1}, got {int(classes.min())}..{int(classes.max())}")
