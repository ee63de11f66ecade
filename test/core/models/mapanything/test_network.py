"""MapAnything against stored results of the official code: two small members, with weights that follow from their names."""

import json
from gzip import decompress

import numpy as np
import pytest
import torch
from procedural_models import procedural_value, uniform
from safetensors.torch import save_file
from stored_arrays import DATA

from pan3d_core.geometry.cameras import pixel_grid, pixel_rays
from pan3d_core.geometry.rotations import matrix_from_quat_xyzw, quat_xyzw_from_matrix
from pan3d_core.geometry.transforms import invert_rigid, look_at, rigid
from pan3d_core.models.mapanything import (
    KnownGeometry,
    MapAnything,
    MapAnythingOutput,
    MapAnythingSizes,
    cameras_of_output,
    known_of_views,
    pinhole_of_rays,
    read_map_anything,
    z_depth_of_output,
)
from pan3d_core.models.mapanything.files import canonical_name, canonical_weights
from pan3d_core.models.mapanything.network import quat_product
from pan3d_core.models.vggt.network import IMAGE_MEAN, IMAGE_STD

S, H, W = 3, 56, 70
SMALL = {
    "dim": 48, "native_grid": 6, "encoder_heads": 3, "depth": 6, "heads": 3, "taps": (1, 3), "channels": (8, 12, 16, 16),
    "features": 16, "map_widths": (12, 16, 20), "number_widths": (8, 12, 16),
}  # fmt: skip
MEMBERS = {
    "large": MapAnythingSizes(**SMALL, encoder_depth=4, shared_dim=36),
    "giant": MapAnythingSizes(
        **SMALL, encoder_depth=3, shared_dim=48, gated=True, encoder_norm=False, first_tokens=True, scaled=True
    ),
}  # fmt: skip


def names_and_shapes(member):
    return json.loads(decompress((DATA / "mapanything" / f"{member}_names_and_shapes.json.gz").read_bytes()))


def weights(member):
    """As an official file has them, some tensors under several names."""
    shapes = names_and_shapes(member)
    made = {name: procedural_value(canonical_name(name) if not name.startswith("encoder.") else name, tuple(shape))
            for name, shape in shapes.items()}  # fmt: skip
    made["info_sharing.view_pos_table"] = torch.tensor([0.0, 1.0]).repeat(1, shapes["info_sharing.view_pos_table"][1] // 2)
    return made


def known(case):
    """What the stored results were told."""
    intrinsics = torch.tensor([[60.0, 0, 33], [0, 62, 27], [0, 0, 1]])
    rays = pixel_rays(intrinsics, pixel_grid(H, W).flatten(0, 1)).unflatten(0, (H, W))
    rays = (rays / rays.norm(dim=-1, keepdim=True)).expand(1, S, H, W, 3)
    distance = torch.from_numpy(uniform("depth", (S, H, W, 1))[..., 0] + 0.5).float()[None]
    distance[:, :, :8] = 0
    quats = torch.nn.functional.normalize(torch.from_numpy(2 * uniform("quats", (S, 4)) - 1).float(), dim=-1)[None]
    centers = torch.from_numpy(2 * uniform("trans", (S, 3)) - 1).float()[None]
    return KnownGeometry(
        rays if case in ("rays", "all") else None, distance if case == "all" else None,
        quats if case in ("all", "poses") else None, centers if case in ("all", "poses") else None,
    )  # fmt: skip


def pictures():
    mean, std = (torch.tensor(value)[:, None, None] for value in (IMAGE_MEAN, IMAGE_STD))
    return (torch.from_numpy(2 * uniform("images", (S, 3, H, W)) - 1).float() * std + mean)[None]


@pytest.mark.parametrize("member", MEMBERS)
@torch.no_grad()
def test_geometry_is_that_of_the_official_code_whatever_is_known(member):
    model = MapAnything(MEMBERS[member]).eval()
    model.load_state_dict(canonical_weights(weights(member), member))
    with np.load(DATA / "mapanything" / f"{member}_s3_56x70.npz") as file:
        stored = {name: torch.from_numpy(file[name]) for name in file.files}
    answers = {}
    for case in ("images", "rays", "all", "poses"):
        output = model(pictures(), known(case))
        found = {
            "ray_directions": output.rays[0, :, ::3, ::3], "depth_along_ray": output.distance[0, :, ::3, ::3, None],
            "cam_trans": output.centers[0], "cam_quats": output.quat_xyzw[0], "conf": output.confidence[0, :, ::3, ::3],
            "metric_scaling_factor": output.scale.expand(S, 1), "non_ambiguous_mask_logits": output.valid_logits[0, :, ::3, ::3],
        }  # fmt: skip
        for name, value in found.items():
            torch.testing.assert_close(
                value, stored[f"{case}/{name}"], atol=2e-5, rtol=2e-4, msg=lambda text, at=(case, name): f"{at}: {text}"
            )
        answers[case] = output.distance
    assert all(not torch.allclose(answers["images"], answers[case], rtol=1e-2) for case in ("rays", "all", "poses"))


@pytest.mark.parametrize("member", MEMBERS)
def test_files_are_read_strictly_under_any_of_their_names(member, tmp_path, monkeypatch):
    found = {name: value.contiguous() for name, value in weights(member).items()}
    monkeypatch.setattr("pan3d_core.models.mapanything.network.HEAD_CHANNELS", 12 if member == "large" else 16)
    sizes = MapAnythingSizes.of_weights(canonical_weights(found, member), member)
    assert sizes == (MapAnythingSizes(**{**vars(MEMBERS[member]), "taps": (2, 3), "encoder_heads": sizes.encoder_heads}))
    torch.save({"model": found}, tmp_path / "official.pth")
    model = read_map_anything(tmp_path / "official.pth")
    # The hub keeps one name of each: the first of them in the alphabet.
    once = {name: value for name, value in found.items() if not name.startswith("dpt_") and "scratch.layer" not in name}
    save_file(once, tmp_path / "model.safetensors")
    again = read_map_anything(tmp_path / "model.safetensors").state_dict()
    assert all(torch.equal(value, again[name]) for name, value in model.state_dict().items())
    save_file({name: value for name, value in once.items() if name != "pose_head.fc_t.bias"}, tmp_path / "lacking.safetensors")
    with pytest.raises(ValueError, match="1 missing: pose_head.fc_t.bias"):
        read_map_anything(tmp_path / "lacking.safetensors")
    save_file({"scale_token": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="expected those of MapAnything with encoder.model.pos_embed, got none in"):
        read_map_anything(tmp_path / "other.safetensors")
    differing = {**found, "dpt_regressor_head.conv1.bias": torch.ones_like(found["dense_head.1.conv1.bias"])}
    with pytest.raises(ValueError, match="expected one tensor under dense_head.1.conv1.bias and its other names, got two that"):
        canonical_weights(differing, "a file")


def test_the_published_members_have_the_published_sizes():
    with torch.device("meta"):
        large = MapAnything().state_dict()
        giant = MapAnything(
            MapAnythingSizes(dim=1536, encoder_heads=24, gated=True, encoder_norm=False, first_tokens=True, shared_dim=1536,
                             depth=16, heads=24, scaled=True, taps=(7, 11))
        ).state_dict()  # fmt: skip
    assert MapAnythingSizes.of_weights(large, "large") == MapAnythingSizes()
    sizes = MapAnythingSizes.of_weights(giant, "giant")
    assert (sizes.taps, sizes.heads, sizes.encoder_depth, sizes.first_tokens) == ((7, 11), 24, 24, True)
    assert giant["encoder.model.blocks.0.mlp.w12.weight"].shape == (8192, 1536)


def test_cameras_go_there_and_back():
    torch.manual_seed(0)
    poses = torch.stack([look_at(torch.tensor([x, -0.4, 0.5]), torch.zeros(3)) for x in (-0.3, 0.1, 0.4)])
    intrinsics = torch.tensor([[60.0, 0, 33], [0, 62, 27], [0, 0, 1]]).expand(3, 3, 3)
    depth = torch.rand(3, H, W) + 0.5
    told = known_of_views((H, W), intrinsics, poses, depth)
    zeros = torch.zeros(1, 3, H, W)
    output = MapAnythingOutput(told.rays, told.distance, zeros, zeros + 1, told.quat_xyzw, told.centers, torch.ones(1))
    cam_from_world, lenses = cameras_of_output(output)
    torch.testing.assert_close(cam_from_world[0], poses, atol=1e-5, rtol=0)
    torch.testing.assert_close(lenses[0], intrinsics, atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(z_depth_of_output(output)[0], depth, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(pinhole_of_rays(told.rays * 3), lenses, atol=1e-3, rtol=1e-4)
    hidden = MapAnythingOutput(told.rays, told.distance, zeros, zeros - 1, told.quat_xyzw, told.centers, torch.ones(1))
    assert float(z_depth_of_output(hidden).abs().max()) == 0.0
    nothing = known_of_views((H, W), None, None, depth)
    assert nothing.rays is None and nothing.distance is None and nothing.centers is None
    assert known_of_views((H, W), intrinsics, None, torch.zeros(3, H, W)).distance is None
    first, second = invert_rigid(poses)[:2, :3, :3]
    both = quat_product(quat_xyzw_from_matrix(first), quat_xyzw_from_matrix(second))
    torch.testing.assert_close(matrix_from_quat_xyzw(both), first @ second, atol=1e-5, rtol=0)
    assert rigid(first, torch.zeros(3)).shape == (4, 4)
