"""A fine-tuned SegVGGT as a file: what it says, that the engine answers with its classes, and that a run goes on from it."""

import json
from pathlib import Path

import pytest
import torch
from official_networks import OFFICIAL_TINY, official_segvggt
from procedural_models import fill, tiny_segvggt
from trainers import ALONE, trainer_of

from pan3d_core.config import ModelConfig
from pan3d_core.engines import build_engine
from pan3d_core.models.vggt.files import FORMAT, SegVggtContent, load_segvggt, read_segvggt_content, save_segvggt
from pan3d_core.models.vggt.segvggt import official_name
from pan3d_core.runtime.checksums import write_weights
from pan3d_core.runtime.weights import read_content, read_weights
from training.export.exporters import export_run
from training.export.request import ExportRequest
from training.families import run_config
from training.families.segvggt_settings import SegVggtSettings
from training.train import Run


def config_of(path: Path) -> ModelConfig:
    return ModelConfig(name="segvggt", weights=str(path), device="cpu", min_score=0.0)


def test_a_file_of_own_classes_is_what_was_trained_and_the_engine_names_them(run_values, tmp_path, caplog):
    official_segvggt(tmp_path / "segvggt.pt")
    values = run_values(
        "segvggt", steps=2, model=OFFICIAL_TINY, start_from=str(tmp_path / "segvggt.pt"), sampling={"batch": 1},
        record={"evaluate_scenes": 0},
    )  # fmt: skip
    run = Run(run_config(values), ALONE)
    run.go()
    out = tmp_path / "export" / "own.safetensors"
    export_run(ExportRequest(run.config.out, (), run.config.data, out, scenes=1))
    loaded, content = load_segvggt(out)
    averaged = run.trainer.averaged.module.state_dict()
    assert all(torch.equal(value, averaged[name]) for name, value in loaded.state_dict().items())
    assert content.classes == ("ball", "block") and content.width == 70 and content.sizes.lora_rank == 4
    assert content.facts["steps"] == 2 and content.facts["start_from"] == "segvggt.pt"
    assert {"ap", "ap50_named", "abs_rel_scaled"} <= content.facts["figures"][0].keys()
    card = out.with_suffix(".md").read_text()
    assert "| classes | ball, block |" in card and "VGGT License v1" in card and "| 1 | 3 |" in card and "{" not in card

    engine = build_engine(config_of(out))
    assert engine.facts.labels.names == ("ball", "block") and "licence" in caplog.text
    assert (engine.facts.preprocess.height, engine.facts.preprocess.width) == (70, 70)
    assert engine.thresholds.min_pixels == round(200 * (70 / 518) ** 2)

    second = trainer_of({**values, "start_from": str(out)})
    own = {official_name(name): value for name, value in second.model.state_dict().items()}
    assert all(torch.equal(value, own[name]) for name, value in read_weights(out).items())


def test_files_that_say_no_network_are_refused(tmp_path):
    out = tmp_path / "own.safetensors"
    sizes = SegVggtSettings.from_dict(OFFICIAL_TINY)
    save_segvggt(fill(tiny_segvggt(2), official_name), SegVggtContent(sizes, ("ball", "block"), 70, {}), out)
    tensors, content = read_weights(out), read_content(out, FORMAT)

    def written(**changes: object) -> Path:
        path = tmp_path / "changed.safetensors"
        write_weights(path, tensors, {"format": FORMAT, "content": json.dumps({**content, **changes})})
        return path

    for changes, message in [
        ({"classes": ["ball"]}, r"output_instance.2.weight expected \(2, 8\), got \(3, 8\)"),
        ({"classes": []}, "classes: expected at least one name and none twice"),
        ({"classes": ["ball", "ball"]}, "classes: expected at least one name and none twice"),
        ({"width": 0}, "width: expected pixels, got 0"),
        ({"sizes": {**content["sizes"], "dims": 3}}, "content.sizes.dims: expected one of"),
        ({"facts": 3}, "expected settings and facts as metadata 'content'"),
    ]:
        with pytest.raises(ValueError, match=message):
            build_engine(config_of(written(**changes)))
    write_weights(tmp_path / "plain.safetensors", tensors, {})
    with pytest.raises(
        ValueError, match="expected 19 or 199 class outputs, got 3 .* must name them, as python -m training.export"
    ):
        build_engine(config_of(tmp_path / "plain.safetensors"))
    with pytest.raises(ValueError, match="expected a checkpoint of format 'pan3d-segvggt/1'"):
        read_segvggt_content(tmp_path / "plain.safetensors")
