"""A perception that has ended is tried again with growing delays, and not for ever where a limit is set."""

import pytest

from pan3d_ros.parameters.node_config import RecoveryConfig
from pan3d_ros.processing.recovery import Recovery


class Clock:
    def __init__(self):
        self.now_s = 100.0

    def __call__(self):
        return self.now_s


def delay_s(recovery, clock):
    started_s = clock.now_s
    while not recovery.due:
        clock.now_s += 0.25
        assert clock.now_s < started_s + 1000
    return clock.now_s - started_s


def test_delays_grow_by_the_factor_up_to_the_maximum():
    clock = Clock()
    recovery, config = Recovery(clock), RecoveryConfig(initial_delay_s=1.0, factor=3.0, max_delay_s=10.0)
    delays_s = []
    for _ in range(5):
        recovery.failed(config)
        delays_s.append(delay_s(recovery, clock))
    assert delays_s == [1.0, 3.0, 9.0, 10.0, 10.0]


def test_results_since_the_last_attempt_make_the_delays_begin_anew():
    clock = Clock()
    recovery, config = Recovery(clock), RecoveryConfig(initial_delay_s=1.0, factor=4.0, max_attempts=2)
    recovery.failed(config)
    recovery.failed(config)
    recovery.failed(config, worked=True)
    assert delay_s(recovery, clock) == 1.0


def test_the_number_of_attempts_can_be_limited():
    clock = Clock()
    recovery, config = Recovery(clock), RecoveryConfig(max_attempts=2)
    for _ in range(2):
        recovery.failed(config)
        assert "trying again" in recovery.words()
    recovery.failed(config)
    clock.now_s += 1e6
    assert not recovery.due
    assert recovery.words() == "failed, and given up after 2 attempts; configure the node to try again"


def test_nothing_is_planned_before_a_failure_after_cancelling_and_where_it_is_switched_off():
    clock = Clock()
    recovery = Recovery(clock)
    assert not recovery.due and recovery.words() == ""
    recovery.failed(RecoveryConfig())
    recovery.cancel()
    clock.now_s += 1e6
    assert not recovery.due and recovery.words() == ""
    recovery.failed(RecoveryConfig(enabled=False))
    clock.now_s += 1e6
    assert not recovery.due and recovery.words() == ""


def test_the_words_count_down():
    clock = Clock()
    recovery = Recovery(clock)
    recovery.failed(RecoveryConfig(initial_delay_s=8.0))
    assert recovery.words() == "failed, trying again in 8 s (attempt 1)"
    clock.now_s += 5.0
    assert recovery.words() == "failed, trying again in 3 s (attempt 1)"
    assert not recovery.due


def test_years_of_attempts_do_not_overflow():
    recovery, config = Recovery(Clock()), RecoveryConfig(factor=10.0)
    for _ in range(2000):
        recovery.failed(config)
    assert recovery.words().startswith(f"failed, trying again in {config.max_delay_s:.0f} s")


@pytest.mark.parametrize("wrong", [{"factor": 0.5}, {"initial_delay_s": 0.0}, {"max_attempts": -1}, {"max_failures": 0}])
def test_settings_that_would_spin_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        RecoveryConfig(**wrong)
