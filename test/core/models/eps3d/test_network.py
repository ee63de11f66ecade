"""EPS3D and AnySplat against stored results of the official modules, their checkpoints, and what is computed when."""

import json
from dataclasses import replace
from gzip import decompress

import pytest
import torch
from safetensors.torch import save_file
from stored_arrays import DATA

from pan3d_core.models.eps3d import network as eps3d
from pan3d_core.models.eps3d.network import Eps3d, anysplat_1b, eps3d_1b, official_name

HEADS = {"atol": 1e-5, "rtol": 0}
HW = (56, 70)
GRID_HW = (4, 5)


def name_in_formula(name):
    """The stored results were made with weights by these names; the geometry's are VGGT's own."""
    return name.removeprefix("vggt.") if name.startswith("vggt.") else official_name(name).removeprefix("encoder.")


@pytest.fixture(scope="module")
def model(procedural):
    return procedural.fill(procedural.tiny_eps3d(), name_in_formula)


@pytest.fixture(scope="module")
def scene(procedural):
    """Official tokens and points of one scene of two views."""
    case = procedural.load_case("vggt/tiny_s2_56x70.npz")
    tokens = {layer: case[f"aggregated_tokens.{layer}"] for layer in (1, 2, 4, 5)}
    return {
        "images": procedural.case_images("s2_56x70", case),
        "tokens": tokens,
        "points": procedural.load_case("eps3d/anysplat.npz")["points"][0],
    }


def maps_of(head, scene):
    return torch.cat(list(head.chunks(scene["tokens"], scene["images"][0], GRID_HW)))


def close(found, expected, **tolerance):
    torch.testing.assert_close(found, expected, **(tolerance or HEADS))


@torch.inference_mode()
def test_gaussian_head(procedural, model, scene):
    stored = procedural.load_case("eps3d/anysplat.npz")
    raw = maps_of(model.gaussian_head, scene)
    close(raw[0, :4], stored["gs_head.out_frame0_first4ch"])
    close(raw[None, :, :, ::4, ::4], stored["gs_head.out_strided"])
    close(raw[None, :, -1], stored["gs_head.out_conf"])


@torch.inference_mode()
def test_semantic_and_instance_heads_and_their_fusion(procedural, model, scene):
    stored = procedural.load_case("eps3d/eps3d.npz")
    semantic, instance = maps_of(model.semantic_head, scene), maps_of(model.instance_head, scene)
    refined = model.sem2ins(instance.movedim(1, -1), semantic.movedim(1, -1)).movedim(-1, 1)
    for name, found in (("semantic_head", semantic), ("instance_head", instance), ("sem2ins", refined)):
        close(found[None, :, :, ::4, ::4], stored[f"{name}.out_every4th"])
        close(found[0, :4], stored[f"{name}.out_frame0_first4ch"])
        close(found.double().sum((0, 2, 3)), stored[f"{name}.out_sum"], atol=2e-2, rtol=1e-5)
    close(model.sem2ins.w_1, stored["sem2ins.w_1"])
    vectors = model.sem2ins(stored["sem2ins.vec_instance"], stored["sem2ins.vec_semantic"])
    close(vectors, stored["sem2ins.vec_out"], atol=1e-6, rtol=0)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("gradients", [False, True])
def test_gaussians_of_a_scene(procedural, model, scene, masked, gradients):
    """One view after the other, and all at once with gradient tracking."""
    stored, appearance = procedural.load_case("eps3d/eps3d.npz"), procedural.load_case("eps3d/anysplat.npz")
    mask = stored["voxel_masked.mask"] if masked else None
    with torch.inference_mode(not gradients), torch.set_grad_enabled(gradients):
        found = model.scene_gaussians(scene["tokens"], scene["images"][0], scene["points"], pixel_mask=mask)
    if masked:
        assert len(found) == int(stored["voxel_masked.count"])
        close(found.means[:64], stored["voxel_masked.points_first64"])
        close(found.instance_features[:64], stored["voxel_masked.ins_first64"])
        return
    assert len(found) == 3168
    close(found.means, appearance["voxel.points"])
    close(found.semantic_features[:256], stored["voxel.sem_first256"])
    close(found.instance_features[:256], stored["voxel.ins_first256"])
    sums = torch.cat([found.semantic_features, found.instance_features], dim=-1).double().sum(0)
    close(sums, stored["voxel.feats_sum_147"][83:], atol=2e-2, rtol=1e-5)
    close(found.opacities[:64], stored["gauss.opacity"])
    close(found.scales[:64], stored["gauss.scales"], atol=1e-8, rtol=1e-5)
    close(found.quats_wxyz[:64, [1, 2, 3, 0]], stored["gauss.rotations_xyzw"])
    close(found.colors[:256].transpose(1, 2), appearance["gauss.sh"])


@torch.inference_mode()
def test_whole_network_from_images(procedural, model, scene):
    """The own geometry differs by rounding, which may move a few pixels to the next voxel."""
    expected = procedural.load_case("vggt/tiny_s2_56x70.npz")
    output = model(scene["images"])
    close(output.geometry.depth, expected["depth"][..., 0], atol=2e-5, rtol=1e-5)
    (found,) = output.gaussians
    assert abs(len(found) - 3168) < 10
    close(found.means.mean(0), procedural.load_case("eps3d/anysplat.npz")["voxel.points"].mean(0), atol=1e-3, rtol=0)


@torch.inference_mode()
def test_scenes_of_a_batch_do_not_mix(model, scene):
    images = torch.cat([scene["images"], scene["images"].flip(1) * 0.5])
    together = model(images).gaussians
    for index in range(2):
        (alone,) = model(images[index : index + 1]).gaussians
        assert len(together[index]) == len(alone)
        close(together[index].instance_features, alone.instance_features, atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_nothing_is_computed_that_nobody_asked_for(model, scene, monkeypatch):
    run = []
    for name in ("gaussian_head", "semantic_head", "instance_head"):
        head = getattr(model, name)

        def chunks(*arguments, name=name, original=head.chunks):
            run.append(name)
            return original(*arguments)

        monkeypatch.setattr(head, "chunks", chunks)
    assert model(scene["images"], parts=()).gaussians == () and run == []
    (colored,) = model(scene["images"], parts=("gaussians",)).gaussians
    assert run == ["gaussian_head"] and colored.semantic_features is colored.instance_features is None
    run.clear()
    (named,) = model(scene["images"], parts=("semantics",)).gaussians
    assert run == ["gaussian_head", "semantic_head"] and named.instance_features is None
    run.clear()
    (objects,) = model(scene["images"], parts=("instances",)).gaussians
    assert run == ["gaussian_head", "semantic_head", "instance_head"] and objects.semantic_features is None
    (everything,) = model(scene["images"]).gaussians
    assert torch.equal(everything.instance_features, objects.instance_features)
    assert torch.equal(everything.semantic_features, named.semantic_features)


def test_training_reaches_all_heads(procedural, scene):
    model = procedural.fill(procedural.tiny_eps3d(), name_in_formula)
    (found,) = model(scene["images"]).gaussians
    total = sum(value.square().sum() for value in (found.means, found.scales, found.quats_wxyz, found.opacities, found.colors))
    weights = torch.randn(found.instance_features.shape[1])
    (total + (found.instance_features @ weights).sum() + (found.semantic_features @ weights).sum()).backward()
    without = {name.split(".")[0] for name, parameter in model.named_parameters() if parameter.grad is None}
    assert without == {"vggt", "text_decoder"}  # of VGGT the unused mask token; texts are decoded after rendering
    assert [name for name, p in model.vggt.named_parameters() if p.grad is None] == ["aggregator.patch_embed.mask_token"]


@pytest.mark.parametrize("views", [1, 3])
@torch.inference_mode()
def test_one_view_and_identical_views(model, scene, views):
    """The second and third view of the same image differ from the first only by the network's token for "first view"."""
    images = scene["images"][:, :1].expand(-1, views, -1, -1, -1).contiguous()
    (found,) = model(images).gaussians
    assert 0 < len(found) <= views * HW[0] * HW[1]
    for value in (found.means, found.scales, found.opacities, found.colors, found.instance_features):
        assert bool(torch.isfinite(value).all())


def test_unknown_and_absent_parts_are_refused(procedural, model, scene):
    with pytest.raises(ValueError, match="parts: expected some of gaussians, semantics, instances, got depth"):
        model(scene["images"], parts=("depth",))
    anysplat = procedural.fill(procedural.tiny_eps3d(panoptic=False), name_in_formula)
    assert not anysplat.is_panoptic
    with pytest.raises(ValueError, match="parts: expected some of gaussians, got semantics"):
        anysplat(scene["images"], parts=("semantics",))
    with pytest.raises(ValueError, match="pixel_mask: expected shape"):
        model(scene["images"], pixel_mask=torch.ones(2, 56, 70, dtype=torch.bool))
    with pytest.raises(ValueError, match="images: expected shape"):
        model(scene["images"][..., :60])


@torch.inference_mode()
def test_semantics_as_texts(procedural, model):
    stored = procedural.load_case("eps3d/eps3d.npz")
    rendered, texts = stored["decode.rendered"], stored["decode.text_features"]
    features = model.text_decoder(rendered)
    close(features[:, :32], stored["decode.features512_first32"])
    close(features.norm(dim=1), stored["decode.features512_norm"], atol=1e-4, rtol=0)
    logits = model.text_decoder.logits(rendered, texts)
    close(logits, stored["decode.logits_full_res"], atol=1e-4, rtol=0)
    assert torch.equal(logits.argmax(1) + 1, stored["decode.label_full_res"].long())
    assert model.text_decoder.logits(rendered[..., :13, :15], texts).shape == (2, 8, 13, 15)
    assert bool(torch.isfinite(model.text_decoder.logits(torch.zeros(1, 32, 4, 4), texts)).all())
    for wrong, message in ((texts[:, :5], "expected shape .any, 512."), (texts * 0, "length above 0")):
        with pytest.raises(ValueError, match=f"texts: .*{message}"):
            model.text_decoder.logits(rendered, wrong)


@pytest.mark.parametrize("name, build", [("anysplat", anysplat_1b), ("eps3d", eps3d_1b)])
def test_names_and_shapes_of_the_official_checkpoints(name, build):
    lists = json.loads(decompress((DATA / "eps3d" / "official_names_and_shapes.json.gz").read_bytes()))
    with torch.device("meta"):
        state = build().state_dict()
    assert {official_name(key): list(value.shape) for key, value in state.items()} == lists[name]


@pytest.fixture
def small_files(procedural, monkeypatch, tmp_path):
    """Checkpoints as published, of small networks; AnySplat's aggregator in half precision and with a teacher's copy."""
    monkeypatch.setattr(eps3d, "eps3d_1b", procedural.tiny_eps3d)
    monkeypatch.setattr(eps3d, "anysplat_1b", lambda **settings: procedural.tiny_eps3d(panoptic=False, **settings))
    for name, panoptic in (("anysplat", False), ("eps3d", True)):
        model = procedural.fill(procedural.tiny_eps3d(panoptic=panoptic), name_in_formula)
        state = {official_name(key): value for key, value in model.state_dict().items()}
        if not panoptic:
            half = {key: value.bfloat16() for key, value in state.items() if "aggregator" in key}
            state |= half | {"encoder.distill_aggregator.camera_token": torch.ones(1)}
        save_file(state, tmp_path / f"{name}.safetensors")
    return tmp_path


@torch.inference_mode()
def test_official_files_load_and_wrong_ones_say_what_they_are(small_files, model, scene):
    loaded = eps3d.load_eps3d(small_files / "eps3d.safetensors", voxel_size=0.05)
    assert not loaded.training and isinstance(loaded, Eps3d)
    close(loaded(scene["images"]).gaussians[0].instance_features, model(scene["images"]).gaussians[0].instance_features)
    anysplat = eps3d.load_anysplat(small_files / "anysplat.safetensors", voxel_size=0.1)
    assert anysplat.voxel_size == 0.1 and {value.dtype for value in anysplat.state_dict().values()} == {torch.float32}
    assert len(anysplat(scene["images"]).gaussians[0]) > 0
    for load, file, wanted in ((eps3d.load_eps3d, "anysplat", "EPS3D"), (eps3d.load_anysplat, "eps3d", "AnySplat")):
        with pytest.raises(ValueError, match=f"expected a checkpoint of {wanted}, got .*, which looks like"):
            load(small_files / f"{file}.safetensors")
    save_file({"aggregator.camera_token": torch.ones(1)}, small_files / "vggt.safetensors")
    with pytest.raises(ValueError, match="another model: 0 of .* names agree; it looks like VGGT"):
        eps3d.load_eps3d(small_files / "vggt.safetensors")


def test_a_name_of_another_network_has_no_official_name():
    with pytest.raises(ValueError, match="expected a parameter of Eps3d, got 'depth'"):
        official_name("depth")


def test_output_is_replaced_not_changed(model, scene):
    with torch.inference_mode():
        output = model(scene["images"], parts=())
    assert replace(output, gaussians=()).geometry is output.geometry
