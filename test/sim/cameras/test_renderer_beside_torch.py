"""The renderer and torch's compiler in one process."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
from pan3d_sim.cell.robot_cell import RobotCell
with RobotCell(0, num_objects=1, num_cameras=1, width=64, height=64) as cell:
    cell.views()
    import torch._dynamo
    cell.views()
"""


@pytest.mark.slow
def test_torchs_compiler_can_be_loaded_after_rendering():
    pytest.importorskip("mujoco")
    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr[-2000:]
