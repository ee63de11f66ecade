"""Pages say what is there: their links resolve, every path and name of ours exists, and the site builds."""

from __future__ import annotations

import ast
import importlib
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml
from places import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "pan3d_core" / "weights").glob("*.md")])
PACKAGES = ("pan3d_core", "pan3d_eval", "pan3d_sim", "pan3d_ros", "pan3d_tools", "training")
FOLDERS = (*PACKAGES, "pan3d_interfaces", "test", "docs", "examples", "scripts", "config", "launch", "requirements", ".ci")
MADE_BY_MESSAGES = "pan3d_interfaces"  # its Python is generated
# Programs of others that pages name.
OTHERS = {
    "evaluate_semantic_instance.py", "panoptic_quality.py", "evaluate_pq.py", "test_eps3d_panoptic.py",
    "eval_segmentation_scannet.py",
}  # fmt: skip
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))


def prose(text: str) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """What `#...` may stand behind a link to this page."""
    titles = re.findall(r"^#+ (.*)$", prose(page.read_text(encoding="utf-8")), re.MULTILINE)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).replace("`", "").lower() for title in titles]
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", title)).strip("-") for title in plain}


@each_page
def test_relative_links_resolve(page):
    text = re.sub(r"`[^`\n]*`", "", prose(page.read_text(encoding="utf-8")))
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        if re.match(r"\w+:", target):
            continue
        found = (page.parent / path).resolve() if path else page
        if not found.exists() or (anchor and found.suffix == ".md" and anchor not in anchors(found)):
            broken.append(target)
    assert broken == []


@each_page
def test_every_path_of_ours_exists(page):
    pattern = rf"(?<![\w./-])(?:{'|'.join(map(re.escape, FOLDERS))})/[\w./-]*\w/?"
    mentioned = re.findall(pattern, page.read_text(encoding="utf-8"))
    assert [path for path in mentioned if not (ROOT / path).exists() and not is_interface(path)] == []


def is_interface(path: str) -> bool:
    """Whether a path is the ROS name of a message, `pan3d_interfaces/msg/Instance` or `pan3d_interfaces/Instance`."""
    package, *place = path.split("/")
    kinds = [place[0]] if len(place) == 2 else ["msg", "srv", "action"]
    return package == MADE_BY_MESSAGES and any((ROOT / package / kind / f"{place[-1]}.{kind}").exists() for kind in kinds)


@each_page
def test_every_module_that_is_named_exists(page):
    """A path that ends in .py stands from the root, or is the last part of a path that stands before it on the page."""
    text = page.read_text(encoding="utf-8")
    ours = {path.relative_to(ROOT).as_posix() for top in (*PACKAGES, "test", "examples") for path in (ROOT / top).rglob("*.py")}
    names = OTHERS | {path.rsplit("/", 1)[-1] for path in ours}
    for mentioned in re.findall(r"`([\w/]+\.py)`", text):
        if "/" in mentioned:
            assert mentioned in ours or (ROOT / mentioned).exists(), mentioned
        else:
            assert mentioned in names, mentioned


@each_page
def test_every_dotted_name_of_ours_exists(page):
    mentioned = set(re.findall(rf"(?<![\w./-])(?:{'|'.join(PACKAGES)})(?:\.(?!md\b)\w+)+", page.read_text(encoding="utf-8")))
    assert sorted(name for name in mentioned if not exists(name)) == []


@each_page
def test_names_that_examples_import_exist(page):
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in PACKAGES:
                assert [alias.name for alias in node.names if not exists(f"{node.module}.{alias.name}")] == []


def exists(dotted: str) -> bool:
    """Whether a dotted name is a module of ours, or something that one defines."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        place = ROOT.joinpath(*parts[:length])
        source = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        if source.exists():
            rest = parts[length:]
            return not rest or rest[0] in defined(source) or (place.is_dir() and lazily_offered(source, rest[0]))
    return False


@cache
def defined(source: Path) -> frozenset[str]:
    """Names at the top of a module."""
    names: set[str] = set()
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names.update((alias.asname or alias.name).split(".")[0] for alias in node.names)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names.update(target.id for target in targets if isinstance(target, ast.Name))
    return frozenset(names)


def lazily_offered(source: Path, name: str) -> bool:
    """Whether a package offers a name without importing it, as `pan3d_core` does."""
    package = ".".join(source.parent.relative_to(ROOT).parts)
    return name in getattr(importlib.import_module(package), "__all__", ())


def test_every_page_is_in_the_navigation():
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    listed = set(re.findall(r"[\w/]+\.md", str(yaml.safe_load(text)["nav"])))
    assert listed == {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path):
    pytest.importorskip("mkdocs")
    pytest.importorskip("mkdocstrings_handlers.python")
    environment = {
        **os.environ,
        "NO_MKDOCS_2_WARNING": "1",
        "http_proxy": "http://127.0.0.1:9",
        "https_proxy": "http://127.0.0.1:9",
    }
    run = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert run.returncode == 0 and "WARNING" not in run.stderr, run.stderr[-4000:]
    assert (tmp_path / "site" / "reference" / "api" / "pan3d_core.html").exists()
    fetched = re.findall(r'(?:src|href)="(https?://[^"]+)"', (tmp_path / "site" / "index.html").read_text(encoding="utf-8"))
    assert [url for url in fetched if re.search(r"\.(css|js|woff2?)", url)] == []
