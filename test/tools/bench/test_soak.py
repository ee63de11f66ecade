"""The soak benchmark tells a leak from noise, and reads what the process really holds."""

import threading
import tracemalloc
from array import array

import numpy as np
import pytest
import torch

from pan3d_core.structures import CameraView
from pan3d_ros.bags.judging.figures import resident_mb
from pan3d_tools.bench.soak import parse, process_facts, run, slope, soak, summarize


def test_a_leak_is_found_with_its_size_and_noise_is_none():
    held_zero = 0
    for seed in range(100):
        noise = np.random.default_rng(seed).normal(0.0, 1.0, 2000)
        found, lowest, highest = slope(list(300.0 + 0.01 * np.arange(2000) + noise))
        assert found == pytest.approx(0.01, rel=0.05)
        assert 0.009 < lowest < found < highest < 0.011
        _, lowest, highest = slope(list(300.0 + noise))
        held_zero += lowest < 0 < highest
    assert held_zero > 85, "an interval of 95 % holds the true slope in most of many trials"


def test_four_hours_are_counted_at_the_measured_speed():
    leaking = [100.0 + 0.001 * step for step in range(400)]
    figures = summarize([500.0] * 400, {"rss_mb": leaking, "own_mb": leaking, "open_files": [7.0] * 400, "threads": [3.0] * 400})
    assert figures["own_mb_in_4_h"] == figures["rss_mb_in_4_h"]
    assert figures["rss_mb_in_4_h"][0] == pytest.approx(0.001 * 2 * 3600 * 4)
    assert figures["slopes_per_1000_steps"]["open_files"] == pytest.approx([0.0, 0.0, 0.0])
    assert figures["p99_over_p50"] == 1.0


def test_what_the_process_holds_is_counted(tmp_path):
    resident_mb()  # gives back what other tests have freed: the heap would have room for all that follows
    before, ending = process_facts(), threading.Event()
    thread = threading.Thread(target=ending.wait)
    thread.start()
    with (tmp_path / "file").open("w", encoding="ascii"):
        ballast = np.ones(200_000_000 // 8)  # much beside what other tests may have freed meanwhile
        after = process_facts()
    ending.set()
    thread.join()
    assert after["open_files"] == before["open_files"] + 1
    assert after["threads"] == before["threads"] + 1
    assert after["rss_mb"] - before["rss_mb"] > 0.8 * ballast.nbytes * 1e-6
    assert after["own_mb"] - before["own_mb"] > 0.8 * ballast.nbytes * 1e-6 and after["own_mb"] < after["rss_mb"]


def test_what_is_noted_of_a_set_takes_no_room_that_grows():
    class Pipeline:
        def process(self, views):
            snapshots.append(tracemalloc.get_traced_memory()[0])

    snapshots = array("q")
    tracemalloc.start()
    times_ms, held = soak(Pipeline(), [CameraView(torch.zeros(3, 4, 4))], steps=2000, warm_up=10)
    tracemalloc.stop()
    assert len(times_ms) == 2000 and np.isfinite(times_ms).all() and all(np.isfinite(series).all() for series in held.values())
    assert snapshots[-1] - snapshots[100] < 32 * 1900, "one list of numbers would take as much"


def test_too_few_steps_for_a_slope_are_refused():
    assert parse([]).steps == 10_000
    with pytest.raises(ValueError, match="--steps: expected at least 40, got 3"):
        run(["--steps", "3"])
