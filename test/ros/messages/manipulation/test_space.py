"""Space and obstacles as clouds and maps."""

import runpy
import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from places import ROOT

from pan3d_core.memory import Space, SpaceGrid
from pan3d_ros.messages.manipulation import space
from pan3d_ros.messages.manipulation.space import occupancy_grid, space_cloud
from pan3d_ros.messages.parts import header
from pan3d_ros.platform.cloud_stand_ins import read_points

HEADER = header("base_link", 5)


@pytest.fixture
def grid():
    states = torch.full((3, 2, 4), int(Space.FREE))
    states[0, 0, 1] = int(Space.OCCUPIED)
    states[1, 1, 2] = int(Space.UNKNOWN)
    states[2, 0, 0] = int(Space.OCCUPIED)  # the support itself
    return SpaceGrid(torch.tensor([1.0, 2.0, -0.1]), 0.1, states)


def test_every_cell_is_a_point_with_its_state(grid):
    message = space_cloud(grid, HEADER)
    assert [field.name for field in message.fields] == ["x", "y", "z", "state"] and message.point_step == 16 and message.is_dense
    points = read_points(message).reshape(-1)
    assert len(points) == 24 and (points["state"] == 1).sum() == 21
    (place,) = points[points["state"] == 0]
    np.testing.assert_allclose([place["x"], place["y"], place["z"]], [1.15, 2.15, 0.15], atol=1e-6)


def test_the_map_shows_the_worst_of_each_column_above_the_support(grid):
    message = occupancy_grid(grid, 0.0, 0.25, HEADER)
    assert (message.info.width, message.info.height, message.info.resolution) == (3, 2, pytest.approx(0.1))
    np.testing.assert_allclose(
        [message.info.origin.position.x, message.info.origin.position.y, message.info.origin.position.z],
        [1.0, 2.0, 0.0],
        atol=1e-6,
    )
    assert np.array(message.data).reshape(2, 3).tolist() == [[100, 0, 0], [0, -1, 0]]
    assert np.array(occupancy_grid(grid, 0.2, 0.25, HEADER).data).reshape(2, 3).tolist() == [[0, 0, 0], [0, 0, 0]]


def test_clouds_are_made_without_sensor_msgs_py_which_refuses_records_that_end_in_padding(monkeypatch, grid):
    def refuses(header, fields, points):
        raise AssertionError("PointFields and structured NumPy array dtype do not match for all fields!")

    monkeypatch.setitem(sys.modules, "sensor_msgs_py", ModuleType("sensor_msgs_py"))
    real = ModuleType("sensor_msgs_py.point_cloud2")
    real.create_cloud, real.read_points = refuses, None
    monkeypatch.setitem(sys.modules, "sensor_msgs_py.point_cloud2", real)
    place = ROOT / "pan3d_ros" / "platform" / "cloud_stand_ins.py"
    monkeypatch.setattr(space, "create_cloud", runpy.run_path(str(place))["create_cloud"])
    assert space_cloud(grid, HEADER).width == 24
