"""Faults as rows of data against a real node over DDS: what is sent, what the node must say, and that it comes back.

May know everybody; the rows themselves know messages alone.
"""

from typing import TYPE_CHECKING

from pan3d_core.runtime.lazy import attributes

if TYPE_CHECKING:
    from pan3d_tools.stress.faults import Fault as Fault
    from pan3d_tools.stress.faults import InputFault as InputFault
    from pan3d_tools.stress.run import Outcome as Outcome
    from pan3d_tools.stress.run import run_rows as run_rows

# Loaded on first use, so that rows can be listed where no ROS is.
_NAMES = {"faults": ("Fault", "InputFault"), "run": ("Outcome", "run_rows")}
__all__ = [name for names in _NAMES.values() for name in names]
__getattr__ = attributes(__name__, _NAMES)
