"""Checkpoint files of FAST3DIS: what goes in comes out, and what does not fit is refused by name."""

import json
from dataclasses import asdict, replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from pan3d_core.models.da3.backbone import BackboneSettings
from pan3d_core.models.da3.head import HeadSettings
from pan3d_core.models.da3.network import DA3_VARIANTS, Da3Settings
from pan3d_core.models.fast3dis.anchor_decoder import AnchorSettings
from pan3d_core.models.fast3dis.files import FORMAT, content_of, load_fast3dis, save_fast3dis, settings_of
from pan3d_core.models.fast3dis.network import Fast3dis, Fast3disSettings

ANCHORS = AnchorSettings(queries=12, dim=32, heads=4, feed_forward=48, layers=3, bands=8)
BASE = Da3Settings(BackboneSettings(48, 8, 3, (2, 4, 6, 7), 3), HeadSettings(16, (8, 12, 16, 24)), "none")
SETTINGS = Fast3disSettings(BASE, ANCHORS, 4, 8.0)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    model = Fast3dis(SETTINGS).eval()
    with torch.no_grad():
        for layer in model.lora_layers():
            layer.lora.lora_B.weight.normal_(std=0.2)
    return model


@pytest.fixture(scope="module")
def path(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_fast3dis(model, {"seed": 3, "data": "shards"}, path)
    return path


@torch.inference_mode()
def test_a_file_gives_the_same_network_and_facts(model, path):
    loaded, facts = load_fast3dis(path)
    assert facts == {"seed": 3, "data": "shards"} and loaded.settings == SETTINGS and not loaded.training
    images = torch.rand(1, 2, 3, 42, 56, generator=torch.Generator().manual_seed(1))
    expected, output = model(images), loaded(images)
    assert torch.equal(output.mask_logits(), expected.mask_logits())
    assert torch.equal(output.geometry.depth, expected.geometry.depth)


def test_a_network_whose_blocks_are_all_corrected_comes_back(tmp_path):
    model = Fast3dis(replace(SETTINGS, lora_blocks="all")).eval()
    save_fast3dis(model, {}, tmp_path / "all.safetensors")
    assert load_fast3dis(tmp_path / "all.safetensors")[0].settings == model.settings
    assert "lora_blocks" not in content_of(SETTINGS)  # as files say it from before there was a choice


def test_a_published_base_is_named():
    settings = Fast3disSettings(DA3_VARIANTS["da3-base"])
    content = content_of(settings)
    assert content["base"] == "da3-base"
    assert settings_of(json.loads(json.dumps(content))) == settings
    assert settings_of(json.loads(json.dumps(content_of(SETTINGS)))) == SETTINGS


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"base": "da3-metric-large"}, "base: expected one of da3-small, da3-base, da3-large, da3-giant or settings"),
        ({"base": None}, "base: expected names with values, got None"),
        ({"base": asdict(DA3_VARIANTS["da3-mono-large"])}, "first_cross_view: expected a block, .* got None"),
        ({"base": {"backbone": {"dim": 4}}}, "base: expected backbone, head, licence, got no head"),
        ({"decoder": {"querys": 3}}, "decoder.querys: expected one of queries, .*, got an unknown name"),
        ({"decoder": {"queries": [[1]]}}, r"decoder.queries: expected int, got \[\[1\]\]"),
        ({"lora_rank": 0}, "lora_rank: expected 1 or more, got 0"),
        ({"lora_alpha": "big"}, "lora_alpha: expected a number, got 'big'"),
    ],
)
def test_settings_that_mean_no_network_are_named(changed, message):
    with pytest.raises(ValueError, match=message):
        settings_of({**content_of(SETTINGS), **changed})


def test_files_of_other_kinds_are_refused(path, tmp_path):
    with pytest.raises(FileNotFoundError, match="weights: expected a file"):
        load_fast3dis(tmp_path / "none.safetensors")
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ValueError, match="expected a complete safetensors file.*cut short"):
        load_fast3dis(cut)
    foreign = tmp_path / "foreign.safetensors"
    save_file({"aggregator.camera_token": torch.zeros(1)}, foreign, metadata={"format": "pan3d-mini/1"})
    with pytest.raises(ValueError, match=f"expected a checkpoint of format '{FORMAT}'.*of format 'pan3d-mini/1'; is it"):
        load_fast3dis(foreign)
    save_file({"x": torch.zeros(1)}, foreign, metadata={"format": FORMAT, "content": "{"})
    with pytest.raises(ValueError, match="expected JSON as metadata 'content'"):
        load_fast3dis(foreign)
    save_file({"x": torch.zeros(1)}, foreign, metadata={"format": FORMAT, "content": "{}"})
    with pytest.raises(ValueError, match="expected settings and facts as metadata 'content'"):
        load_fast3dis(foreign)


def test_tensors_of_another_size_are_named(path, tmp_path):
    other = {**content_of(replace(SETTINGS, decoder=replace(ANCHORS, queries=13))), "facts": {}}
    wrong = tmp_path / "wrong.safetensors"
    save_file(load_file(path), wrong, metadata={"format": FORMAT, "content": json.dumps(other)})
    with pytest.raises(ValueError, match=r"does not fit Fast3dis\n.*decoder.anchors expected \(13, 3\), got \(12, 3\)"):
        load_fast3dis(wrong)
