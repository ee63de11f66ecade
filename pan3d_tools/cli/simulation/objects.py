"""`pan3d sim objects`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pan3d_sim.library.fetch import PACKAGE, fetch_objects
from pan3d_sim.library.folder import NOTICE_FILE
from pan3d_tools.cli.options import add_fetch


def add(parser: argparse.ArgumentParser) -> None:
    """Put the actions on the parser."""
    fetch = add_fetch(parser, Path("out/objects"), "fetch and convert them; nothing to do where they are already")
    fetch.set_defaults(command=run_fetch)
    fetch.add_argument(
        "--package", type=Path, metavar="FILE", help=f"a copy of {PACKAGE.filename} (default: from Debian's archive)"
    )


def run_fetch(options: argparse.Namespace) -> int:
    """The folder of modelled objects."""
    options.name = "sim objects fetch"
    index = fetch_objects(options.out, options.package, _show)
    kinds = len({item.kind for item in index.objects})
    print(f"\n{options.out}: {len(index.objects)} objects of {kinds} kinds; whom they are from: {options.out / NOTICE_FILE}")
    for name, reason in index.left_out.items():
        print(f"left out: {name}: {reason}")
    return 0


def _show(done: int, total: int) -> None:
    print(f"\r{done} of {total} objects", end="", file=sys.stderr, flush=True)
