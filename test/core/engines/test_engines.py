"""What every engine promises, and the dict that builds them."""

import pytest

from pan3d_core.config import ModelConfig, PreprocessConfig
from pan3d_core.engines import ENGINES, build_engine


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"ModelConfig\.name: expected one of depth_clusters, pan3d-mini, segvggt, got 'vgg'"):
        build_engine(ModelConfig(name="vgg"))


def test_depth_clusters_has_what_the_pipeline_asks_for():
    engine = build_engine(ModelConfig(name="depth_clusters"))
    assert engine.needs_depth and isinstance(engine.preprocess, PreprocessConfig) and len(engine.labels) == 0
    assert set(ENGINES) == {"depth_clusters", "pan3d-mini", "segvggt"}
