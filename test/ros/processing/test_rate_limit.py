"""The rate limit lets a source of the allowed rate pass in spite of jitter, and faster ones at that rate."""

import numpy as np
import pytest

from pan3d_ros.processing.rate_limit import RateLimit


def granted(times_s, rate_hz=5.0):
    limit = RateLimit()
    return [limit.take(float(time), rate_hz) for time in times_s]


def test_a_source_at_the_limit_passes_with_its_jitter():
    jitter = np.random.default_rng(0).uniform(-0.02, 0.02, 200)
    assert all(granted(np.arange(200) * 0.2 + jitter))


@pytest.mark.parametrize("source_hz", [5.5, 9.0, 15.0, 30.0, 100.0])
def test_a_faster_source_is_cut_to_the_limit(source_hz):
    times = np.arange(int(60 * source_hz)) / source_hz
    assert 0.6 * 5 * 60 < sum(granted(times)) <= 5 * 60 + 1


def test_a_pause_earns_no_burst():
    assert granted([0.0, 10.0, 10.05, 10.1, 10.16, 10.21]) == [True, True, False, False, True, False]


def test_zero_means_no_limit():
    assert all(granted([0.0, 0.0, 0.001], rate_hz=0.0))
