"""The evaluation of an engine on folders of scenes, as one call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

from pan3d_core.config import PipelineConfig
from pan3d_eval.datasets import DEFAULT_VIEWS, ViewSelection
from pan3d_eval.datasets.scenes import SceneReference, list_scenes, paraphrases
from pan3d_eval.execution import Failure, Processes, Progress, run_items
from pan3d_eval.runner import Evaluation, EvaluationProtocol, SceneEvaluation, SceneEvaluator
from pan3d_eval.workers import scene_worker


@dataclass(frozen=True)
class FolderEvaluation:
    """What became of every scene of a folder."""

    references: tuple[SceneReference, ...]
    outcomes: tuple[SceneEvaluation | Failure, ...]  # of the references, in their order
    make_evaluator: Callable[[], SceneEvaluator]  # one more of those that measured, to look at a scene again

    @cached_property
    def evaluation(self) -> Evaluation:
        """The scenes together; `figures.figure_table` makes figures of it."""
        return Evaluation.of(self.outcomes)

    def measured(self) -> list[tuple[SceneReference, SceneEvaluation]]:
        """The scenes that could be measured, each with what was measured."""
        return [(own, item) for own, item in zip(self.references, self.outcomes) if not isinstance(item, Failure)]


def evaluate_folder(
    paths: Path | Sequence[Path],
    config: PipelineConfig | None = None,
    protocol: EvaluationProtocol | None = None,
    *,
    views: ViewSelection = DEFAULT_VIEWS,
    limit: int = 0,
    size: tuple[int, int] | None = None,
    processes: Processes | None = None,
    progress: Progress | None = None,
) -> FolderEvaluation:
    """Measure an engine, or a baseline, on all scenes below some folders.

    Args:
        paths: Scene folders, shard folders, scenes of public data sets, or folders of these.
        config: Settings of the pipeline, the engine among them; the defaults where none are given. In several processes the
            network has one thread in each.
        protocol: What the engine is given of each scene. Its `prompts` are asked for unless the scenes bring some of their own
            (`vocabulary.json` of shards).
        views: Which images of a public data set's recording are taken.
        limit: The most scenes, 0 for all.
        size: Width and height in pixels at which an engine without a network works and is measured.
        processes: Where the scenes are measured; in this process where it is not given.
        progress: Called with the numbers of scenes done and of all after each.

    Returns:
        The outcome of every scene; one that could not be read or processed is a `Failure`.

    Raises:
        FileNotFoundError: There is no scene in or below a path.
        ValueError: The configuration does not name a known engine or baseline, or its engine cannot be built.
    """
    config, protocol, processes = config or PipelineConfig(), protocol or EvaluationProtocol(), processes or Processes()
    references = list_scenes([paths] if isinstance(paths, Path) else paths, limit, views)
    protocol = replace(protocol, prompts=paraphrases(references, protocol.prompts))
    if processes.several:
        config = replace(config, model=replace(config.model, threads=1))
    make = partial(scene_worker, config, protocol, size)
    outcomes = run_items(make, references, processes=processes, progress=progress)
    return FolderEvaluation(tuple(references), tuple(outcomes), make)
