"""Pages on which a person sees results; they know results, evaluation and pictures."""

from pan3d_tools.reports.bags import write_bag_report
from pan3d_tools.reports.html import Report
from pan3d_tools.reports.reconstruction import write_files
from pan3d_tools.reports.scenes import Shown, write_scene_report

__all__ = [
    "Report",
    "Shown",
    "write_bag_report",
    "write_files",
    "write_scene_report",
]
