"""`pan3d teach show BAG`: what a bag shows, to teach an object from."""

from __future__ import annotations

from pathlib import Path

from pan3d_core.config import PipelineConfig
from pan3d_core.teaching import Seen, TaughtLibrary
from pan3d_ros.bags.excerpts.keyframes import KeyframeRequest, spread_scene
from pan3d_ros.bags.inspection import inspected
from pan3d_ros.bags.reading.reader import BagError, BagReader
from pan3d_ros.bags.replay import BagReplay, ReplayedSet
from pan3d_ros.bags.settings import pipeline_of, prepared, replay_settings


def seen_in_bag(path: Path, config: PipelineConfig, library: TaughtLibrary, *, use_depth: bool = False) -> Seen:
    """Look at what a bag shows: of a moving camera views from places that differ, over all of its way; of several cameras, as
    the node would, at every set, of which the newest of those with the most views is kept.

    Args:
        path: A folder, or an .mcap or .db3 file.
        config: Of the pipeline.
        library: What is taught already.
        use_depth: Whether the cameras' depth is used.

    Returns:
        What that result shows; ids are those of the whole bag.

    Raises:
        BagError: The bag cannot be read, lacks topics, or no view set of it gave a result.
    """
    with BagReader(path) as bag:
        settings = replay_settings(inspected(bag), base=config, use_depth=use_depth)
        pipeline = pipeline_of(settings)
        pipeline.use_library(library)
        settings = prepared(pipeline, settings)
        if settings.pipeline.keyframe.enabled:
            views = settings.pipeline.keyframe.window_size
            pipeline.process(spread_scene(path, KeyframeRequest(views, (), use_depth, config)).views)
            return pipeline.shown()
        kept: list[Seen] = []
        lost: list[str] = []

        def keep(item: ReplayedSet) -> None:
            lost.extend(item.lost)
            if item.done is None:
                return
            seen = pipeline.shown()
            if not kept or len(seen.looks) and seen.result.views.num_views >= kept[0].result.views.num_views:
                kept[:] = [seen]

        replay = BagReplay(bag, pipeline, settings, keep)
        replay.run()
        if not kept:
            raise BagError(f"{path}: expected a view set with a result, got none: {'; '.join(lost) or replay.why_nothing()}")
        return kept[0]
