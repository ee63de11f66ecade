"""A published table on folders of scenes, in one call: chosen scenes, kept outcomes, figures."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pan3d_core.config import ModelConfig
from pan3d_core.engines.mini import SHIPPED
from pan3d_core.runtime.files import file_sha256
from pan3d_eval.datasets import SceneReference, dataset_of, list_scenes
from pan3d_eval.execution import Failure, Processes, Progress, run_items
from pan3d_eval.published.kept import KeepingWorker, kept_outcome
from pan3d_eval.published.maps import MapScores, map_evaluator, map_score_figures
from pan3d_eval.published.masks import MaskScores, mask_evaluator, mask_figures, of_one_protocol
from pan3d_eval.published.protocol import MapSetting, MaskSetting, PublishedProtocol, PublishedTable, RenderSetting
from pan3d_eval.published.rendered import RenderScores, render_evaluator, render_figures
from pan3d_eval.published.scenes import NamedScene, full_name, read_split, scenes_of_split

MEASURE_VERSION = 2  # to be raised whenever a figure changes its meaning: kept scenes are then measured again


@dataclass(frozen=True)
class PublishedChoices:
    """What somebody chooses of a published protocol; what is left alone is as published."""

    table: str = ""  # its key; needed where the paper has several tables for a data set
    split: Path | None = None  # list of scenes; None = all that are there
    classes: tuple[str, ...] = ()  # of masks: those of the data set that count
    count: int | None = None  # of a recording's images, as `ViewSelection` has it; None = the table's
    stride: int | None = None  # likewise
    labels: str = ""  # of maps: folder of 2D labels, or "truth"; empty = the engine's
    steps: int | None = None  # of maps
    size: tuple[int, int] | None = None  # of maps: width and height of the views
    encoder_weights: str = ""  # of rendered semantics: of the engine's text encoder
    limit: int = 0  # the most scenes, 0 = all


@dataclass(frozen=True)
class TableOutcome:
    """What was measured for one table."""

    protocol: PublishedProtocol
    table: PublishedTable  # as it was applied
    engine: str
    measured: tuple[str, ...]  # names of the scenes
    figures: Mapping[str, float]
    failures: tuple[Failure, ...]  # scenes that could not be measured, those of the list that are not there among them
    changed: tuple[str, ...] = field(default=())  # what is not as published, by choice


def evaluate_published(
    paths: Sequence[Path],
    protocol: PublishedProtocol,
    model: ModelConfig,
    choices: PublishedChoices,
    out: Path,
    *,
    processes: Processes | None = None,
    progress: Progress | None = None,
) -> TableOutcome:
    """Measure an engine as a paper does, on scenes in the layout of a public data set.

    Args:
        paths: Scenes, or folders of them, all of one data set.
        protocol: Of `tables.PROTOCOLS`.
        model: Settings of the engine.
        choices: Table, list of scenes, and departures from what is published.
        out: Keeps what was measured of every scene; scenes that are kept there are not measured again.
        processes: Where scenes are measured; in this process where it is not given.
        progress: Called with the numbers of scenes done and of all that were left to do.

    Returns:
        Figures over the scenes that could be measured, and the others with the reason.

    Raises:
        FileNotFoundError: There are no scenes, or no such list.
        ValueError: Scenes are of no or several data sets, the paper has no table for them, or the engine cannot be measured so.
    """
    processes = processes or Processes()
    references = list_scenes(paths)
    names = {dataset_of(item.path) or "" for item in references}
    if len(names) != 1:
        raise ValueError(
            f"scenes: expected those of one public data set, got {', '.join(sorted(name or 'others' for name in names))}"
        )
    table, changed = applied(protocol.table(choices.table, names.pop()), choices)
    missing: list[Failure] = []
    if choices.split is not None:
        references, missing = scenes_of_split(references, read_split(choices.split))
    if processes.several:
        model = replace(model, threads=1)
    folder = out / "kept" / f"{protocol.key}-{table.key}-{settings_hash(table, model, choices)}"
    scenes = [_named(replace(item, views=table.views), folder) for item in references[: choices.limit or None]]
    kind, figures_of = _KINDS[type(table.setting)]
    left = [scene for scene in scenes if kept_outcome(scene.kept, kind) is None]
    run = run_items(partial(table_worker, table, model, choices), left, processes=processes, progress=progress) if left else []
    failed = tuple(item for item in run if isinstance(item, Failure))
    measured: list[tuple[str, Any]] = [(item.name, own) for item in scenes if (own := kept_outcome(item.kept, kind)) is not None]
    unlike: list[Failure] = []
    if kind is MaskScores:
        measured, unlike = of_one_protocol(measured)
    return TableOutcome(
        protocol=protocol,
        table=table,
        engine=f"{model.name} ({Path(model.weights).name})" if model.weights else model.name,
        measured=tuple(name for name, _ in measured),
        figures=figures_of([item for _, item in measured]),
        failures=(*missing, *failed, *unlike),
        changed=changed,
    )


def applied(table: PublishedTable, choices: PublishedChoices) -> tuple[PublishedTable, tuple[str, ...]]:
    """Apply choices to a table.

    Args:
        table: As published.
        choices: What shall be otherwise.

    Returns:
        The table, and in words what is not as published.

    Raises:
        ValueError: The table has nothing that could be chosen so.
    """
    changed: list[str] = []
    setting = table.setting
    asked: dict[str, Any] = {"count": choices.count, "stride": choices.stride}
    views = replace(table.views, **{name: value for name, value in asked.items() if value is not None})
    if views != table.views:
        table, changed = replace(table, views=views), [*changed, "which images of a recording are taken"]
    if choices.classes:
        if not isinstance(setting, MaskSetting):
            raise ValueError(f"--classes: expected a table of instances on scans, got {table.key}, whose texts are its own")
        changed.append(f"{len(choices.classes)} classes of one's own")
    if not isinstance(setting, MapSetting):
        for name, value in (("--labels", choices.labels), ("--steps", choices.steps), ("--size", choices.size)):
            if value:
                raise ValueError(f"{name}: expected a table of refined maps, got {table.key}")
        return table, tuple(changed)
    if choices.steps is not None and choices.steps != setting.steps:
        changed.append(f"{choices.steps} steps instead of {setting.steps}")
        setting = replace(setting, steps=choices.steps)
    if choices.size is not None and choices.size != table.size:
        changed.append(f"views of {choices.size[0]} x {choices.size[1]} instead of {table.size[0]} x {table.size[1]}")
        table = replace(table, size=choices.size)
    if find_spec("gsplat") is None:
        changed.append("the number of Gaussians stays as it is: gsplat is not installed")
        setting = replace(setting, density="none")
    changed.append(f"2D labels: {choices.labels or 'of the engine'} (the paper: Grounded-SAM)")
    return replace(table, setting=setting), tuple(changed)


def table_worker(
    table: PublishedTable, model: ModelConfig, choices: PublishedChoices
) -> Callable[[NamedScene], MaskScores | RenderScores | MapScores]:
    """Build what measures and keeps one scene after the other, in this process or in another one. Errors as the engine's."""
    setting = table.setting
    if isinstance(setting, MaskSetting):
        masks = mask_evaluator(model, setting, choices.classes)
        return KeepingWorker(lambda item: masks.measure(item.read(), item.reference.path))
    if isinstance(setting, RenderSetting):
        rendered = render_evaluator(model, setting, choices.encoder_weights)
        return KeepingWorker(lambda item: rendered.measure(item.read()))
    maps = map_evaluator(model, setting, table.size, choices.labels)
    return KeepingWorker(lambda item: maps.measure(item.read(), item.name))


def settings_hash(table: PublishedTable, model: ModelConfig, choices: PublishedChoices) -> str:
    """Of everything that decides the outcome of a scene but the scene itself, the content of weights included."""
    values = {
        "version": MEASURE_VERSION,
        "views": asdict(table.views),
        "setting": asdict(table.setting),
        "size": table.size,
        "model": asdict(replace(model, threads=0, device="")),
        "choices": [list(choices.classes), choices.labels, choices.encoder_weights],
    }
    digest = hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode())
    weights = Path(model.weights or SHIPPED.get(model.name, ""))
    if weights.is_file():
        digest.update(file_sha256(weights).encode())
    return digest.hexdigest()[:12]


def _named(reference: SceneReference, folder: Path) -> NamedScene:
    """The scene with the file that keeps what is measured of it; scenes of one name in several places have one each."""
    own = reference.path.resolve()
    place = hashlib.sha256(str(own).encode()).hexdigest()[:8]
    return NamedScene(reference, full_name(reference.path), folder / f"{own.parent.name}__{own.name}-{place}.npz")


# Setting -> what is measured of a scene, and the figures of several.
_KINDS: dict[type, tuple[type, Callable[[Any], dict[str, float]]]] = {
    MaskSetting: (MaskScores, mask_figures),
    RenderSetting: (RenderScores, render_figures),
    MapSetting: (MapScores, map_score_figures),
}
