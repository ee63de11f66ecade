"""What a node says about its results: topics, diagnostics, and the store that requests read; knows messages, inputs and the
log of problems, never the pipeline."""

from typing import TYPE_CHECKING

from pan3d_core.runtime.lazy import attributes

if TYPE_CHECKING:
    from pan3d_ros.outputs.bond import BondHeartbeat as BondHeartbeat
    from pan3d_ros.outputs.diagnostics import diagnostic_array as diagnostic_array
    from pan3d_ros.outputs.publishers import ScenePublishers as ScenePublishers
    from pan3d_ros.outputs.publishers import profile as profile
    from pan3d_ros.outputs.result_store import Latencies as Latencies
    from pan3d_ros.outputs.result_store import ResultStore as ResultStore
    from pan3d_ros.outputs.result_store import SceneResult as SceneResult

# Loaded on first use, so that nobody needs ROS for a part that does not.
_NAMES = {
    "result_store": ("Latencies", "ResultStore", "SceneResult"),
    "bond": ("BondHeartbeat",),
    "publishers": ("ScenePublishers", "profile"),
    "diagnostics": ("diagnostic_array",),
}
__all__ = [name for names in _NAMES.values() for name in names]
__getattr__ = attributes(__name__, _NAMES)
