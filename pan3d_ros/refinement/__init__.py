"""The action that refines the map of a place in a process of its own; knows the library's refinement, and only `server` knows
ROS and what runs in the node."""

from typing import TYPE_CHECKING

from pan3d_core.runtime.lazy import attributes

if TYPE_CHECKING:
    from pan3d_ros.refinement.folder import RefinementFolder, RefinementJob
    from pan3d_ros.refinement.runner import RefinementRunner
    from pan3d_ros.refinement.server import RefinementServer, RefinementSources
    from pan3d_ros.refinement.views import UnderstoodView, ViewCollector

__all__ = [
    "RefinementFolder", "RefinementJob", "RefinementRunner", "RefinementServer", "RefinementSources", "UnderstoodView",
    "ViewCollector",
]  # fmt: skip

# Loaded on first use, so that nobody needs ROS for a part that does not.
_HOMES = {
    "RefinementFolder": "folder", "RefinementJob": "folder", "RefinementRunner": "runner", "RefinementServer": "server",
    "RefinementSources": "server", "UnderstoodView": "views", "ViewCollector": "views",
}  # fmt: skip
__getattr__ = attributes(__name__, _HOMES)
