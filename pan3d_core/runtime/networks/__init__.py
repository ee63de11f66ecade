"""Networks in torch, ONNX Runtime, OpenVINO or TensorRT behind one interface; knows tensors and files, and no model."""

from typing import TYPE_CHECKING

from pan3d_core.runtime.lazy import attributes

if TYPE_CHECKING:
    from pan3d_core.runtime.networks.built import Wanted as Wanted
    from pan3d_core.runtime.networks.cache import cache_folder as cache_folder
    from pan3d_core.runtime.networks.cache import entries as entries
    from pan3d_core.runtime.networks.interface import Graph as Graph
    from pan3d_core.runtime.networks.interface import Network as Network
    from pan3d_core.runtime.networks.interface import RuntimeFacts as RuntimeFacts
    from pan3d_core.runtime.networks.interface import RuntimeUnavailable as RuntimeUnavailable
    from pan3d_core.runtime.networks.interface import TensorSpec as TensorSpec
    from pan3d_core.runtime.networks.onnx_files import read_onnx_metadata as read_onnx_metadata
    from pan3d_core.runtime.networks.onnx_files import write_onnx as write_onnx
    from pan3d_core.runtime.networks.table import RUNTIMES as RUNTIMES
    from pan3d_core.runtime.networks.table import installed_runtimes as installed_runtimes
    from pan3d_core.runtime.networks.table import open_network as open_network

_NAMES = {
    "built": ("Wanted",),
    "cache": ("cache_folder", "entries"),
    "interface": ("Graph", "Network", "RuntimeFacts", "RuntimeUnavailable", "TensorSpec"),
    "onnx_files": ("read_onnx_metadata", "write_onnx"),
    "table": ("RUNTIMES", "installed_runtimes", "open_network"),
}
__all__ = [name for names in _NAMES.values() for name in names]
__getattr__ = attributes(__name__, _NAMES)
