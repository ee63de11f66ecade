"""Pictures, views or a scene folder to objects in one call."""

from dataclasses import replace

import pytest
import torch
from color_engine import answer_by_color
from raycast_scene import LABELS, TABLE_SCENE, cast

from pan3d_core import PipelineConfig, reconstruct
from pan3d_core.config import ModelConfig, PreprocessConfig, WorkspaceConfig
from pan3d_core.engines import EngineFacts
from pan3d_core.reconstruction import read_pictures
from pan3d_core.views.image_files import write_image
from pan3d_core.views.scene_folder import Scene, write_scene

STAGES = ["preprocess", "poses", "engine", "align", "outlines", "refine", "merge", "track"]


class ColorEngine:
    """Sees red and blue things, at the depth that cameras measured or else a metre away; remembers what it was given."""

    facts = EngineFacts(PreprocessConfig(), LABELS)

    def __call__(self, views):
        self.given = views
        depth = torch.ones(views.num_views, *views.hw) if views.depth is None else views.depth
        poses = torch.eye(4).expand(views.num_views, 4, 4) if views.cam_from_world is None else views.cam_from_world
        intrinsics = torch.eye(3).expand(views.num_views, 3, 3) if views.intrinsics is None else views.intrinsics
        return answer_by_color(replace(views, depth=depth, cam_from_world=poses, intrinsics=intrinsics), LABELS)


@pytest.fixture
def engine():
    return ColorEngine()


@pytest.fixture(scope="module")
def views():
    return cast(TABLE_SCENE).views


def test_views_become_objects_with_names_and_every_stage_is_told(views, engine):
    told = []
    result = reconstruct(views, engine=engine, progress=told.append)
    # The engine knows one of the things; the others are shown by depth alone.
    assert result.is_metric and result.outlines_fused and {segment.class_id for segment in result.panoptic.segments} == {0, -1}
    assert told == STAGES and result.panoptic.labels == LABELS


def test_measured_depth_is_left_out_on_demand(views, engine):
    reconstruct(views, engine=engine)
    assert engine.given.depth is not None
    reconstruct(views, engine=engine, use_depth=False)
    assert engine.given.depth is None


def test_objects_are_named_by_words_of_ones_own(views, engine):
    result = reconstruct(views, engine=engine, classes=("apple", "cup"))
    assert result.panoptic.labels.names == ("apple", "cup")
    assert "name" in result.timings_ms


def test_a_scene_folder_says_where_objects_stand_unless_the_settings_do(views, engine, tmp_path):
    write_scene(tmp_path / "scene", Scene("table", tuple(views), support_height_m=0.01))
    told = []
    result = reconstruct(tmp_path / "scene", engine=engine, progress=told.append)
    assert result.views.support_height_m == 0.01 and told == ["read", *STAGES]
    config = PipelineConfig(workspace=WorkspaceConfig(support_height_m=-0.02))
    assert reconstruct(str(tmp_path / "scene"), config, engine=engine).views.support_height_m == -0.02
    assert reconstruct(read_pictures(tmp_path / "scene"), engine=engine).views.support_height_m == 0.01


def test_image_files_are_read_with_their_calibration(views, engine, tmp_path):
    path = write_scene(tmp_path / "scene", Scene("table", tuple(views)))
    images = sorted((tmp_path / "scene" / "images").iterdir())
    result = reconstruct(images, engine=engine, cameras=path)
    assert result.views.num_views == len(views) and result.views.cam_from_world is not None
    bare = reconstruct(images[:1], engine=engine)
    assert bare.views.cam_from_world is None and bare.views.cameras == (images[0].stem,)
    assert reconstruct(images[0], engine=engine).views.num_views == 1


def test_a_camera_that_cannot_be_used_is_left_out_and_named(views, engine):
    wrong = replace(views[1], intrinsics=torch.eye(3))
    result = reconstruct([views[0], wrong, *views[2:]], engine=engine)
    assert result.is_metric and wrong.camera not in result.views.cameras and result.views.num_views == len(views) - 1
    assert [(item.camera, item.code) for item in result.left_out] == [(wrong.camera, "NO_CAMERA_INFO")]
    told = f"used {len(views) - 1} of {len(views)} cameras: {wrong.camera} is left out because CameraView.intrinsics"
    assert result.warnings[0].startswith(told)
    assert reconstruct(views, engine=engine).left_out == ()
    with pytest.raises(ValueError, match=f"used 0 of 1 cameras: {wrong.camera} is left out"):
        reconstruct([wrong], engine=engine)


def test_what_cannot_be_read_is_named(views, engine, tmp_path):
    with pytest.raises(ValueError, match="images: expected image files or a folder with a scene.json"):
        reconstruct(tmp_path, engine=engine)
    with pytest.raises(FileNotFoundError, match="image: expected a file"):
        reconstruct([tmp_path / "none.png"], engine=engine)
    with pytest.raises(ValueError, match="images: expected at least one file, got none"):
        reconstruct([], engine=engine)
    write_image(tmp_path / "grey.png", torch.full((3, 20, 20), 0.5))
    with pytest.raises(ValueError, match="source: expected camera views or files, got 1 views and 1 files"):
        reconstruct([views[0], tmp_path / "grey.png"], engine=engine)
    with pytest.raises(ValueError, match="ModelConfig.name: expected one of .*, got 'none'"):
        reconstruct(views, PipelineConfig(ModelConfig(name="none")))


def test_an_exception_of_the_callback_cancels_the_call(views, engine):
    def cancel(stage: str) -> None:
        if stage == "merge":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reconstruct(views, engine=engine, progress=cancel)
