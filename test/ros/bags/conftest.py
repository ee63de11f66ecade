"""Bags of the cell that several tests read; skipped where rosbags or the simulator is not installed."""

import pytest

pytest.importorskip("rosbags", reason="needs the extra bags")


def recorded(folder, name, **changes):
    """A small bag of the cell: two fixed cameras and the wrist, four sets a second apart."""
    cell = pytest.importorskip("pan3d_sim.cell.robot_cell", reason="needs the extra sim")
    from pan3d_sim.data.recording import RecordingConfig, record

    config = RecordingConfig(**{"seconds": 4.0, "rate_hz": 1.0, "tf_rate_hz": 50.0} | changes)
    with cell.RobotCell(3, num_cameras=2, num_objects=3, width=160, height=120) as robot_cell:
        record(folder / name, robot_cell, config)
    return folder / name


@pytest.fixture(scope="session")
def record_cell():
    return recorded


@pytest.fixture(scope="session")
def cell_bag(tmp_path_factory):
    return recorded(tmp_path_factory.mktemp("bags"), "cell")
