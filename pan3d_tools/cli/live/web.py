"""`pan3d web`."""

from __future__ import annotations

import argparse

from pan3d_tools.cli.live.serving import add_page_options, given_page_options, serve_until_interrupted
from pan3d_tools.live.page import NodePage, NodePageSettings


def add(parser: argparse.ArgumentParser) -> None:
    """Put the command's options on its parser."""
    parser.set_defaults(command=run_web)
    parser.add_argument("--node", metavar="NAME", help="full name of the node (default: /pan3d)")
    add_page_options(parser)


def run_web(options: argparse.Namespace) -> int:
    """The page of a running node until Ctrl-C."""
    page = NodePage(NodePageSettings(**given_page_options(options, "node")))
    return serve_until_interrupted(page, options.node or NodePageSettings.node)
