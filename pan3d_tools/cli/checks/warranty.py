"""`pan3d warranty`: from which score on answers are given here, and what was confirmed."""

from __future__ import annotations

import argparse
from pathlib import Path

from pan3d_core.warranty import KINDS, Confirmation, Promises, add_confirmation, read_confirmations
from pan3d_core.warranty.guarantee import NOTHING

SHARES = (0.02, 0.05, 0.1, 0.2)


def add(parser: argparse.ArgumentParser) -> None:
    """Put the command's options on its parser."""
    parser.set_defaults(command=run_warranty)
    parser.add_argument(
        "file", type=Path, metavar="FILE", help=".json file of confirmations, as warranty.file names it; may be new"
    )
    parser.add_argument("--shares", type=float, nargs="+", default=list(SHARES), metavar="SHARE", help="of wrong answers")
    parser.add_argument("--score", type=float, metavar="SCORE", help="add a confirmation of an answer with this score")
    parser.add_argument("--kind", choices=KINDS, default=KINDS[0], help="of the answer (default: %(default)s)")
    verdict = parser.add_mutually_exclusive_group()
    verdict.add_argument("--right", action="store_true", help="it was right")
    verdict.add_argument("--wrong", action="store_true", help="it was wrong")


def run_warranty(options: argparse.Namespace) -> int:
    """Add a confirmation where one is given, and say what is promised."""
    if (options.score is not None) != (options.right or options.wrong):
        raise ValueError("--score: expected it with --right or --wrong, and these with it")
    if options.score is None:
        found = read_confirmations(options.file)
    else:
        found = add_confirmation(options.file, options.kind, Confirmation(options.score, options.right))
    promises = Promises(options.file)
    for kind in KINDS:
        wrong = sum(not item.right for item in found[kind])
        print(f"{kind}: {len(found[kind])} confirmations, {wrong} of them wrong")
        for share in options.shares:
            made = promises.guarantee(kind, share)
            if made.least == NOTHING:
                print(f"  at most {share:.0%} wrong: every answer is refused")
            else:
                print(f"  at most {share:.0%} wrong: answers from {made.least:.2f} on, about {made.answered:.0%} of them")
    return 0
