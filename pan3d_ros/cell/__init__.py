"""The simulated cell's cameras and truth as messages; knows the simulator and how messages are made, nothing of perception."""

from pan3d_ros.cell.messages import RenderedCamera, truth_response
from pan3d_ros.cell.streams import CellStreams, StreamOptions

__all__ = ["CellStreams", "RenderedCamera", "StreamOptions", "truth_response"]
