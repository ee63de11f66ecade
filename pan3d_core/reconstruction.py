"""Pictures of one scene to objects in one call. Knows no ROS and no simulator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from pan3d_core.config import ImageLimits, PipelineConfig
from pan3d_core.engines import Engine, build_engine
from pan3d_core.language.namer import Namer
from pan3d_core.pipeline import PerceptionPipeline
from pan3d_core.structures import CameraView, PerceptionResult
from pan3d_core.teaching import read_library
from pan3d_core.views.image_files import DEFAULT_LIMITS
from pan3d_core.views.scene_folder import SCENE_FILE, Scene, read_usable_photographs, read_usable_scene
from pan3d_core.views.usable_views import usable_scene

Pictures = Path | str | Sequence[Path | str]  # image files of one scene, or its scene folder


def reconstruct(
    source: Scene | Pictures | Sequence[CameraView],
    config: PipelineConfig | None = None,
    *,
    cameras: Path | str | None = None,
    use_depth: bool = True,
    classes: Sequence[str] = (),
    engine: Engine | None = None,
    progress: Callable[[str], None] | None = None,
) -> PerceptionResult:
    """Find depth, cameras and objects of one scene that is seen once.

    Args:
        source: camera views, a scene, or what `read_pictures` reads: image files or a scene folder.
        config: all settings. Where it knows no support's height, that of the scene is taken.
        cameras: calibration of image files, a `scene.json` of which `views` suffices.
        use_depth: whether measured depth may be used where views have it.
        classes: words to name objects with, instead of the engine's own; empty = the engine's.
        engine: one that is loaded already; without it `config.model` says which one is built.
        progress: called with the name of every stage as it begins: "read" and "load" where these happen, then those of
            `PerceptionPipeline.process`. An exception raised there cancels the call.

    Returns:
        Reconstruction, objects with names, cloud, timings and warnings. Lengths are metres only if `is_metric`. A camera that
        cannot be used is left out, with the reason in `left_out` and a warning.

    Raises:
        ValueError: files, views or settings that cannot be used, naming the field; of cameras only if none is left.
        FileNotFoundError: a scene folder's file, weights or all images that do not exist.
    """
    config, told = config or PipelineConfig(), progress or _unheard
    scene = _scene_of(source, cameras, told, config.limits)
    if not use_depth:
        scene = scene.without_depth()
    if config.workspace.support_height_m is None:
        config = replace(config, workspace=replace(config.workspace, support_height_m=scene.support_height_m))
    if engine is None:
        told("load")
        engine = build_engine(config.model)
    namer = None
    if classes:
        namer = Namer.of_facts(engine.facts, config.naming)
        namer.set_classes(classes)
    scene = usable_scene(scene, engine.facts.preprocess, config.align.max_scene_depth_m)
    pipeline = PerceptionPipeline(engine, config, namer)
    if config.objects.folder:
        pipeline.use_library(read_library(Path(config.objects.folder)))
    result = pipeline.process(scene.views, progress)
    if not scene.left_out:
        return result
    return replace(result, left_out=scene.left_out, warnings=(scene.used(result.views.num_views), *result.warnings))


def read_pictures(source: Pictures, cameras: Path | str | None = None, limits: ImageLimits = DEFAULT_LIMITS) -> Scene:
    """Read image files, or a scene folder, without the cameras that cannot be used: `Scene.left_out` names these.

    Args:
        source: The files, or the folder.
        cameras: Calibration of the files, where it is known.
        limits: Of the pictures' sizes and number.

    Returns:
        The scene.

    Raises:
        FileNotFoundError: A file does not exist; a picture alone is an error where no other is left.
        ValueError: A file cannot be used; names it and the field.
    """
    paths = [Path(source)] if isinstance(source, (str, Path)) else [Path(path) for path in source]
    folder = paths[0] if len(paths) == 1 and paths[0].is_dir() else None
    if folder is None:
        return read_usable_photographs(paths, cameras, limits)
    if not (folder / SCENE_FILE).exists():
        raise ValueError(f"images: expected image files or a folder with a {SCENE_FILE}, got the folder {folder}")
    return read_usable_scene(folder, limits)


def _scene_of(
    source: Scene | Pictures | Sequence[CameraView], cameras: Path | str | None, told: Callable[[str], None], limits: ImageLimits
) -> Scene:
    if isinstance(source, Scene):
        return source
    if isinstance(source, (str, Path)):
        told("read")
        return read_pictures(source, cameras, limits)
    views = [item for item in source if isinstance(item, CameraView)]
    if len(views) == len(source) > 0:
        return Scene("views", tuple(views))
    told("read")
    paths = [item for item in source if not isinstance(item, CameraView)]
    if views:
        raise ValueError(f"source: expected camera views or files, got {len(views)} views and {len(paths)} files")
    return read_pictures(paths, cameras, limits)


def _unheard(_: str) -> None:
    """Progress that nobody asked for."""
