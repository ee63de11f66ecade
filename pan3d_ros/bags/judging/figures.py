"""Figures of a replay: with the names of ros2_benchmark (NVIDIA) where it has a name for them."""

from __future__ import annotations

import ctypes
import math
import mmap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pan3d_ros.bags.judging.timeline import FormedSet, Timeline

PERCENTILES = (50, 90, 99)
MIN_MEMORY_SAMPLES = 10


@dataclass(frozen=True)
class Performance:
    """What a monitor behind the node would have measured: a frame is a view set, sent at its newest image's stamp."""

    metrics: dict[str, float]  # ros2_benchmark's BasicPerformanceMetrics
    ages_ms: dict[str, float]  # p50, p90, p99, of results when they come out

    def keyed(self) -> dict[str, float]:
        """Metrics under the keys of ros2_benchmark's JSON files, ages beside them."""
        named = {f"BasicPerformanceMetrics.{name}": value for name, value in self.metrics.items()}
        return named | {f"pan3d.AGE_{name.upper()}": value for name, value in self.ages_ms.items()}

    def table(self) -> list[tuple[str, float]]:
        """The most important ones in words."""
        names = {
            "NUM_FRAMES_SENT": "view sets",
            "NUM_MISSED_FRAMES": "sets without a result",
            "MEAN_PLAYBACK_FRAME_RATE": "sets per second",
            "MEAN_FRAME_RATE": "results per second",
            "MEAN_JITTER": "mean jitter (ms)",
        }
        rows = [(words, self.metrics[name]) for name, words in names.items() if name in self.metrics]
        return rows + [(f"age of results {name} (ms)", value) for name, value in self.ages_ms.items()]


def performance(sets: Sequence[FormedSet], timeline: Timeline) -> Performance:
    """Compute ros2_benchmark's basic metrics; those that need more frames than there are stay out, as there.

    Latencies are ages: from the stamp of the newest image of the set to its result, so a frame's way through the camera
    driver and the wait for the other cameras are in them.

    Args:
        sets: View sets that were formed, in time.
        timeline: Which of them became results, and when.

    Returns:
        Milliseconds and frames per second, and percentiles of the ages.
    """
    sent = np.array([item.newest_ns for item in sets], np.float64) * 1e-6
    done = np.array([item.done_ns for item in timeline.deliveries], np.float64) * 1e-6
    ages = np.array([item.age_s for item in timeline.deliveries]) * 1e3
    return Performance(basic_metrics(sent, done, ages), percentiles(ages))


def basic_metrics(sent: np.ndarray, done: np.ndarray, ages: np.ndarray) -> dict[str, float]:
    """Compute what ros2_benchmark calls `BasicPerformanceMetrics`; those that need more frames than there are stay out.

    Args:
        sent: (N,) times at which frames were sent, in order, milliseconds.
        done: (M,) times at which results came, in order, of the same clock.
        ages: (M,) from a frame to its result, milliseconds.

    Returns:
        Name -> value, milliseconds and frames per second.
    """
    metrics: dict[str, float] = {"NUM_FRAMES_SENT": len(sent), "NUM_MISSED_FRAMES": len(sent) - len(done)}
    if len(sent) > 1 and sent[-1] > sent[0]:
        metrics["MEAN_PLAYBACK_FRAME_RATE"] = 1e3 * len(sent) / (sent[-1] - sent[0])
    if len(done):
        metrics |= {
            "RECEIVED_DURATION": done[-1] - done[0],
            "FIRST_SENT_RECEIVED_LATENCY": done[0] - sent[0],
            "LAST_SENT_RECEIVED_LATENCY": done[-1] - sent[-1],
            "FIRST_INPUT_LATENCY": ages[0],
            "LAST_INPUT_LATENCY": ages[-1],
            "MAX_LATENCY": ages.max(),
            "MIN_LATENCY": ages.min(),
            "MEAN_LATENCY": ages.mean(),
        }
        if done[-1] > done[0]:
            metrics["MEAN_FRAME_RATE"] = 1e3 * len(done) / (done[-1] - done[0])
    if len(done) > 2:
        jitter = np.abs(np.diff(done, 2))
        metrics |= {
            "MAX_JITTER": jitter.max(),
            "MIN_JITTER": jitter.min(),
            "MEAN_JITTER": jitter.mean(),
            "STD_DEV_JITTER": jitter.std(),
        }
    return {name: float(value) for name, value in metrics.items()}


def percentiles(values: Sequence[float] | np.ndarray) -> dict[str, float]:
    """p50, p90 and p99; nothing for no values."""
    return {f"p{p}": float(np.percentile(values, p)) for p in PERCENTILES} if len(values) else {}


def stage_figures(stages_s: Mapping[str, Sequence[float]]) -> dict[str, dict[str, float]]:
    """Stage -> p50, p90, p99 in ms."""
    return {stage: percentiles(np.asarray(seconds) * 1e3) for stage, seconds in stages_s.items()}


def memory_figures(samples: Sequence[tuple[float, float]]) -> dict[str, float]:
    """Resident memory: highest value, and the slope over the second half of the run in MB per minute of work.

    The first half is left out because caches fill in it; without enough samples there is no slope.
    """
    if not samples:
        return {}
    figures = {"resident memory, highest (MB)": max(mb for _, mb in samples)}
    late = np.array(samples[len(samples) // 2 :])
    if len(late) >= MIN_MEMORY_SAMPLES and np.ptp(late[:, 0]) > 0:
        figures["resident memory, slope (MB per minute)"] = float(60.0 * np.polyfit(late[:, 0], late[:, 1], 1)[0])
    return figures


def resident_mb() -> float:
    """Memory of this process that is in RAM now; NaN where the system does not say.

    Free pages of the heap are given back first (glibc): small results that are kept between large images that are not would
    otherwise look like growth.
    """
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            pages = int(file.read().split()[1])
    except OSError:
        return math.nan
    return pages * mmap.PAGESIZE / 2**20
