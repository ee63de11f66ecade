"""What a run tells: lines of JSON in RUN/log.jsonl, the same on the console with the time left, and TensorBoard."""

from __future__ import annotations

import importlib.util
import json
import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pan3d_core.runtime.files import written_whole

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

_log = logging.getLogger("pan3d.training")


@dataclass(frozen=True)
class Moment:
    """Where a run stands."""

    step: int
    samples: int
    elapsed: float  # seconds of training
    progress: float  # share of the run, 0..1

    def left(self) -> str:
        """Time to the end at the present pace, h:mm:ss."""
        if self.progress <= 0:
            return "?"
        seconds = round(self.elapsed * max(1 / self.progress - 1, 0.0))
        return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


class RunLog:
    """Means of the loss terms over every few steps, held-out figures, and pictures."""

    def __init__(self, out: Path, *, tensorboard: bool = False) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self.path = out / "log.jsonl"
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}
        self._since: Moment | None = None
        self._board: SummaryWriter | None = None
        if tensorboard and importlib.util.find_spec("tensorboard") is None:
            _log.warning("no TensorBoard files: the package tensorboard is missing (pip install 'pan3d[train]')")
        elif tensorboard:
            self._open_board(None)

    def _open_board(self, purge_step: int | None) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._board = SummaryWriter(str(self.path.parent / "tensorboard"), purge_step=purge_step)

    def add(self, terms: dict[str, float]) -> None:
        """Terms of one step; those that are not finite do not enter the means."""
        for name, value in terms.items():
            if math.isfinite(value):
                self._sums[name] = self._sums.get(name, 0.0) + value
                self._counts[name] = self._counts.get(name, 0) + 1

    def flush(self, now: Moment, rates: dict[str, float], notes: dict[str, int]) -> None:
        """Write the means since the last flush. `rates`: learning rates by group; `notes`: counts worth saying when not 0."""
        since = self._since or Moment(0, 0, 0.0, 0.0)
        rate = (now.samples - since.samples) / max(now.elapsed - since.elapsed, 1e-6)
        means = {name: float(f"{value / self._counts[name]:.7g}") for name, value in self._sums.items()}
        first = next(iter(rates.values()))
        said = {name: count for name, count in notes.items() if count}
        self.write("train", now, {"samples_per_s": round(rate, 2), "lr": first, **means, **said})
        console = f"loss {means.get('total', math.nan):.4g}  lr {first:.2e}  {rate:.1f} samples/s  left {now.left()}"
        _log.info("step %d  %.1f %%  %s%s", now.step, 100 * now.progress, console, f"  {said}" if said else "")
        for group, value in rates.items():
            self._scalar(f"learning_rate/{group}", value, now)
        self._scalar("samples_per_s", rate, now)
        self._sums, self._counts = {}, {}
        self._since = now

    def figures(self, now: Moment, cases: list[dict]) -> None:
        """Write held-out figures, one line per case."""
        for case in cases:
            rounded = {name: round(value, 4) if isinstance(value, float) else value for name, value in case.items()}
            self.write("eval", now, rounded)
            _log.info("held out: %s", json.dumps(rounded))

    def pictures(self, now: Moment, pictures: dict[str, np.ndarray]) -> None:
        """Show pictures (H, W, 3) uint8 in TensorBoard."""
        if self._board is not None:
            for name, picture in pictures.items():
                self._board.add_image(name, picture, now.step, dataformats="HWC")

    @property
    def wants_pictures(self) -> bool:
        return self._board is not None

    def write(self, what: str, now: Moment, values: dict) -> None:
        head = {"what": what, "step": now.step, "samples": now.samples, "minutes": round(now.elapsed / 60, 2)}
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({**head, **values}) + "\n")
        words = [f"{name}_{value}" for name, value in values.items() if isinstance(value, bool)]
        for name, value in values.items():
            if isinstance(value, (int, float)) and not isinstance(value, bool) and name != "lr":
                self._scalar("/".join([what, *words, name]), value, now)

    def _scalar(self, name: str, value: float, now: Moment) -> None:
        if self._board is not None:
            self._board.add_scalar(name, value, now.step)

    def state(self) -> dict:
        """The unfinished means."""
        since = self._since
        return {
            "sums": dict(self._sums), "counts": dict(self._counts),
            "since": [since.step, since.samples, since.elapsed, since.progress] if since else None,
        }  # fmt: skip

    def restore(self, state: dict, step: int) -> None:
        """Go on at `step`: lines that a killed run wrote beyond it are taken out, they will be written again."""
        self._sums, self._counts = dict(state["sums"]), dict(state["counts"])
        self._since = Moment(*state["since"]) if state["since"] else None
        if self._board is not None:
            self._board.close()
            self._open_board(step + 1)
        if self.path.exists():
            kept = [line for line in self.path.read_text(encoding="utf-8").splitlines() if _step_of(line) <= step]
            with written_whole(self.path) as partial:
                partial.write_text("".join(line + "\n" for line in kept), encoding="utf-8")

    def close(self) -> None:
        if self._board is not None:
            self._board.close()


def _step_of(line: str) -> float:
    """Step of a log line; a line that a kill cut short belongs to the future."""
    try:
        return json.loads(line)["step"]
    except (json.JSONDecodeError, KeyError, TypeError):
        return math.inf
