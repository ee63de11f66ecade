"""Damaged meshes: each is read, or refused with one error that names the file."""

from fuzzing import damaged_files_test

from pan3d_eval.datasets.ply_mesh import read_ply_mesh

test_damaged_files_are_read_or_refused_by_name = damaged_files_test(dict.fromkeys(("mesh.ply", "mesh_ascii.ply"), read_ply_mesh))
