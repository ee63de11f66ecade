"""What depends on cameras alone is computed once for each rig, and is the same as computed anew."""

import math
from dataclasses import replace

import pytest
import torch

from pan3d_core.geometry.transforms import look_at
from pan3d_core.models.mini.calibration import CalibrationMemory, MiniInputs, calibrate
from pan3d_core.models.mini.network import MiniArchitecture, PanMini
from pan3d_core.models.mini.sweep import HeightSweep, sweep_grid

TINY = MiniArchitecture(
    dim=48, heads=3, blocks=2, stem=(8, 16, 24), pyramid=(8, 16, 24), queries=6, decoder_layers=2, text_dim=16
)  # fmt: skip


def rig(views: int, posed: float = 1.0) -> MiniInputs:
    torch.manual_seed(views)
    eyes = [torch.tensor([0.6 * math.cos(k), 0.6 * math.sin(k), 0.45 + 0.05 * k]) for k in range(views)]
    intrinsics = torch.tensor([[60.0, 0.0, 31.5], [0.0, 60.0, 23.5], [0.0, 0.0, 1.0]])
    return MiniInputs(
        images=torch.rand(1, views, 3, 48, 64),
        intrinsics=intrinsics.expand(1, views, 3, 3).contiguous(),
        cam_from_world=torch.stack([look_at(eye, torch.zeros(3)) for eye in eyes])[None],
        support_height=torch.zeros(1),
        posed=torch.full((1,), posed),
    )


def counted():
    """A memory over the real thing, and the inputs that it computed."""
    asked = []

    def compute(inputs):
        asked.append(inputs)
        return calibrate(inputs, (0.0, 0.05), 16)

    return CalibrationMemory(compute), asked


@torch.inference_mode()
def test_a_remembered_calibration_gives_the_same_bits():
    model = PanMini(TINY).eval()
    memory = CalibrationMemory(model.calibrate)
    inputs = rig(3)
    memory(inputs)
    expected, found = model(inputs), model(inputs, memory(inputs))
    assert torch.equal(expected.queries.mask_logits, found.queries.mask_logits)
    assert torch.equal(expected.depth(), found.depth())


@pytest.mark.parametrize("changed", ["intrinsics", "cam_from_world", "support_height", "posed"])
def test_any_other_value_is_another_rig(changed):
    memory, asked = counted()
    inputs = rig(2)
    memory(inputs)
    memory(replace(inputs, images=torch.rand_like(inputs.images)))
    assert len(asked) == 1  # pictures change all the time
    value = getattr(inputs, changed).clone()
    value.view(-1)[-1] += 1e-6
    memory(replace(inputs, **{changed: value}))
    assert len(asked) == 2


def test_another_size_or_number_of_views_is_another_rig():
    memory, asked = counted()
    inputs = rig(2)
    memory(inputs)
    memory(replace(inputs, images=inputs.images[..., :32, :]))
    memory(rig(3))
    assert len(asked) == 3


def test_a_moving_camera_does_not_fill_the_memory():
    memory, asked = counted()
    first = rig(1)
    for step in range(10):
        memory(replace(first, support_height=torch.tensor([0.01 * step])))
    memory(replace(first, support_height=torch.tensor([0.09])))
    assert len(asked) == 10 and len(memory._known) == 4
    memory(first)  # was given up
    assert len(asked) == 11


@torch.no_grad()
@pytest.mark.parametrize("views", [1, 2, 4, 9])
def test_all_pairs_of_views_at_once_are_one_after_the_other(views, monkeypatch):
    inputs = rig(views)
    known = calibrate(inputs, (-0.1, 0.0, 0.03, 0.1), 16)
    grid = sweep_grid(known.rays[4], known.cam_from_plane, inputs.intrinsics, (-0.1, 0.0, 0.03, 0.1))
    assert grid.other.shape == (views, min(max(views - 1, 1), 7)) and bool(grid.inside.any()) == (views > 1)
    sweep = HeightSweep(6, 4, (-0.1, 0.0, 0.03, 0.1))
    torch.nn.init.normal_(sweep.project.weight)
    features = torch.rand(views, 6, 24, 32)
    one_by_one = sweep(features, grid, inputs.posed)
    monkeypatch.setattr(HeightSweep, "_parts", staticmethod(lambda whole: iter([whole])))
    torch.testing.assert_close(sweep(features, grid, inputs.posed), one_by_one, atol=1e-5, rtol=0)
