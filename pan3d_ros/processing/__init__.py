"""From view sets to results, in a worker's thread: the model, the pipeline around it and why views are dropped; knows inputs,
outputs and messages, and only `perception` knows ROS."""

from typing import TYPE_CHECKING

from pan3d_core.runtime.lazy import attributes

if TYPE_CHECKING:
    from pan3d_ros.processing.model_loading import LoadedModel as LoadedModel
    from pan3d_ros.processing.model_loading import ModelHolder as ModelHolder
    from pan3d_ros.processing.perception import Perception as Perception
    from pan3d_ros.processing.perception import Surroundings as Surroundings
    from pan3d_ros.processing.problem_log import ProblemLog as ProblemLog
    from pan3d_ros.processing.set_processing import ProcessedSet as ProcessedSet
    from pan3d_ros.processing.set_processing import SetProcessor as SetProcessor
    from pan3d_ros.processing.worker import LatestWorker as LatestWorker

# Loaded on first use, so that nobody needs ROS for a part that does not.
_NAMES = {
    "worker": ("LatestWorker",),
    "model_loading": ("LoadedModel", "ModelHolder"),
    "perception": ("Perception", "Surroundings"),
    "problem_log": ("ProblemLog",),
    "set_processing": ("ProcessedSet", "SetProcessor"),
}
__all__ = [name for names in _NAMES.values() for name in names]
__getattr__ = attributes(__name__, _NAMES)
