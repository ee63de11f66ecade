"""Damaged meshes and files of BOP: each is read, or refused with one error that names the file."""

from fuzzing import Reader, broken_files_test, damaged_files_test

from pan3d_eval.datasets.bop import read_bop
from pan3d_eval.datasets.ply_mesh import read_ply_mesh

BOP_FILES = ("scene_camera.json", "scene_gt.json", "scene_pan3d.json")
READERS: dict[str, Reader] = {
    "mesh.ply": read_ply_mesh,
    "mesh_ascii.ply": read_ply_mesh,
    **{f"bop/{name}": lambda path: read_bop(path.parent) for name in BOP_FILES},
}

test_damaged_files_are_read_or_refused_by_name = damaged_files_test(READERS)
test_files_that_broke_a_reader_once_are_read_or_refused_by_name = broken_files_test(READERS)
