"""The published presets have the papers' values, one by one; what they set otherwise than ours stands on the page of training."""

import math
import re

import pytest
import torch
from places import ROOT
from torch.nn import functional as F
from trainers import trainer_of

from pan3d_core.models.losses import SEGVGGT_WEIGHTS
from pan3d_core.models.mini.eps3d import Eps3dMiniSettings
from pan3d_core.models.mini.fast3dis import Fast3disMiniSettings
from pan3d_core.settings import to_plain
from training.families import FAMILIES, run_config
from training.families.eps3d import Eps3dFamilySettings
from training.families.fast3dis_settings import Fast3disFamilySettings
from training.families.presets import PRESETS
from training.families.segvggt_settings import SegVggtSettings
from training.losses.eps3d_mini import Eps3dMiniLossWeights
from training.losses.fast3dis import Fast3disLossWeights, overlap_penalty, printed_overlap, supervised_contrast
from training.losses.fast3dis_mini import Fast3disMiniLossWeights
from training.losses.geometry import GEOMETRY_WEIGHTS
from training.settings import merge_settings

# As the papers and what is public of their code have them; what a paper leaves open is assumed alike in ours and here.
PAPERS = {
    "segvggt": {
        "model.queries": 400, "model.class_hidden": 32, "model.lora_rank": 32, "model.lora_alpha": 32.0, "model.width": 518,
        "model.height": 392, "model.train_encoder": False, "model.geometry": "teacher",
        "optimizer.learning_rate": 2e-4, "optimizer.lora_learning_rate": 6e-5, "optimizer.pretrained_learning_rate": 6e-5,
        "optimizer.weight_decay": 0.05, "optimizer.clip_norm": 1.0, "schedule.kind": "cosine",
        "sampling.view_counts": tuple(range(2, 25)), "sampling.images": 48, "sampling.aspects": (0.33, 1.0),
    },
    "fast3dis": {
        "model.base": "da3-large", "model.width": 504, "model.lora_rank": 16, "model.lora_alpha": 16.0,
        "model.lora_blocks": "all", "model.posed_share": 0.0, "model.decoder.queries": 80, "model.decoder.dim": 256,
        "model.decoder.heads": 8, "model.decoder.feed_forward": 1024, "model.decoder.layers": 9, "model.decoder.bands": 64,
        "model.decoder.start": "learned", "model.decoder.attention": "anchors",
        "model.loss.objectness": 2.0, "model.loss.bce": 5.0, "model.loss.dice": 5.0, "model.loss.focal_alpha": 0.25,
        "model.loss.focal_gamma": 2.0, "model.loss.contrast": 0.5, "model.loss.temperature": 0.1,
        "model.loss.overlap_start": 0.01, "model.loss.overlap_peak": 1.0, "model.loss.overlap_floor": 0.1,
        "model.loss.overlap_warmup": 0.6, "model.loss.overlap_form": "printed", "model.loss.contrast_form": "sum",
        "optimizer.learning_rate": 1e-4, "optimizer.lora_learning_rate": 5e-5, "optimizer.weight_decay": 0.05,
        "schedule.kind": "cosine", "sampling.view_counts": tuple(range(8, 25)),
    },
    "eps3d": {
        "model.width": 518, "model.sem2ins": True, "model.context_views": (2, 24), "model.text_encoder": "lseg",
        "model.text_channels": 512, "model.train_gaussians": False, "model.loss.color": 0.1, "model.loss.instances": 1e-3,
        "model.loss.semantics": 0.1, "model.loss.ins2sem": 1e-4, "model.loss.anchors": 1000, "model.loss.neighbours": 30,
        "model.loss.pixels": 32768, "model.loss.min_pixels": 20, "model.loss.temperature_scale": 10.0,
        "model.loss.lowest_temperature": 0.5, "model.loss.highest_temperature": 1.0,
        "optimizer.learning_rate": 2e-4, "schedule.kind": "cosine", "sampling.batch": 1, "sampling.view_counts": (24,),
    },
}  # fmt: skip


OURS = {
    "segvggt": SegVggtSettings(),
    "fast3dis": Fast3disFamilySettings(),
    "eps3d": Eps3dFamilySettings(),
    "pan3d-mini-fast3dis": {**to_plain(Fast3disMiniSettings()), "loss": to_plain(Fast3disMiniLossWeights())},
    "pan3d-mini-eps3d": {**to_plain(Eps3dMiniSettings()), "loss": to_plain(Eps3dMiniLossWeights())},
}


def flat(values, prefix=""):
    """Nested settings by dotted names; lists as tuples."""
    found = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = tuple(value) if isinstance(value, list) else value
    return found


def settings_of(family, preset, **more):
    return flat(run_config({"family": family, "preset": preset, "data": "data", "out": "run", **more}).to_dict())


@pytest.mark.parametrize("family", sorted(PAPERS))
def test_the_published_preset_has_the_paper_s_values(family):
    found = settings_of(family, "published")
    assert {name: found[name] for name in PAPERS[family]} == PAPERS[family] and found["preset"] == "published"
    # The weights of SegVGGT's objective are the paper's whatever the preset.
    assert (SEGVGGT_WEIGHTS.classes, SEGVGGT_WEIGHTS.masks, SEGVGGT_WEIGHTS.frames) == (0.5, 1.0, 0.5)
    assert (GEOMETRY_WEIGHTS.camera, GEOMETRY_WEIGHTS.depth) == (5.0, 1.0)


@pytest.mark.parametrize("family", sorted(PRESETS))
def test_the_page_lists_every_departure_and_no_other(family):
    """Settings of the preset whose value is another one than ours."""
    published = flat(PRESETS[family])
    ours = flat({"model": to_plain(OURS[family])}) | settings_of(family, "ours")
    assert set(published) <= set(ours)
    differing = {name for name, value in published.items() if ours[name] != value}
    page = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    section = page.split(f"#### `{family}`")[1].split("\n#")[0]
    listed = set(re.findall(r"^\| `([\w.]+)` \|", section, re.MULTILINE))
    assert listed == differing


def test_what_is_set_wins_over_a_preset():
    found = settings_of("segvggt", "published", sampling={"images": 8}, optimizer={"learning_rate": 1e-3})
    assert found["sampling.images"] == 8 and found["optimizer.learning_rate"] == 1e-3 and found["model.geometry"] == "teacher"
    assert settings_of("segvggt", "ours") == {**settings_of("segvggt", "ours"), "preset": "ours"}
    again = run_config(run_config({"family": "fast3dis", "preset": "published", "data": "d", "out": "o"}).to_dict())
    assert again.model["decoder"]["queries"] == 80
    for family, name, message in (
        ("segvggt", "publishd", "preset: expected ours or published, got 'publishd'; did you mean published?"),
        ("pan3d-mini", "published", "preset: expected ours for pan3d-mini, which no paper describes"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            settings_of(family, name)
    assert set(PRESETS) == set(FAMILIES) - {"pan3d-mini"}


@pytest.mark.parametrize("family", ["fast3dis", pytest.param("pan3d-mini-eps3d", marks=pytest.mark.slow),
                                    pytest.param("pan3d-mini-fast3dis", marks=pytest.mark.slow)])  # fmt: skip
def test_small_networks_learn_as_published(run_values, family):
    values = run_values(family)
    small = {"sampling": {"batch": 1, "view_counts": [2], "view_weights": [1.0], "aspects": []}}
    trainer = trainer_of(merge_settings({**values, "preset": "published"}, small))
    terms = [trainer.train_step() for _ in range(2)]
    assert all(math.isfinite(value) for step in terms for value in step.values())


def test_corrections_in_all_blocks_learn_and_leave_the_geometry_alone(run_values):
    values = run_values("fast3dis", model={"lora_blocks": "all"})
    trainer = trainer_of(values)
    blocks = trainer.model.da3.backbone.pretrained.blocks
    adapted = [any(p.requires_grad for p in block.parameters()) for block in blocks]
    assert all(adapted)
    usual = trainer_of(run_values("fast3dis"))
    assert [any(p.requires_grad for p in block.parameters()) for block in usual.model.da3.backbone.pretrained.blocks] == [
        False, False, True, True, True, True,
    ]  # fmt: skip
    images = torch.rand(1, 2, 3, 56, 70, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        before = trainer.model(images)
    first = blocks[0].attn.qkv.lora
    names = [name for name, p in first.named_parameters() if not bool(p.detach().any())]
    trainer.train_step()
    assert any(bool(dict(first.named_parameters())[name].detach().any()) for name in names)  # the zero half has moved
    with torch.no_grad():
        after = trainer.model(images)
    assert torch.equal(before.geometry.depth, after.geometry.depth)
    assert not torch.equal(before.mask_features, after.mask_features)


@pytest.mark.slow
def test_the_head_of_gaussians_learns_or_stays(run_values):
    learning, kept = (trainer_of(run_values("eps3d", model={"train_gaussians": on})) for on in (True, False))
    for trainer, moves in ((learning, True), (kept, False)):
        before = {name: value.clone() for name, value in trainer.model.gaussian_head.state_dict().items()}
        trainer.train_step()
        after = trainer.model.gaussian_head.state_dict()
        assert any(not torch.equal(before[name], after[name]) for name in before) == moves


def test_forms_as_printed():
    generator = torch.Generator().manual_seed(0)
    probs, scores = torch.rand(5, 30, generator=generator), torch.rand(5, generator=generator)
    claims = probs * scores[:, None]
    pairs = sum(float(claims[i] @ claims[j]) for i in range(5) for j in range(5) if i != j)
    assert float(printed_overlap(probs, scores)) == pytest.approx(pairs / (5 * 4), rel=1e-6)
    assert float(overlap_penalty(probs, scores)) == pytest.approx(pairs / float(claims.sum()), rel=1e-6)
    assert float(printed_overlap(probs[:1], scores[:1])) == 0.0
    features, ids = torch.randn(12, 4, generator=generator), torch.tensor([1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 5])
    unit = F.normalize(features, dim=-1)
    total = 0.0
    for i in range(12):
        partners = [j for j in range(12) if j != i and ids[j] == ids[i]]
        chances = torch.stack([unit[i] @ unit[j] / 0.1 for j in range(12) if j != i]).logsumexp(0)
        total -= sum(float(unit[i] @ unit[j] / 0.1 - chances) for j in partners) / max(len(partners), 1)
    assert float(supervised_contrast(features, ids, 0.1, "sum")) == pytest.approx(total, rel=1e-5)
    assert float(supervised_contrast(features, ids, 0.1)) == pytest.approx(total / 11, rel=1e-5)
    with pytest.raises(ValueError, match="overlap_form: expected share or printed, got 'area'"):
        Fast3disLossWeights(overlap_form="area")
