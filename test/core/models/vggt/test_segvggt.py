"""SegVGGT against stored results of the official model code, small members and (slow) the published size."""

import re

import pytest
import torch

from pan3d_core.models.layers.dpt import fused_chunks
from pan3d_core.models.layers.transformer import LoraLinear, merge_lora
from pan3d_core.models.vggt.segvggt import official_name, segvggt_1b

CASES = ("s2_56x70", "b2_s3_70x56", "s9_42x56_chunked")
TIGHT = {"atol": 2e-5, "rtol": 1e-5}

SCALED_DOWN = (
    r"aggregator\.patch_embed\.(patch_embed\.proj\.|norm\.|(cls_token|pos_embed|register_tokens)$)",
    r"aggregator\.(camera_token|register_token|instance_query_token)$",
    r"aggregator\..*\.gamma$",
    r"aggregator\.(frame_blocks|global_blocks|instance_query_self_attn)\.\d+\.attn\.qkv\.",
    r"aggregator\.instance_cross_blocks\.\d+\.attn\.(q_proj|k_proj)\.",
)


@pytest.fixture(scope="module")
def model(procedural):
    return procedural.fill(procedural.tiny_segvggt(), official_name)


def record_queries(model, images):
    """Queries after the cross and after the self block of each layer, and the tokens."""
    kept = {"cross": [], "self": []}
    hooks = []
    for block in model.query_decoder.cross_blocks:
        hooks.append(block.register_forward_hook(lambda _, __, result: kept["cross"].append(result[0].clone())))
    for block in model.query_decoder.self_blocks:
        hooks.append(block.register_forward_hook(lambda _, __, result: kept["self"].append(result.clone())))
    output = model(images, frame_attention=True)
    for hook in hooks:
        hook.remove()
    return output, kept


def check_queries(queries, case, **tolerance):
    stored = [name for name in case if name.startswith("queries_") and "." in name]
    assert "queries_self.5" in stored
    for name in stored:
        kind, layer = name.removeprefix("queries_").split(".")
        torch.testing.assert_close(queries[kind][int(layer)], case[name], **tolerance)


def check_output(output, case, **tolerance):
    found = {
        "pose_enc_list": output.geometry.pose_encodings,
        "depth": output.geometry.depth[..., None],
        "depth_conf": output.geometry.depth_conf,
        "feature_map": output.feature_map,
        "queries_projected": output.query_embeddings,
        "mask_logits": output.mask_logits(),
        "class_logits": output.class_logits,
    }
    for name, value in found.items():
        if name in case:
            torch.testing.assert_close(value, case[name], **tolerance, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("name", CASES)
def test_small_member_gives_the_official_numbers(procedural, model, name):
    case = procedural.load_case(f"segvggt/tiny_{name}.npz")
    images = procedural.case_images(f"segvggt_{name}", case)
    with torch.inference_mode():
        features = model.vggt.aggregator(images, range(6))
        output, queries = record_queries(model, images)
        grid_hw = (images.shape[-2] // 14, images.shape[-1] // 14)
        fused = torch.cat(list(fused_chunks(model.semantic_head, features, grid_hw, images.shape[-1] / images.shape[-2])))
    for layer in range(6):
        if f"aggregated_tokens.{layer}" in case:
            torch.testing.assert_close(features[layer], case[f"aggregated_tokens.{layer}"], **TIGHT)
    check_queries(queries, case, **TIGHT)
    if "sem_fused_eighth" in case:
        torch.testing.assert_close(fused, case["sem_fused_eighth"], **TIGHT)
    torch.testing.assert_close(output.frame_attention, case["attn_frame_mean"], atol=1e-7, rtol=1e-5)
    check_output(output, case, **TIGHT)


def test_every_epsilon_is_the_official_one(procedural):
    model = procedural.fill(procedural.tiny_segvggt(), official_name)
    case = procedural.load_case("segvggt/tiny_eps_s2_56x70.npz")
    for name, parameter in model.named_parameters():
        if any(re.match(pattern, official_name(name)) for pattern in SCALED_DOWN):
            parameter.data *= 0.002
    with torch.inference_mode():
        output, queries = record_queries(model, procedural.case_images("segvggt_eps_s2_56x70", case))
    check_queries(queries, case, atol=2e-8, rtol=2e-5)
    check_output(output, case, **TIGHT)


def test_fused_attention_and_merged_lora_change_rounding_only(procedural):
    model = procedural.fill(procedural.tiny_segvggt(), official_name)
    case = procedural.load_case("segvggt/tiny_s2_56x70.npz")
    images = procedural.case_images("segvggt_s2_56x70", case)
    with torch.inference_mode():
        output = model(images)
        assert output.frame_attention is None
        check_output(output, case, **TIGHT)
    merge_lora(model)
    assert not any(isinstance(module, LoraLinear) for module in model.modules())
    assert "vggt.aggregator.frame_blocks.0.attn.qkv.weight" in model.state_dict()
    with torch.inference_mode():
        check_output(model(images), case, atol=5e-5, rtol=1e-4)


def test_masks_are_made_for_the_wanted_queries_only(procedural, model):
    case = procedural.load_case("segvggt/tiny_s2_56x70.npz")
    with torch.inference_mode():
        output = model(procedural.case_images("segvggt_s2_56x70", case))
        rows = torch.tensor([7, 2])
        torch.testing.assert_close(output.mask_logits(rows), case["mask_logits"][:, [7, 2]], **TIGHT)


def test_training_reaches_all_but_the_frozen_parameters(procedural):
    model = procedural.fill(procedural.tiny_segvggt(), official_name).train()
    case = procedural.load_case("segvggt/tiny_s2_56x70.npz")
    output = model(procedural.case_images("segvggt_s2_56x70", case), frame_attention=True)
    check_output(output, case, **TIGHT)
    geometry = output.geometry
    total = output.mask_logits().sum() + output.class_logits.sum() + output.frame_attention.square().sum()
    (total + geometry.depth.sum() + geometry.depth_conf.sum() + geometry.pose_encodings.sum()).backward()
    without = {official_name(name) for name, parameter in model.named_parameters() if parameter.grad is None}
    frozen = {name for name in without if re.search(r"attn\.(qkv|proj)\.linear\.(weight|bias)$", name)}
    assert len(frozen) == 2 * 6 * 4
    assert without - frozen == {"aggregator.patch_embed.mask_token"}


@pytest.mark.parametrize(("checkpoint", "classes"), [("segvggt_scannetv2", 18), ("segvggt_scannet200", 198)])
def test_names_and_shapes_of_the_official_checkpoints(official_shapes, checkpoint, classes):
    with torch.device("meta"):
        model = segvggt_1b(classes)
    found = {official_name(name): tuple(value.shape) for name, value in model.state_dict().items()}
    assert found == official_shapes[checkpoint]


def test_procedural_rule_reproduces_its_check_values(procedural, official_shapes):
    expected = {
        "aggregator.instance_query_token": (-0.05372823, 0.47621271, -507.440622),
        "aggregator.frame_blocks.7.attn.qkv.lora.lora_B.weight": (-0.29239213, -0.27660048, -65.120741),
        "aggregator.instance_cross_blocks.3.attn.k_proj.weight": (-0.050508227, 0.0020724826, 39.310350),
        "semantic_head.scratch.output_instance.2.bias": (0.12159882, 0.13583563, 0.62744156),
    }
    for name, (first, last, total) in expected.items():
        value = procedural.value(name, official_shapes["segvggt_scannetv2"][name]).flatten()
        found = (value[0].item(), value[-1].item(), value.double().sum().item())
        assert found == pytest.approx((first, last, total), rel=1e-5)


@pytest.mark.slow
def test_published_size_gives_the_official_numbers(procedural):
    """1.65 billion parameters filled by the rule: about 8 GB and two minutes."""
    with torch.device("meta"):
        model = segvggt_1b(18)
    procedural.fill(model, official_name)
    case = procedural.load_case("segvggt/full_s2_56x70.npz")
    images = torch.from_numpy(procedural.uniform("image/segvggt_full_s2_56x70", (1, 2, 3, 56, 70))).float()
    with torch.inference_mode():
        output, queries = record_queries(model, images)
    loose = {"atol": 5e-5, "rtol": 1e-5}
    close = torch.testing.assert_close
    for kind in ("cross", "self"):
        for layer in (0, 11, 23):
            expected = case[f"queries_{kind}.{layer}_first32_every4th_channel"]
            close(queries[kind][layer][0, :32, ::4], expected.reshape(32, 256), **loose)
    close(output.frame_attention, case["attn_frame_mean"], atol=1e-7, rtol=1e-4)
    close(output.query_embeddings[:, :64], case["queries_projected_first64"].reshape(1, 64, 128), **loose)
    close(output.class_logits, case["class_logits"], **loose)
    close(output.geometry.pose_encodings, case["pose_enc_list"], **loose)
    feature_map = output.feature_map[:, :, ::4, ::4]
    close(feature_map, case["feature_map_every4th"].reshape(feature_map.shape), **loose)
    masks = output.mask_logits()[:, :32, :, ::2, ::2]
    close(masks, case["mask_logits_first32_every2nd"].reshape(masks.shape), atol=2e-4, rtol=1e-5)
    depth = output.geometry.depth[:, :, ::4, ::4]
    close(depth, case["depth_every4th"].reshape(depth.shape), **loose)
