"""The command line `pan3d`: one module per command, imported when its command is chosen; it may know every package."""

from pan3d_tools.cli.program import build_parser, main

__all__ = ["build_parser", "main"]
