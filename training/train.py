"""Train a model family on rendered scenes.

    python -m training.train --family pan3d-mini --data DIR --out RUN --minutes 90 --ranks 2
    torchrun --nproc_per_node=8 -m training.train --family segvggt --config FILE --data DIR --out RUN --steps 20000

Goes on where it stopped when RUN holds a checkpoint. DIR holds train/ and val/. SIGTERM or Ctrl-C saves and ends. Settings:
`--config FILE` (YAML), `--set optimizer.learning_rate=2e-4`; `--print-settings` shows all of them with their values.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import yaml
from torch.multiprocessing import ProcessExitedException, ProcessRaisedException

from training.families import FAMILIES, build_family, run_config
from training.run.checkpoints import CheckpointFolder
from training.run.loop import Trainer
from training.run.progress import RunLog
from training.run.ranks import Ranks, joined
from training.run.refusing import REFUSED, refusing
from training.settings import TrainConfig, merge_settings, parse_assignments, read_yaml

_log = logging.getLogger("pan3d.training")


class Run:
    """One rank's way through a run: steps, and what happens between them."""

    def __init__(self, config: TrainConfig, ranks: Ranks) -> None:
        self.config, self.ranks, self.record = config, ranks, config.record
        self.family = build_family(config)
        self.trainer = Trainer(config, self.family, ranks)
        self.folder = CheckpointFolder(config.out, config.record.keep)
        self.log = RunLog(config.out, tensorboard=config.record.tensorboard) if ranks.leads else None
        self.best = float("-inf")
        self._done = {"save": (0, 0.0), "evaluate": (0, 0.0)}  # step and seconds of the last time

    def resume(self) -> None:
        """Take up the newest checkpoint, if there is one."""
        state = self.folder.load()
        if state is None:
            return
        self.trainer.restore(state)
        own = state["log"]
        self.best = own["best"]
        self._done = {name: tuple(moment) for name, moment in own["done"].items()}
        if self.log is not None:
            self.log.restore(own["window"], self.trainer.step)
            _log.info("resumed at step %d, minute %.1f", self.trainer.step, self.trainer.elapsed / 60)

    def go(self) -> None:
        """Steps until the run is over or somebody wants it to stop; saves in the end."""
        trainer, record = self.trainer, self.record
        while trainer.progress() < 1 and not trainer.stop_wanted:
            terms = trainer.train_step()
            if self.log is not None:
                self.log.add(terms)
                if trainer.step % record.log_steps == 0:
                    self.log.flush(trainer.moment(), trainer.learning_rates(), trainer.notes())
            # Step and clock are the same on all ranks, so all take these branches together.
            if self._due("evaluate", record.evaluate_steps, record.evaluate_minutes):
                self.measure(record.evaluate_scenes)
            elif self._due("save", record.save_steps, record.save_minutes):
                self.save()
        if trainer.stop_wanted and trainer.progress() < 1:
            self.save()
            _log.info("stopped at step %d by a signal; the same command goes on from there", trainer.step)
        else:
            self.measure(2 * record.evaluate_scenes)
        if self.log is not None:
            self.log.close()
        self.ranks.wait()

    def stop(self) -> None:
        """End after the present step, on all ranks."""
        self.trainer.stop_wanted = True

    def _due(self, what: str, steps: int, minutes: float) -> bool:
        step, elapsed = self._done[what]
        trainer = self.trainer
        due = (steps > 0 and trainer.step - step >= steps) or (minutes > 0 and trainer.elapsed - elapsed > 60 * minutes)
        if due:
            self._done[what] = (trainer.step, trainer.elapsed)
        return due

    def save(self) -> Path | None:
        """Write a checkpoint; its path on rank 0."""
        self._done["save"] = (self.trainer.step, self.trainer.elapsed)
        own = {"best": self.best, "done": {n: list(v) for n, v in self._done.items()}}
        own["window"] = self.log.state() if self.log is not None else {}
        state = self.trainer.state(own)
        return self.folder.save(state) if self.ranks.leads else None

    def measure(self, scenes: int) -> None:
        """Held-out figures of the averaged weights, then a checkpoint, which is kept as the best if it is."""
        self._done["evaluate"] = (self.trainer.step, self.trainer.elapsed)
        model, score = self.trainer.measured_model(), float("-inf")
        if model is not None and self.log is not None and scenes:
            cases = self.family.evaluate(model, scenes)
            score = self.family.score(cases)
            self.log.figures(self.trainer.moment(), cases)
            if self.log.wants_pictures:
                self.log.pictures(self.trainer.moment(), self.family.pictures(model, self.record.pictures))
        is_best = score > self.best
        self.best = max(self.best, score)
        path = self.save()
        if path is not None and is_best:
            self.folder.mark_best(path)


@contextlib.contextmanager
def stopping(stop: Callable[[], None]) -> Iterator[None]:
    """Inside, SIGTERM and Ctrl-C call `stop` instead of ending the process."""
    before = {number: signal.signal(number, lambda *_: stop()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def train_rank(rank: int | None, config: TrainConfig) -> None:
    """One process of a run; `rank` None under torchrun or alone. `SystemExit` where the run cannot be."""
    with refusing("train"), joined(config.execution, rank) as ranks:
        config = dataclasses.replace(config, execution=config.execution.of_ranks(ranks.world))
        level = logging.INFO if ranks.leads else logging.WARNING
        logging.basicConfig(level=level, format="%(asctime)s %(message)s", stream=sys.stdout, force=True)
        if ranks.leads:
            build_family(config)  # makes files beside the data that the others then find
        ranks.wait()
        run = Run(config, ranks)
        with stopping(run.stop):
            run.resume()
            run.go()


def spawn_ranks(config: TrainConfig) -> None:
    """`execution.ranks` processes of this machine, which begin again from the newest checkpoint where one is lost.

    Raises `ChildProcessError` when more are lost than `execution.restarts` allows.
    """
    left = config.execution.restarts
    while (lost := _spawned(config)) is not None:
        rank, number = lost
        told = f"rank {rank} of {config.execution.ranks} was ended by signal {number} ({signal.Signals(number).name})"
        if not left:
            raise ChildProcessError(
                f"{told}, and execution.restarts allows no further start; the same command goes on from the newest checkpoint in "
                f"{config.out}"
            )
        left -= 1
        print(f"{told}; going on from the newest checkpoint, {left} restarts left", flush=True)


def _spawned(config: TrainConfig) -> tuple[int, int] | None:
    """Run the ranks to their end; the one that was lost and the signal that ended it, None where all ended well.

    A signal to stop is handed on to them.
    """
    os.environ["MASTER_ADDR"] = "127.0.0.1"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        os.environ["MASTER_PORT"] = str(free.getsockname()[1])
    context = torch.multiprocessing.spawn(train_rank, (config,), nprocs=config.execution.ranks, join=False)

    def stop() -> None:
        for process in context.processes:
            process.terminate()

    with stopping(stop):
        try:
            while not context.join():
                pass
        except (ProcessExitedException, ProcessRaisedException):
            # The others break off because of the lost one, some before it is seen, or are ended by SIGTERM.
            codes = [process.exitcode or 0 for process in context.processes]
            lost = next(((rank, -code) for rank, code in enumerate(codes) if code < 0 and -code != signal.SIGTERM), None)
            if lost is None and REFUSED in codes:  # and has said why
                raise SystemExit(REFUSED) from None
            if lost is None:
                raise
            return lost
    return None


def parse(arguments: list[str] | None = None) -> tuple[TrainConfig, bool]:
    """The run that a command line asks for, and whether only its settings are to be shown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", choices=sorted(FAMILIES), help="what to train (default pan3d-mini)")
    parser.add_argument("--preset", help="ours (default), or published: the paper's settings where ours differ")
    parser.add_argument("--config", type=Path, help="YAML file of settings")
    parser.add_argument("--data", help="folder with train/ and val/")
    parser.add_argument("--out", help="folder of the run")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, help="training time of the whole run, resumed parts together")
    length.add_argument("--steps", type=int, help="end and schedule by steps instead of minutes")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--start-from", help="weights to begin with")
    parser.add_argument("--ranks", type=int, help="processes to start on this machine (not under torchrun)")
    parser.add_argument("--batch", type=int, help="scenes per rank and step")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="e.g. execution.strategy=fsdp")
    parser.add_argument("--print-settings", action="store_true", help="show the settings of this run and end")
    options = parser.parse_args(arguments)
    values: dict[str, Any] = {"family": "pan3d-mini"}
    if options.config is not None:
        values = merge_settings(values, read_yaml(options.config))
    if options.minutes is not None:
        values["steps"] = 0
    given = ("family", "preset", "data", "out", "minutes", "steps", "seed", "start_from")
    values |= {name: getattr(options, name) for name in given if getattr(options, name) is not None}
    for name, group in (("ranks", "execution"), ("batch", "sampling")):
        if getattr(options, name) is not None:
            values = merge_settings(values, {group: {name: getattr(options, name)}})
    values = merge_settings(values, parse_assignments(options.set))
    for name in ("data", "out"):
        if name not in values:
            parser.error(f"--{name} is missing")
    return run_config(values), options.print_settings


def main() -> None:
    """Command line entry."""
    with refusing("train"):
        _main(*parse())


def _main(config: TrainConfig, only_show: bool) -> None:
    if only_show:
        print(yaml.safe_dump(config.to_dict(), sort_keys=False), end="")
        return
    under_torchrun = "TORCHELASTIC_RUN_ID" in os.environ
    if under_torchrun:
        world = int(os.environ["WORLD_SIZE"])
        config = dataclasses.replace(config, execution=dataclasses.replace(config.execution, ranks=world))
    if under_torchrun or config.execution.ranks == 1:
        train_rank(None, config)
    else:
        spawn_ranks(config)


if __name__ == "__main__":
    main()
