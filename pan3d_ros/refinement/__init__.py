"""The action that refines the map of a place in a process of its own; knows the library's refinement, and only `server` knows
ROS and what runs in the node."""

from typing import TYPE_CHECKING

from pan3d_core.runtime.lazy import attributes

if TYPE_CHECKING:
    from pan3d_ros.refinement.folder import RefinementFolder as RefinementFolder
    from pan3d_ros.refinement.folder import RefinementJob as RefinementJob
    from pan3d_ros.refinement.runner import RefinementRunner as RefinementRunner
    from pan3d_ros.refinement.server import RefinementServer as RefinementServer
    from pan3d_ros.refinement.server import RefinementSources as RefinementSources
    from pan3d_ros.refinement.views import UnderstoodView as UnderstoodView
    from pan3d_ros.refinement.views import ViewCollector as ViewCollector

# Loaded on first use, so that nobody needs ROS for a part that does not.
_NAMES = {
    "folder": ("RefinementFolder", "RefinementJob"),
    "runner": ("RefinementRunner",),
    "server": ("RefinementServer", "RefinementSources"),
    "views": ("UnderstoodView", "ViewCollector"),
}
__all__ = [name for names in _NAMES.values() for name in names]
__getattr__ = attributes(__name__, _NAMES)
