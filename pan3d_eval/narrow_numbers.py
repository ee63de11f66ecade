"""What a network in narrow numbers costs in figures of its task: the gate of `pan3d export --precision`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pan3d_core.config import ModelConfig, PipelineConfig
from pan3d_core.engines import Engine, build_engine
from pan3d_core.pipeline import PerceptionPipeline
from pan3d_core.runtime.networks.interface import RuntimeUnavailable
from pan3d_core.runtime.networks.judged import Judgement, on_trial
from pan3d_eval.datasets.scenes import SceneReference, list_scenes
from pan3d_eval.figures import figure_table
from pan3d_eval.runner import evaluate

# Tables with five objects from three places, 192 x 144 pixels, by seeds that no training shows. They have the shape of 640 x 480.
STORED_SCENES = Path(__file__).parent / "precision_scenes"
# Figure -> how much worse it may be than in torch and float32; negative where less is worse.
ALLOWED = {"AP": -0.01, "scene PQ": -0.01, "centre error (mm)": 0.5, "depth AbsRel, scale fitted": 0.0015}


def judged(config: ModelConfig, scenes: Sequence[Path] = (STORED_SCENES,)) -> list[Judgement]:
    """Run the pipeline on scenes with truth, in torch and float32 and as asked for, and compare the figures.

    Args:
        config: Engine, weights, and the runtime and precision that are to be judged.
        scenes: Folders of scenes, of the pictures' shape that the network was prepared for.

    Returns:
        The figures that both could be measured by, at least one.

    Raises:
        RuntimeUnavailable: The runtime did not run the network, or the scenes say nothing of this engine.
        FileNotFoundError: There is no scene in a folder.
    """
    references = list_scenes(list(scenes), 0)
    with on_trial():  # first, because it may be refused
        narrow = measured(config, references)
    wide = measured(replace(config, runtime="torch", precision="float32"), references)
    found = [Judgement(name, wide[name], narrow[name], allowed) for name, allowed in ALLOWED.items() if _says(wide[name])]
    if not found:
        raise RuntimeUnavailable(
            f"{config.precision}: {config.name} finds nothing in these scenes, so that nothing can be judged; give scenes with "
            "truth that it is made for: pan3d export --scenes DIR"
        )
    return found


def measured(config: ModelConfig, references: Sequence[SceneReference]) -> dict[str, float]:
    """The figures of `ALLOWED` of one way to run the network; NaN where there is nothing to measure."""
    engine = build_engine(config)
    _require_run_by(engine, config)  # before it takes its time
    evaluation = evaluate(PerceptionPipeline(engine, PipelineConfig(model=config)), references)
    _require_run_by(engine, config)
    values = {figure.name: float(figure.value) for figure in figure_table(evaluation)}
    return {name: values.get(name, math.nan) for name in ALLOWED}


def _require_run_by(engine: Engine, config: ModelConfig) -> None:
    """What another runtime took over says nothing of this one."""
    facts = None if engine.facts.runtime is None else engine.facts.runtime()
    if facts is None or (facts.name, facts.precision) == (config.runtime, config.precision):
        return
    raise RuntimeUnavailable(f"{config.runtime} in {config.precision} did not run the network on these scenes: {facts.reason}")


def _says(value: float) -> bool:
    """A figure of nothing found is no figure to compare with."""
    return math.isfinite(value) and value > 0
