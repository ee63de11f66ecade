"""The house rules that a machine can check: import direction, size budgets, public names."""

import ast
import importlib
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from ros_presence import ros_is_here

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("pan3d_core", "pan3d_eval", "pan3d_sim", "pan3d_ros", "pan3d_tools", "training")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
MODULES_OF = {package: [path for path in MODULES if path.relative_to(ROOT).parts[0] == package] for package in PACKAGES}
# One test for each package, not for each file: starting and reporting thousands of tests takes longer than what they look at.
OF_EVERY_PACKAGE = pytest.mark.parametrize("package", PACKAGES)
MAX_MODULE_LINES, MAX_FUNCTION_LINES, MAX_PARAMETERS, MAX_NODE_LINES, MAX_MODULES = 345, 60, 8, 220, 15

# The floors: what each package and each room of the library may import of ours, anywhere in a file, for types or to run. A room
# may always import itself. `docs/architecture.md` gives the reasons.
PACKAGE_FLOORS = {
    "pan3d_core": (),
    "pan3d_eval": ("pan3d_core",),
    "pan3d_sim": ("pan3d_core",),
    "training": ("pan3d_core", "pan3d_eval", "pan3d_sim"),
    "pan3d_ros": ("pan3d_core", "pan3d_eval", "pan3d_sim"),
    "pan3d_tools": ("pan3d_core", "pan3d_eval", "pan3d_sim", "pan3d_ros", "training"),
}
ROOM_FLOORS = {
    "geometry": (),
    "settings": (),
    "labels": (),
    "structures": ("geometry", "labels"),
    "config": ("settings",),
    "runtime": ("geometry", "structures"),
    "views": ("geometry", "structures", "labels", "settings", "config", "runtime"),
    "rendering": ("geometry", "structures", "runtime"),
    "pictures": ("geometry", "structures", "labels", "runtime"),
    "language": ("structures", "labels", "config", "runtime"),
    "models": ("geometry", "structures", "labels", "settings", "runtime", "rendering", "language"),
    "gaussians": ("geometry", "structures", "labels", "runtime", "views", "rendering", "pictures", "language"),
    "engines": ("geometry", "structures", "labels", "settings", "config", "runtime", "views", "rendering", "language", "models"),
    "body": ("geometry", "structures", "config"),
    "assembly": ("geometry", "structures", "labels", "config", "runtime", "rendering"),
    "calibration": ("structures", "config", "assembly"),
    "memory": ("geometry", "structures", "labels", "config", "runtime", "gaussians"),
    "teaching": ("geometry", "structures", "labels", "config", "runtime", "views", "pictures", "language"),
    "grasping": ("geometry", "structures", "labels", "config", "runtime"),
    "motion": ("geometry", "structures", "config", "memory"),
    "planning": ("config", "body", "memory"),
    "warranty": ("runtime",),
    "lessons": ("geometry", "structures", "labels", "config", "runtime", "views"),
    "refine": (
        "geometry", "structures", "labels", "settings", "config", "runtime", "views", "rendering", "pictures", "language",
        "models", "gaussians", "assembly",
    ),
    "pipeline": ("structures", "config", "views", "body", "assembly", "engines", "language", "memory", "teaching", "runtime"),
    "labelling": (
        "geometry", "structures", "labels", "settings", "config", "runtime", "views", "pictures", "assembly", "teaching",
        "language", "models", "engines", "refine", "pipeline",
    ),
    "picking": (
        "geometry", "structures", "labels", "config", "views", "body", "engines", "grasping", "language", "lessons", "memory",
        "motion", "pipeline",
    ),
    "reconstruction": ("structures", "config", "views", "engines", "language", "teaching", "pipeline"),
}  # fmt: skip
# Libraries of the world that only some packages may know.
FOREIGN = {
    "rclpy": ("pan3d_ros", "pan3d_tools"),
    "pan3d_interfaces": ("pan3d_ros", "pan3d_tools"),
    "mujoco": ("pan3d_sim", "pan3d_tools"),
}
# Libraries that an installation may lack, or that cost seconds or side effects; they alone are imported inside functions, by a
# plain `import` in the function that needs them. Whatever else is imported stands at the top of its file.
OPTIONAL_LIBRARIES = {
    "pan3d_core": (
        "coal",
        "groundingdino",
        "gsplat",
        "imageio_ffmpeg",
        "ompl",
        "onnx",
        "onnxruntime",
        "onnxscript",
        "openvino",
        "pinocchio",
        "sam2",
        "sam3",
        "tensorrt",
        "tensorrt_rtx",
        "tokenizers",
        "toppra",
        "transformers",
        "trimesh",
        "yourdfpy",
    ),
    "pan3d_eval": ("ray",),
    "pan3d_sim": (),
    "pan3d_ros": ("pyarrow",),
    "pan3d_tools": ("ament_index_python", "depth_anything_3", "mcp", "open3d", "vggt", "viser"),
    "training": ("fsspec", "torch.distributed", "torch.utils.tensorboard"),
}
SIMULATOR_MAY_NOT_KNOW = ("models", "engines")  # truth must not come from what is judged by it


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def nodes(path: Path) -> list[ast.AST]:
    return list(ast.walk(parsed(path)))


def nodes_of(package: str) -> Iterator[tuple[Path, ast.AST]]:
    for path in MODULES_OF[package]:
        yield from ((path, node) for node in nodes(path))


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in nodes(path) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]


def imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def hits(names: set[str], forbidden: tuple[str, ...]) -> list[str]:
    return sorted(n for n in names if any(n == f or n.startswith(f + ".") for f in forbidden))


def floors_below(path: Path) -> set[str]:
    """Dotted places that a file may import of ours."""
    package, *rest = path.relative_to(ROOT).with_suffix("").parts
    allowed = {package, *PACKAGE_FLOORS[package]}
    if package != "pan3d_core" or rest == ["__init__"]:
        return allowed
    return {f"pan3d_core.{room}" for room in (rest[0], *ROOM_FLOORS[rest[0]])}


@OF_EVERY_PACKAGE
def test_import_direction(package):
    strangers = [name for name in FOREIGN if package not in FOREIGN[name]]
    for path in MODULES_OF[package]:
        names, below = imports(path), floors_below(path)
        ours = {name for name in names if name.split(".")[0] in PACKAGES and name != "pan3d_core"}
        assert ours <= set(hits(names, tuple(below))), f"{path} may import {', '.join(sorted(below))}"
        assert not hits(names, tuple(strangers)), f"{path} may not import {', '.join(strangers)}"
        if package == "pan3d_sim":
            assert not hits(names, tuple(f"pan3d_core.{room}" for room in SIMULATOR_MAY_NOT_KNOW)), f"{path} knows a network"


@OF_EVERY_PACKAGE
def test_only_optional_libraries_are_imported_inside_functions(package):
    for path in MODULES_OF[package]:
        local = {name for function in functions(path) for node in ast.walk(function) for name in modules_of(node)}
        late = sorted(local - set(hits(local, OPTIONAL_LIBRARIES[package])))
        assert not late, (
            f"{path}: imports {', '.join(late)} inside a function; move to the top of the file, or name it in OPTIONAL_LIBRARIES"
        )


def modules_of(node: ast.AST) -> list[str]:
    """What an import statement names; nothing for other nodes."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.module else []


@OF_EVERY_PACKAGE
def test_packages_of_ours_are_not_imported_by_a_string(package):
    """Places ("module:name") in one's own package are fine, and tables of places in any package in `pan3d_tools`."""
    for path, node in nodes_of(package):
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("import_module", "load", "__import__"):
            texts = [item.value for item in ast.walk(node) if isinstance(item, ast.Constant) and isinstance(item.value, str)]
            sisters = [text for text in texts if re.split("[.:]", text)[0] in set(PACKAGES) - {package}]
            assert not sisters, f"{path}:{node.lineno}: import {sisters[0]} plainly at the top, or load it from a table"
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and package != "pan3d_tools":
            place = re.fullmatch(r"(\w+)(\.\w+)*:\w+", node.value)
            sister = place is not None and place[1] in PACKAGES and place[1] != package
            assert not sister, f"{path}:{node.lineno}: {node.value} is in a sister package: import it plainly at the top"


def test_every_room_has_its_floor_and_there_are_at_most_eight():
    rooms = {path.relative_to(ROOT / "pan3d_core").with_suffix("").parts[0] for path in MODULES if "pan3d_core" in path.parts}
    assert rooms - {"__init__"} == set(ROOM_FLOORS)

    def floor(room: str, above: tuple[str, ...] = ()) -> int:
        assert room not in above, f"a circle: {' -> '.join((*above, room))}"
        return 1 + max((floor(below, (*above, room)) for below in ROOM_FLOORS[room]), default=0)

    assert max(map(floor, ROOM_FLOORS)) <= 8


def test_the_page_of_the_house_names_the_same_floors():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = page.split("## The rooms of the library")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \|.*\|([^|]*)\|$", table, re.MULTILINE)
    said = {room: set(re.findall(r"`(\w+)`", below)) for room, below in rows}
    assert said == {room: set(below) for room, below in ROOM_FLOORS.items()}, "change the table in docs/architecture.md"


@OF_EVERY_PACKAGE
def test_size_budgets(package):
    for path in MODULES_OF[package]:
        lines = len(path.read_text(encoding="utf-8").splitlines())
        assert lines <= (MAX_NODE_LINES if path.name.endswith("_node.py") else MAX_MODULE_LINES), f"{path}: {lines} lines"
        for node in functions(path):
            length = node.end_lineno - node.lineno + 1
            assert length <= MAX_FUNCTION_LINES, f"{path}: {node.name}: {length} lines"
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            parameters = [argument.arg for argument in arguments if argument.arg not in ("self", "cls")]
            assert len(parameters) <= MAX_PARAMETERS, f"{path}: {node.name}: {len(parameters)} parameters"


@OF_EVERY_PACKAGE
def test_errors_are_not_swallowed(package):
    for path, node in nodes_of(package):
        if isinstance(node, ast.ExceptHandler):
            broad = node.type is None or (isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException"))
            reraised = any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
            handed_on = node.name and any(isinstance(i, ast.Name) and i.id == node.name for b in node.body for i in ast.walk(b))
            assert not broad or reraised or handed_on, f"{path}:{node.lineno}: a broad except that drops the error"


@pytest.mark.parametrize("top", [*PACKAGES, "test", "examples", "launch", "scripts"])
def test_no_folder_is_crowded(top):
    """An idea that has grown gets a room of its own, and so do its tests and what they share."""
    folders = Counter(path.parent for path in (ROOT / top).rglob("*.py") if path.name not in ("__init__.py", "conftest.py"))
    crowded = {path.relative_to(ROOT).as_posix(): amount for path, amount in folders.items() if amount > MAX_MODULES}
    assert folders and not crowded, f"more than {MAX_MODULES} modules: {crowded}; make a room of those that share an idea"


def test_module_names_say_something():
    vague = {"utils", "util", "misc", "common", "helpers", "helper", "base"}
    assert not [str(path) for path in MODULES if path.stem in vague or path.stem.endswith(("_v2", "_new", "_optimized"))]


# Rooms whose `__init__` says in one sentence what they are for and what they may know, and names what is public.
ROOMS_WITH_PUBLIC_NAMES = (
    "pan3d_core.geometry", "pan3d_core.runtime", "pan3d_core.runtime.networks", "pan3d_core.views", "pan3d_core.rendering",
    "pan3d_core.pictures",
    "pan3d_core.language", "pan3d_core.gaussians",
    "pan3d_core.body", "pan3d_core.assembly", "pan3d_core.assembly.pose_checks", "pan3d_core.assembly.pose_checks.support",
    "pan3d_core.grasping", "pan3d_core.motion", "pan3d_core.picking",
    "pan3d_core.planning", "pan3d_core.lessons", "pan3d_core.warranty",
    "pan3d_core.refine", "pan3d_core.refine.first_map", "pan3d_core.teaching",
    "pan3d_core.refine.labels", "pan3d_core.labelling.review",
    "pan3d_core.labelling.layouts", "pan3d_core.labelling.teachers",
    # Further rooms, one line per package:
    "pan3d_core.models", "pan3d_core.models.layers", "pan3d_core.models.vggt", "pan3d_core.models.da3",
    "pan3d_core.models.fast3dis", "pan3d_core.models.eps3d", "pan3d_core.models.lseg", "pan3d_core.models.mapanything",
    "pan3d_core.models.mini",
    "pan3d_core.engines", "pan3d_core.engines.parts",
    *(f"pan3d_ros.{room}" for room in ("bags", "cell", "doubtful", "inputs", "messages", "outputs", "parameters", "platform",
                                       "processing", "refinement", "services", "bags.excerpts", "bags.judging", "bags.reading",
                                       "messages.manipulation", "services.private")),
    *(f"pan3d_eval.{room}" for room in ("metrics", "photographs", "protocols", "published", "rendered", "datasets",
                                        "scoreboard")),
    *(f"pan3d_sim.{room}" for room in ("arm", "objects", "library", "cameras", "cell", "data", "rehearsal")),
    *(f"training.{room}" for room in ("data", "data.scenes", "data.sources", "data.targets", "run", "families",
                                      "families.starting", "losses", "judge", "export")),
    *(f"pan3d_tools.{room}" for room in ("live", "review", "viewer", "reports")),
)  # fmt: skip


@pytest.mark.parametrize("name", ROOMS_WITH_PUBLIC_NAMES)
def test_a_room_says_what_it_is_for_and_what_is_public(name):
    if name.startswith(("pan3d_ros.", "pan3d_tools.live")) and not ros_is_here():
        pytest.skip("needs ROS 2 and the built interfaces (make setup)")
    room = importlib.import_module(name)
    tree = ast.parse(Path(room.__file__).read_text())
    sentence = ast.get_docstring(tree) or ""
    assert sentence.endswith(".") and "\n\n" not in sentence and re.search(r"\bknows?\b", sentence), sentence
    assert room.__all__ and len(set(room.__all__)) == len(room.__all__)
    assert all(getattr(room, public, None) is not None for public in room.__all__)
    assert names_for_type_checkers(tree) in (set(), set(room.__all__))


def names_for_type_checkers(tree: ast.Module) -> set[str]:
    """What is imported under TYPE_CHECKING because it is loaded on first use."""
    blocks = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    return {alias.name for block in blocks for node in block.body for alias in node.names}


def test_public_functions_say_what_every_argument_is_and_what_they_return():
    lacking = [
        f"{place}: {', '.join(lacks)}"
        for init in MODULES
        if init.name == "__init__.py"
        for place, function in public_functions(init).items()
        if (lacks := lacks_of_docstring(function))
    ]
    assert not lacking, "\n".join(lacking)


@pytest.mark.parametrize(
    ("docstring", "lacks"),
    [
        ("Add.", ["Args: a, b", "Returns"]),
        ("Add.\n\n    Args:\n        a: One.\n        b: Two.", ["Returns"]),
        ("Add.\n\n    Args:\n        a: One.\n\n    Returns:\n        c: Three.", ["Args: a, b"]),
        ("Add.\n\n    Args:\n        b: Two.\n        a: One.\n\n    Returns:\n        The sum.", ["Args: a, b"]),
        ("Add.\n\n    Args:\n        a: One,\n            b: no.\n        b: Two.\n\n    Returns:\n        The sum.", []),
    ],
)
def test_a_docstring_lacks_arguments_that_it_does_not_name_in_their_order(docstring, lacks):
    (function,) = ast.parse(f'def add(a: int, *, b: int) -> int:\n    """{docstring}\n    """').body
    assert lacks_of_docstring(function) == lacks


def public_functions(init: Path) -> dict[str, ast.FunctionDef]:
    """The functions in a room's `__all__`, by their place."""
    found = {}
    for public, (module, name) in places_of_public_names(init).items():
        path = ROOT.joinpath(*module.split("."))
        functions = [
            node for node in parsed(init_or_module(path)).body if isinstance(node, ast.FunctionDef) and node.name == name
        ]
        if functions:
            found[f"{module}.{public}"] = functions[-1]  # overloads come before what they are of
    return found


def places_of_public_names(init: Path) -> dict[str, tuple[str, str]]:
    """Name in `__all__` -> module and name there; what is loaded on first use stands in `_NAMES`."""
    tree, room = parsed(init), ".".join(init.relative_to(ROOT).parent.parts)
    values = {ast.unparse(node.target): node.value for node in tree.body if isinstance(node, ast.AnnAssign)}
    values |= {ast.unparse(node.targets[0]): node.value for node in tree.body if isinstance(node, ast.Assign)}
    if "_NAMES" in values:
        modules = ast.literal_eval(values["_NAMES"])
        return {name: (f"{room}.{module}", name) for module, names in modules.items() for name in names}
    imports_from = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    origin = {alias.asname or alias.name: (node.module, alias.name) for node in imports_from for alias in node.names}
    return {name: origin.get(name, (room, name)) for name in ast.literal_eval(values.get("__all__", ast.List([])))}


def init_or_module(path: Path) -> Path:
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def lacks_of_docstring(function: ast.FunctionDef) -> list[str]:
    """What a docstring does not say of two or more arguments: each by its name and in their order, and what is returned."""
    given = function.args
    arguments = [*given.posonlyargs, *given.args, *filter(None, [given.vararg]), *given.kwonlyargs, *filter(None, [given.kwarg])]
    names = [argument.arg for argument in arguments]
    if len(names) < 2:
        return []
    parts = dict(re.findall(r"^(Args|Returns|Yields):\n((?: +.*(?:\n|$))+)", ast.get_docstring(function) or "", re.MULTILINE))
    lacks = []
    if re.findall(r"^ {4}\**(\w+):", parts.get("Args", ""), re.MULTILINE) != names:
        lacks.append(f"Args: {', '.join(names)}")
    returned = "None" if function.returns is None else ast.unparse(function.returns)
    if returned not in ("None", "Never", "Iterator[None]") and not {"Returns", "Yields"} & set(parts):
        lacks.append("Returns")
    return lacks


def test_public_names():
    import pan3d_core

    expected = {
        "CameraView", "ViewBatch", "Reconstruction", "InstanceSet", "Panoptic3D", "Segment", "GraspTarget", "PipelineConfig",
        "PerceptionPipeline", "PerceptionResult", "build_engine", "reconstruct", "refine_scene", "resolve_prompt",
        "select_grasps", "Selection", "select_by_box", "select_by_id", "select_by_pixels", "select_by_point", "select_by_prompt",
    }  # fmt: skip
    assert set(pan3d_core.__all__) == expected
    assert names_for_type_checkers(ast.parse(Path(pan3d_core.__file__).read_text())) == expected
    assert all(getattr(pan3d_core, name) is not None for name in expected)
    with pytest.raises(AttributeError, match="it offers CameraView"):
        pan3d_core.nothing  # noqa: B018


def test_command_line_help_needs_no_torch():
    code = "import sys, pan3d_tools.cli; assert 'torch' not in sys.modules, 'torch was imported'"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=60)
