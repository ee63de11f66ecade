"""What any part needs to run: devices, weight files, whole files, functions by name; knows no model and no stage."""

from typing import TYPE_CHECKING

from pan3d_core.runtime.lazy import attributes

if TYPE_CHECKING:
    from pan3d_core.runtime.checks import Check as Check
    from pan3d_core.runtime.cuda_graphs import CudaGraphs as CudaGraphs
    from pan3d_core.runtime.device import autocast_dtype as autocast_dtype
    from pan3d_core.runtime.device import select_device as select_device
    from pan3d_core.runtime.files import inside as inside
    from pan3d_core.runtime.files import named_file as named_file
    from pan3d_core.runtime.files import read_array as read_array
    from pan3d_core.runtime.files import read_json as read_json
    from pan3d_core.runtime.files import read_json_object as read_json_object
    from pan3d_core.runtime.files import written_whole as written_whole
    from pan3d_core.runtime.heap import keep_heap_steady as keep_heap_steady
    from pan3d_core.runtime.lazy import load as load
    from pan3d_core.runtime.minilm_files import TextEncoderUnavailable as TextEncoderUnavailable
    from pan3d_core.runtime.torch_files import read_torch as read_torch
    from pan3d_core.runtime.torch_files import write_torch as write_torch
    from pan3d_core.runtime.weights import assign_weights as assign_weights
    from pan3d_core.runtime.weights import load_weights as load_weights
    from pan3d_core.runtime.weights import read_metadata as read_metadata
    from pan3d_core.runtime.weights import read_weights as read_weights

# Loaded on first use: the command line and the doctor come here where torch is not loaded or not there.
_NAMES = {
    "checks": ("Check",),
    "cuda_graphs": ("CudaGraphs",),
    "device": ("autocast_dtype", "select_device"),
    "files": ("inside", "named_file", "read_array", "read_json", "read_json_object", "written_whole"),
    "heap": ("keep_heap_steady",),
    "lazy": ("load",),
    "minilm_files": ("TextEncoderUnavailable",),
    "torch_files": ("read_torch", "write_torch"),
    "weights": ("assign_weights", "load_weights", "read_metadata", "read_weights"),
}
__all__ = [name for names in _NAMES.values() for name in names]
__getattr__ = attributes(__name__, _NAMES)
