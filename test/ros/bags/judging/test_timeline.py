"""What a worker would have delivered, and the figures of it, by hand and against a step-by-step simulation."""

import random

import numpy as np
import pytest

from pan3d_ros.bags.judging.figures import memory_figures, percentiles, performance, stage_figures
from pan3d_ros.bags.judging.timeline import FormedSet, simulate_worker
from pan3d_ros.parameters.node_config import InputConfig

MS = 1_000_000
FREE = InputConfig(max_rate_hz=0.0, max_image_age_s=0.0)


def formed(ready_ms, busy_ms, delay_ms=10, lost=""):
    return FormedSet(ready_ms * MS, (ready_ms - delay_ms) * MS, busy_ms * 1e-3, lost)


def test_a_busy_worker_takes_the_newest():
    timeline = simulate_worker([formed(t, 250) for t in (0, 100, 200, 300)], FREE)
    # The first is done at 250; then the third, which replaced the second, until 500; then the fourth until 750.
    assert [(item.index, item.done_ns // MS) for item in timeline.deliveries] == [(0, 250), (2, 500), (3, 750)]
    assert [round(item.age_s * 1e3) for item in timeline.deliveries] == [260, 310, 460]
    assert timeline.lost == {"replaced": 1}


def test_an_idle_worker_takes_all():
    timeline = simulate_worker([formed(t, 40) for t in range(0, 1000, 100)], FREE)
    assert len(timeline.deliveries) == 10 and timeline.lost == {}
    assert {round(item.age_s * 1e3) for item in timeline.deliveries} == {50}


def test_rules_of_the_node():
    sets = [formed(t, 10) for t in (0, 100, 250, 300)]
    limited = simulate_worker(sets, InputConfig(max_rate_hz=5.0, max_image_age_s=0.0))
    assert [item.index for item in limited.deliveries] == [0, 2] and limited.lost == {"rate_limit": 2}
    old = simulate_worker([formed(0, 900), formed(10, 10), formed(1000, 10)], InputConfig(max_rate_hz=0.0, max_image_age_s=0.5))
    assert [item.index for item in old.deliveries] == [0, 2] and old.lost == {"stale": 1}
    failed = simulate_worker([formed(0, 5), formed(100, 5, lost="front: transform")], FREE)
    assert len(failed.deliveries) == 1 and failed.lost == {"front: transform": 1}


def stepped(sets):
    """The same worker, millisecond by millisecond."""
    done, waiting, working, replaced = [], None, None, 0
    for now in range(0, 100_000):
        if working is not None and now >= working[1]:
            done.append(working[0])
            working = None
        # What waited begins before what comes now is seen.
        if working is None and waiting is not None:
            working, waiting = (waiting, now + round(sets[waiting].busy_s * 1e3)), None
        for index, item in enumerate(sets):
            if item.ready_ns == now * MS:
                if working is None:
                    working = index, now + round(item.busy_s * 1e3)
                else:
                    replaced += waiting is not None
                    waiting = index
        if now * MS > sets[-1].ready_ns and working is None and waiting is None:
            break
    return done, replaced


@pytest.mark.parametrize("seed", range(20))
def test_against_a_simulation_in_steps(seed):
    generator = random.Random(seed)
    times = sorted(generator.sample(range(0, 800), 25))
    sets = [formed(t, generator.randrange(1, 90)) for t in times]
    timeline = simulate_worker(sets, FREE)
    done, replaced = stepped(sets)
    assert [item.index for item in timeline.deliveries] == done
    assert timeline.lost.get("replaced", 0) == replaced
    assert len(done) + replaced == len(sets)


def test_metrics_of_ros2_benchmark():
    sets = [formed(t, 250) for t in (10, 110, 210, 310)]
    figures = performance(sets, simulate_worker(sets, FREE))
    keyed = figures.keyed()
    expected = {
        "NUM_FRAMES_SENT": 4,
        "NUM_MISSED_FRAMES": 1,
        "MEAN_PLAYBACK_FRAME_RATE": 4 / 0.3,
        "MEAN_FRAME_RATE": 3 / 0.5,
        "RECEIVED_DURATION": 500.0,
        "FIRST_SENT_RECEIVED_LATENCY": 260.0,
        "LAST_SENT_RECEIVED_LATENCY": 460.0,
        "FIRST_INPUT_LATENCY": 260.0,
        "LAST_INPUT_LATENCY": 460.0,
        "MAX_LATENCY": 460.0,
        "MIN_LATENCY": 260.0,
        "MEAN_LATENCY": (260 + 310 + 460) / 3,
        "MAX_JITTER": 0.0,
        "MIN_JITTER": 0.0,
        "MEAN_JITTER": 0.0,
        "STD_DEV_JITTER": 0.0,
    }
    for name, value in expected.items():
        assert keyed[f"BasicPerformanceMetrics.{name}"] == pytest.approx(value, abs=1e-6), name
    assert keyed["pan3d.AGE_P50"] == pytest.approx(310.0)


def test_nothing_to_measure():
    empty = performance([], simulate_worker([], FREE))
    assert empty.metrics == {"NUM_FRAMES_SENT": 0.0, "NUM_MISSED_FRAMES": 0.0} and empty.ages_ms == {}
    assert percentiles([]) == {} and memory_figures([]) == {}


def test_stages_and_memory():
    assert stage_figures({"engine": [0.001 * value for value in range(101)]}) == {
        "engine": pytest.approx({"p50": 50.0, "p90": 90.0, "p99": 99.0})
    }
    # 200 MB more while caches fill, then 3 MB per minute.
    samples = [(float(t), 500.0 + 20 * min(t, 10) + 0.05 * t) for t in range(60)]
    figures = memory_figures(samples)
    assert figures["resident memory, slope (MB per minute)"] == pytest.approx(3.0)
    assert figures["resident memory, highest (MB)"] == pytest.approx(700 + 0.05 * 59)
    assert "resident memory, slope (MB per minute)" not in memory_figures(samples[:8])
    assert np.isfinite(list(figures.values())).all()
