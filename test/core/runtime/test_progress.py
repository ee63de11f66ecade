"""What takes long is told to other threads, and nothing once it has ended."""

import threading

import pytest

from pan3d_core.runtime.progress import current_step, step


def test_the_innermost_step_is_told():
    assert current_step() is None
    with step("loading"):
        with step("building"):
            assert current_step().words == "building" and 0 <= current_step().seconds < 5
        assert str(current_step()) == "loading, for 0 s now"
    assert current_step() is None


def test_a_step_that_failed_has_ended():
    with pytest.raises(ValueError), step("building"):
        raise ValueError
    assert current_step() is None


def test_steps_of_several_threads_end_each_for_itself():
    begun, ended = threading.Event(), threading.Event()

    def other():
        with step("building"):
            begun.set()
            ended.wait(10)

    thread = threading.Thread(target=other)
    with step("building"):
        thread.start()
        begun.wait(10)
    assert current_step().words == "building"
    ended.set()
    thread.join()
    assert current_step() is None
