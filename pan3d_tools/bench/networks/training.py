"""`pan3d bench training`: memory and time of a training step, planned without computing it, and measured where asked for.

    pan3d bench training --ranks 8 --views 24 --family segvggt --preset published --data DATA

What it does not know itself are options of `python -m training.train`. `planned` has GiB that one rank needs for each
strategy, with and without recomputed blocks; what the losses keep and what the runtime itself takes come on top. `at_best_s` is
the time of the step's products at the peak rate of a device, which no step reaches. `--measure N` takes N real steps here, and
says how what autograd keeps compares to what was planned (more, by what the losses keep), and what recomputing blocks costs.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace

import torch

from pan3d_tools.bench.cost.da3 import Cost, floor_s
from training.families import build_family
from training.run.loop import Trainer
from training.run.plan import SavedBytes, StepPlan, plan_step
from training.run.ranks import Ranks
from training.settings import TrainConfig
from training.train import parse as parse_run

GIB, TERA = 2.0**30, 1e12
DEVICES = ("H200", "H100", "A100", "4090")
STRATEGIES = ("ddp", "fsdp")


def parse(argv: list[str]) -> tuple[argparse.Namespace, TrainConfig]:
    """The benchmark's own arguments, and the run that the others describe."""
    parser = argparse.ArgumentParser(
        prog="pan3d bench training", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ranks", type=int, default=8, help="GPUs that are planned for (default: %(default)s)")
    parser.add_argument("--views", type=int, default=0, help="of a sample, whatever the data have (default: the most of the run)")
    parser.add_argument("--measure", type=int, default=0, metavar="N", help="take N real steps on this machine, too")
    arguments, rest = parser.parse_known_args(argv)
    if arguments.ranks < 1 or arguments.views < 0 or arguments.measure < 0:
        raise ValueError("--ranks, --views, --measure: expected at least 1, 0 and 0")
    with tempfile.TemporaryDirectory() as folder:
        config, _ = parse_run([*rest, *([] if "--out" in rest else ["--out", folder])])
    return arguments, config


def run(argv: list[str]) -> dict:
    """Plan a step, and measure some where asked for."""
    arguments, config = parse(argv)
    plan = plan_step(config, build_family(config), arguments.views)
    found: dict = {
        "weights_millions": plan.weights / 1e6,
        "trained_millions": plan.trained / 1e6,
        "pictures_of_a_rank": plan.pictures,
        "planned": _planned(plan, arguments.ranks),
    }
    if arguments.measure:
        found["measured"] = measured(config, plan, arguments.measure)
    return found


def _planned(plan: StepPlan, ranks: int) -> dict:
    """For each strategy, with and without recomputation, GiB of a rank by what for; and the work of the step."""
    found: dict = {"ranks": ranks}
    for strategy in STRATEGIES:
        for recomputes in (False, True):
            parts = plan.memory(ranks, shards=strategy == "fsdp", recomputes=recomputes)
            own = {f"{name}_gib".replace(" ", "_"): size / GIB for name, size in parts.items()}
            place = f"{strategy}_recomputed" if recomputes else strategy
            found[place] = {**own, "together_gib": sum(parts.values()) / GIB}
    for place, recomputes in (("step", False), ("step_recomputed", True)):
        work = plan.work(recomputes=recomputes)
        best = {name: floor_s(Cost(operations=work), name) for name in DEVICES}
        found[place] = {"tera_operations": work / TERA, "at_best_s": best}
    return found


def measured(config: TrainConfig, plan: StepPlan, steps: int) -> dict:
    """Real steps with and without recomputation, in this process.

    Args:
        config: The run.
        plan: Of its step.
        steps: Taken each way, after one that warms up.

    Returns:
        What autograd keeps over what was planned, and the time with recomputed blocks over that without.
    """
    seconds, kept = {}, {}
    for recomputes in (False, True):
        execution = replace(config.execution, checkpoint_blocks=recomputes)
        run_config = replace(config, execution=execution)
        device = (
            torch.device("cpu")
            if execution.device == "auto" and not torch.cuda.is_available()
            else torch.device(execution.device)
        )
        trainer = Trainer(run_config, build_family(run_config), Ranks(0, 1, device, execution.strategy))
        saved = SavedBytes(trainer.model)
        with saved.counting():
            trainer.train_step()
        kept[recomputes] = saved.total
        times = []
        for _ in range(steps):
            start = time.perf_counter()
            trainer.train_step()
            times.append(time.perf_counter() - start)
        seconds[recomputes] = min(times)
    return {
        "kept_over_planned": kept[False] / plan.kept_bytes,
        "kept_recomputed_over_kept": kept[True] / kept[False],
        "time_recomputed_over_time": seconds[True] / seconds[False],
        "steps": steps,
    }
