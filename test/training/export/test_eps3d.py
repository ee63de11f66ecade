"""A fine-tuned EPS3D as a file: what it says, that the engine names what was learnt, and that a run goes on from it."""

from pathlib import Path

import pytest
import torch
from official_networks import OFFICIAL_TINY_EPS3D, official_eps3d
from trainers import ALONE, trainer_of

from pan3d_core.config import ModelConfig
from pan3d_core.engines import build_engine
from pan3d_core.models.eps3d.files import FORMAT, NAMES, Eps3dContent, Eps3dSizes, load_own_eps3d
from pan3d_core.models.eps3d.network import official_name
from pan3d_core.runtime.checksums import write_weights
from pan3d_core.runtime.weights import read_metadata, read_weights
from pan3d_core.views.preprocessing import preprocess
from training.export.exporters import export_run
from training.export.request import ExportRequest
from training.families import run_config
from training.families.eps3d import Eps3dFamilySettings
from training.train import Run


def config_of(path: Path) -> ModelConfig:
    return ModelConfig(name="eps3d", weights=str(path), device="cpu", min_score=0.0)


def test_official_weights_of_another_text_space_keep_all_but_the_decoder_and_are_exported(run_values, tmp_path, caplog, cell):
    tensors = official_eps3d(tmp_path / "eps3d.safetensors")
    values = run_values(
        "eps3d", steps=1, model=OFFICIAL_TINY_EPS3D, start_from=str(tmp_path / "eps3d.safetensors"), sampling={"batch": 1},
        record={"evaluate_scenes": 0},
    )  # fmt: skip
    with caplog.at_level("INFO", "pan3d.training"):
        run = Run(run_config(values), ALONE)
    assert "text decoder: new, into 16 channels; that of the file leads into 512" in caplog.text
    assert f"{len(tensors) - 2} tensors kept" in caplog.text
    own = {official_name(name): value for name, value in run.trainer.model.state_dict().items()}
    assert all(torch.equal(own[name], value) for name, value in tensors.items() if not name.startswith("decoder."))
    run.go()
    out = tmp_path / "own.safetensors"
    export_run(ExportRequest(run.config.out, (), run.config.data, out, scenes=1))

    loaded, content, known = load_own_eps3d(out)
    averaged = run.trainer.averaged.module.state_dict()
    assert all(torch.equal(value, averaged[name]) for name, value in loaded.state_dict().items())
    assert content.encoder == "minilm" and content.sizes.voxel_size == 0.05 and content.facts["classes"] == ["ball", "block"]
    assert set(known.class_names) == {"ball", "block"} and known.embeddings.shape[1] == 16
    card = out.with_suffix(".md").read_text()
    assert "| knows by name | ball, block |" in card and "| not seen |" in card and "VGGT" in card and "{" not in card

    engine = build_engine(config_of(out))
    assert engine.facts.labels.names == ("ball", "block") and engine.facts.text_space.encoder == "minilm"
    assert (engine.facts.preprocess.height, engine.facts.preprocess.width) == (56, 70)
    _, instances = engine(preprocess(cell.views[:2], engine.facts.preprocess))
    assert instances.class_logits.shape == (len(instances.scores), 3) and len(instances.scores) > 0

    second = trainer_of({**values, "start_from": str(out)})
    again = {official_name(name): value for name, value in second.model.state_dict().items()}
    assert all(torch.equal(value, again[name]) for name, value in read_weights(out).items() if name != NAMES)


def test_files_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(ValueError, match="encoder: expected one of minilm, .*, got 'words'"):
        Eps3dContent(Eps3dSizes(), "words", 56, 70, {})
    with pytest.raises(ValueError, match="class_names: expected 1 as there are names, got 0"):
        Eps3dContent(Eps3dSizes(), "minilm", 56, 70, {}, names=("ball",))
    content = '{"sizes": {}, "encoder": "minilm", "height": 56, "width": 70, "facts": {}, "names": ["a"], "class_names": ["a"]}'
    write_weights(tmp_path / "none.safetensors", {"x": torch.zeros(1)}, {"format": FORMAT, "content": content})
    assert read_metadata(tmp_path / "none.safetensors")["format"] == FORMAT
    with pytest.raises(ValueError, match=r"expected names.embeddings of shape \(1, 512\) in .*, got None"):
        load_own_eps3d(tmp_path / "none.safetensors")
    with pytest.raises(ValueError, match="model.text_encoder: expected one of minilm, .*, got 'words'"):
        Eps3dFamilySettings(text_encoder="words")
