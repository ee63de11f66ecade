"""`pan3d stress`."""

from __future__ import annotations

import argparse
from pathlib import Path

from pan3d_tools.cli.output import machine_facts, write_json
from pan3d_tools.stress.faults import Row
from pan3d_tools.stress.rows import ROWS
from pan3d_tools.stress.run import Outcome, run_rows


def add(parser: argparse.ArgumentParser) -> None:
    """Put the command's options on its parser."""
    parser.set_defaults(command=run)
    parser.add_argument(
        "--only", default="", metavar="TEXT", help="rows whose name contains this, such as 'poses' or 'one camera'"
    )
    parser.add_argument("--rows", type=int, metavar="N", help="so many rows, spread evenly over all")
    parser.add_argument("--list", action="store_true", help="name the rows and end")
    parser.add_argument("--log", type=Path, default=Path("out/stress"), metavar="FOLDER", help="for the node's output")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what became of each row")


def chosen_rows(only: str = "", count: int | None = None) -> list[Row]:
    """Choose rows.

    Args:
        only: Part of the name of each; case does not count.
        count: So many, spread evenly over those; None for all.

    Returns:
        The rows in their order.

    Raises:
        ValueError: No row's name contains `only`, or `count` is less than 1.
    """
    rows = [row for row in ROWS if only.casefold() in row.name.casefold()]
    if not rows:
        raise ValueError(f"--only: expected a part of a row's name (see --list), got {only!r}")
    if count is None or count >= len(rows):
        return rows
    if count < 1:
        raise ValueError(f"--rows: expected at least 1, got {count}")
    return [rows[index * len(rows) // count] for index in range(count)]


def run(options: argparse.Namespace) -> int:
    """Try the rows; 1 when the node did not do as it must."""
    rows = chosen_rows(options.only, options.rows)
    if options.list:
        print("\n".join(row.name for row in rows))
        return 0

    def tell(outcome: Outcome) -> None:
        print(f"{'ok    ' if outcome.passed else 'FAILED'} {outcome.seconds:5.1f} s  {outcome.row.name}", flush=True)
        if not outcome.passed:
            print(f"       {outcome.problem}", flush=True)

    outcomes = run_rows(rows, options.log, tell)
    failed = [outcome for outcome in outcomes if not outcome.passed]
    print(f"{len(outcomes) - len(failed)} of {len(outcomes)} rows as they must be, {sum(o.seconds for o in outcomes):.0f} s")
    if options.json:
        content = [{"row": o.row.name, "problem": o.problem, "seconds": round(o.seconds, 2)} for o in outcomes]
        write_json(options.json, {"machine": machine_facts(), "rows": content})
    return 1 if failed else 0
