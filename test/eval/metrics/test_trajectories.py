import json
import math

import pytest
import torch
from places import DATA

from pan3d_core.geometry.transforms import invert_rigid, look_at, rigid
from pan3d_eval.metrics.trajectories import absolute_trajectory_error, relative_pose_error


def about_z(angle_deg: float) -> torch.Tensor:
    angle = math.radians(angle_deg)
    cos, sin = math.cos(angle), math.sin(angle)
    return torch.tensor([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)


def at(*centers) -> torch.Tensor:
    """Cameras without rotation, at these centres."""
    return invert_rigid(torch.stack([rigid(torch.eye(3).double(), torch.tensor(c, dtype=torch.float64)) for c in centers]))


@pytest.fixture
def path() -> torch.Tensor:
    eyes = [torch.tensor([math.cos(k / 3), math.sin(k / 3), 0.5 + 0.05 * k], dtype=torch.float64) for k in range(8)]
    return torch.stack([look_at(eye, torch.zeros(3).double()) for eye in eyes])


def test_only_what_no_similarity_explains_is_an_error(path):
    moved = path @ rigid(about_z(70.0), torch.tensor([1.0, 2.0, 3.0]).double())
    moved[:, :3, 3] *= 0.4
    result = absolute_trajectory_error(moved, path)
    assert result.center_m.rmse < 1e-9 and result.world_from_predicted.scale == pytest.approx(2.5)
    assert absolute_trajectory_error(moved, path, "rigid").center_m.rmse > 0.1
    assert (
        absolute_trajectory_error(moved, path, "none").center_m.rmse
        > absolute_trajectory_error(moved, path, "rigid").center_m.rmse
    )


def test_known_distances_without_a_fit():
    truth = at((0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    off = at((0.0, 0.0, 0.0), (1.0, 0.0, 0.1), (0.0, 1.0, 0.2), (0.3, 0.0, 1.0))
    errors = absolute_trajectory_error(off, truth, "none").center_m
    assert errors.rmse == pytest.approx(math.sqrt((0.01 + 0.04 + 0.09) / 4))
    assert errors.mean == pytest.approx(0.15) and errors.median == pytest.approx(0.15) and errors.largest == pytest.approx(0.3)


def test_fit_by_hand():
    # A square, predicted twice as large with one corner lifted by 4 h: the best plane lifts by +-h, the size is halved.
    truth = at((1.0, 1.0, 0.0), (-1.0, 1.0, 0.0), (-1.0, -1.0, 0.0), (1.0, -1.0, 0.0))
    lifted = at((2.0, 2.0, 0.1), (-2.0, 2.0, -0.1), (-2.0, -2.0, 0.1), (2.0, -2.0, -0.1))
    result = absolute_trajectory_error(lifted, truth)
    scale = 16.0 / (32.0 + 4 * 0.01)  # tr(truth predicted^T) / |predicted|^2; the twist is orthogonal to the square
    assert result.world_from_predicted.scale == pytest.approx(scale)
    assert result.center_m.rmse == pytest.approx(math.sqrt(2 * (2 * scale - 1) ** 2 + (0.1 * scale) ** 2))


def test_steps_by_hand(path):
    turned = path.clone()
    turned[4] = rigid(about_z(6.0), torch.zeros(3).double()) @ path[4]  # both steps that touch it are off by 6 degrees
    errors = relative_pose_error(turned, path)
    assert errors.rotation_deg.mean == pytest.approx(2 * 6.0 / 7) and errors.rotation_deg.largest == pytest.approx(6.0)
    straight, longer = at(*[(0.1 * k, 0.0, 0.0) for k in range(5)]), at(*[(0.12 * k, 0.0, 0.0) for k in range(5)])
    assert relative_pose_error(longer, straight).translation_m.rmse == pytest.approx(0.02)
    assert relative_pose_error(longer, straight, delta=3).translation_m.rmse == pytest.approx(0.06)
    assert relative_pose_error(longer, straight, scale=1 / 1.2).translation_m.rmse == pytest.approx(0.0, abs=1e-12)


def test_steps_do_not_depend_on_the_world_frame(path):
    moved = path @ rigid(about_z(40.0), torch.tensor([3.0, 0.0, 1.0]).double())
    errors = relative_pose_error(moved, path)
    assert errors.translation_m.rmse < 1e-12 and errors.rotation_deg.rmse < 1e-5


@pytest.mark.parametrize("seed", range(3))
def test_order_and_repetition_of_cameras_have_no_influence_on_the_path_error(path, seed):
    generator = torch.Generator().manual_seed(seed)
    predicted = path.clone()
    predicted[:, :3, 3] += 0.05 * torch.randn(8, 3, generator=generator).double()
    expected = absolute_trajectory_error(predicted, path).center_m.rmse
    order = torch.randperm(8, generator=generator)
    assert absolute_trajectory_error(predicted[order], path[order]).center_m.rmse == pytest.approx(expected)
    twice = torch.cat([predicted, predicted]), torch.cat([path, path])
    assert absolute_trajectory_error(*twice).center_m.rmse == pytest.approx(expected)


def test_what_leaves_the_fit_open_is_undefined(path):
    line = at((0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (2.0, 0.0, 0.0))
    for cameras in (path[:2], line, path[:0], path[[0, 0, 0]]):
        result = absolute_trajectory_error(cameras, cameras)
        assert math.isnan(result.center_m.rmse) and result.world_from_predicted is None
    assert absolute_trajectory_error(line, line, "none").center_m.rmse == 0.0
    assert math.isnan(relative_pose_error(path[:1], path[:1]).translation_m.rmse)


STORED = DATA / "evaluation" / "evo_trajectories.json"  # evo 1.38.1, all pairs for the steps
FIELDS = {"rmse": "rmse", "mean": "mean", "median": "median", "largest": "max"}


@pytest.mark.parametrize("index", range(2))
def test_stored_figures_of_evo(index):
    stored = json.loads(STORED.read_text(encoding="utf-8"))[index]
    predicted, truth = (invert_rigid(torch.tensor(stored[name], dtype=torch.float64)) for name in ("pred", "true"))
    for alignment in ("similarity", "rigid", "none"):
        result = absolute_trajectory_error(predicted, truth, alignment)
        assert result.world_from_predicted.scale == pytest.approx(stored[alignment]["scale"], abs=1e-6)
        for ours, theirs in FIELDS.items():
            assert getattr(result.center_m, ours) == pytest.approx(stored[alignment][theirs], abs=1e-6)
    scale = absolute_trajectory_error(predicted, truth).world_from_predicted.scale
    for delta in (1, 3):
        steps = relative_pose_error(predicted, truth, delta, scale)
        for ours, theirs in FIELDS.items():
            assert getattr(steps.translation_m, ours) == pytest.approx(stored[f"rpe_t_{delta}"][theirs], abs=1e-6)
            assert getattr(steps.rotation_deg, ours) == pytest.approx(stored[f"rpe_r_{delta}"][theirs], abs=1e-6)


def test_wrong_input_is_named(path):
    with pytest.raises(ValueError, match="expected equal shapes"):
        absolute_trajectory_error(path, path[:3])
    with pytest.raises(ValueError, match="alignment: expected similarity, rigid or none, got 'sim3'"):
        absolute_trajectory_error(path, path, "sim3")
    with pytest.raises(ValueError, match="delta: expected 1 or more, got 0"):
        relative_pose_error(path, path, delta=0)
