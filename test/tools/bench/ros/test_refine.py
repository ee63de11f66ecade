"""What perception loses beside a refinement is worked out from phases that take turns."""

import os
import subprocess
import sys
import time

import pytest
from ros_presence import require_ros

require_ros()

from pan3d_tools.bench.ros.refine import Phase, children_of, comparison, processor_seconds  # noqa: E402


def test_rates_are_of_all_rounds_together_and_ratios_of_neighbouring_phases():
    alone = [Phase(5.0, (0.5,) * 10, (0.9,) * 10, cpu_s=4.0) for _ in range(3)]
    beside = [
        Phase(seconds, (0.7,) * 10, (1.2,) * 10, cpu_s=6.0, steps=steps) for seconds, steps in ((10.0, 4), (6.0, 12), (8.0, 8))
    ]
    made = comparison(alone, beside)
    assert made["alone"]["results_per_s"] == pytest.approx(2.0)
    assert made["beside"]["results_per_s"] == pytest.approx(30 / 24)
    assert made["beside"]["steps_per_s"] == pytest.approx(1.0)
    assert made["rate_ratio"] == pytest.approx(5 / 8)  # the middle one
    assert made["rate_ratio_of_rounds"] == pytest.approx([0.5, 5 / 6, 5 / 8])
    assert made["alone"]["cpu_ms_per_result"] == pytest.approx(400.0) and made["cpu_ratio"] == pytest.approx(1.5)
    assert made["process_time_ratio"] == pytest.approx(0.7 / 0.5)
    assert made["alone"]["stamp_to_published_ms"]["p50"] == pytest.approx(900.0)


def test_processor_time_of_a_process_is_what_it_has_worked():
    before, own = processor_seconds(os.getpid()), time.process_time()
    while time.process_time() - own < 0.3:
        pass
    assert 0.25 <= processor_seconds(os.getpid()) - before <= 0.5


def test_children_are_told_by_parent_and_module():
    child = subprocess.Popen([sys.executable, "-m", "timeit", "-n", "1", "import time; time.sleep(60)"])
    try:
        assert children_of(os.getpid(), "timeit") == [child.pid]
        assert children_of(os.getpid(), "pan3d_ros.refinement.process") == []
        assert children_of(child.pid, "timeit") == []
    finally:
        child.kill()
        child.wait()
