"""The search for the highest sustained rate, and its figures, on trials that are worked out by hand."""

import json

import pytest

from pan3d_tools.bench.ros.sustained import (
    RateSearch,
    Trial,
    concluded,
    highest_sustained,
    is_sustained,
    performance,
    report_of,
    resources,
)

MS = 1_000_000


def graph(limit_hz: float, delay_ms: int = 40):
    """A graph that drops what comes faster than its limit, and what it was asked so far."""
    asked = []

    def play(rate_hz: float, count: int) -> Trial:
        asked.append(rate_hz)
        sent = {index: round(index * 1e9 / rate_hz) for index in range(count)}
        share, kept = min(1.0, limit_hz / rate_hz), {}
        for index, at in sent.items():
            if int((index + 1) * share) > int(index * share):
                kept[index] = at + delay_ms * MS
        return Trial(sent, kept)

    return play, asked


@pytest.mark.parametrize("limit_hz", [0.8, 3.3, 7.0, 12.2])
def test_the_highest_sustained_rate_is_found_within_a_step_and_the_loss_that_is_allowed(limit_hz):
    search = RateSearch(lower_hz=0.5, upper_hz=20.0)
    play, asked = graph(limit_hz)
    found = highest_sustained(play, search)
    assert limit_hz - search.step_hz <= found <= limit_hz * 1.06 + search.rate_drop_hz
    assert asked[0] == 10.25 and asked[1] == 0.5  # a trial to warm up, then the lowest
    assert len(asked) < 12


def test_a_graph_that_is_faster_than_the_range_gets_its_upper_end_and_one_that_is_slower_is_told():
    search = RateSearch(lower_hz=2.0, upper_hz=10.0)
    assert 9.0 < highest_sustained(graph(1000.0)[0], search) <= 10.0
    with pytest.raises(RuntimeError, match="not even 2 Hz are sustained"):
        highest_sustained(graph(0.5)[0], search)
    with pytest.raises(RuntimeError, match="not even 2 Hz are sustained"):
        highest_sustained(lambda rate_hz, count: Trial({0: 0, 1: MS}, {}), search)


def test_one_frame_in_twenty_may_be_lost():
    sent = {index: index * 100 * MS for index in range(40)}
    search = RateSearch()
    for lost, sustained in ((0, True), (2, True), (3, False)):
        received = {index: at + 30 * MS for index, at in sent.items() if index >= lost}
        assert is_sustained(Trial(sent, received), search) is sustained


def test_figures_of_a_trial():
    trial = Trial({1: 0, 2: 100 * MS, 3: 200 * MS, 4: 300 * MS}, {1: 50 * MS, 2: 160 * MS, 4: 350 * MS})
    made = performance(trial)
    assert (made["NUM_FRAMES_SENT"], made["NUM_MISSED_FRAMES"]) == (4, 1)
    assert made["MEAN_PLAYBACK_FRAME_RATE"] == pytest.approx(4 / 0.3)
    assert made["RECEIVED_DURATION"] == pytest.approx(300) and made["MEAN_FRAME_RATE"] == pytest.approx(10)
    assert (made["FIRST_SENT_RECEIVED_LATENCY"], made["LAST_SENT_RECEIVED_LATENCY"]) == pytest.approx((50, 50))
    assert (made["FIRST_INPUT_LATENCY"], made["LAST_INPUT_LATENCY"], made["MAX_LATENCY"]) == pytest.approx((50, 50, 60))
    assert made["MEAN_LATENCY"] == pytest.approx(160 / 3) and made["MEAN_JITTER"] == pytest.approx(80)
    assert "MEAN_JITTER" not in performance(Trial(trial.sent_ns, {1: 50 * MS, 2: 160 * MS}))


def test_of_several_trials_the_best_and_the_worst_are_left_out():
    trials = [{"MEAN_LATENCY": value, "MAX_JITTER": value, "MIN_JITTER": value} for value in (9.0, 1.0, 2.0, 3.0, 100.0)]
    trials[0]["SOMETIMES"] = 1.0
    assert concluded(trials) == pytest.approx({"MEAN_LATENCY": 14 / 3, "MAX_JITTER": 9.0, "MIN_JITTER": 2.0})
    assert concluded(trials[1:3])["MEAN_LATENCY"] == pytest.approx(1.5)


def test_the_report_has_the_keys_of_ros2_benchmark():
    play, _ = graph(100.0)
    trials = [play(10.0, 50) for _ in range(3)]
    loaded = [Trial(trial.sent_ns, trial.received_ns, (20.0, 40.0), (50.0, 50.0)) for trial in trials]
    idle = Trial({}, {}, (4.0, 6.0), (48.0, 48.0))
    assert resources(loaded[0], idle)["STDDEV_OVERALL_CPU_UTILIZATION"] == pytest.approx(10.0)
    report = report_of(loaded, idle, {"cameras": 4}, {"NAME": "graph", "PEAK_THROUGHPUT_PREDICTION": 10.0})
    assert json.loads(json.dumps(report)) == report
    assert report["BasicPerformanceMetrics.NUM_MISSED_FRAMES"] == 0
    assert report["ResourceMetrics.BASELINE_OVERALL_CPU_UTILIZATION"] == pytest.approx(5.0)
    assert report["ResourceMetrics.MEAN_HOST_MEMORY_UTILIZATION"] == pytest.approx(50.0)
    assert report["custom"] == {"cameras": 4} and report["metadata"]["BenchmarkMetadata.PEAK_THROUGHPUT_PREDICTION"] == 10.0
    # Of the programs' own report of a graph, without what needs a GPU.
    theirs = {"RECEIVED_DURATION", "MEAN_PLAYBACK_FRAME_RATE", "MEAN_FRAME_RATE", "NUM_MISSED_FRAMES", "NUM_FRAMES_SENT"}
    theirs |= {"FIRST_SENT_RECEIVED_LATENCY", "LAST_SENT_RECEIVED_LATENCY"}
    theirs |= {"MAX_JITTER", "MIN_JITTER", "MEAN_JITTER", "STD_DEV_JITTER"}
    assert {f"BasicPerformanceMetrics.{name}" for name in theirs} <= set(report)


def test_a_range_that_is_none_is_refused():
    with pytest.raises(ValueError, match="expected 0 < lower < upper, got 5 and 5 Hz"):
        RateSearch(lower_hz=5.0, upper_hz=5.0)
    with pytest.raises(ValueError, match="expected more than 0"):
        RateSearch(trials=0)
