"""Damaged meshes: each is read, or refused with one error that names the file."""

import pytest
from fuzzing import check_reader

from pan3d_eval.datasets.ply_mesh import read_ply_mesh

check = pytest.mark.parametrize("seed", ["mesh.ply", "mesh_ascii.ply"])


@check
def test_a_few_damaged_files_are_read_or_refused_by_name(seed, tmp_path):
    check_reader(read_ply_mesh, seed, tmp_path, 25)


@pytest.mark.slow
@check
def test_many_damaged_files_are_read_or_refused_by_name(seed, tmp_path):
    check_reader(read_ply_mesh, seed, tmp_path, 500)
