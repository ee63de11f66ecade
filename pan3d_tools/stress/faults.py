"""What a row of the stress test is. No ROS in here: messages are anything with the fields of the ROS types."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


class UnexpectedBehaviour(RuntimeError):
    """The node did otherwise than a row says that it must; the message tells what."""


def require(condition: object, what: str) -> None:
    """Raise `UnexpectedBehaviour` with `what` unless the condition holds."""
    if not condition:
        raise UnexpectedBehaviour(what)


# A message before it is sent -> what is sent in its place; None = nothing is.
Edit = Callable[[Any], Any]
ONE, ALL = "one camera", "all cameras"
BOTH = (ONE, ALL)


@dataclass(frozen=True)
class Expected:
    """What the node must say of a fault."""

    code: str  # name in pan3d_interfaces/msg/ErrorCode of the answer to a request when no camera is right
    line: str  # end of the diagnostic's name that must not be green; "{camera}" stands for the camera that is wrong
    words: str  # what the message must contain, a regular expression; case does not count
    answer: str = ""  # the same for the answer to a request; empty: the words of the diagnostic
    # True: with no camera right, results go on without metres, and it is a request for grasps that is answered with the code.
    without_metres: bool = False


@dataclass(frozen=True)
class Fault:
    """What is tried."""

    family: str
    name: str


@dataclass(frozen=True)
class InputFault(Fault):
    """Messages of cameras that are wrong, on their way."""

    edits: Mapping[str, Edit]  # "image", "info", "depth" or "pose" -> what becomes of the message
    expected: Expected
    scopes: tuple[str, ...] = BOTH  # one camera of three: the others go on; all: no result, and the reason


@dataclass(frozen=True)
class HarmlessInput(Fault):
    """Unusual messages that are right: results go on with every camera."""

    edits: Mapping[str, Edit]


@dataclass(frozen=True)
class RequestFault(Fault):
    """A request that must be refused, or answered otherwise than with objects."""

    service: str  # "segment_object", "get_grasp_targets", "get_instances" or "set_classes"
    fields: Mapping[str, Any]  # of the request; nested messages as mappings
    code: str
    words: str


@dataclass(frozen=True)
class ParameterFault(Fault):
    """A parameter that must be refused while the node is active, and keep its value."""

    parameter: str
    value: Any
    words: str


@dataclass(frozen=True)
class ProcedureFault(Fault):
    """A fault that needs steps of its own; `steps` raises `UnexpectedBehaviour`."""

    steps: Callable[[Any], None] = field(compare=False)  # takes the `Session`


@dataclass(frozen=True)
class MessageFamily:
    """Faults in one kind of message of a camera, which the node tells in the same way."""

    name: str
    kind: str  # "image", "info", "depth" or "pose"
    code: str
    line: str = "camera {camera}"

    def bad(self, name: str, edit: Edit, words: str, scopes: tuple[str, ...] = (ONE,), answer: str = "") -> InputFault:
        """A message that cannot be used."""
        return InputFault(self.name, name, {self.kind: edit}, Expected(self.code, self.line, words, answer), scopes)

    def fine(self, name: str, edit: Edit) -> HarmlessInput:
        """A message of another kind, which says the same."""
        return HarmlessInput(self.name, name, {self.kind: edit})


@dataclass(frozen=True)
class Row:
    """One line of the table: a fault, and how many cameras have it."""

    fault: Fault
    scope: str = ""

    @property
    def name(self) -> str:
        """What a person reads and `--only` selects by."""
        return f"{self.fault.family}: {self.fault.name}" + (f", {self.scope}" if self.scope else "")


def rows_of(faults: tuple[Fault, ...]) -> tuple[Row, ...]:
    """Each fault once, those of cameras once per scope."""
    rows: list[Row] = []
    for fault in faults:
        scopes = fault.scopes if isinstance(fault, InputFault) else ("",)
        rows.extend(Row(fault, scope) for scope in scopes)
    return tuple(rows)
