"""From view sets to results, in a worker's thread: the model, the pipeline around it and why views are dropped; knows inputs,
outputs and messages, and only `perception` knows ROS."""

from typing import TYPE_CHECKING

from pan3d_core.runtime.lazy import attributes

if TYPE_CHECKING:
    from pan3d_ros.processing.model_loading import LoadedModel, ModelHolder
    from pan3d_ros.processing.perception import Perception, Surroundings
    from pan3d_ros.processing.problem_log import ProblemLog
    from pan3d_ros.processing.set_processing import ProcessedSet, SetProcessor
    from pan3d_ros.processing.worker import LatestWorker

__all__ = [
    "LatestWorker", "LoadedModel", "ModelHolder", "Perception", "ProblemLog", "ProcessedSet", "SetProcessor", "Surroundings",
]  # fmt: skip

# Loaded on first use, so that nobody needs ROS for a part that does not.
_HOMES = {
    "LatestWorker": "worker", "LoadedModel": "model_loading", "ModelHolder": "model_loading", "Perception": "perception",
    "ProblemLog": "problem_log", "ProcessedSet": "set_processing", "SetProcessor": "set_processing",
    "Surroundings": "perception",
}  # fmt: skip
__getattr__ = attributes(__name__, _HOMES)
