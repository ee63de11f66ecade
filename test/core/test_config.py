"""Settings: validation names the field, unknown names are refused, views of them round-trip."""

import dataclasses

import pytest

from pan3d_core.config import (
    GraspConfig,
    GripperConfig,
    MergeConfig,
    ModelConfig,
    PipelineConfig,
    WorkspaceConfig,
)
from pan3d_core.settings import moved_settings, walk_settings


def test_dict_yaml_and_flat_names_round_trip(tmp_path):
    config = PipelineConfig(
        workspace=WorkspaceConfig(support_height_m=0.1, lower_m=(-1, -1, 0), upper_m=(1, 1, 1)),
        grasp=GraspConfig(gripper=GripperConfig(max_width_m=0.1)),
    )
    assert PipelineConfig.from_dict(config.to_dict()) == config
    yaml = pytest.importorskip("yaml")
    path = tmp_path / "pan3d.yaml"
    path.write_text(yaml.safe_dump(config.to_dict()))
    assert PipelineConfig.from_yaml(path) == config
    assert PipelineConfig.from_flat({name: value for name, value, _ in walk_settings(config)}) == config


def test_every_setting_is_described_and_groups_stay_small():
    for name, _, item in walk_settings(PipelineConfig()):
        assert item.metadata["description"], name
    for item in dataclasses.fields(PipelineConfig):
        assert len(dataclasses.fields(item.default_factory)) <= 12


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: MergeConfig(min_points=0), ("MergeConfig.min_points", "4", "got 0")),
        (lambda: MergeConfig(min_points=5.5), ("MergeConfig.min_points", "int", "5.5")),
        (lambda: ModelConfig(precision="fp8"), ("ModelConfig.precision", "bfloat16", "fp8")),
        (lambda: ModelConfig(min_score=float("nan")), ("ModelConfig.min_score", "finite")),
        (lambda: ModelConfig(min_score=True), ("ModelConfig.min_score", "float", "True")),
        (lambda: WorkspaceConfig(lower_m=(0.0, 1.0)), ("WorkspaceConfig.lower_m", "3 numbers")),
        (lambda: WorkspaceConfig(lower_m=(0, 0, 0), upper_m=(1, 0, 1)), ("WorkspaceConfig.upper_m",)),
        (lambda: PipelineConfig.from_dict({"merge": {"min_pts": 3}}), ("merge.min_pts", "min_points", "unknown")),
        (lambda: PipelineConfig.from_dict({"mergers": {}}), ("mergers", "unknown")),
        (lambda: PipelineConfig.from_flat({"grasp.gripper.wdith": 1.0}), ("grasp.gripper.wdith", "unknown")),
        (lambda: PipelineConfig.from_dict({"merge": 3}), ("merge", "got 3")),
    ],
)
def test_bad_values_name_field_expected_and_got(build, words):
    with pytest.raises(ValueError) as caught:
        build()
    for word in words:
        assert word in str(caught.value)


def test_a_setting_that_moved_says_where_it_is():
    with pytest.raises(ValueError, match=r"placement.mask_threshold: expected merge.mask_threshold instead"):
        PipelineConfig.from_dict({"placement": {"mask_threshold": 0.4}})
    moved = dict(moved_settings(PipelineConfig()))
    assert moved == {"placement.mask_threshold": "merge.mask_threshold"}
    assert set(moved.values()) <= {name for name, _, _ in walk_settings(PipelineConfig())}
