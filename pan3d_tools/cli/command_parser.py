"""Parsers of commands whose modules are imported only when the command is chosen, so that help is instant."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from pan3d_core.runtime.lazy import load

CommandTable = Mapping[str, tuple[str, str]]  # name -> ("module:function" that puts the options on the parser, summary)


def commands_of_tools(rows: CommandTable) -> CommandTable:
    """Complete a table whose places are written from `pan3d_tools` on."""
    return {name: (f"pan3d_tools.{place}", summary) for name, (place, summary) in rows.items()}


class CommandParser(argparse.ArgumentParser):
    """The parser of one command. `place` names the function that is called with it before it parses for the first time; what is
    not installed then raises `ModuleNotFoundError`."""

    def __init__(self, *arguments: Any, place: str = "", **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._place = place

    def complete(self) -> None:
        """Import the command's module and let it put its options here, once."""
        place, self._place = self._place, ""
        if place:
            load(place)(self)

    def parse_known_args(  # type: ignore[override]  # typeshed has overloads by the kind of namespace
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """As `argparse` has it, with the command's own options."""
        self.complete()
        return super().parse_known_args(args, namespace)


def add_commands(parser: argparse.ArgumentParser, table: CommandTable, *, dest: str, metavar: str) -> None:
    """Put commands on a parser.

    Args:
        parser: Of the program, or of a command that has commands.
        table: Name -> place of what puts the command's options on its parser, and a summary.
        dest: Option that becomes the chosen command's name.
        metavar: How help calls a command.
    """
    commands = parser.add_subparsers(dest=dest, metavar=metavar, required=True, parser_class=CommandParser)
    for name, (place, summary) in table.items():
        commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".", place=place)
