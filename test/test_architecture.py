"""The house rules that a machine can check: import direction, size budgets, public names."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("pan3d_core", "pan3d_eval", "pan3d_sim", "pan3d_ros", "pan3d_tools", "training")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
MAX_MODULE_LINES, MAX_FUNCTION_LINES, MAX_PARAMETERS, MAX_NODE_LINES = 345, 60, 8, 220

# The floors of the packages: what each may never import, besides the standard library and the libraries of its field.
FORBIDDEN = {
    "pan3d_core": ("rclpy", "mujoco", "pan3d_eval", "pan3d_sim", "pan3d_ros", "pan3d_tools", "pan3d_interfaces", "training"),
    "pan3d_eval": ("rclpy", "mujoco", "pan3d_sim", "pan3d_ros", "pan3d_tools", "pan3d_interfaces", "training"),
    "pan3d_sim": (
        "rclpy", "pan3d_eval", "pan3d_ros", "pan3d_tools", "pan3d_interfaces", "training", "pan3d_core.models",
        "pan3d_core.engines",
    ),
    "pan3d_ros": ("training", "pan3d_tools"),
    "pan3d_tools": (),
    "training": ("rclpy", "pan3d_ros", "pan3d_tools", "pan3d_interfaces"),
}  # fmt: skip
# Inside the library: who may not know whom.
CORE_FORBIDDEN = {
    "geometry": ("pan3d_core.models", "pan3d_core.engines", "pan3d_core.pipeline", "pan3d_core.structures"),
    "models": ("pan3d_core.engines", "pan3d_core.pipeline", "pan3d_core.refine"),
    "engines": ("pan3d_core.pipeline", "pan3d_core.refine"),
    "refine": ("pan3d_core.engines", "pan3d_core.pipeline"),
}


def imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def hits(names: set[str], forbidden: tuple[str, ...]) -> list[str]:
    return sorted(n for n in names if any(n == f or n.startswith(f + ".") for f in forbidden))


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_import_direction(path):
    package, *rest = path.relative_to(ROOT).parts
    forbidden = FORBIDDEN[package]
    if package == "pan3d_core" and len(rest) > 1:
        forbidden += CORE_FORBIDDEN.get(rest[0], ())
    assert not hits(imports(path), forbidden)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_size_budgets(path):
    text = path.read_text()
    lines = len(text.splitlines())
    assert lines <= (MAX_NODE_LINES if path.name.endswith("_node.py") else MAX_MODULE_LINES), f"{lines} lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            length = node.end_lineno - node.lineno + 1
            assert length <= MAX_FUNCTION_LINES, f"{node.name}: {length} lines"
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            parameters = [argument.arg for argument in arguments if argument.arg not in ("self", "cls")]
            assert len(parameters) <= MAX_PARAMETERS, f"{node.name}: {len(parameters)} parameters"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_errors_are_not_swallowed(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ExceptHandler):
            broad = node.type is None or (isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException"))
            reraised = any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
            handed_on = node.name and any(isinstance(i, ast.Name) and i.id == node.name for b in node.body for i in ast.walk(b))
            assert not broad or reraised or handed_on, f"line {node.lineno}: a broad except that drops the error"


def test_module_names_say_something():
    vague = {"utils", "util", "misc", "common", "helpers", "helper", "base"}
    assert not [str(path) for path in MODULES if path.stem in vague or path.stem.endswith(("_v2", "_new", "_optimized"))]


def test_public_names():
    import pan3d_core

    expected = {
        "CameraView", "ViewBatch", "Reconstruction", "InstanceSet", "Panoptic3D", "Segment", "GraspTarget", "PipelineConfig",
        "PerceptionPipeline", "build_engine", "resolve_prompt", "select_grasps",
    }  # fmt: skip
    assert set(pan3d_core.__all__) == expected
    assert all(getattr(pan3d_core, name) is not None for name in expected)
    with pytest.raises(AttributeError, match="it offers CameraView"):
        pan3d_core.nothing  # noqa: B018


def test_command_line_help_needs_no_torch():
    code = "import sys, pan3d_tools.cli; assert 'torch' not in sys.modules, 'torch was imported'"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=60)
