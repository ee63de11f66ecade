"""Runs rows against a node and judges each."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pan3d_ros.messages.buffers import stamp_to_ns
from pan3d_ros.platform.domains import domain_of_environment
from pan3d_ros.platform.start import own_context
from pan3d_tools.demo.processes import DemoError
from pan3d_tools.stress.faults import (
    ONE,
    HarmlessInput,
    InputFault,
    ParameterFault,
    ProcedureFault,
    RequestFault,
    Row,
    UnexpectedBehaviour,
    require,
)
from pan3d_tools.stress.session import EVENT_TIMEOUT_S, Session

EVERYTHING = 1  # SegmentObject.Request.PROMPT_ALL
ANSWER_TIMEOUT_S = 0.3  # the diagnostic has told it by then
GRASPABLE = "the blue one"
IN_WORK = "are still being processed"  # of what was taken before the fault


@dataclass(frozen=True)
class Outcome:
    """What became of a row."""

    row: Row
    problem: str  # what went otherwise than it must; empty when nothing did
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether the node did as it must."""
        return not self.problem


def run_rows(rows: Sequence[Row], log_folder: Path, progress: Callable[[Outcome], None] = lambda _: None) -> tuple[Outcome, ...]:
    """Run rows against one node.

    Args:
        rows: What is tried, in this order.
        log_folder: The node's output goes to files in it.
        progress: Called with each outcome.

    Returns:
        An outcome for each row. After a row from which the node does not come back, a new node is started.
    """
    outcomes: list[Outcome] = []
    waiting = list(rows)
    with domain_of_environment(), own_context() as context:
        while waiting:
            with Session(context, log_folder / f"node_{len(outcomes)}.log") as session:
                waiting = _run_until_lost(session, waiting, outcomes, progress)
    return tuple(outcomes)


def _run_until_lost(session: Session, rows: list[Row], outcomes: list[Outcome], progress: Callable[[Outcome], None]) -> list[Row]:
    """Run rows until one leaves the node in a state that it does not come back from; the rows that are left."""
    for index, row in enumerate(rows):
        outcome, lost = judge(session, row)
        outcomes.append(outcome)
        progress(outcome)
        if lost:
            return rows[index + 1 :]
    return []


def judge(session: Session, row: Row) -> tuple[Outcome, bool]:
    """Try one row, put everything right again, and wait until the node is as before.

    Returns:
        The outcome, and whether the node did not come back.
    """
    began = time.monotonic()
    problem, lost = "", False
    session.mark()
    try:
        _try(session, row)
    except (UnexpectedBehaviour, DemoError) as error:
        problem = str(error)
    session.cameras.edits, session.cameras.paused = {}, False
    if not isinstance(row.fault, (RequestFault, ParameterFault)) or problem:
        try:
            session.healthy()
        except (UnexpectedBehaviour, DemoError) as error:
            problem, lost = f"{problem}; afterwards: {error}".removeprefix("; "), True
    return Outcome(row, problem, time.monotonic() - began), lost


def _try(session: Session, row: Row) -> None:
    fault = row.fault
    if isinstance(fault, InputFault):
        _try_input(session, fault, row.scope)
    elif isinstance(fault, HarmlessInput):
        session.cameras.edits = dict.fromkeys(session.cameras.names, fault.edits)
        session.healthy()
    elif isinstance(fault, RequestFault):
        answer = session.ask(fault.service, fault.fields)
        _expect_answer(session, answer, fault.code, fault.words)
    elif isinstance(fault, ParameterFault):
        before = session.parameter(fault.parameter)
        taken, reason = session.set_parameter(fault.parameter, fault.value)
        require(not taken, f"{fault.parameter}: the node took {fault.value!r}")
        require(re.search(fault.words, reason, re.IGNORECASE), f"expected words like {fault.words!r}, got {reason!r}")
        require(session.parameter(fault.parameter) == before, f"{fault.parameter} has changed although it was refused")
    elif isinstance(fault, ProcedureFault):
        fault.steps(session)


def _try_input(session: Session, fault: InputFault, scope: str) -> None:
    wrong = session.cameras.names[:1] if scope == ONE else session.cameras.names
    session.cameras.edits = dict.fromkeys(wrong, fault.edits)
    since_ns = session.now_ns()
    line = fault.expected.line.format(camera=wrong[0])

    session.until(
        lambda: session.says(line, fault.expected.words),
        lambda: f"the diagnostic {line!r} says {fault.expected.words!r}; it says {getattr(session.line(line), 'message', '')!r}",
    )
    if scope == ONE:
        others = set(session.cameras.names[1:])
        session.until(lambda: any(set(result.cameras) == others for result in session.results()), f"results of {sorted(others)}")
    else:
        if fault.expected.without_metres:
            answer = session.ask("get_grasp_targets", {"prompt": GRASPABLE})
        else:
            answer = _settled_answer(session, {"prompt_type": EVERYTHING, "timeout": ANSWER_TIMEOUT_S})
        _expect_answer(session, answer, fault.expected.code, fault.expected.answer or fault.expected.words)
    for result in session.results():
        # What was on its way when the fault began is older.
        wrongly = stamp_to_ns(result.newest_stamp) > since_ns and set(result.cameras) & set(wrong)
        if wrongly and not (fault.expected.without_metres and not result.metric):
            raise UnexpectedBehaviour(
                f"a result with {', '.join(result.cameras)} was published although {', '.join(wrong)} cannot be used"
            )


def _settled_answer(session: Session, fields: Mapping[str, Any]) -> Any:
    """What `segment_object` says once no set is in work that was taken before the fault."""
    deadline = time.monotonic() + EVENT_TIMEOUT_S
    while True:
        answer = session.ask("segment_object", fields)
        if IN_WORK not in answer.message or time.monotonic() > deadline:
            return answer


def _expect_answer(session: Session, answer: object, codes: str, words: str) -> None:
    code, message = session.code(answer), answer.message  # type: ignore[attr-defined]
    require(code in codes.split("|"), f"expected the code {codes}, got {code}: {message}")
    require(re.search(words, message, re.IGNORECASE), f"expected words like {words!r}, got {message!r}")
