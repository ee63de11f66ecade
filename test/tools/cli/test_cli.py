"""The command line as a person meets it: what it makes, what it says when something is wrong."""

import errno
import json
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec

import da3_members
import numpy as np
import pytest
from heap_work import kept_mb
from PIL import Image

from pan3d_core import __version__
from pan3d_core.engines import ENGINES
from pan3d_core.pictures.cloud_files import read_ply
from pan3d_core.views.scene_folder import Scene, SceneTruth, write_scene
from pan3d_tools import cli
from pan3d_tools.cli import bench
from pan3d_tools.cli.program import COMMANDS


@pytest.fixture
def folder(cell, tmp_path):
    truth = SceneTruth(tuple(cell.ids), tuple(view.depth for view in cell.views))
    write_scene(tmp_path / "scene", Scene("scene", tuple(cell.views), truth, 0.0))
    return tmp_path / "scene"


def images(folder) -> list[str]:
    return [str(path) for path in sorted((folder / "images").glob("*.png"))]


def refused(capsys, *arguments) -> str:
    """Run a command that must fail; its message."""
    assert cli.main([str(item) for item in arguments]) == 2
    message = capsys.readouterr().err
    assert "Traceback" not in message and message.startswith("pan3d ") and ": error: " in message
    return message


def test_the_version_is_that_of_the_library(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0 and capsys.readouterr().out.strip() == f"pan3d {__version__}"


def test_a_command_that_works_for_hours_gives_back_what_it_has_freed():
    assert kept_mb("from pan3d_tools.cli import main\ntry:\n    main(['--version'])\nexcept SystemExit:\n    pass") < 20


def test_help_imports_nothing_heavy():
    heavy = "[m for m in ('torch', 'numpy', 'mujoco') if m in sys.modules]"
    code = f"import sys; from pan3d_tools import cli; cli.build_parser().format_help(); print({heavy})"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == "[]"


def test_reconstruct_makes_everything_it_promises(folder, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["reconstruct", *images(folder), "--cameras", str(folder / "scene.json"), "--depth", "--model", "depth_clusters"]
    assert cli.main([*arguments, "-o", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "3 objects" in printed and str(out / "report.html") in printed
    cloud = read_ply(out / "cloud.ply")
    assert set(np.unique(cloud.instance_id)) == {0, 1, 2, 3} and len(cloud.points) > 1000
    content = json.loads((out / "instances.json").read_text())
    assert content["is_metric"] and [item["class"] for item in content["instances"]] == ["", "", ""]
    heights = sorted(item["centroid"][2] for item in content["instances"])
    assert 0.0 < heights[0] < heights[2] < 0.12
    # The boxes have no pattern: nothing is matched between views, so how well poses agree is unknown and nothing is left out.
    assert [(camera["consistency"], camera["left_out"]) for camera in content["cameras"]] == [(None, None)] * 4
    arrays = np.load(out / "reconstruction.npz")
    assert arrays["depth"].shape == (4, 240, 320) and arrays["instance_id"].shape == (4, 240, 320)
    assert len(list((out / "pictures").glob("*.png"))) == 12 and len(list((out / "depth").glob("*.png"))) == 4
    assert (out / "report.html").read_text().count("<img") == 12


def test_reconstruct_answers_prompts_and_says_how_it_read_them(folder, tmp_path, capsys):
    arguments = ["reconstruct", str(folder), "--depth", "--model", "depth_clusters", "-o", str(tmp_path / "out")]
    assert cli.main([*arguments, "--prompt", "the leftmost thing", "--prompt", "second thing from the left"]) == 0
    printed = capsys.readouterr().out
    assert "'the leftmost thing': the (ignored), leftmost (place), thing (noun)" in printed
    answers = [line for line in printed.splitlines() if line.startswith("'") and ": object " in line]
    assert len(answers) == 2 and answers[0].split(": object ")[1].split()[0] != answers[1].split(": object ")[1].split()[0]
    assert cli.main([*arguments, "--prompt", "fifth thing from the left"]) == 1
    assert "asks for number 5, and 3 are seen" in capsys.readouterr().out


def test_reconstruct_refuses_a_prompt_that_it_does_not_understand_before_it_works(folder, tmp_path, capsys):
    out = tmp_path / "out"
    assert cli.main(["reconstruct", str(folder), "--depth", "-o", str(out), "--prompt", "don't take the mug"]) == 2
    printed = capsys.readouterr()
    assert "don't (not understood)" in printed.out and "not what to take" in printed.err and not out.exists()


def test_a_scene_folder_stands_for_its_images(folder, tmp_path, capsys):
    arguments = ["reconstruct", str(folder), "--depth", "--model", "depth_clusters", "-o", str(tmp_path / "out")]
    assert cli.main(arguments) == 0 and "3 objects" in capsys.readouterr().out


def test_a_second_reconstruction_takes_the_place_of_the_first(folder, tmp_path, capsys):
    out, cameras = tmp_path / "out", ["--cameras", str(folder / "scene.json"), "--engine", "depth_clusters", "--depth"]
    assert cli.main(["reconstruct", *images(folder), *cameras, "-o", str(out)]) == 0
    (out / "pictures" / "mine.png").write_text("mine")
    assert cli.main(["reconstruct", *images(folder)[:2], *cameras, "-o", str(out)]) == 0
    assert str(out / "cloud.ply") in capsys.readouterr().out
    assert len(list((out / "depth").iterdir())) == 2 and len(list((out / "pictures").glob("instances_*.png"))) == 2
    assert (out / "pictures" / "mine.png").read_text() == "mine"
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    refused(capsys, "reconstruct", *images(folder)[:2], "--cameras", str(out / "nowhere.json"), "-o", str(out))
    assert before == {path: path.stat().st_mtime_ns for path in out.rglob("*")}


def test_reconstruct_writes_into_a_folder_of_its_own(folder, tmp_path, capsys):
    for given in ([folder], [*images(folder), "--cameras", folder / "scene.json"]):
        assert "--out: expected a folder of its own for the results" in refused(capsys, "reconstruct", *given, "-o", folder)
    note = tmp_path / "note.txt"
    note.write_text("mine")
    assert "--out: expected a folder, got" in refused(capsys, "reconstruct", folder, "-o", note)


@pytest.mark.parametrize("posed", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_reconstruct_with_fast3dis(folder, tmp_path, capsys, posed):
    weights = da3_members.write_fast3dis(tmp_path / "tiny.safetensors")
    (tmp_path / "all.yaml").write_text("model: {min_score: 0.0}\nmerge: {min_points: 4}")
    cameras = ["--cameras", str(folder / "scene.json")] if posed else []
    arguments = ["reconstruct", *images(folder), *cameras, "--config", str(tmp_path / "all.yaml")]
    assert cli.main([*arguments, "--engine", "fast3dis", "--weights", str(weights), "-o", str(tmp_path / "out")]) == 0
    assert "warning: not metric" in capsys.readouterr().out  # random weights see no cameras that fit
    content = json.loads((tmp_path / "out" / "instances.json").read_text())
    assert not content["is_metric"] and [item["class"] for item in content["instances"]] == [""] * len(content["instances"])
    assert np.load(tmp_path / "out" / "reconstruction.npz")["depth"].shape == (4, 378, 504)


def test_reconstruct_with_da3_says_that_it_finds_no_objects(folder, tmp_path, capsys, monkeypatch):
    da3_members.make_small(monkeypatch)
    weights = da3_members.write_member(tmp_path, "mono", "da3metric-large")
    arguments = ["reconstruct", *images(folder)[:2], "--engine", "da3", "--weights", str(weights)]
    assert "ViewBatch.intrinsics: expected that of every view" in refused(capsys, *arguments)
    entries = json.loads((folder / "scene.json").read_text())["views"][:2]
    unposed = {"views": [{"intrinsics": entry["intrinsics"]} for entry in entries]}
    (tmp_path / "unposed.json").write_text(json.dumps(unposed))
    message = refused(capsys, *arguments, "--cameras", tmp_path / "unposed.json")
    assert "ViewBatch.cam_from_world: expected that of every view, since da3-metric-large sees each alone" in message
    scene = ["reconstruct", str(folder), "--engine", "da3", "--weights", str(weights), "-o", str(tmp_path / "out")]
    assert cli.main(scene) == 0
    printed = capsys.readouterr().out
    assert "warning: this engine finds no objects" in printed and "0 objects" in printed
    assert "this engine finds no objects" in (tmp_path / "out" / "report.html").read_text()


def test_checkpoints_that_cannot_be_used(folder, tmp_path, capsys):
    weights = da3_members.write_fast3dis(tmp_path / "tiny.safetensors")
    arguments = ["reconstruct", images(folder)[0], "--weights", weights, "--engine"]
    assert "expected a checkpoint of Depth Anything 3" in refused(capsys, *arguments, "da3")
    weights.write_bytes(weights.read_bytes()[:-5000])
    assert "cut short" in refused(capsys, *arguments, "fast3dis")
    assert "ModelConfig.weights: expected the path" in refused(capsys, "reconstruct", images(folder)[0], "--engine", "fast3dis")


def test_one_photograph_alone_is_reconstructed_without_metres(folder, tmp_path, capsys):
    assert cli.main(["reconstruct", images(folder)[0], "-o", str(tmp_path / "out")]) == 0
    assert "not metric" in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "instances.json").read_text())["is_metric"] is False
    assert not (tmp_path / "out" / "depth").exists()  # 16-bit files hold metres; the npz has the unscaled depth


def test_images_and_cameras_that_cannot_be_used(folder, tmp_path, capsys):
    note = tmp_path / "note.png"
    note.write_text("no picture")
    assert "cannot be decoded" in refused(capsys, "reconstruct", note)
    assert "does not exist" in refused(capsys, "reconstruct", tmp_path / "nothing.png")
    assert "folder with a scene.json" in refused(capsys, "reconstruct", tmp_path)
    short = tmp_path / "cameras.json"
    short.write_text(json.dumps({"views": [{"intrinsics": [[100, 0, 80], [0, 100, 60], [0, 0, 1]]}]}))
    message = refused(capsys, "reconstruct", *images(folder), "--cameras", short)
    assert "expected 4 as there are images, got 1" in message
    Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(tmp_path / "small.png")
    message = refused(capsys, "reconstruct", tmp_path / "small.png", "--cameras", short)
    assert "principal point inside the 64 x 48 image" in message


def test_settings_that_cannot_be_used(folder, tmp_path, capsys):
    image = images(folder)[0]
    assert f"expected one of {', '.join(sorted(ENGINES))}" in refused(capsys, "reconstruct", image, "--model", "yolo")
    assert "depth" in refused(capsys, "reconstruct", image, "--model", "depth_clusters")
    assert "--config: expected a file" in refused(capsys, "reconstruct", image, "--config", tmp_path / "no.yaml")
    (tmp_path / "bad.yaml").write_text("merge: {min_pionts: 3}")
    assert "merge.min_pionts" in refused(capsys, "reconstruct", image, "--config", tmp_path / "bad.yaml")
    assert "no.safetensors" in refused(capsys, "reconstruct", image, "--weights", tmp_path / "no.safetensors")
    with pytest.raises(SystemExit) as stop:
        cli.main(["reconstruct"])
    assert stop.value.code == 2


def test_eval_prints_and_writes_figures_and_a_report(folder, tmp_path, capsys):
    out = tmp_path / "out"
    assert cli.main(["eval", str(folder), "--depth", "--engine", "depth_clusters", "-o", str(out)]) == 0
    assert "AP50" in capsys.readouterr().out
    content = json.loads((out / "figures.json").read_text())
    assert content["figures"]["AP50"] == pytest.approx(1.0) and "processor" in content["machine"]
    assert set(content["protocols"]) == set(content["figures"]) and len(content["scenes"]) == 1
    page = (out / "report.html").read_text()
    assert page.count("<img") == 4 and "0.95 is not among them" in page and "3 of 3 objects found" in page
    assert f"pan3d eval {folder} --depth" in page and "http" not in page
    assert "nowhere" in refused(capsys, "eval", tmp_path / "nowhere")


def test_eval_names_what_failed_and_says_so_by_its_exit_code(folder, tmp_path, capsys):
    shutil.copytree(folder, tmp_path / "both" / "good")
    shutil.copytree(folder, tmp_path / "both" / "torn")
    for picture in (tmp_path / "both" / "torn" / "images").glob("*.png"):
        picture.unlink()
    arguments = ["eval", str(tmp_path / "both"), "--depth", "--model", "depth_clusters", "-o", str(tmp_path / "out")]
    assert cli.main([*arguments, "--worst", "0"]) == 1
    assert "failed: torn: image: expected a file" in capsys.readouterr().err
    content = json.loads((tmp_path / "out" / "figures.json").read_text())
    assert content["figures"]["scenes"] == 1 and [item["name"] for item in content["failures"]] == ["torn"]
    assert "1 could not be evaluated" in (tmp_path / "out" / "report.html").read_text()


def with_a_bad_camera(folder, into):
    """A copy of a scene folder whose second camera is not calibrated."""
    shutil.copytree(folder, into)
    content = json.loads((into / "scene.json").read_text())
    content["views"][1]["intrinsics"] = np.eye(3).tolist()
    (into / "scene.json").write_text(json.dumps(content))
    return into


USED = "used 3 of 4 cameras: 01_cam1.png is left out because CameraView.intrinsics of 'cam1': expected a calibration"


def test_one_bad_camera_is_named_and_the_others_are_reconstructed(folder, tmp_path, capsys):
    bad, out = with_a_bad_camera(folder, tmp_path / "bad"), tmp_path / "out"
    assert cli.main(["reconstruct", str(bad), "--depth", "--model", "depth_clusters", "-o", str(out)]) == 0
    assert f"warning: {USED}" in capsys.readouterr().out
    content = json.loads((out / "instances.json").read_text())
    assert content["is_metric"] and len(content["instances"]) == 3 and content["warnings"][0].startswith(USED)
    (fault,) = content["left_out"]
    assert (fault["camera"], fault["code"], fault["image"]) == ("cam1", "NO_CAMERA_INFO", "01_cam1.png")
    assert "01_cam1.png is left out" in (out / "report.html").read_text()
    assert cli.main(["doctor", str(bad)]) == 1
    assert re.search(r"missing  camera cam1 +NO_CAMERA_INFO: 01_cam1\.png is left out because", capsys.readouterr().out)


def test_one_bad_camera_is_named_and_the_scene_is_evaluated_without_it(folder, tmp_path, capsys):
    bad, out = with_a_bad_camera(folder, tmp_path / "bad"), tmp_path / "out"
    assert cli.main(["eval", str(bad), "--depth", "--model", "depth_clusters", "-o", str(out)]) == 1
    assert f"scene: {USED}" in capsys.readouterr().err
    content = json.loads((out / "figures.json").read_text())
    assert content["figures"]["scenes"] == 1 and content["failures"] == [] and content["figures"]["AP50"] == pytest.approx(1.0)
    assert [item["camera"] for item in content["scenes"][0]["left_out"]] == ["cam1"]


def test_sim_render_checks_its_numbers(tmp_path, capsys):
    assert "--size: expected WIDTHxHEIGHT" in refused(capsys, "sim", "render", "--size", "big", "-o", tmp_path)
    assert "at least one scene" in refused(capsys, "sim", "render", "--count", "0", "-o", tmp_path)


def test_missing_package_is_named_with_its_extra(monkeypatch, tmp_path, capsys):
    monkeypatch.delitem(sys.modules, "pan3d_tools.cli.simulation.render", raising=False)
    monkeypatch.setitem(sys.modules, "pan3d_sim.data.scene_folders", None)
    monkeypatch.setitem(sys.modules, "pan3d_sim", None)
    message = refused(capsys, "sim", "render", "-o", tmp_path)
    assert "'pan3d_sim'" in message and "[sim]" in message


@pytest.mark.parametrize(
    "command, extra", [(["sim", "render"], "sim"), (["sim", "record", "-o", "x"], "sim"), (["scoreboard"], "sim")]
)
def test_a_command_whose_module_needs_what_is_missing_says_so(command, extra):
    code = f"import sys; sys.modules['mujoco'] = None; from pan3d_tools.cli import main; sys.exit(main({command!r}))"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert finished.returncode == 2 and "Traceback" not in finished.stderr
    assert (
        f"this command needs the package 'mujoco', which is not installed: install it with the extra [{extra}]" in finished.stderr
    )


def test_help_of_every_command_says_what_the_list_says():
    for name, (_, summary) in COMMANDS.items():
        assert summary in " ".join(cli.build_parser().format_help().replace("\n", " ").split()), name


def test_the_doctor_works_where_torch_is_missing():
    code = "import sys; sys.modules['torch'] = None; from pan3d_tools.cli import main; sys.exit(main(['doctor']))"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert finished.returncode == 1 and "needed and missing: torch" in finished.stdout


def test_bench_prints_a_table_and_writes_the_figures(folder, tmp_path, capsys):
    path = tmp_path / "frame.json"
    arguments = ["--scene", str(folder), "--depth", "--model", "depth_clusters", "--repeats", "2", "--warm-up", "0"]
    assert cli.main(["bench", "--json", str(path), "frame", *arguments]) == 0
    printed = capsys.readouterr().out
    assert "p99_over_p50" in printed and "stages_p50_ms.engine" in printed and "cores" in printed
    content = json.loads(path.read_text())
    result = content["result"]
    assert content["bench"] == "frame" and result["objects"] == 3 and result["views"] == [[120, 160]] * 4
    assert result["p50_ms"] <= result["p90_ms"] <= result["p99_ms"] and 0 < result["share_outside_network"] < 1


@pytest.mark.parametrize("name", sorted(bench.BENCHES))
def test_every_bench_that_is_listed_exists(name):
    module, _, function = bench.BENCHES[name][0].partition(":")
    assert find_spec(module) is not None and function == "run"


def test_commands_are_imported_without_the_extras_of_others():
    """Scenes are evaluated and refined where nothing of bags, ROS, simulator or viewers is installed."""
    program = """
import importlib, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"mujoco", "OpenGL", "rosbags", "rclpy", "viser", "open3d", "ray", "transformers", "tokenizers"}:
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, Absent())
from pan3d_tools.cli.program import COMMANDS
for name in ("reconstruct", "eval", "refine", "render", "edit", "view", "sim", "bench", "doctor"):
    importlib.import_module(COMMANDS[name][0].split(":")[0])
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_a_full_disk_ends_a_command_with_a_message(folder, tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    out = tmp_path / "out"
    options = ("--engine", "depth_clusters", "--depth", "--cameras", folder / "scene.json")
    assert "the disk is full" in refused(capsys, "reconstruct", *images(folder), "-o", out, *options)
    assert [path for path in out.rglob("*") if path.is_file()] == []
