"""Weights that have learnt one's own scenes, and what they have gained."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from pan3d_core.engines.mini import MINI, SHIPPED, MiniCheckpoint, read_checkpoint
from pan3d_core.language.minilm import TextEncoder
from pan3d_core.runtime.files import written_whole
from pan3d_eval.metrics.average_precision import SceneOverlaps
from training.data.arrays import ShardSet
from training.data.targets.text import TextTargets, load_text_targets
from training.export.exporters import export_run
from training.export.request import ExportRequest
from training.families import run_config
from training.families.mini import TEXT_FILE
from training.judge.objects import answered, measured, object_network
from training.run.checkpoints import LAST, read_state
from training.settings import TrainConfig
from training.teaching.data import DataPlan, TeachingData, prepare
from training.teaching.gain import Gain, gain_of
from training.train import train_rank

# Weights that know something already: a small step, and an average that a short run fills.
SAME_TEXT = 0.99  # cosine of one text's vectors; stored ones are rounded
OPTIMIZER = {"learning_rate": 2e-4, "average_first": 0.98, "average_last": 0.995}


@dataclass(frozen=True)
class TeachRequest:
    """What is learnt from what, and for how long."""

    dataset: Path  # folder of scene folders
    out: Path  # the weight file; its card lies beside it
    run: Path  # folder of the run, which goes on where it stopped
    minutes: float = 30.0  # of training, resumed parts together
    steps: int = 0  # end by steps instead; 0 = by minutes
    device: str = "auto"
    start_from: Path = SHIPPED[MINI]
    plan: DataPlan = field(default_factory=DataPlan)

    def __post_init__(self) -> None:
        if self.out.suffix != ".safetensors":
            raise ValueError(f"out: expected a file .safetensors, got {self.out}")

    def config(self) -> TrainConfig:
        """The settings of the run."""
        return run_config(
            {
                "family": MINI, "data": str(self.run / "data"), "out": str(self.run), "minutes": self.minutes,
                "steps": self.steps, "start_from": str(self.start_from), "seed": self.plan.seed, "optimizer": OPTIMIZER,
                "schedule": {"warmup_steps": 20}, "execution": {"device": self.device, "precision": "float32"},
            }
        )  # fmt: skip


@dataclass(frozen=True)
class TeachResult:
    """What was learnt."""

    out: Path
    data: TeachingData
    own: Gain  # on held-out views of one's own scenes
    kept: Gain  # on generated scenes that nothing was learnt from
    finished: bool  # False: stopped before its time; the same call goes on


def teach(request: TeachRequest) -> TeachResult:
    """Train from the weights that are there on one's own scenes and generated ones, and export the result with its card.

    Args:
        request: What, from where to where, how long.

    Returns:
        Figures before and after.

    Raises:
        ValueError: The data set cannot be used, `run` belongs to another one, or the weights are of another text space; names
            scene and field.
        OSError: The disk is full; the last checkpoint of the run is good then.
    """
    config = request.config()
    start = read_checkpoint(request.start_from)
    require_own_text_space(start, request.start_from)
    size = start.preprocess
    data = prepare(request.dataset, config.data, replace(request.plan, height=size.height, width=size.width))
    train_rank(None, config)
    export_run(ExportRequest(config.out, (), config.data, request.out, scenes=sum(data.samples_of)))
    text = load_text_targets(config.data / TEXT_FILE)
    own = gain_of(*_pairs(request, ShardSet(config.data / "val"), text), data.samples_of)
    kept = ShardSet(data.kept / "val")
    result = TeachResult(request.out, data, own, gain_of(*_pairs(request, kept, text), [1] * len(kept)), _finished(config))
    _add_to_card(request.out.with_suffix(".md"), result)
    return result


def require_own_text_space(start: MiniCheckpoint, path: Path) -> None:
    """Refuse weights whose names are vectors of another text encoder than the one that new names are read with.

    Args:
        start: What training would begin with.
        path: Of its file, for the error.

    Raises:
        ValueError: A name that it knows has another vector.
    """
    names = start.known_names
    encoder = TextEncoder()
    own = encoder.encode(list(names.names[:1])).float().cpu()
    same = names.embeddings.shape[1] == encoder.dim and float((own @ names.embeddings[:1].float().cpu().T).min()) > SAME_TEXT
    if not same:
        raise ValueError(
            f"start_from: expected weights whose names are vectors of the text encoder that comes with pan3d ({encoder.dim} "
            f"numbers), got {path}, in which {names.names[0]!r} has another one of {names.embeddings.shape[1]}"
        )


def _pairs(request: TeachRequest, shards: ShardSet, text: TextTargets) -> tuple[list[SceneOverlaps], list[SceneOverlaps]]:
    """Overlaps of every sample by the weights that the run began with, and by the exported file."""
    networks = (object_network(read_checkpoint(path).model) for path in (request.start_from, request.out))
    before, after = (
        measured(answered(network, shards, scenes=len(shards), posed=True, bfloat16=False), text) for network in networks
    )
    return before.overlaps, after.overlaps


def _finished(config: TrainConfig) -> bool:
    state = read_state(config.out / LAST)
    done = state["step"] / config.steps if config.steps else state["elapsed"] / (60 * config.minutes)
    return bool(done >= 1)


def _add_to_card(card: Path, result: TeachResult) -> None:
    lines = [
        "## Taught", "",
        f"Learnt from {len(result.data.scenes)} recordings that nobody annotated ({', '.join(result.data.scenes)}), mixed with "
        f"generated scenes. Names in them: {', '.join(result.data.names)}.", "",
        f"- Held-out views of these recordings: {result.own.verdict}. Their truth is what `pan3d teach label` made of them.",
        f"- Generated scenes: {result.kept.verdict}.", "",
    ]  # fmt: skip
    text = card.read_text(encoding="utf-8").rstrip() + "\n\n" + "\n".join(lines)
    with written_whole(card) as part:
        part.write_text(text, encoding="utf-8")
