"""The comparison of queries with clustering runs on rendered scenes and counts what it says it counts."""

import pytest

from pan3d_eval.baselines import cluster_features
from pan3d_tools.bench.parts.clustering import parse, run


@pytest.mark.parametrize("wrong", [["--views", "0"], ["--scenes", "0"]])
def test_impossible_sizes_are_refused(wrong, capsys):
    with pytest.raises(SystemExit):
        parse(wrong)
    assert "expected at least 1" in capsys.readouterr().err


@pytest.mark.slow
def test_both_ways_are_measured_on_the_same_scenes(tmp_path):
    pytest.importorskip("mujoco")
    result = run(["--views", "1", "2", "--scenes", "1", "--work", str(tmp_path)])
    assert result["scenes"] == 1
    for views in ("1 views", "2 views"):
        own = result[views]
        assert own["times"] == pytest.approx(own["clustering"]["cpu_s"] / own["queries"]["cpu_s"])
        assert own["times"] > 1 and 0 <= own["clustering"]["ap50"] <= own["queries"]["ap50"]


def test_clusters_are_numbered_and_the_largest_is_what_is_no_object():
    import numpy as np

    rng = np.random.default_rng(0)
    centers = np.eye(3)[[0] * 200 + [1] * 40 + [2] * 30]
    ids = cluster_features(centers + 0.01 * rng.standard_normal((270, 3)))
    assert set(ids[:200]) == {0} and len(set(ids[200:240])) == len(set(ids[240:])) == 1
    assert len({0, ids[200], ids[240]}) == 3
    assert not cluster_features(rng.standard_normal((10, 3))).any()  # too few for any cluster
