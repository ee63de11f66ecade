"""What a start consists of is told in shares of the least times."""

import os

import pytest
from ros_presence import require_ros

require_ros()

from pan3d_tools.bench.ros.start import import_seconds, shares  # noqa: E402


def test_shares_are_of_the_processor_time_until_the_first_result():
    made = shares([(2.0, 4.0), (2.5, 3.5)], [(9.0, 7.0), (8.0, 8.0)])
    assert made["first_result_s"] == 8.0 and made["first_result_cpu_s"] == 7.0 and made["import_cpu_s"] == 3.5
    assert made["share_of_imports"] == pytest.approx(0.5) and made["share_of_torch"] == pytest.approx(2 / 7)


def test_importing_the_node_is_little_more_than_what_it_stands_on():
    torch_s, import_s = import_seconds(os.environ)
    assert 0.0 < torch_s < import_s
