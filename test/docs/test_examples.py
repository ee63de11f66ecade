"""Every program of examples/ runs; the one that needs ROS has its test among those of the nodes."""

from __future__ import annotations

import ast
import importlib.util
import re
from types import ModuleType

import pytest
from places import ROOT

from pan3d_core.engines import ENGINES
from pan3d_sim.arm import ARM, urdf_text

# Launch files are no programs; those of the nodes' examples have tests of their own.
EXAMPLES = {path.stem: path for path in sorted((ROOT / "examples").rglob("*.py")) if not path.name.endswith(".launch.py")}
ELSEWHERE = {"ask_the_node": "test/ros/examples/test_example.py", "behaviour_tree": "test/ros/examples/test_behaviour_tree.py"}
FOR_PLANNERS = ("plan_around_objects", "moveit_requests", "moveit_py_pick", "mtc_pick")
ELSEWHERE |= dict.fromkeys(FOR_PLANNERS, "test/ros/examples/test_planner_examples.py")
ELSEWHERE["publish_pictures"] = "test/ros/platform/test_first_hour.py"
ELSEWHERE |= {"pick_over_ros": "test/ros/examples/test_pick_over_ros.py", "command_an_arm": "test/ros/cell/test_arm_commands.py"}
NEEDS_SIMULATOR = ("own_engine", "judge_a_folder", "refine_a_scene", "pick_with_an_arm")


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    """A folder of its own, and engines that an example adds are gone afterwards."""
    monkeypatch.chdir(tmp_path)
    known = dict(ENGINES)
    yield tmp_path
    ENGINES.clear()
    ENGINES.update(known)


def example(name: str) -> ModuleType:
    if name in NEEDS_SIMULATOR:
        pytest.importorskip("mujoco")
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES[name])
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pictures_to_objects(capsys):
    example("pictures_to_objects").main()
    said = capsys.readouterr().out
    assert "metric: True" in said
    # The block, in fifth place, is taken for a ball with a probability of 0.34.
    assert [line.split()[1] for line in said.splitlines()[1:]] == ["bowl", "pan", "vase", "bottle", "ball", "hammer"]


def test_prompt_to_grasp(capsys, tmp_path):
    program = example("prompt_to_grasp")
    urdf = tmp_path / "arm.urdf"
    urdf.write_text(urdf_text(ARM))
    program.main(["--urdf", str(urdf)])
    jaws, said = capsys.readouterr().out.split("\n", 1)
    assert jaws == "finger_left and finger_right at gripper open from 0.0 to 80.0 mm by finger_left_joint"
    assert said.startswith("the bottle: object ") and len(re.findall(r"score 0\.\d+: at", said)) == 3
    program.main(["a dinosaur"])
    assert "nothing here fits" in capsys.readouterr().out


def test_isaac_grasps(capsys, workplace):
    example("isaac_grasps").main(["the bottle", "-o", str(workplace / "grasps.yaml")])
    said = capsys.readouterr().out
    assert re.search(r"^[1-9]\d* grasps in ", said) and len(re.findall(r"confidence [01]\.\d+: at", said)) >= 1
    assert (workplace / "grasps.yaml").read_text().startswith("format: isaac_grasp\n")


def test_click_on_an_object(capsys):
    example("click_on_an_object").main()
    ids = re.findall(r"object (\d+)", capsys.readouterr().out)
    assert len(ids) == 3 and len(set(ids)) == 1


@pytest.mark.slow
def test_edit_gaussians(capsys, workplace):
    example("edit_gaussians").main(["-o", "edited"])
    before, after = re.findall(r"objects \[([\d, ]+)\]", capsys.readouterr().out)
    assert set(before.split(", ")) - set(after.split(", ")) == {before.split(", ")[0]}
    assert len(list((workplace / "edited").glob("*.png"))) == 8


def test_refine_a_scene(capsys):
    example("refine_a_scene").main(["--steps", "2", "--views", "2", "--size", "64x48", "-o", "refined.safetensors"])
    said = capsys.readouterr().out.splitlines()
    assert said[-1].startswith("used_up: ") and "objects {" in said[-1]


def test_remember_a_table(capsys):
    example("remember_a_table").main(["-o", "table.safetensors"])
    lines = re.findall(
        r"^  (\d+) \w+: visible, seen; seen (\d) times, from \d+% of all sides$", capsys.readouterr().out, re.MULTILINE
    )
    assert lines == [(str(number), str(times)) for times in (1, 2, 3) for number in range(1, 7)]


def test_judge_a_folder(capsys):
    example("judge_a_folder").main(["--engine", "depth_clusters", "--depth"])
    said = capsys.readouterr().out
    assert re.search(r"^scenes +2.000", said, re.MULTILINE) and re.search(r"^AP50 +1.000", said, re.MULTILINE)


@pytest.mark.slow
def test_pick_with_an_arm(capsys):
    example("pick_with_an_arm").main(["put the mug on the table"])
    said = capsys.readouterr().out
    assert said.startswith("placed: it is seen") and said.endswith("it touched what it should not: nothing\n")


def test_own_engine(capsys):
    example("own_engine").main()
    assert re.findall(r"\d (\w+) thing", capsys.readouterr().out) == ["red", "green", "blue"]


def test_there_are_short_programs_that_say_what_they_show():
    tested = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert set(EXAMPLES) <= tested | set(ELSEWHERE) and len(EXAMPLES) >= 6
    assert all((ROOT / place).exists() for place in ELSEWHERE.values())
    for name, path in EXAMPLES.items():
        source = path.read_text(encoding="utf-8")
        tree = ast.parse(source)
        assert ast.get_docstring(tree) and len(source.splitlines()) <= 65, name
        assert any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree.body), name


def test_the_readme_runs(monkeypatch):
    monkeypatch.chdir(ROOT)
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    names: dict = {}
    exec(compile(block, "README.md", "exec"), names)
    assert names["result"].is_metric and names["grasps"].targets
