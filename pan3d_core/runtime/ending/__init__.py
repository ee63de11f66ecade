"""How work ends, finished or not: results that replace older ones as a whole, programs that are asked to end; knows files and
signals alone."""

from typing import TYPE_CHECKING

from pan3d_core.runtime.lazy import attributes

if TYPE_CHECKING:
    from pan3d_core.runtime.ending.asked import EndAsked as EndAsked
    from pan3d_core.runtime.ending.asked import end_at_once_if as end_at_once_if
    from pan3d_core.runtime.ending.asked import told as told
    from pan3d_core.runtime.ending.asked import unwound as unwound
    from pan3d_core.runtime.ending.result_folder import ResultFolder as ResultFolder

_NAMES = {"asked": ("EndAsked", "end_at_once_if", "told", "unwound"), "result_folder": ("ResultFolder",)}
__all__ = [name for names in _NAMES.values() for name in names]
__getattr__ = attributes(__name__, _NAMES)
