"""Damaged meshes: each is read, or refused with one error that names the file."""

from fuzzing import Reader, broken_files_test, damaged_files_test

from pan3d_eval.datasets.ply_mesh import read_ply_mesh

READERS: dict[str, Reader] = {"mesh.ply": read_ply_mesh, "mesh_ascii.ply": read_ply_mesh}

test_damaged_files_are_read_or_refused_by_name = damaged_files_test(READERS)
test_files_that_broke_a_reader_once_are_read_or_refused_by_name = broken_files_test(READERS)
