"""What /diagnostics says of the model: the lifecycle state, what is being prepared, and what runs the network."""

from __future__ import annotations

from diagnostic_msgs.msg import DiagnosticStatus

from pan3d_core.engines import EngineFacts
from pan3d_core.runtime.progress import current_step
from pan3d_ros.outputs.diagnostics import ERROR, OK, WARN, status

ON_THE_WAY = ("configuring", "activating")  # states in which a model may be loaded


def model_status(state: str, problem: str, model: str, facts: EngineFacts | None) -> DiagnosticStatus:
    """Tell the lifecycle state, why the last transition failed, what is being prepared, and what runs the network.

    Args:
        state: Name of the lifecycle state.
        problem: Why the last transition failed; empty when it did not.
        model: Name of the engine.
        facts: Of the engine, once it is loaded.

    Returns:
        ERROR with the problem; WARN where torch runs the network because another runtime could not; else OK. While a network is
        built or opened: what is being done, and for how long, and OK.
    """
    values = {"state": state, "model": model, "device": "" if facts is None else facts.device}
    doing = current_step() if state in ON_THE_WAY else None
    if doing is not None:
        return status("model", OK, f"{state}: {doing}", {**values, "step": doing.words, "step seconds": doing.seconds})
    runtime = None if facts is None or facts.runtime is None else facts.runtime()
    if runtime is None:
        return status("model", ERROR if problem else OK, problem or state, values)
    values |= {"runtime": f"{runtime.name} {runtime.version}", "precision": runtime.precision, "runtime reason": runtime.reason}
    if runtime.changed:
        values["narrow"] = runtime.changed
    if problem or not runtime.fell_back:
        return status("model", ERROR if problem else OK, problem or state, values)
    return status("model", WARN, f"{state}; {runtime.name} runs the network {runtime.reason}", values)
