"""The chain of docs/fine_tuning.md: from scenes in ScanNet's layout and an official file to an engine of one's own classes."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from official_networks import OFFICIAL_TINY, OFFICIAL_TINY_EPS3D, official_da3, official_eps3d, official_segvggt
from places import ROOT
from published_scenes import write_scannet
from scannet_copies import copy_scene
from trainers import ALONE

from pan3d_core.config import ModelConfig, PipelineConfig
from pan3d_core.engines import build_engine
from pan3d_eval.datasets import ViewSelection
from pan3d_eval.datasets.scenes import list_scenes
from pan3d_eval.folder import evaluate_folder
from training.data.convert import convert
from training.data.scenes.recordings import SamplePlan
from training.export.exporters import export_run
from training.export.request import ExportRequest
from training.families import run_config
from training.train import Run

CLASSES = ("chair", "sofa", "lamp")
MODEL = {**OFFICIAL_TINY, "geometry": "truth", "max_depth_m": 10.0}


def engine_of_own_scenes(tmp_path: Path, family: str, model: dict, start: Path) -> ModelConfig:
    """Scenes in ScanNet's layout -> training data -> two steps -> exported file -> the engine's settings."""
    references = list_scenes([write_scannet(tmp_path)])
    plan = SamplePlan(CLASSES, views=4, interval=1, samples=1, width=70, height=56)
    for part in ("train", "val"):
        convert(references, plan, tmp_path / "data" / part)
    values = {
        "family": family, "data": str(tmp_path / "data"), "out": str(tmp_path / "run"), "steps": 2, "model": model,
        "start_from": str(start), "execution": {"device": "cpu", "precision": "float32"},
        "sampling": {"batch": 1, "view_counts": [2], "view_weights": [1.0]},
        "record": {"evaluate_scenes": 0, "tensorboard": False},
    }  # fmt: skip
    run = Run(run_config(values), ALONE)
    run.go()
    assert run.trainer.notes() == {"bad_steps": 0, "corrupt_samples": 0}
    out = tmp_path / "own.safetensors"
    export_run(ExportRequest(run.config.out, (), run.config.data, out, scenes=1))
    assert start.name in out.with_suffix(".md").read_text()
    return ModelConfig(name=family, weights=str(out), device="cpu")


def measured(tmp_path: Path, model: ModelConfig) -> int:
    """How many scenes the whole pipeline could be judged on with an engine."""
    found = evaluate_folder(tmp_path / "scans", PipelineConfig(model=model), views=ViewSelection(2))
    assert not found.evaluation.failures
    return len(found.evaluation.scenes)


def test_a_folder_of_scenes_becomes_an_engine_of_own_classes(tmp_path):
    official_segvggt(tmp_path / "segvggt.pt")
    model = engine_of_own_scenes(tmp_path, "segvggt", MODEL, tmp_path / "segvggt.pt")
    assert build_engine(model).facts.labels.names == CLASSES and measured(tmp_path, model) == 1


@pytest.mark.slow
def test_eps3d_goes_the_same_way(tmp_path):
    official_eps3d(tmp_path / "eps3d.safetensors")
    settings = {**OFFICIAL_TINY_EPS3D, "text_channels": 384}
    model = engine_of_own_scenes(tmp_path, "eps3d", settings, tmp_path / "eps3d.safetensors")
    assert build_engine(model).facts.labels.names == CLASSES and measured(tmp_path, model) == 1


@pytest.mark.slow
def test_fast3dis_goes_the_same_way_from_depth_anything_3(tmp_path, run_values):
    settings = run_values("fast3dis")["model"]
    official_da3(tmp_path / "da3.safetensors", settings)
    model = engine_of_own_scenes(tmp_path, "fast3dis", settings, tmp_path / "da3.safetensors")
    assert build_engine(model).facts.finds_objects and measured(tmp_path, model) == 1


@pytest.mark.slow
def test_the_chain_of_the_page(tmp_path):
    page = (ROOT / "docs" / "fine_tuning.md").read_text(encoding="utf-8")
    (chain,) = re.findall(r"^    python -m training\.data\.convert(?:.*\\\n)+.*$", page, re.MULTILINE)
    assert chain.count("&&") == 4
    scene = write_scannet(tmp_path / "scannet")
    for part in ("train", "val"):
        (tmp_path / "scannet" / part).mkdir()
        copy_scene(scene, f"scene000{len(part)}_00", tmp_path / "scannet" / part)
    official_segvggt(tmp_path / "segvggt.pt")
    settings = {
        "model": MODEL, "execution": {"device": "cpu", "precision": "float32", "threads": 0},
        "sampling": {"batch": 1, "view_counts": [2, 3], "view_weights": [0.5, 0.5], "augment": False},
        "optimizer": {"learning_rate": 2e-3}, "schedule": {"warmup_steps": 5},
        "record": {"log_steps": 5, "tensorboard": False, "evaluate_minutes": 0.0, "save_minutes": 0.0},
    }  # fmt: skip
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(settings))
    small = {
        "518x392": "70x56", "--views 8": "--views 3", "--interval 20": "--interval 1", "--steps 20000": "--steps 60",
        "python -m": f"{sys.executable} -m", "pan3d eval": f"{sys.executable} -m pan3d_tools.cli eval",
    }  # fmt: skip
    for words, instead in small.items():
        assert words in chain
        chain = chain.replace(words, instead)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))}
    done = subprocess.run(["bash", "-c", chain], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-4000:]
    assert "734 tensors kept of segvggt.pt" in done.stdout and "classes: 2 kept (chair, sofa); 1 new (lamp)" in done.stdout
    log = [json.loads(line) for line in (tmp_path / "runs" / "own" / "log.jsonl").read_text().splitlines()]
    totals = [line["total"] for line in log if line["what"] == "train"]
    assert len(totals) == 12 and sum(totals[-3:]) < 0.8 * sum(totals[:3])
    judged = json.loads((tmp_path / "out" / "own" / "figures.json").read_text())
    assert judged["figures"]["scenes"] == 1 and not judged["failures"]
    engine = build_engine(ModelConfig(name="segvggt", weights=str(tmp_path / "own.safetensors"), device="cpu"))
    assert engine.facts.labels.names == CLASSES
