"""Depth Anything 3 against stored results of the official code: small members with random weights, and the published names."""

import json
import re
from gzip import decompress

import pytest
import torch
from da3_members import DATA, TINY, weights
from safetensors.torch import save_file

from pan3d_core.models.da3 import backbone
from pan3d_core.models.da3 import network as da3
from pan3d_core.models.da3.backbone import reference_first, reordered, select_reference
from pan3d_core.models.da3.cameras import decoded_cameras, relative_to_first
from pan3d_core.models.da3.network import (
    DA3_NAMES,
    DA3_VARIANTS,
    AnyViewDa3,
    MonocularDa3,
    NestedDa3,
    build_da3,
    fill_sky,
    variant_of,
)
from pan3d_core.models.da3.rays import cameras_from_rays
from pan3d_core.models.layers import transformer
from pan3d_core.models.layers.transformer import Rope2d
from pan3d_core.models.vggt.network import IMAGE_MEAN, IMAGE_STD
from pan3d_core.models.vggt.pose_encoding import pose_encoding_from_cameras

LIMIT = {"atol": 1e-4, "rtol": 0}
TIGHT = {"atol": 2e-5, "rtol": 0}


def tiny(name, found=None):
    model = AnyViewDa3(TINY[name]) if TINY[name].is_any_view else MonocularDa3(TINY[name])
    da3.assign_official(model, weights(name) if found is None else found, name)
    return model.eval()


@pytest.fixture(scope="module")
def models():
    return {name: tiny(name) for name in TINY}


def case(procedural, name):
    found = procedural.load_case(f"da3/{name}.npz")
    for key in [key for key in found if key.endswith("images")]:  # stored as the network sees them
        mean, std = torch.tensor(IMAGE_MEAN), torch.tensor(IMAGE_STD)
        found[key] = found[key] * std[:, None, None] + mean[:, None, None]
    return found


def check(output, stored, prefix=""):
    found = {
        "depth": output.depth, "depth_conf": output.depth_conf, "extrinsics": output.cam_from_world[..., :3, :],
        "intrinsics": output.intrinsics, "ray": output.rays, "ray_conf": output.ray_conf,
    }  # fmt: skip
    compared = [key for key in found if prefix + key in stored]
    assert compared
    for key in compared:
        torch.testing.assert_close(found[key], stored[prefix + key], **LIMIT, msg=lambda text, key=key: f"{key}: {text}")


@pytest.mark.parametrize(
    "name, model",
    [("s1", "anyview"), ("b2_s4_portrait", "anyview"), ("odd_swiglu_s3", "odd_swiglu")],
)
@torch.inference_mode()
def test_views_without_cameras(procedural, models, name, model):
    stored = case(procedural, name)
    tokens = models[model].tokens(stored["images"])
    for key, value in (("feat3", tokens.taps[3]), ("camtok3", tokens.camera), ("ref_idx", tokens.reference)):
        if key in stored:
            torch.testing.assert_close(value, stored[key], **TIGHT)
    check(models[model](stored["images"], rays=True), stored)


@pytest.mark.parametrize("slice_bytes", [1, 4000, 40_000])
@torch.inference_mode()
def test_slices_of_rows_and_views_give_the_same(procedural, models, monkeypatch, slice_bytes):
    """Inputs of these tests are too small to be sliced by themselves."""
    for module in (backbone, transformer):
        monkeypatch.setattr(module, "CPU_SLICE_BYTES", slice_bytes)
    stored = case(procedural, "b2_s4_portrait")
    check(models["anyview"](stored["images"], rays=True), stored)


@pytest.mark.parametrize("name, model", [("s1_posed", "anyview"), ("s3_posed", "anyview"), ("odd_swiglu_s2_posed", "odd_swiglu")])
@torch.inference_mode()
def test_views_with_known_cameras(procedural, models, name, model):
    stored = case(procedural, name)
    cameras = stored["in_extrinsics"], stored["in_intrinsics"]
    torch.testing.assert_close(models[model].camera_tokens(stored["images"], cameras), stored["cam_enc_tokens"], **TIGHT)
    check(models[model](stored["images"], cameras=cameras, rays=True), stored)


@pytest.mark.parametrize("rule", ["saddle_balanced", "first", "middle"])
@torch.inference_mode()
def test_reference_view_rules(procedural, models, rule):
    stored = case(procedural, "s3_refview")
    check(models["anyview"](stored["images"], reference_rule=rule), stored, f"{rule}/")
    assert select_reference(stored["ref_in_cls"], rule).tolist() == stored[f"{rule}/ref_idx"].tolist()


@torch.inference_mode()
def test_every_norm_has_its_own_eps(procedural):
    found = weights("anyview")
    for pattern, factor in json.loads((DATA / "eps_scales.json").read_text()).items():
        for name in found:
            if re.match(pattern, name.removeprefix("model.")):
                found[name] = found[name].float() * factor
    model = tiny("anyview", {name: value.float() for name, value in found.items()})
    stored = case(procedural, "eps_s2")
    images = stored["free/images"]
    outputs = {"free/": model(images, rays=True)}
    outputs["posed/"] = model(images, cameras=(stored["posed/in_extrinsics"], stored["posed/in_intrinsics"]))
    for prefix, output in outputs.items():
        for key, value in (("depth", output.depth), ("depth_conf", output.depth_conf), ("ray_conf", output.ray_conf)):
            if prefix + key in stored:
                relative = float((value - stored[prefix + key]).abs().max() / stored[prefix + key].abs().max())
                assert relative < 2e-5, (prefix + key, relative)  # a wrong eps anywhere gives at least 1e-4


@torch.inference_mode()
def test_single_view_depth_and_sky(procedural, models):
    stored = case(procedural, "mono_s2")
    output = models["mono"](stored["images"])
    torch.testing.assert_close(output.depth, stored["depth_raw"], **LIMIT)
    torch.testing.assert_close(output.sky, stored["sky"], **LIMIT)
    torch.testing.assert_close(fill_sky(output), stored["depth_after_sky"], **LIMIT)


@torch.inference_mode()
def test_nested_model_answers_in_metres(procedural, models):
    stored = case(procedural, "nested_s2")
    check(NestedDa3(models["anyview"], models["mono"])(stored["images"]), stored)


def test_primitives(procedural):
    stored = procedural.load_case("da3/primitives.npz")
    for place in ("local", "global"):
        rope = Rope2d.for_positions(stored[f"rope_pos_{place}"][0], 16, stored["rope_in"])
        with torch.inference_mode():
            turned = rope.rotate(stored["rope_in"].transpose(1, 2).clone()).transpose(1, 2)
        torch.testing.assert_close(turned, stored[f"rope_out_{place}"], **TIGHT)
    for rule in ("first", "middle", "saddle_balanced"):
        slots = stored["ref_tokens"][:, :, 0]
        order = reference_first(select_reference(slots, rule), slots.shape[1])
        assert order[:, 0].tolist() == stored[f"ref_idx_{rule}"].tolist()
        torch.testing.assert_close(reordered(slots, order)[..., :4], stored[f"ref_reordered_{rule}"], **TIGHT)
    for name in ("norm_ext", "norm_ext_small", "norm_ext_2view"):
        torch.testing.assert_close(relative_to_first(stored[f"{name}_in"])[0], stored[f"{name}_out"], **LIMIT)
    cam_from_world, intrinsics = decoded_cameras(stored["dec_in"], (42, 56))
    torch.testing.assert_close(cam_from_world[..., :3, :], stored["dec_w2c"], **TIGHT)
    assert intrinsics.shape == stored["dec_K"].shape


def test_camera_code_is_of_the_inverse_pose(procedural):
    stored = procedural.load_case("da3/primitives.npz")
    world_from_cam = torch.linalg.inv(stored["pose_w2c"])
    code = pose_encoding_from_cameras(world_from_cam, stored["pose_K"], (42, 56))
    torch.testing.assert_close(code[..., :7], stored["pose_enc"][..., :7], **TIGHT)


@pytest.mark.parametrize("name", ["clean", "noisy"])
def test_cameras_from_rays(procedural, name):
    stored = procedural.load_case("da3/ray_to_pose.npz")
    rays, conf = stored[f"{name}_ray"], stored[f"{name}_conf"]
    cam_from_world, intrinsics = cameras_from_rays(rays, conf, (42, 56), stored[f"{name}_sample_idx"])
    torch.testing.assert_close(cam_from_world[..., :3, :], stored[f"{name}_w2c_42x56"], **TIGHT)
    torch.testing.assert_close(intrinsics, stored[f"{name}_K_42x56"], **LIMIT)
    truth = torch.linalg.inv(stored["gt_c2w"])[:, :3]
    drawn = cameras_from_rays(rays, conf, (42, 56))[0][0, :, :3]
    # Centres are means over all rays, outliers included.
    turn, shift = (1e-4, 1e-4) if name == "clean" else (0.02, 0.05)
    torch.testing.assert_close(drawn[..., :3], truth[..., :3], atol=turn, rtol=0)
    torch.testing.assert_close(drawn[..., 3], truth[..., 3], atol=shift, rtol=0)


@pytest.fixture(scope="module")
def official():
    return json.loads(decompress((DATA / "official_names_and_shapes.json.gz").read_bytes()))


@pytest.mark.parametrize("name", DA3_NAMES)
def test_names_and_shapes_are_the_official_ones(official, name):
    listed = official["variants"][name.replace("da3nested", "nested").removeprefix("da3-")]
    expected = {n.removeprefix("model."): shape for n, shape in listed.items() if "gs_head" not in n}
    with torch.device("meta"):
        model = build_da3(name)
    assert {n: list(value.shape) for n, value in model.state_dict().items()} == expected


@pytest.mark.parametrize("name", DA3_NAMES)
def test_members_are_recognised_by_their_tensors(official, name):
    listed = official["variants"][name.replace("da3nested", "nested").removeprefix("da3-")]
    found = {key: torch.empty(shape, device="meta") for key, shape in listed.items()}
    assert variant_of(found, "file", said=f"DA3{name.removeprefix('da3').strip('-').upper()}") == name
    if "metric" in name or "mono" in name:
        with pytest.raises(
            ValueError, match="expected 'metric' or 'mono' in model_name of config.json beside file .* got 'model'"
        ):
            variant_of(found, "file", said="model")


def test_a_file_of_the_hub_is_read_with_its_shared_norms(tmp_path, monkeypatch, models):
    """Such a file holds the shared norm of the ray outputs once."""
    found = weights("anyview")
    for name in [n for n in found if re.search(r"output_conv2_aux\.[123]\.2\.", n)]:
        del found[name]
    save_file(found, tmp_path / "model.safetensors")
    monkeypatch.setitem(DA3_VARIANTS, "da3-small", TINY["anyview"])
    loaded = da3.load_da3(tmp_path / "model.safetensors", "da3-small")
    for name, value in models["anyview"].state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name


def test_foreign_and_incomplete_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(DA3_VARIANTS, "da3-small", TINY["anyview"])
    found = weights("anyview")
    del found["model.backbone.pretrained.camera_token"]
    save_file(found, tmp_path / "short.safetensors")
    with pytest.raises(ValueError, match="1 missing: backbone.pretrained.camera_token"):
        da3.load_da3(tmp_path / "short.safetensors", "da3-small")
    save_file(weights("mono"), tmp_path / "mono.safetensors")
    with pytest.raises(ValueError, match="does not fit AnyViewDa3"):
        da3.load_da3(tmp_path / "mono.safetensors", "da3-small")
    with pytest.raises(ValueError, match="expected one of da3-small, .* got 'da3-tiny'"):
        build_da3("da3-tiny")


def test_wrong_inputs_are_named(models):
    images = torch.rand(1, 2, 3, 42, 56)
    with pytest.raises(ValueError, match="multiples of 14"):
        models["anyview"](images[..., :50])
    with pytest.raises(ValueError, match=r"cam_from_world: expected shape \(1, 2, 4, 4\)"):
        models["anyview"](images, cameras=(torch.eye(4).expand(1, 1, 4, 4), torch.eye(3).expand(1, 2, 3, 3)))
    with pytest.raises(ValueError, match="reference: expected one of"):
        models["anyview"](torch.rand(1, 3, 3, 42, 56), reference_rule="best")
    with pytest.raises(ValueError, match="expected one scene"):
        NestedDa3(models["anyview"], models["mono"])(torch.rand(2, 1, 3, 42, 56))


def test_training_gives_the_same_numbers_as_inference(models):
    """Without gradients tokens are changed in place; with them they are not."""
    images = torch.rand(1, 3, 3, 42, 56, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = models["anyview"](images)
    output = models["anyview"](images)
    torch.testing.assert_close(output.depth, expected.depth, **TIGHT)
    output.depth.mean().backward()
    gradient = models["anyview"].backbone.pretrained.blocks[0].attn.qkv.weight.grad
    assert gradient is not None and float(gradient.abs().max()) > 0


@pytest.mark.parametrize("shape", [(5, 6), (100, 6), (2, 70, 6), (3, 2, 40, 6), (0, 6)])
@torch.inference_mode()
def test_linear_layers_are_linear_also_as_convolutions(shape):
    torch.manual_seed(0)
    layer, x = transformer.Dense(6, 4), torch.rand(shape)
    result = layer(x)
    torch.testing.assert_close(result, torch.nn.functional.linear(x, layer.weight, layer.bias), atol=1e-6, rtol=0)
    assert result.is_contiguous()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16
    assert layer.double()(x.double()).dtype == torch.float64
