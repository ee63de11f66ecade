"""Pages of the site that come from the code, made while mkdocs builds it: API, command line, messages, model cards.

mkdocs calls `on_config`, `on_files` and `on_page_markdown` (see `hooks` in mkdocs.yml). Nothing is written into docs/.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("pan3d_core", "pan3d_eval", "pan3d_sim", "pan3d_ros", "pan3d_tools", "training")
CARDS = ROOT / "pan3d_core" / "weights"
PROJECT = {"CONTRIBUTING.md": "Contributing", "CHANGELOG.md": "Changes"}
# Programs beside `pan3d`: how they are started, and what reads their arguments.
PROGRAMS = {
    "python -m pan3d_tools.demo": "pan3d_tools.demo.__main__:main",
    "python -m training.train": "training.train:main",
    "python -m training.compare": "training.compare:main",
    "python -m training.judge.objects": "training.judge.objects:main",
    "python -m training.export": "training.export.exporters:main",
    "python -m training.export.model_card": "training.export.model_card:main",
}
HELP_COLUMNS = "100"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the generated pages into the navigation."""
    if config.nav is None:
        raise ValueError("mkdocs.yml: expected a `nav` to put the generated pages into, got none")
    sections = {title: entries for entry in config.nav for title, entries in entry.items()}
    sections["Reference"] += [
        {"Command line": "reference/command_line.md"},
        {"Messages, services, actions": "reference/messages.md"},
        {"Model cards": [{card.stem: f"reference/model_cards/{card.name}"} for card in sorted(CARDS.glob("*.md"))]},
        {"API": [{room.title: room.page} for package in PACKAGES for room in rooms(package)]},
    ]
    present = [{title: f"project/{name.lower()}"} for name, title in PROJECT.items() if (ROOT / name).exists()]
    if present:
        config.nav.append({"Project": present})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    sys.path.insert(0, str(ROOT))
    pages = {"reference/command_line.md": command_line(), "reference/messages.md": messages()}
    pages |= {f"reference/model_cards/{card.name}": card.read_text(encoding="utf-8") for card in CARDS.glob("*.md")}
    pages |= {room.page: room.text() for package in PACKAGES for room in rooms(package)}
    pages |= {f"project/{name.lower()}": (ROOT / name).read_text("utf-8") for name in PROJECT if (ROOT / name).exists()}
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links to files of the checkout lead to their pages, where they have one; say the others as plain text."""
    source = page.file.src_uri
    home = _place_in_checkout(source)
    here = os.path.dirname(source)

    def followed(match: re.Match) -> str:
        text, target, anchor = match["text"], match["target"], match["anchor"] or ""
        path = os.path.normpath(os.path.join(os.path.dirname(home), target))
        page_of = _page_of(path)
        if page_of is None:
            return match[0] if path.startswith("docs/") else text
        return f"[{text}]({os.path.relpath(page_of, here or '.')}{anchor})"

    outside_code = re.split(r"(^```.*?^```$|`[^`\n]+`)", markdown, flags=re.MULTILINE | re.DOTALL)
    link = re.compile(r"(?<!!)\[(?P<text>[^\]]+)\]\((?!\w+:|#)(?P<target>[^)#\s]+)(?P<anchor>#[^)]*)?\)")
    return "".join(part if index % 2 else link.sub(followed, part) for index, part in enumerate(outside_code))


def _place_in_checkout(source: str) -> str:
    """The file from which a page was made, seen from the checkout's root."""
    if source.startswith("reference/model_cards/"):
        return f"pan3d_core/weights/{os.path.basename(source)}"
    if source.startswith("project/"):
        return os.path.basename(source).replace(".md", "").upper() + ".md"
    return f"docs/{source}"


def _page_of(path: str) -> str | None:
    """The page that shows a file of the checkout."""
    if path in PROJECT:
        return f"project/{path.lower()}"
    if path == "README.md":
        return "index.md"
    if path.startswith("pan3d_core/weights/") and path.endswith(".md"):
        return f"reference/model_cards/{os.path.basename(path)}"
    return path.removeprefix("docs/") if path.startswith("docs/") and path.endswith(".md") else None


class Room:
    """A package or a folder of modules in it, and its page of the API: what its `__all__` names.

    The modules of a package that are in no room (`pan3d_core/labels.py`) stand whole on the package's page.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.title = str(folder.relative_to(ROOT)).replace("/", ".")
        self.page = f"reference/api/{self.title}.md"
        self.tree = ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))

    def text(self) -> str:
        """What the room is for, then mkdocstrings' directives."""
        parts = [f"# {self.title}", ast.get_docstring(self.tree) or ""]
        whole = tuple(f"{self.title}.{name}" for name in self.modules())
        shown = {place for room in _rooms_in(self.folder) if room.folder != self.folder for _, place in room.offered()}
        elsewhere = [
            (name, place)
            for name, place in self.offered()
            if (place.rpartition(".")[0] not in whole if whole else place in shown)  # a thing has one place on the site
        ]
        if elsewhere:
            linked = [f"[`{name}`][{place}]" if place in shown else f"`{name}`" for name, place in elsewhere]
            parts.append(f"Offered here, too: {', '.join(linked)}.")
        parts += [f"::: {place}" for place in whole or [place for _, place in self.offered() if place not in shown]]
        return "\n\n".join(parts) + "\n"

    def modules(self) -> list[str]:
        """Modules of a package that are in none of its rooms and have something public."""
        if self.folder.parent != ROOT:
            return []
        paths = sorted(path for path in self.folder.glob("*.py") if not path.stem.startswith("__"))
        return [path.stem for path in paths if any(_public_definitions(path))]

    def offered(self) -> list[tuple[str, str]]:
        """Every name in `__all__`, and the dotted place where it is defined."""
        places: dict[str, str] = {}
        names: list[str] = []
        for node in self.tree.body:
            if isinstance(node, ast.ImportFrom):
                places |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                names, places = self._assigned(node.targets[0].id, node.value, names, places)
        return [(name, places.get(name, f"{self.title}.{name}")) for name in names]

    def _assigned(
        self, target: str, value: ast.expr, names: list[str], places: dict[str, str]
    ) -> tuple[list[str], dict[str, str]]:
        if target == "_NAMES":  # module -> names, loaded on first use
            by_module = ast.literal_eval(value)
            homes = {name: f"{self.title}.{module}.{name}" for module, own in by_module.items() for name in own}
            return list(homes), places | homes
        if target == "__all__" and isinstance(value, ast.List):
            return ast.literal_eval(value), places
        return names, places


def rooms(package: str) -> list[Room]:
    """The package and the rooms in it that offer something."""
    return _rooms_in(ROOT / package)


def _rooms_in(folder: Path) -> list[Room]:
    found = [Room(init.parent) for init in sorted(folder.rglob("__init__.py"))]
    return [room for room in found if room.offered() or room.modules()]


def _public_definitions(path: Path) -> Iterator[str]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            yield node.name


class _CaughtError(Exception):
    """Carries a parser out of the function that was about to use it."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        super().__init__()
        self.parser = parser


def _parser_of(place: str) -> argparse.ArgumentParser:
    """The parser that `module:function` makes, without running the function any further."""
    module, function = place.split(":")
    call: Callable[..., Any] = getattr(importlib.import_module(module), function)

    def caught(parser: argparse.ArgumentParser, *_: Any, **__: Any) -> None:
        raise _CaughtError(parser)

    with mock.patch.object(argparse.ArgumentParser, "parse_args", caught):
        try:
            call([]) if function == "run" else call()
        except _CaughtError as found:
            return found.parser
    raise ValueError(f"{place}: expected a function that reads its arguments with argparse, got one that does not")


def command_line() -> str:
    """Help of all programs, as they print it."""
    from pan3d_tools.cli import build_parser

    about = "What `--help` prints. Exit codes: 0 done, 1 the work found something wrong, 2 the request cannot be met."
    parts = ["# Command line", about]
    with mock.patch.dict(os.environ, COLUMNS=HELP_COLUMNS):
        for program, parser in _commands("pan3d", build_parser()):
            parts += [f"## {program}", f"```text\n{parser.format_help().rstrip()}\n```"]
        for program, place in PROGRAMS.items():
            parser = _parser_of(place)
            parser.prog = program
            parts += [f"## {program}", f"```text\n{parser.format_help().rstrip()}\n```"]
    return "\n\n".join(parts) + "\n"


def _commands(name: str, parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """A command and those below it; the benchmarks have parsers of their own."""
    from pan3d_tools.cli.bench import BENCHES
    from pan3d_tools.cli.command_parser import CommandParser

    if isinstance(parser, CommandParser):
        parser.complete()
    yield name, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below, inner in action.choices.items():
                yield from _commands(f"{name} {below}", inner)
    if name == "pan3d bench":
        for bench, (place, _) in BENCHES.items():
            yield f"{name} {bench}", _parser_of(place)


def messages() -> str:
    """The definitions of `pan3d_interfaces`; their comments are the documentation."""
    about = "Package `pan3d_interfaces`. `---` parts request and response of a service, goal, result and feedback of an action."
    parts = ["# Messages, services and actions", about]
    for kind, title in (("msg", "Messages"), ("srv", "Services"), ("action", "Actions")):
        parts.append(f"## {title}")
        for path in sorted((ROOT / "pan3d_interfaces" / kind).glob(f"*.{kind}")):
            lines = path.read_text(encoding="utf-8").strip().splitlines()
            head = next((index for index, line in enumerate(lines) if not line.startswith("#")), len(lines))
            about = " ".join(line.lstrip("# ") for line in lines[:head])
            definition = "\n".join(lines[head:]).strip("\n")
            parts += [f"### {path.stem}", about, f"```text\n{definition}\n```"]
    return "\n\n".join(parts) + "\n"
