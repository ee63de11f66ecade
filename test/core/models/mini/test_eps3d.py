"""The network of pan3d-mini-eps3d: Gaussians on the rays of their pixels, a base that stays, frames with poses and without."""

import math

import pytest
import torch

from pan3d_core.geometry.transforms import invert_rigid, look_at
from pan3d_core.models.eps3d.network import render_panoptic
from pan3d_core.models.mini.calibration import MiniInputs
from pan3d_core.models.mini.eps3d import RAW_CHANNELS, Eps3dMini, Eps3dMiniSettings

BASE = {
    "dim": 48, "heads": 3, "blocks": 4, "stem": (8, 16, 24), "pyramid": (8, 16, 24), "queries": 6, "decoder_layers": 2,
    "text_dim": 16,
}  # fmt: skip
HW = (48, 64)


def build(**changes) -> Eps3dMini:
    torch.manual_seed(0)
    return Eps3dMini(Eps3dMiniSettings.from_dict({"base": BASE, "width": 8, "features": 8, **changes})).eval()


@pytest.fixture(scope="module")
def model() -> Eps3dMini:
    return build()


def inputs(views: int, *, posed: tuple[float, ...] = (1.0,), same: bool = False) -> MiniInputs:
    """Views around the origin of smooth coloured images; `same`: all of them are the first."""
    batch, (height, width) = len(posed), HW
    y, x = torch.meshgrid(torch.linspace(0, 3, height), torch.linspace(0, 3, width), indexing="ij")
    images = torch.stack([torch.stack([(x + k).sin(), (y + k).sin(), (x - y).cos()]) / 2 + 0.5 for k in range(views)])
    eyes = [torch.tensor([0.6 * math.cos(k), 0.6 * math.sin(k), 0.5]) for k in range(views)]
    cameras = torch.stack([look_at(eye, torch.zeros(3)) for eye in eyes])
    if same:
        images, cameras = images[:1].expand(views, -1, -1, -1), cameras[:1].expand(views, -1, -1)
    intrinsics = torch.tensor([[60.0, 0.0, (width - 1) / 2], [0.0, 60.0, (height - 1) / 2], [0.0, 0.0, 1.0]])
    return MiniInputs(
        images=images.expand(batch, -1, -1, -1, -1).contiguous(),
        intrinsics=intrinsics.expand(batch, views, 3, 3).contiguous(),
        cam_from_world=cameras.expand(batch, views, 4, 4).contiguous(),
        support_height=torch.zeros(batch),
        posed=torch.tensor(posed),
    )


@pytest.mark.parametrize("posed", [1.0, 0.0])
@torch.no_grad()
def test_a_fresh_network_renders_the_image_that_it_saw(model, posed):
    given = inputs(1, posed=(posed,))
    outputs = model(given)
    shown = render_panoptic(outputs.gaussians[0], outputs.cam_from_scene[0], given.intrinsics[0], HW)
    inner = (slice(None), slice(4, -4), slice(4, -4))
    assert float(shown.opacity[inner].min()) > 0.9
    error, mirrored = (
        float((shown_colors - given.images[0, 0])[inner].abs().mean())
        for shown_colors in (shown.colors[0], shown.colors[0].flip(-1))
    )
    assert error < 0.04 and mirrored > 3 * error


@torch.no_grad()
def test_identical_views_add_no_gaussians(model):
    one, two = (len(model(inputs(count, same=True)).gaussians[0]) for count in (1, 2))
    assert two < 1.2 * one <= 1.2 * HW[0] * HW[1]


@torch.no_grad()
def test_with_poses_the_world_is_the_cameras_and_without_it_is_the_first_camera(model):
    given = inputs(3, posed=(1.0, 0.0))
    outputs = model(given)
    in_world = outputs.cam_from_scene @ invert_rigid(outputs.world_from_scene)[:, None]
    torch.testing.assert_close(in_world[0], given.cam_from_world[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(in_world[1, 0], torch.eye(4), atol=1e-5, rtol=0)
    assert len(outputs.gaussians) == 2 and all(bool(torch.isfinite(g.means).all()) for g in outputs.gaussians)


def test_rendered_views_teach_the_heads_and_leave_the_base():
    model = build()
    torch.nn.init.normal_(model.gaussian_head.output[-1].weight, std=0.05)
    before = {name: value.clone() for name, value in model.base.state_dict().items()}
    model.train()
    given = inputs(2)
    outputs = model(given)
    shown = render_panoptic(outputs.gaussians[0], outputs.cam_from_scene[0], given.intrinsics[0], HW)
    decoded = model.text_decoder(shown.semantics)
    (shown.colors.square().mean() + decoded.square().mean() + shown.instances.square().mean()).backward()
    for name, parameter in model.named_parameters():
        if name.startswith("base."):
            assert parameter.grad is None, name
        elif not name.endswith(("at8.0.weight", "at4.0.weight")):  # batch normalisation takes scale out of these
            assert parameter.grad is not None and float(parameter.grad.abs().sum()) > 0, name
    assert all(torch.equal(before[name], value) for name, value in model.base.state_dict().items())


@torch.no_grad()
def test_semantics_reach_the_instance_features_through_sem2ins_alone(model):
    given = inputs(1)
    plain = build(sem2ins=False)
    own = {name: value for name, value in model.state_dict().items() if not name.startswith("sem2ins.")}
    plain.load_state_dict(own)
    fused, alone = model(given).maps, plain(given).maps
    torch.testing.assert_close(fused.semantics, alone.semantics)
    gate = model.sem2ins(alone.instances.movedim(2, -1), alone.semantics.movedim(2, -1)).movedim(-1, 2)
    torch.testing.assert_close(fused.instances, gate)
    assert float((fused.instances - alone.instances).abs().max()) > 1e-4
    assert fused.raw.shape == (1, 1, RAW_CHANNELS, *HW)


def test_settings_are_plain_values():
    settings = Eps3dMiniSettings.from_dict({"base": BASE, "voxel_size_m": 0.01})
    assert Eps3dMiniSettings.from_dict(settings.to_dict()) == settings
    with pytest.raises(ValueError, match=r"model\.voxels"):
        Eps3dMiniSettings.from_dict({"voxels": 3})
