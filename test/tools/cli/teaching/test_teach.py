"""`pan3d teach` from beginning to end: an object is shown, found by its name among others, forgotten, and given away."""

import json
import shutil

import pytest
from boxes_to_teach import BLUE, CANDIDATES, ELSEWHERE, LONG_BLUE, RED, cell_of

from pan3d_core.views.scene_folder import Scene, write_scene
from pan3d_tools import cli

ENGINE = ["--engine", "depth_clusters", "--depth"]
EXACT_POSES = "consistency: {enabled: false}\n"  # plain boxes show little to check them by


def scene_of(folder, blocks, num_views=4):
    write_scene(folder, Scene(folder.name, tuple(cell_of(blocks, num_views).views), None, 0.0))
    return folder


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    base = tmp_path_factory.mktemp("scenes")
    tables = {"shown": [BLUE], "present": CANDIDATES, "absent": [RED, LONG_BLUE]}
    return {name: scene_of(base / name, blocks) for name, blocks in tables.items()}


@pytest.fixture
def teach(tmp_path, capsys):
    """Runs an action on a library; exit code, what is printed, and errors."""
    (tmp_path / "settings.yaml").write_text(EXACT_POSES)

    def run(action, *arguments):
        settings = ["--config", str(tmp_path / "settings.yaml")] if action == "show" else []
        code = cli.main(["teach", action, *(str(item) for item in arguments), "--objects", str(tmp_path / "objects"), *settings])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def reconstruct(capsys, scene, folder, prompt, out):
    arguments = ["reconstruct", str(scene), "-o", str(out), "--objects", str(folder), "--prompt", prompt, *ENGINE]
    code = cli.main([*arguments, "--config", str(folder.parent / "settings.yaml")])
    printed = capsys.readouterr()
    return code, printed.out + printed.err


def test_what_was_shown_is_found_by_its_name_and_said_to_be_absent(teach, scenes, tmp_path, capsys):
    library = tmp_path / "objects"
    code, told, _ = teach("show", scenes["shown"], "--name", "blue valve", *ENGINE)
    assert code == 0 and "object 1 (blue object) is 'blue valve' now, from 4 views" in told
    code, told, _ = teach("list")
    assert code == 0 and "blue valve: blue object, 10." in told and "1 objects in" in told

    code, told = reconstruct(capsys, scenes["present"], library, "the blue valve", tmp_path / "present")
    assert code == 0 and "'the blue valve': the (ignored), blue valve (noun)" in told
    named = json.loads((tmp_path / "present" / "instances.json").read_text())["instances"]
    (valve,) = [item for item in named if item["name"] == "blue valve"]
    assert valve["centroid"][:2] == pytest.approx(ELSEWHERE.center[:2], abs=0.02)
    code, told = reconstruct(capsys, scenes["absent"], library, "blue valve", tmp_path / "absent")
    assert code == 1 and "so it is not here" in told

    code, told, _ = teach("forget", "Blue Valve")
    assert code == 0 and not (library / "blue_valve").exists()


def test_which_object_is_shown_is_said_by_id_words_pixel_or_box(teach, scenes, capsys):
    code, _, error = teach("show", scenes["present"], "--name", "part", *ENGINE)
    assert code == 2 and "got 3: 1 (" in error and "say it by id, prompt, pixel or box" in error
    code, told, _ = teach("show", scenes["present"], "--name", "red part", "--prompt", "the red object", *ENGINE)
    assert code == 0 and "(red object) is 'red part' now" in told
    code, _, error = teach("show", scenes["present"], "--name", "part", "--prompt", "blue object", *ENGINE)
    assert code == 2 and "expected to be told which one is shown, got 2" in error
    code, _, error = teach("show", scenes["present"], "--name", "part", "--pixel", "1", "1", *ENGINE)
    assert code == 2 and "no object is under the points" in error
    code, told, _ = teach("show", scenes["shown"], "--name", "part", "--box", "0", "0", "159", "119", *ENGINE)
    assert code == 0 and "(blue object) is 'part' now" in told


def test_names_and_things_go_one_to_one(teach, scenes):
    assert teach("show", scenes["shown"], "--name", "blue valve", *ENGINE)[0] == 0
    code, _, error = teach("show", scenes["shown"], "--name", "Blue valve", *ENGINE)
    assert code == 2 and "--name: expected one that is not taken" in error
    code, _, error = teach("show", scenes["shown"], "--name", "hydrant", *ENGINE)
    assert code == 2 and "looks like 'blue valve', which is taught already" in error
    assert teach("show", scenes["shown"], "--name", "hydrant", "--look-alike", *ENGINE)[0] == 0


def test_bad_views_are_refused_with_what_was_expected(teach, scenes, tmp_path):
    one = scene_of(tmp_path / "one", [BLUE], num_views=1)
    code, _, error = teach("show", one, "--name", "valve", *ENGINE)
    assert code == 2 and "views: expected at least 2 that show enough of object 1, got 1" in error
    unposed = tmp_path / "unposed"
    shutil.copytree(scenes["shown"], unposed)
    content = json.loads((unposed / "scene.json").read_text())
    for view in content["views"]:
        del view["cam_from_world"]
    (unposed / "scene.json").write_text(json.dumps(content))
    code, _, error = teach("show", unposed, "--name", "valve", "--object", "1", "--engine", "pan3d-mini")
    assert code == 2 and "views: expected known poses, so that sizes are metres" in error
    code, _, error = teach("show", scenes["shown"], "--name", "the left one", *ENGINE)
    assert code == 2 and "name: expected words that name a thing" in error
    assert not (tmp_path / "objects").exists()


def test_a_library_goes_to_another_robot(teach, scenes, tmp_path):
    assert teach("show", scenes["shown"], "--name", "blue valve", *ENGINE)[0] == 0
    archive = tmp_path / "valves.zip"
    code, told, _ = teach("export", "-o", archive)
    assert code == 0 and "blue valve" in told and archive.stat().st_size > 1000
    code, _, error = teach("import", archive)
    assert code == 2 and "not taken" in error
    assert teach("forget", "blue valve")[0] == 0
    assert teach("import", archive)[1].startswith("blue valve taken into")
    (tmp_path / "objects" / "blue_valve" / "object.json").write_text("[]")
    code, told, _ = teach("list")
    assert code == 1 and "object.json: expected names with values" in told and "0 objects in" in told
    code, _, error = teach("forget", "hose")
    assert code == 2 and "name: expected one of" in error
