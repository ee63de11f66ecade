"""Faults that need steps of their own: clocks that jump, states of the lifecycle, many calls at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pan3d_tools.stress.edits import shifted
from pan3d_tools.stress.faults import Fault, ProcedureFault, require
from pan3d_tools.stress.rows.times import of_camera

if TYPE_CHECKING:
    from pan3d_tools.stress.session import Session

CALLS = 50
EVERYTHING = 1
DEACTIVATE, ACTIVATE, CLEANUP, CONFIGURE = 4, 3, 2, 1  # of lifecycle_msgs/msg/Transition


def clock_jumps_back(session: Session) -> None:
    """Stamps of four seconds ago: results go on with the new time, and none of the old time comes after them."""

    def new_time() -> list[bool]:
        # Stamps of the new time are four seconds old at least, however slow machine and row are.
        newest_ns = session.now_ns() - 3_900_000_000
        return [stamp < newest_ns for stamp in session.results_since_mark()]

    session.cameras.edits = dict.fromkeys(session.cameras.names, of_camera(shifted(-4.0)))
    session.until(lambda: any(new_time()), "results of the new time")
    session.pause(0.5)
    after = new_time()
    require(all(after[after.index(True) :]), "a result of before the jump was published after it")


def clock_of_one_camera(seconds: float) -> ProcedureFault:
    """A camera with a clock of its own: its stamps never match, which is told, and nothing comes of different times."""

    def steps(session: Session) -> None:
        session.cameras.edits = {session.cameras.names[0]: of_camera(shifted(seconds))}
        session.until(lambda: session.says("synchronization", "never match"), "the diagnostic says that stamps never match")
        since_ns = session.now_ns()
        answer = session.ask("segment_object", {"prompt_type": EVERYTHING, "timeout": 1.0})
        require(session.code(answer) in ("TIMEOUT", "STALE_IMAGES"), f"the answer was {session.code(answer)}: {answer.message}")
        require(not [s for s in session.results_since_mark() if s > since_ns], "a result of pictures of different times")

    return ProcedureFault("times", f"the clock of one camera is {abs(seconds):g} s {'ahead' if seconds > 0 else 'behind'}", steps)


def jumps_forth_and_back(session: Session) -> None:
    """Stamps of a second ahead, then of now again, three times."""
    for _ in range(3):
        session.cameras.edits = dict.fromkeys(session.cameras.names, of_camera(shifted(1.0)))
        session.pause(0.3)
        session.cameras.edits = {}
        session.pause(0.3)
    session.healthy()


def asked_while_inactive(session: Session) -> None:
    """Every service answers NOT_ACTIVE, and works again after activation."""
    session.change_state(DEACTIVATE)
    for service in ("segment_object", "get_instances", "get_grasp_targets", "set_classes"):
        answer = session.ask(service, {})
        require(session.code(answer) == "NOT_ACTIVE", f"{service} answered {session.code(answer)}: {answer.message}")
    session.mark()
    session.pause(0.5)
    require(not session.results_since_mark(), "an inactive node published results")
    session.change_state(ACTIVATE)


def deactivated_while_a_call_waits(session: Session) -> None:
    """The call is answered at once, not after its timeout."""
    session.cameras.paused = True
    call = session.begin("segment_object", {"prompt_type": EVERYTHING, "timeout": 100.0})
    session.pause(0.3)
    session.change_state(DEACTIVATE)
    session.until(call.done, "the call that waited is answered")
    answer = call.result()
    require(session.code(answer) == "NOT_ACTIVE", f"it was answered {session.code(answer)}")
    session.cameras.paused = False
    session.change_state(ACTIVATE)


def configured_again(session: Session) -> None:
    """Cleaned up, configured and activated, it works as before."""
    for transition in (DEACTIVATE, CLEANUP, CONFIGURE, ACTIVATE):
        session.change_state(transition)


def impossible_transitions(session: Session) -> None:
    """They are refused, and the node goes on."""
    for transition in (ACTIVATE, CONFIGURE, CLEANUP):
        require(not session.try_state(transition), f"transition {transition} succeeded in an active node")


def many_calls(service: str, fields: dict[str, object], what: str = "") -> ProcedureFault:
    """As many answers as calls, none lost and none BUSY."""

    def steps(session: Session) -> None:
        calls = [session.begin(service, fields) for _ in range(CALLS)]
        session.until(lambda: all(call.done() for call in calls), f"{CALLS} answers")
        codes = {session.code(call.result()) for call in calls}
        require(codes == {"OK"}, f"the answers were {sorted(codes)}")

    return ProcedureFault("load", f"{CALLS} calls of {service} at once{what}", steps)


def burst_of_pictures(session: Session) -> None:
    """200 sets as fast as they can be sent: the newest is worked on, and answers stay young."""
    for _ in range(200):
        session.cameras.send()
    session.healthy()
    answer = session.ask("segment_object", {"prompt_type": EVERYTHING, "use_latest": True})
    require(session.code(answer) == "OK", answer.message)
    require(answer.latency < 5.0, f"the answer was {answer.latency:.1f} s old")


def silence(session: Session) -> None:
    """No pictures: no results, a reason, and results again when they come."""
    session.cameras.paused = True
    briefly = {"prompt_type": EVERYTHING, "timeout": 0.2}
    session.until(lambda: session.code(session.ask("segment_object", briefly)) == "STALE_IMAGES", "the answer STALE_IMAGES")
    session.mark()
    session.pause(0.5)
    require(not session.results_since_mark(), "results without pictures")
    session.cameras.paused = False


FAULTS: tuple[Fault, ...] = (
    ProcedureFault("times", "the clock jumps back by 2 s", clock_jumps_back),
    clock_of_one_camera(-3.0),
    clock_of_one_camera(3.0),
    ProcedureFault("times", "the clock jumps forth and back", jumps_forth_and_back),
    ProcedureFault("lifecycle", "asked while inactive", asked_while_inactive),
    ProcedureFault("lifecycle", "deactivated while a call waits", deactivated_while_a_call_waits),
    ProcedureFault("lifecycle", "cleaned up and configured again", configured_again),
    ProcedureFault("lifecycle", "impossible transitions", impossible_transitions),
    many_calls("segment_object", {"prompt_type": EVERYTHING, "use_latest": True}),
    many_calls("segment_object", {"prompt": "the red one", "use_latest": True}, ", by words"),
    many_calls("segment_object", {"prompt_type": EVERYTHING}, ", for the next result"),
    many_calls("get_instances", {}),
    many_calls("get_grasp_targets", {"prompt": "the blue one"}),
    ProcedureFault("load", "200 sets of pictures at once", burst_of_pictures),
    ProcedureFault("load", "no pictures for a while", silence),
)
