"""What every engine promises, and the dict that builds them."""

import ast
from pathlib import Path

import da3_members
import pytest
import torch

from pan3d_core.config import ModelConfig, PreprocessConfig
from pan3d_core.engines import ENGINES, EngineFacts, build_engine, table
from pan3d_core.views.preprocessing import preprocess

NEEDS_FILE = {"segvggt", "eps3d", "fast3dis", "da3", "mapanything"}  # weights that a user brings


@pytest.fixture()
def small_weights(tmp_path, monkeypatch):
    """The file of a small network for an engine that needs one, nothing for the others."""
    da3_members.make_small(monkeypatch)

    def weights(name: str) -> str:
        if name == "fast3dis":
            return str(da3_members.write_fast3dis(tmp_path / "fast3dis.safetensors"))
        return str(da3_members.write_member(tmp_path / "da3", "anyview")) if name == "da3" else ""

    return weights


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=rf"ModelConfig\.name: expected one of {', '.join(sorted(ENGINES))}, got 'vgg'"):
        build_engine(ModelConfig(name="vgg"))


def test_a_type_checker_sees_every_builder():
    """`ENGINES` names builders by text; `BUILDERS` names the same ones to the type checker, which holds them against `Engine`."""
    tree = ast.parse(Path(table.__file__).read_text(encoding="utf-8"))
    (seen,) = (n.value for n in ast.walk(tree) if isinstance(n, ast.AnnAssign) and ast.unparse(n.target) == "BUILDERS")
    assert {ast.unparse(item) for item in seen.elts} == {
        f"{place.removeprefix('pan3d_core.engines.')}".replace(":", ".") for place in ENGINES.values()
    }


@pytest.mark.parametrize("name", sorted(NEEDS_FILE))
def test_engine_without_its_weights_says_so(name):
    with pytest.raises((ValueError, FileNotFoundError), match="weights"):
        build_engine(ModelConfig(name=name))


@pytest.mark.parametrize(
    "name", sorted(set(ENGINES) - {"segvggt", "eps3d", "mapanything"})
)  # without small checkpoints; see their own tests
@pytest.mark.parametrize("num_views", [1, 4])
def test_every_engine_turns_views_into_geometry_and_instances(name, num_views, cell, small_weights):
    engine = build_engine(ModelConfig(name=name, weights=small_weights(name)))
    assert isinstance(engine.facts, EngineFacts) and isinstance(engine.facts.preprocess, PreprocessConfig)
    views = preprocess(cell.views[:num_views], engine.facts.preprocess, support_height_m=0.0)
    reconstruction, instances = engine(views)
    height, width = views.hw
    assert reconstruction.depth.shape == reconstruction.depth_conf.shape == (num_views, height, width)
    assert reconstruction.cam_from_world.shape == (num_views, 4, 4) and reconstruction.intrinsics.shape == (num_views, 3, 3)
    assert bool(torch.isfinite(reconstruction.depth).all()) and reconstruction.is_metric == (name not in NEEDS_FILE)
    count = len(instances.scores)
    assert instances.mask_logits.shape[:2] == (count, num_views)
    assert bool(((instances.scores >= 0) & (instances.scores <= 1)).all()) and bool((instances.scores.diff() <= 0).all())
    if len(engine.facts.labels):
        assert instances.class_logits.shape == (count, len(engine.facts.labels) + 1) and instances.labels == engine.facts.labels
    else:
        assert instances.class_logits is None
