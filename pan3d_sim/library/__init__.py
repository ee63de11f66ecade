"""Modelled household objects from a package of meshes: fetched, prepared, drawn; knows the objects' room and no cell."""

from pan3d_core.runtime.lazy import attributes

# Loaded on first use: the tables and words are asked for where MuJoCo is not installed.
_NAMES = {
    "bank": ("OBJECT_SPLITS", "ObjectLibrary"),
    "fetch": ("ObjectsUnavailable", "fetch_objects"),
    "folder": ("FolderIndex", "load_object", "read_index"),
    "tables": ("modelled_kinds", "modelled_vocabulary"),
}
__all__ = [name for names in _NAMES.values() for name in names]
__getattr__ = attributes(__name__, _NAMES)
