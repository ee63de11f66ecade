"""`pan3d mcp`."""

from __future__ import annotations

import argparse
import sys

from pan3d_tools.live.agent import LOOPBACK, serve_agent


def add(parser: argparse.ArgumentParser) -> None:
    """Put the command's options on its parser."""
    parser.set_defaults(command=run_mcp)
    parser.add_argument("--node", default="/pan3d", metavar="NAME", help="full name of the node (default: %(default)s)")
    parser.add_argument(
        "--http", type=int, metavar="PORT", help="serve HTTP to this machine instead of standard input and output"
    )


def run_mcp(options: argparse.Namespace) -> int:
    """A running node's services as tools of an agent."""
    if options.http is not None:  # standard output belongs to the agent otherwise
        print(f"tools of {options.node} at http://{LOOPBACK}:{options.http}/mcp until Ctrl-C", file=sys.stderr, flush=True)
    serve_agent(options.node, options.http)
    return 0
