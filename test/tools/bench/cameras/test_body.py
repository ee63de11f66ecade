"""`pan3d bench body`: what is counted, and that the robot goes while objects stay."""

import pytest
import torch

from pan3d_core.body import RobotBody, parse_urdf
from pan3d_sim.arm import ARM, urdf_text
from pan3d_tools.bench.cameras.body import ARM_LABEL, _counted, _shares, judged_alone, parse, shots_of


def test_pixels_are_counted_by_what_they_show():
    labels = torch.tensor([ARM_LABEL, ARM_LABEL, 0.5, 1.5, 2.5, 1.5])
    taken = torch.tensor([True, False, True, True, False, False])
    counted = torch.tensor([True, True, True, True, True, False])
    assert _shares(_counted(taken, labels, counted)) == {"arm_taken_out": 0.5, "objects_lost": 0.5}


def test_the_arm_goes_and_objects_stay():
    shots = list(shots_of(parse(["--scenes", "1", "--poses", "2", "--sensor", "exact"])))
    assert shots and len(shots[0].views) == 5  # one on the wrist
    body = RobotBody(parse_urdf(urdf_text(ARM)))
    found = judged_alone(body, shots, 0.01)
    assert found["arm_taken_out"] > 0.99 and found["objects_lost"] < 0.01
    late = judged_alone(body, shots, 0.01, late_s=0.3)
    assert late["arm_taken_out"] < found["arm_taken_out"]
    assert judged_alone(body, shots, 0.0)["arm_taken_out"] == pytest.approx(found["arm_taken_out"], abs=0.2)
