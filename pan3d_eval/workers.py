"""Pipelines by name for evaluation: every engine of the library, and the baselines that stand beside them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pan3d_core.config import PipelineConfig
from pan3d_core.engines import ENGINES, Engine, EngineFacts, build_engine
from pan3d_core.pipeline import PerceptionPipeline
from pan3d_core.settings import did_you_mean
from pan3d_core.structures import InstanceSet, Reconstruction, ViewBatch
from pan3d_eval.baselines import BASELINES
from pan3d_eval.runner import EvaluationProtocol, SceneEvaluator


@dataclass(frozen=True)
class Resized:
    """An engine that is given views of another size than it would ask for itself."""

    engine: Engine
    facts: EngineFacts

    def __call__(self, views: ViewBatch) -> tuple[Reconstruction, InstanceSet]:
        return self.engine(views)


def evaluated_pipeline(config: PipelineConfig, size: tuple[int, int] | None = None) -> PerceptionPipeline:
    """The pipeline around the engine or baseline `config.model.name`.

    `size`: (width, height) in pixels at which an engine that has no network works; others have their own. `ValueError` lists
    the known names.
    """
    name = config.model.name
    if name not in ENGINES and name not in BASELINES:
        known = sorted({*ENGINES, *BASELINES})
        raise ValueError(f"--engine: expected one of {', '.join(known)}, got {name!r}{did_you_mean(name, known)}")
    engine = BASELINES[name](config.model) if name in BASELINES else build_engine(config.model)
    if size is not None and engine.facts.needs_depth:
        preprocess = replace(engine.facts.preprocess, width=size[0], height=size[1])
        engine = Resized(engine, replace(engine.facts, preprocess=preprocess))
    return PerceptionPipeline(engine, config)


def scene_worker(config: PipelineConfig, protocol: EvaluationProtocol, size: tuple[int, int] | None = None) -> SceneEvaluator:
    """What evaluates one scene after the other, in this process or in another one."""
    return SceneEvaluator(evaluated_pipeline(config, size), protocol)
