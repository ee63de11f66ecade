"""A suction cup under physics: what seals is lifted and shaken, what leaks, peels off or is too heavy is not."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pan3d_core.config import GripperConfig, SuctionConfig
from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.structures import GraspTarget
from pan3d_sim.cell.grasp_trial import GraspTrials
from pan3d_sim.cell.grippers import hand_of
from pan3d_sim.cell.hand import HandSpec
from pan3d_sim.cell.robot_cell import CellConfig, RobotCell
from pan3d_sim.objects.kinds import sample_object

CUP = hand_of(GripperConfig(kind="suction"))
CONFIG = CellConfig(width=64, height=48, num_cameras=1, hand=CUP)


def cell_with(kind, seed=1, **changes):
    return RobotCell(seed, CONFIG, objects=[sample_object(np.random.default_rng(seed), kind)], **changes)


def top_of(cell, aside_m=0.0):
    """Straight down on the highest point above the middle of the object, or beside it along its longer side."""
    pose = cell.world_from_object(0)
    vertices = cell.objects[0].vertices @ pose[:3, :3].T + pose[:3, 3]
    middle = (vertices.min(0) + vertices.max(0)) / 2
    middle[int(np.ptp(vertices, axis=0)[:2].argmax())] += aside_m
    world_from_grasp = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
    world_from_grasp[:3, 3] = torch.tensor([*middle[:2], vertices[:, 2].max() + 0.001])
    return GraspTarget(
        1, -1, 1.0, world_from_grasp, 0.0, 0.10, OrientedBox(torch.eye(4), torch.full((3,), 0.05)), kind="suction"
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["can", "book"])
def test_flat_tops_are_lifted_and_held_through_the_shake(kind):
    with cell_with(kind) as cell:
        result = GraspTrials(cell).execute(top_of(cell), target=0)
    assert result.failure == "none" and result.lifted and result.details["clean"] == 1.0
    assert result.details["rise_m"] > 0.15 and result.details["slip_m"] < 0.01


def test_what_is_hollow_or_too_narrow_does_not_seal():
    with cell_with("mug") as cell:
        assert GraspTrials(cell).execute(top_of(cell), target=0).failure == "missed"  # the lip is over the opening
    with cell_with("block") as cell:
        wide = np.ptp(cell.objects[0].vertices, axis=0)[:2].max() / 2
        assert GraspTrials(cell).execute(top_of(cell, wide - 0.005), target=0).failure == "missed"  # over the edge
    with cell_with("banana", hand=replace(CUP, give_m=0.0003)) as cell:
        assert GraspTrials(cell).execute(top_of(cell), target=0).failure == "missed"


def test_too_little_vacuum_lets_go():
    with cell_with("box", hand=replace(CUP, pressure_pa=1500.0)) as cell:
        result = GraspTrials(cell).execute(top_of(cell), target=0)
    assert result.failure == "slipped" and not result.lifted


def test_a_lever_peels_the_lip_off():
    with cell_with("book", hand=replace(CUP, pressure_pa=20_000.0)) as cell:
        long = np.ptp(cell.objects[0].vertices, axis=0)[:2].max() / 2
        middle, end = (GraspTrials(cell).execute(top_of(cell, aside), target=0) for aside in (0.0, long - 0.025))
    assert middle.lifted and not end.lifted and end.failure == "slipped"


def test_results_repeat_and_leave_the_cell_as_it_was():
    with cell_with("can") as cell:
        start, trials = cell.save(), GraspTrials(cell)
        first = trials.execute(top_of(cell), target=0)
        np.testing.assert_array_equal(cell.save().physics, start.physics)
        assert trials.execute(top_of(cell), target=0).details == first.details


def test_what_a_cup_holds_is_a_matter_of_directions():
    with cell_with("can") as cell:
        hand, down = cell.hand, np.array([0.0, 0.0, -1.0])
        vacuum = hand.spec.vacuum_n
    assert vacuum == pytest.approx(50_000 * np.pi * 0.015**2)
    none, up = np.zeros(3), np.array([0.0, 0.0, 1.0])
    assert hand.load(down, up * vacuum, none) == np.inf  # pulled off
    assert hand.load(down, up * 0.5 * vacuum, none) == 0.0
    assert hand.load(down, np.array([0.5 * vacuum, 0.0, 0.0]), none) == pytest.approx(1.0)  # shear, at friction 0.5
    assert hand.load(down, none, np.array([0.0, 0.015 * vacuum / 2, 0.0])) == pytest.approx(1.0)  # one side lifts off
    assert hand.load(down, none, up * (2 / 3) * 0.015 * 0.5 * vacuum) == pytest.approx(1.0)  # twist
    assert hand.load(down, none - up * vacuum, np.array([0.0, 0.015 * vacuum, 0.0])) == pytest.approx(1.0)  # pressed on


def test_the_hand_has_the_shape_of_the_gripper():
    hand = hand_of(GripperConfig(max_width_m=0.14, palm_width_m=0.2))
    assert hand == HandSpec(opening_m=0.14, palm_size_m=(0.2, 0.04, 0.04))
    cup = hand_of(GripperConfig(kind="suction", suction=SuctionConfig(radius_m=0.01, pressure_kpa=70.0)))
    assert cup == replace(CUP, radius_m=0.01, pressure_pa=70_000.0)
    with pytest.raises(ValueError, match="GripperConfig.kind: expected one of parallel, suction, got 'magnet'"):
        GripperConfig(kind="magnet")


def test_a_grasp_for_another_hand_is_refused():
    with cell_with("can") as cell:
        grasp = replace(top_of(cell), kind="parallel")
        with pytest.raises(ValueError, match=r"grasp.kind: expected suction, as the hand is, got parallel"):
            GraspTrials(cell).execute(grasp, target=0)
    with cell_with("can", hand=HandSpec()) as cell, pytest.raises(ValueError, match="expected parallel, as the hand is"):
        GraspTrials(cell).execute(top_of(cell), target=0)
