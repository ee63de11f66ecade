"""What a node says about its results: topics, diagnostics, and the store that requests read; knows messages, inputs and the
log of problems, never the pipeline."""

from typing import TYPE_CHECKING

from pan3d_core.runtime.lazy import attributes

if TYPE_CHECKING:
    from pan3d_ros.outputs.diagnostics import diagnostic_array
    from pan3d_ros.outputs.publishers import ScenePublishers, profile
    from pan3d_ros.outputs.result_store import Latencies, ResultStore, SceneResult

__all__ = [
    "Latencies", "ResultStore", "ScenePublishers", "SceneResult", "diagnostic_array", "profile",
]  # fmt: skip

# Loaded on first use, so that nobody needs ROS for a part that does not.
_HOMES = {
    "Latencies": "result_store", "ResultStore": "result_store", "ScenePublishers": "publishers",
    "SceneResult": "result_store", "diagnostic_array": "diagnostics", "profile": "publishers",
}  # fmt: skip
__getattr__ = attributes(__name__, _HOMES)
