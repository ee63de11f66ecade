"""The highest rate of pictures that a graph sustains, and figures of it, by the rules and under the names of `ros2_benchmark`.

https://github.com/NVIDIA-ISAAC-ROS/ros2_benchmark: a trial plays recorded messages at one rate; the rate is sustained when the
graph's output keeps up and at most 5 % of the frames are lost; bisection finds about where that ends, small steps up find where.
Nothing of ROS in here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from pan3d_ros.bags.judging.figures import basic_metrics

METRIC, RESOURCE = "BasicPerformanceMetrics", "ResourceMetrics"
# How several trials become one figure, after the best and the worst were left out; of the others the mean counts.
LARGEST = ("MAX_LATENCY", "MAX_JITTER", "MEAN_JITTER")
SMALLEST = ("MIN_LATENCY", "MIN_JITTER")


@dataclass(frozen=True)
class RateSearch:
    """Where a rate is looked for, in Hz; the shares and differences are those by which `ros2_benchmark` judges, its ranges scaled
    to a graph of a few results a second."""

    lower_hz: float = 0.5
    upper_hz: float = 30.0
    duration_s: float = 5.0  # of a trial
    width_hz: float = 1.0  # bisection ends within this
    step_hz: float = 0.5
    loss_fraction: float = 0.05
    rate_drop_hz: float = 0.5  # of the output behind the input
    trials: int = 5  # at the rate that was found

    def __post_init__(self) -> None:
        if not 0 < self.lower_hz < self.upper_hz:
            raise ValueError(f"lower, upper: expected 0 < lower < upper, got {self.lower_hz:g} and {self.upper_hz:g} Hz")
        if min(self.duration_s, self.width_hz, self.step_hz) <= 0 or self.trials < 1:
            raise ValueError(
                "duration, width, step, trials: expected more than 0, "
                f"got {self.duration_s:g}, {self.width_hz:g}, {self.step_hz:g}, {self.trials}"
            )

    def count(self, rate_hz: float) -> int:
        """Frames of a trial."""
        return max(2, math.ceil(self.duration_s * rate_hz))

    def named(self) -> dict[str, float]:
        """The fields by the names of `ros2_benchmark`'s configuration."""
        return {
            "publisher_lower_frequency": self.lower_hz,
            "publisher_upper_frequency": self.upper_hz,
            "benchmark_duration": self.duration_s,
            "binary_search_terminal_interval_width": self.width_hz,
            "binary_search_acceptable_frame_loss_fraction": self.loss_fraction,
            "binary_search_acceptable_frame_rate_drop": self.rate_drop_hz,
            "linear_scan_step_size": self.step_hz,
            "linear_scan_acceptable_frame_loss_fraction": self.loss_fraction,
            "linear_scan_acceptable_frame_rate_drop": self.rate_drop_hz,
            "test_iterations": self.trials,
        }


@dataclass(frozen=True)
class Trial:
    """Frames that were played at one rate. Times are of one clock, in nanoseconds, in order."""

    sent_ns: Mapping[int, int]  # key of a frame -> when it was sent
    received_ns: Mapping[int, int]  # key of a frame -> when its result came
    cpu_percent: Sequence[float] = ()  # of the whole machine, samples
    memory_percent: Sequence[float] = ()  # of the machine's memory that is in use


def highest_sustained(play_frames: Callable[[float, int], Trial], search: RateSearch) -> float:
    """Find the highest rate that is sustained.

    Args:
        play_frames: Plays at a rate, Hz, so many frames.
        search: Where, and what counts as sustained.

    Returns:
        The rate, Hz; `search.upper_hz` at most.

    Raises:
        RuntimeError: Not even the lowest rate is sustained.
    """

    def play(rate_hz: float) -> Trial:
        return play_frames(rate_hz, search.count(rate_hz))

    play((search.lower_hz + search.upper_hz) / 2)  # what is done for the first time is not counted
    if not is_sustained(play(search.lower_hz), search):
        raise RuntimeError(f"not even {search.lower_hz:g} Hz are sustained: choose a lower rate to begin with")
    lower_hz, upper_hz = search.lower_hz, search.upper_hz
    while upper_hz - lower_hz > search.width_hz:
        middle_hz = (lower_hz + upper_hz) / 2
        if is_sustained(play(middle_hz), search):
            lower_hz = middle_hz
        else:
            upper_hz = middle_hz
    while lower_hz + search.step_hz <= search.upper_hz and is_sustained(play(lower_hz + search.step_hz), search):
        lower_hz += search.step_hz
    return lower_hz


def is_sustained(trial: Trial, search: RateSearch) -> bool:
    """Whether the output keeps up with the input and few enough frames are lost."""
    if len(trial.received_ns) < 2:
        return False
    made = performance(trial)
    lost, sent = made["NUM_MISSED_FRAMES"], made["NUM_FRAMES_SENT"]
    keeps_up = made["MEAN_FRAME_RATE"] >= made["MEAN_PLAYBACK_FRAME_RATE"] - search.rate_drop_hz
    return keeps_up and lost <= math.ceil(sent * search.loss_fraction)


def performance(trial: Trial) -> dict[str, float]:
    """Make the figures of a trial.

    Args:
        trial: Two frames or more that were sent.

    Returns:
        Name of `BasicPerformanceMetrics` -> value: counts, frames per second, milliseconds. What takes more results than came is
        left out.
    """
    sent, received = (np.array(list(times.values()), np.float64) * 1e-6 for times in (trial.sent_ns, trial.received_ns))
    ages = [(trial.received_ns[key] - at) * 1e-6 for key, at in trial.sent_ns.items() if key in trial.received_ns]
    return basic_metrics(sent, received, np.array(ages))


def resources(trial: Trial, idle: Trial) -> dict[str, float]:
    """Give the load of the machine.

    Args:
        trial: With samples.
        idle: Samples of before, when nothing was played.

    Returns:
        Name of `ResourceMetrics` -> per cent.
    """
    made: dict[str, float] = {}
    pairs = {"OVERALL_CPU": (trial.cpu_percent, idle.cpu_percent), "HOST_MEMORY": (trial.memory_percent, idle.memory_percent)}
    for part, (samples, before) in pairs.items():
        if not samples or not before:
            continue
        made |= {
            f"BASELINE_{part}_UTILIZATION": fmean(before),
            f"MAX_{part}_UTILIZATION": max(samples),
            f"MIN_{part}_UTILIZATION": min(samples),
            f"MEAN_{part}_UTILIZATION": fmean(samples),
            f"STDDEV_{part}_UTILIZATION": float(np.std(samples)),
        }
    return made


def concluded(trials: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Make one figure of several trials'.

    Args:
        trials: Figures by name, of one trial or more.

    Returns:
        The figures that all have: of three trials or more the best and the worst are left out, then the largest, the smallest or
        the mean is taken, by the name.
    """
    made = {}
    for name in trials[0]:
        if not all(name in trial for trial in trials):
            continue
        values = sorted(trial[name] for trial in trials)
        if len(values) > 2:
            values = values[1:-1]
        made[name] = max(values) if name in LARGEST else min(values) if name in SMALLEST else fmean(values)
    return made


def report_of(
    trials: Sequence[Trial], idle: Trial, custom: Mapping[str, object], metadata: Mapping[str, object]
) -> dict[str, object]:
    """Write figures as `ros2_benchmark` does.

    Args:
        trials: At the rate that was found.
        idle: Samples of before.
        custom: What else is to be told of the graph.
        metadata: Names of `BenchmarkMetadata` -> value.

    Returns:
        Its keys -> values.
    """
    named = {f"{METRIC}.{name}": value for name, value in concluded([performance(trial) for trial in trials]).items()}
    named |= {f"{RESOURCE}.{name}": value for name, value in concluded([resources(trial, idle) for trial in trials]).items()}
    return {**named, "custom": dict(custom), "metadata": {f"BenchmarkMetadata.{name}": value for name, value in metadata.items()}}
