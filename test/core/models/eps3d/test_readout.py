"""Objects from rendered instance features: as published, against stored results, and by cells."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist
from sklearn.cluster import HDBSCAN

from pan3d_core.models.eps3d import readout
from pan3d_core.models.eps3d.readout import (
    READOUTS,
    CellReadout,
    PixelReadout,
    clustered_prototypes,
    mixed_groups,
    nearest_prototype,
    read_by_cells,
    read_by_pixels,
    unit_features,
)
from pan3d_tools.bench.parts.readout import SCENES, made_up, mean_f1, run


@pytest.fixture(scope="module")
def stored(procedural):
    return procedural.load_case("eps3d/instances.npz")


def pairing(found, expected):
    """Found number of each expected one, where the two differ by names alone."""
    pairs = torch.stack([expected.flatten(), found.flatten()], dim=-1).unique(dim=0)
    assert len(pairs) == len(pairs[:, 0].unique()) == len(pairs[:, 1].unique())
    return pairs[:, 1]


@pytest.mark.parametrize("name", ["main", "single"])
def test_published_prototypes_and_labels(stored, name):
    unit = unit_features(stored[f"{name}.features"])
    rows = unit.movedim(1, -1).reshape(-1, 32)[stored[f"{name}.sample_idx"]]
    prototypes = clustered_prototypes(rows, 400, 1)
    ids = nearest_prototype(unit, prototypes)
    order = pairing(ids, stored[f"{name}.labels"]) - 1
    assert len(prototypes) == len(stored[f"{name}.clusters"])
    torch.testing.assert_close(prototypes[order].double(), stored[f"{name}.centroids"], atol=1e-5, rtol=0)
    read = read_by_pixels(stored[f"{name}.features"], torch.Generator().manual_seed(0))
    assert torch.equal(pairing(read.instance_id, stored[f"{name}.labels"]).sort().values, torch.arange(1, len(prototypes) + 1))


def test_fewer_pixels_than_the_smallest_cluster_are_one_object(stored):
    read = read_by_pixels(stored["few.features"])
    assert len(read.prototypes) == 1 and bool((read.instance_id == 1).all())


def test_cells_find_the_object_that_runs_together_with_its_neighbour_in_the_published_result(stored):
    """The stored scene: stripes of 792, 462 and 720 pixels, a patch of 144, and noise (0)."""
    truth = torch.zeros(3, 24, 32, dtype=torch.int64)
    truth[:, :, :11], truth[:, :14, 11:22], truth[:, :, 22:], truth[:, 14:20, 12:20] = 1, 2, 3, 4
    known = truth > 0
    by_pixels = read_by_pixels(stored["main.features"], torch.Generator().manual_seed(0))
    by_cells = read_by_cells(stored["main.features"])
    assert len(by_pixels.prototypes) == 3 and len(by_cells.prototypes) == 4
    assert mean_f1(by_pixels.instance_id[known], truth[known]) < 0.75
    assert mean_f1(by_cells.instance_id[known], truth[known]) > 0.99
    assert len(read_by_cells(stored["single.features"]).prototypes) == 1


@pytest.mark.parametrize("kind", SCENES)
def test_cells_are_at_least_as_good_on_known_instances(kind):
    maps, truth = made_up(replace(SCENES[kind], views=3, image_hw=(40, 40), objects=8), seed=5)
    published = read_by_pixels(maps, torch.Generator().manual_seed(0), PixelReadout(min_cluster_size=60))
    assert mean_f1(read_by_cells(maps).instance_id, truth) >= mean_f1(published.instance_id, truth)


def soft_border(width):
    """Two halves of an image whose features blend over so many pixels, and the directions of the two."""
    first, second = torch.nn.functional.normalize(torch.randn(2, 32, generator=torch.Generator().manual_seed(3)), dim=-1)
    share = ((torch.arange(96) - 48) / width + 0.5).clamp(0, 1)
    row = (1 - share)[None] * first[:, None] + share[None] * second[:, None]
    return row[None, :, None, :].expand(1, -1, 96, -1).contiguous(), (first, second)


def test_a_wide_soft_border_is_no_object():
    maps, directions = soft_border(width=30)
    with_borders = read_by_cells(maps, settings=CellReadout(mixture=0.0))
    read = read_by_cells(maps)
    assert len(with_borders.prototypes) > 2 == len(read.prototypes)
    found = torch.nn.functional.normalize(read.prototypes, dim=-1) @ torch.stack(directions).T
    assert found.amax(0).min() > 0.95  # one prototype for each half
    assert (read.instance_id[0, :, :40] == read.instance_id[0, 0, 0]).all()


def test_only_groups_between_two_others_are_mixtures():
    a, b, c = torch.eye(32)[:3]
    settings = CellReadout()

    def mixed(*rows, counts):
        return mixed_groups(torch.stack(rows), torch.tensor(counts), settings).tolist()

    assert mixed(a, b, a + b, counts=(50, 20, 10)) == [False, False, True]
    assert mixed(a, b, 3 * a + b + 0.2 * c, counts=(50, 20, 40)) == [False, False, True]
    assert mixed(a, b, a + b + c, counts=(50, 20, 10)) == [False] * 3  # something of its own
    assert mixed(a, b, a - b, counts=(50, 20, 10)) == [False] * 3  # beside the two and not between them
    assert mixed(a, b, 20 * a + b, counts=(50, 20, 10)) == [False] * 3  # hardly any of the second
    assert mixed(a, b, a + b, counts=(50, 20, 60)) == [False] * 3  # a border is smaller than what it parts
    assert mixed(a, a + 0.1 * b, counts=(50, 20)) == [False] * 2 and mixed(a, counts=(5,)) == [False]


@pytest.mark.parametrize("name", READOUTS)
def test_equal_features_are_one_object(name):
    direction = torch.nn.functional.normalize(torch.arange(1.0, 33.0), dim=0)
    maps = direction[None, :, None, None].expand(2, -1, 12, 12).contiguous()
    read = READOUTS[name](maps, torch.Generator().manual_seed(0))
    assert bool((read.instance_id == 1).all())
    torch.testing.assert_close(read.prototypes, direction[None], atol=1e-4, rtol=0)


def small_readout(name, maps):
    """Both at sizes that small images allow."""
    settings = {"pixels": PixelReadout(min_cluster_size=60), "cells": CellReadout()}[name]
    return {"pixels": read_by_pixels, "cells": read_by_cells}[name](maps, torch.Generator().manual_seed(0), settings)


@pytest.mark.parametrize("name", READOUTS)
def test_one_view_and_the_same_view_many_times_give_the_same_objects(name):
    maps, truth = made_up(replace(SCENES["sharp"], views=1, image_hw=(40, 40), objects=5), seed=5)
    one, four = small_readout(name, maps), small_readout(name, maps.expand(4, -1, -1, -1))
    assert len(one.prototypes) == len(four.prototypes) == 5 and mean_f1(one.instance_id, truth) > 0.95
    assert all(torch.equal(view, four.instance_id[0]) for view in four.instance_id)
    pairing(four.instance_id[:1], one.instance_id)


@pytest.mark.parametrize("name", READOUTS)
def test_one_object_is_one_whatever_its_noise(name):
    maps, _ = made_up(replace(SCENES["blurred"], views=2, image_hw=(40, 40), objects=1), seed=3)
    read = small_readout(name, maps)
    assert len(read.prototypes) == 1 and bool((read.instance_id == 1).all())


@pytest.mark.parametrize("name, objects", [("pixels", 1), ("cells", 0)])
def test_features_of_zero_are_one_object_as_published_and_none_for_cells(name, objects):
    read = small_readout(name, torch.zeros(2, 32, 12, 12))
    assert len(read.prototypes) == objects and bool((read.instance_id == objects).all())
    assert bool(torch.isfinite(read.prototypes).all())


@pytest.mark.parametrize("name", READOUTS)
def test_huge_images_are_not_clustered_as_a_whole(monkeypatch, name):
    """The number of rows that are compared with one another has a bound; all pixels are labelled."""
    rows = []

    class Counted(HDBSCAN):
        def fit(self, values):
            rows.append(len(values))
            super().fit(values[:2000])  # the others count as noise, so that nobody waits
            rest = len(values) - 2000
            self.labels_ = np.pad(self.labels_, (0, rest), constant_values=-1)
            self.probabilities_ = np.pad(self.probabilities_, (0, rest))

    monkeypatch.setattr(readout, "HDBSCAN", Counted)
    monkeypatch.setattr(readout, "pdist", lambda cells, metric: rows.append(len(cells)) or pdist(cells, metric))
    columns = torch.arange(2048)[None, None, None] // 512
    directions = torch.eye(4)[:, :, None, None]
    maps = (directions[columns[0, 0, 0], :, 0, 0].T[None, :, None] + torch.zeros(1, 4, 1536, 2048)).contiguous()
    read = READOUTS[name](maps, torch.Generator().manual_seed(0))
    assert rows == [{"pixels": 50_000, "cells": 2500}[name]]
    assert read.instance_id.shape == (1, 1536, 2048) and len(read.prototypes) == 4
    assert mean_f1(read.instance_id, columns[0].expand(1, 1536, 2048) + 1) == 1.0


def test_no_cluster_means_no_instances(monkeypatch):
    class Nothing:
        def __init__(self, **settings):
            pass

        def fit(self, rows):
            self.labels_, self.probabilities_ = np.full(len(rows), -1), np.zeros(len(rows))

    monkeypatch.setattr(readout, "HDBSCAN", Nothing)
    read = read_by_pixels(torch.randn(2, 32, 12, 12, generator=torch.Generator().manual_seed(0)))
    assert read.prototypes.shape == (0, 32) and read.instance_id.shape == (2, 12, 12) and not bool(read.instance_id.any())


def test_pixels_without_any_order_are_no_object_for_cells():
    """Each cell is then a direction of its own."""
    maps = torch.randn(2, 32, 12, 12, generator=torch.Generator().manual_seed(0)).repeat_interleave(4, 2).repeat_interleave(4, 3)
    read = read_by_cells(maps, settings=CellReadout(min_cells=10))
    assert read.prototypes.shape == (0, 32) and not bool(read.instance_id.any())


@pytest.mark.parametrize("settings", [{"largest_cell": 1}, {"samples": 1}])
def test_settings_without_a_meaning_are_refused(settings):
    with pytest.raises(ValueError, match="CellReadout.*: expected at least 2, got 1"):
        CellReadout(**settings)


@pytest.mark.parametrize("name", READOUTS)
def test_one_pixel_is_no_cluster(name):
    assert not bool(READOUTS[name](torch.ones(1, 32, 1, 1), None).instance_id.any())


def test_where_nothing_was_rendered_cells_find_nothing():
    assert len(read_by_cells(torch.zeros(2, 32, 12, 12)).prototypes) == 0
    maps, _ = made_up(replace(SCENES["sharp"], views=2, image_hw=(40, 40), objects=4), seed=5)
    maps[:, :, :, :15] = 0
    read = read_by_cells(maps)
    assert len(read.prototypes) == 4 and torch.equal(read.instance_id == 0, (maps == 0).all(1))


@pytest.mark.parametrize("name", READOUTS)
def test_wrong_input_is_refused(name):
    with pytest.raises(ValueError, match=r"feature_maps: expected shape \(V, D, H, W\)"):
        READOUTS[name](torch.zeros(32, 4, 4), None)
    with pytest.raises(ValueError, match="feature_maps: expected finite values"):
        READOUTS[name](torch.full((1, 32, 4, 4), float("nan")), None)


def test_f1_of_matched_instances():
    truth = torch.tensor([[1, 1, 1, 1], [2, 2, 3, 3]])
    assert mean_f1(truth * 7, truth) == 1.0
    assert mean_f1(torch.zeros_like(truth), truth) == 0.0
    found = torch.tensor([[5, 5, 5, 5], [6, 6, 6, 6]])
    assert mean_f1(found, truth) == pytest.approx((1 + 2 / 3) / 3)


def test_bench_compares_both():
    result = run(["--scenes", "1", "--views", "2", "--size", "24", "--objects", "4", "--kinds", "sharp"])
    row = result["sharp"]
    assert set(row["pixels"]) == {"cpu_s", "objects", "f1"} and row["times"] > 0
    with pytest.raises(SystemExit):
        run(["--size", "4"])
