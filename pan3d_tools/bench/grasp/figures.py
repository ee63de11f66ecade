"""Figures of attempts, with intervals, as nested values and as a table of a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pan3d_sim.objects.kinds import GRASPABLE_KINDS
from pan3d_tools.bench.grasp.attempts import Attempt, Clearing
from pan3d_tools.bench.shares import quantile, rate

PLAN_TARGET_S = 0.5  # of one core, 95 of 100 objects
Figures = dict[str, float]


def summarize(attempts: Sequence[Attempt]) -> dict:
    """Count what became of objects.

    Args:
        attempts: One for each object; no grasp is a failure, so that a planner that abstains gains nothing.

    Returns:
        Shares of all objects and of the executed attempts with 95 % intervals, reasons, success by kind, planning times in
        seconds of one core.
    """
    executed = [item for item in attempts if item.executed]
    lifted, clean = [item for item in attempts if item.outcome == "none"], [item for item in attempts if item.clean]
    holdable = [item for item in attempts if item.kind in GRASPABLE_KINDS]
    plan_s = [item.plan_s for item in attempts if item.plan_s > 0]
    p95 = quantile(plan_s, 0.95)
    return {
        "objects": len(attempts),
        "executed": len(executed),
        "lifted": len(lifted),
        "clean_per_object": rate(len(clean), len(attempts)),
        "clean_of_graspable_kinds": rate(sum(item.clean for item in holdable), len(holdable)),
        "lifted_per_object": rate(len(lifted), len(attempts)),
        "attempted": rate(len(executed), len(attempts)),
        "lifted_per_attempt": rate(len(lifted), len(executed)),
        "disturbed_per_attempt": rate(sum(item.disturbed for item in executed), len(executed)),
        "collisions_per_attempt": rate(sum(item.outcome == "collision" for item in executed), len(executed)),
        "outcomes": dict(Counter(item.outcome for item in attempts).most_common()),
        "hits": dict(Counter(item.hit for item in attempts if item.hit).most_common()),
        "clean_per_kind": {
            kind: f"{sum(item.clean for item in attempts if item.kind == kind)}/{sum(item.kind == kind for item in attempts)}"
            for kind in sorted({item.kind for item in attempts})
        },
        "plan_p50_s": quantile(plan_s, 0.5),
        "plan_p95_s": p95,
        "plan_p95_over_target": p95["value"] / PLAN_TARGET_S,
        "deepest_contact_mm": 1e3 * max((item.contact_depth_m for item in executed), default=0.0),
    }


def summarize_clearing(clearings: Sequence[Clearing]) -> dict:
    """Count what was cleared.

    Args:
        clearings: One for each table.

    Returns:
        Shares of objects, tables and attempts with 95 % intervals, and how tables ended.
    """
    objects, cleared = sum(item.objects for item in clearings), sum(item.cleared for item in clearings)
    attempts, clean = sum(item.attempts for item in clearings), sum(item.clean for item in clearings)
    return {
        "tables": len(clearings),
        "objects_cleared": rate(cleared, objects),
        "tables_cleared": rate(sum(item.cleared == item.objects for item in clearings), len(clearings)),
        "lifted_per_attempt": rate(cleared, attempts),
        "clean_per_object": rate(clean, objects),
        "clean_per_attempt": rate(clean, attempts),
        "attempts": attempts,
        "ended": dict(Counter(item.ended for item in clearings).most_common()),
    }


def difference(ours: Figures, theirs: Figures) -> Figures:
    """Subtract two independent shares.

    Args:
        ours: As `rate` gives it.
        theirs: To be subtracted.

    Returns:
        `share`, `low` and `high` of the difference, after Newcombe 1998 ("Interval estimation for the difference between
        independent proportions", method 10). Both were measured on the same objects, so that the truth is narrower.
    """
    share = ours["share"] - theirs["share"]
    down = ((ours["share"] - ours["low"]) ** 2 + (theirs["high"] - theirs["share"]) ** 2) ** 0.5
    up = ((ours["high"] - ours["share"]) ** 2 + (theirs["share"] - theirs["low"]) ** 2) ** 0.5
    return {"share": share, "low": share - down, "high": share + up}


HEAD = (
    "arrangement", "input", "planner", "clean lifts per object", "attempted", "lifted per attempt", "attempts with a collision",
    "attempts that disturb", "planning p50 / p95 over 0.5 s of a core",
)  # fmt: skip
CLEARING_HEAD = (
    "arrangement", "input", "planner", "objects cleared", "tables cleared", "lifted per attempt", "clean lifts per object",
    "clean lifts per attempt",
)  # fmt: skip


def table(rows: Sequence[tuple[tuple[str, str, str], dict]]) -> str:
    """Write figures as a table in Markdown.

    Args:
        rows: Arrangement, input and planner, and what `summarize` says of them.

    Returns:
        Lines; every share has its 95 % interval in brackets.
    """
    shares = ("clean_per_object", "attempted", "lifted_per_attempt", "collisions_per_attempt", "disturbed_per_attempt")
    return _table(HEAD, [(*key, *(_cell(found[name]) for name in shares), _times(found)) for key, found in rows])


def clearing_table(rows: Sequence[tuple[tuple[str, str, str], dict]]) -> str:
    """Write figures of cleared tables in Markdown.

    Args:
        rows: Arrangement, input and planner, and what `summarize_clearing` says of them.

    Returns:
        Lines.
    """
    shares = ("objects_cleared", "tables_cleared", "lifted_per_attempt", "clean_per_object", "clean_per_attempt")
    return _table(CLEARING_HEAD, [(*key, *(_cell(found[name]) for name in shares)) for key, found in rows])


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _cell(share: Figures) -> str:
    return f"{share['share']:.2f} ({share['low']:.2f} to {share['high']:.2f})"


def _times(found: dict) -> str:
    p50, p95 = ({name: value / PLAN_TARGET_S for name, value in found[key].items()} for key in ("plan_p50_s", "plan_p95_s"))
    return f"{p50['value']:.2f} / {p95['value']:.2f} ({p95['low']:.2f} to {p95['high']:.2f})"
