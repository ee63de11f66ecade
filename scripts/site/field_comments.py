"""What stands beside a dataclass field is its documentation: a griffe extension that reads it.

The code says shape, unit and frame of a field in the comment behind it or in the lines above; settings say it in
`setting(default, "description")`. On the API pages that becomes the "Attributes" of the class, so nothing is written twice.
"""

from __future__ import annotations

import ast
import io
import textwrap
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe


class FieldComments(griffe.Extension):
    """Turns fields into a list under the docstring of their class. Stands behind griffe's own extension `dataclasses`."""

    def on_attribute_instance(self, *, node: ast.AST | griffe.ObjectNode, attr: griffe.Attribute, **_: Any) -> None:
        """Read the comment, and show the default of a setting instead of the call that declares it."""
        if attr.docstring is not None or attr.name.startswith("_") or not isinstance(node, (ast.Assign, ast.AnnAssign)):
            return
        if not isinstance(attr.filepath, Path):  # a package without files of its own
            return
        text = _described(node) or _comment(attr.lines_collection[attr.filepath], node)
        if text:
            attr.docstring = griffe.Docstring(text, lineno=node.lineno, endlineno=node.end_lineno, parent=attr)
        if isinstance(attr.value, griffe.ExprCall) and attr.value.function.canonical_name in ("setting", "group"):
            first = attr.value.arguments[0]
            attr.value = f"{first}()" if attr.value.function.canonical_name == "group" else first

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """List the fields of every dataclass under its docstring instead of giving each an entry of its own."""
        for found in _classes(pkg):
            if "dataclass" in found.labels:
                _list_fields(found)


def _list_fields(found: griffe.Class) -> None:
    fields = [member for member in found.members.values() if isinstance(member, griffe.Attribute) and member.annotation]
    fields = [member for member in fields if not member.name.startswith("_") and "property" not in member.labels]
    for member in fields:
        found.del_member(member.name)
    said = [(member, member.docstring.value) for member in fields if member.docstring is not None]
    if not said:
        return
    listed = [textwrap.indent(f"{member.name} ({member.annotation}): {text}", "    ") for member, text in said]
    before = found.docstring.value if found.docstring is not None else ""
    text = "\n".join([before, "", "Attributes:", *listed])
    found.docstring = griffe.Docstring(text, lineno=found.lineno, parent=found, parser=griffe.Parser.google)


def _classes(place: griffe.Module | griffe.Class) -> Iterator[griffe.Class]:
    for member in place.members.values():
        if isinstance(member, griffe.Class):
            yield member
        if isinstance(member, (griffe.Module, griffe.Class)):
            yield from _classes(member)


def _described(node: ast.Assign | ast.AnnAssign) -> str:
    """The description in `setting(default, "description", ...)`."""
    match node.value:
        case ast.Call(func=ast.Name(id="setting"), args=[_, ast.Constant(value=str(description)), *_]):
            return description
    return ""


def _comment(lines: list[str], node: ast.Assign | ast.AnnAssign) -> str:
    """The comment behind a field, else the block of comments right above it."""
    behind = _comments_in("\n".join(lines[node.lineno - 1 : node.end_lineno]))
    if behind:
        return behind
    above: list[str] = []
    for line in reversed(lines[: node.lineno - 1]):
        if not line.strip().startswith("#"):
            break
        above.insert(0, line.strip().removeprefix("#").strip())
    return " ".join(above)


def _comments_in(source: str) -> str:
    """The comments in a piece of code, without those that speak to tools."""
    found = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(source.strip()).readline):
            if token.type == tokenize.COMMENT:
                found.append(token.string.removeprefix("#").strip())
    except tokenize.TokenError:
        return ""
    return " ".join(text for text in found if not text.startswith(("type:", "noqa", "fmt:", "pragma")))
