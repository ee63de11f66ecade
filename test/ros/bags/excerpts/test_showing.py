"""Objects are taught from a bag: what it shows, which object is meant, and what a bag without poses or pictures says."""

import bag_scene
import pytest

from pan3d_core.config import PipelineConfig
from pan3d_core.engines import ENGINES
from pan3d_core.teaching import TaughtLibrary, read_library
from pan3d_ros.bags.excerpts.showing import seen_in_bag
from pan3d_ros.bags.judging.evaluation import BagRequest, bag_worker
from pan3d_ros.bags.reading.reader import BagError
from pan3d_tools import cli

SETTINGS = "model: {name: colors}\nmerge: {support_clearance_m: 0.01}\ncloud: {voxel_size_m: 0.0}\n"
SUPPORT = ["--support-height", "0.0"]


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.setitem(ENGINES, "colors", lambda config: bag_scene.ColorEngine())
    (tmp_path / "settings.yaml").write_text(SETTINGS)
    return ["--config", str(tmp_path / "settings.yaml"), *SUPPORT, "--objects", str(tmp_path / "objects")]


def test_an_object_of_a_bag_is_taught_and_chosen_in_words(settings, tmp_path, capsys):
    bag = bag_scene.BlockBag().write(tmp_path / "bag")
    assert cli.main(["teach", "show", str(bag), "--name", "hydrant", *settings]) == 2
    assert "got 2: " in capsys.readouterr().err
    assert cli.main(["teach", "show", str(bag), "--name", "hydrant", "--prompt", "the red block", *settings]) == 0
    assert "(red block) is 'hydrant' now, from 2 views" in capsys.readouterr().out
    (item,) = read_library(tmp_path / "objects").objects
    with_objects = f"objects: {{folder: {tmp_path / 'objects'}}}\nworkspace: {{support_height_m: 0.0}}\n{SETTINGS}"
    (tmp_path / "node.yaml").write_text(with_objects)
    evaluated = bag_worker(BagRequest(PipelineConfig.from_yaml(tmp_path / "node.yaml")))(bag)
    assert {seen.name for seen in evaluated.outcomes[-1].objects} == {"hydrant", "block"}  # as the node would call them
    assert item.stamp_ns == bag_scene.BlockBag().stamp(3) and item.engine == "colors"  # the newest set


def test_the_newest_set_that_shows_something_is_taken(settings, tmp_path, capsys):
    bag = bag_scene.BlockBag(blocks_of={2: (bag_scene.BLUE,), 3: ()}).write(tmp_path / "bag")
    assert cli.main(["teach", "show", str(bag), "--name", "hydrant", *settings]) == 0
    assert "(blue block) is 'hydrant' now" in capsys.readouterr().out


def test_a_bag_without_poses_is_refused_with_what_is_missing(settings, tmp_path, capsys):
    bag = bag_scene.BlockBag(static=False, tf_until=-1).write(tmp_path / "bag")
    assert cli.main(["teach", "show", str(bag), "--name", "hydrant", *settings]) == 2
    assert "pan3d teach: error: " in (told := capsys.readouterr().err) and "Traceback" not in told
    assert not (tmp_path / "objects").exists()


def test_several_bags_and_bags_that_are_none_are_refused(settings, tmp_path, capsys):
    first, second = (bag_scene.BlockBag(sets=1).write(tmp_path / name) for name in ("one", "two"))
    assert cli.main(["teach", "show", str(first), str(second), "--name", "hydrant", *settings]) == 2
    assert "SOURCE: expected one bag, got 2" in capsys.readouterr().err
    with pytest.raises(BagError):
        seen_in_bag(tmp_path / "nothing.mcap", PipelineConfig(), TaughtLibrary())
