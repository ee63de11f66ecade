"""What dropped images cost is worked out from cameras of two speeds that take turns."""

import pytest
from ros_presence import require_ros

require_ros()

from pan3d_tools.bench.ros.fast import comparison  # noqa: E402
from pan3d_tools.bench.ros.refine import Phase  # noqa: E402


def test_dropped_images_cost_what_fast_cameras_take_more_for_each_second():
    used = [Phase(10.0, (0.5,) * 10, (0.9,) * 10, cpu_s=6.0), Phase(10.0, (0.5,) * 10, (0.9,) * 10, cpu_s=5.0)]
    dropped = [Phase(10.0, (0.5,) * 10, (0.9,) * 10, cpu_s=6.4), Phase(20.0, (0.5,) * 10, (0.9,) * 10, cpu_s=11.2)]
    free = Phase(5.0, (0.48,) * 10, (0.9,) * 10, cpu_s=5.0)
    made = comparison(used, dropped, free)
    assert made["cores_for_dropped_images"] == pytest.approx(0.05)  # between 0.04 and 0.06
    assert made["results_per_s_limited"] == pytest.approx(0.75)
    assert made["results_per_s_free"] == pytest.approx(2.0) and made["busy_share_free"] == pytest.approx(0.96)
