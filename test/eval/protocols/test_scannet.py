"""Instance AP against the ScanNet program: stored results always, the program itself where it is at hand."""

import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from places import DATA
from scannet_scenes import Scan, official_aps, random_scan

from pan3d_eval.metrics.average_precision import InstanceAp, instance_ap
from pan3d_eval.protocols.scannet import benchmark_labels, listed_labels, measure_encoded

GOLDEN = DATA / "evaluation" / "scannet_instances.npz"
PROGRAM = "PAN3D_SCANNET_PROGRAM"  # BenchmarkScripts of a copy of github.com/ScanNet/ScanNet
SCANNET = tuple(benchmark_labels("scannet"))


def overlaps(scan: Scan, **options):
    options = {"predicted_labels": torch.from_numpy(scan.labels), **options}
    return measure_encoded(
        torch.from_numpy(scan.masks), torch.from_numpy(scan.scores), torch.from_numpy(scan.ids), SCANNET, **options
    )


def ours(scans: list[Scan], **options) -> InstanceAp:
    return instance_ap([overlaps(scan, **options) for scan in scans], class_aware=True)


def assert_agree(result: InstanceAp, expected: dict[int, tuple[float, float, float]]):
    known = {label: values for label, values in expected.items() if not math.isnan(values[0])}
    assert set(result.per_class) == set(known)
    for label, values in known.items():
        assert result.per_class[label] == pytest.approx(values, abs=1e-9), label
    means = np.mean(list(known.values()), axis=0)
    assert (result.ap, result.ap50, result.ap25) == pytest.approx(tuple(means), abs=1e-9)


def in_one_class(scan: Scan) -> Scan:
    """Every valid instance and every prediction relabelled to one class, for the program's class-agnostic figure."""
    valid = np.isin(scan.ids // 1000, SCANNET)
    ids = np.where(valid, 0, scan.ids)
    for number, encoded in enumerate(np.unique(scan.ids[valid])):
        ids[scan.ids == encoded] = 3000 + number
    return replace(scan, ids=ids, labels=np.full_like(scan.labels, 3))


def test_stored_results_of_the_program():
    golden = np.load(GOLDEN)
    scans = []
    for index in range(int(golden["scans"])):
        ids = golden[f"ids_{index}"].astype(np.int64)
        masks = np.unpackbits(golden[f"masks_{index}"], axis=1, count=len(ids)).astype(bool)
        scans.append(Scan(ids, masks, golden[f"labels_{index}"].astype(np.int64), golden[f"scores_{index}"]))
    stored = {int(row[0]): tuple(row[1:]) for row in golden["aps"]}
    assert_agree(ours(scans), stored)
    agnostic = instance_ap([overlaps(scan, predicted_labels=None) for scan in scans])
    assert (agnostic.ap, agnostic.ap50, agnostic.ap25) == pytest.approx(tuple(golden["aps_agnostic"]), abs=1e-9)
    # The order matters in these scans; only at 0.25, since no prediction has IoU > 0.5 with two instances.
    assert ours(scans, walk="score").ap25 != pytest.approx(ours(scans).ap25, abs=1e-3)


@pytest.mark.skipif(PROGRAM not in os.environ, reason=f"{PROGRAM}: the benchmark's program is not at hand")
@pytest.mark.parametrize("first", range(0, 200, 4))
def test_the_program_itself(first):
    scans = [random_scan(seed) for seed in range(first, first + 4)]
    folder = Path(os.environ[PROGRAM])
    assert_agree(ours(scans), official_aps(folder, scans))
    expected = official_aps(folder, [in_one_class(scan) for scan in scans])[3]
    agnostic = instance_ap([overlaps(scan, predicted_labels=None) for scan in scans])
    assert (agnostic.ap, agnostic.ap50, agnostic.ap25) == pytest.approx(expected, abs=1e-9)
    by_score = [
        replace(s, **{k: getattr(s, k)[np.argsort(-s.scores, kind="stable")] for k in ("masks", "labels", "scores")})
        for s in scans
    ]
    assert_agree(ours(scans, walk="score"), official_aps(folder, by_score))


def scan_of(ids: np.ndarray, *predictions: tuple[int, int, int, float]) -> Scan:
    """Predictions as (start, stop, label, score)."""
    masks = np.zeros((len(predictions), len(ids)), dtype=bool)
    for row, (start, stop, _, _) in enumerate(predictions):
        masks[row, start:stop] = True
    return Scan(ids, masks, np.array([p[2] for p in predictions]), np.array([p[3] for p in predictions]))


def ids_of(*spans: tuple[int, int, int], length: int = 1000) -> np.ndarray:
    ids = np.zeros(length, dtype=np.int64)
    for start, stop, encoded in spans:
        ids[start:stop] = encoded
    return ids


def test_file_order_decides_who_claims_and_the_higher_score_stays():
    # Both predictions are over 0.5 on the first instance; only the second one is also over 0.25 on the other.
    ids = ids_of((0, 200, 3001), (200, 400, 3002))
    first, second = (0, 200, 3, 0.4), (0, 300, 3, 0.9)
    result = instance_ap([overlaps(scan_of(ids, first, second))], class_aware=True)
    # At 0.5: instance 1 keeps 0.9 although the file's first line claimed it, 0.4 is a mistake, instance 2 is missed.
    # From the lowest score: (r 1/2, p 1/2), (r 1/2, p 1), (r 0, p 1), steps 0, 1/4, 1/4.
    assert result.ap50 == pytest.approx(0.5)
    # At 0.25: the second line was not marked used, so it claims instance 2 (IoU 100 / 400 = 0.25 is not more than 0.25).
    assert result.ap25 == pytest.approx(0.5)
    wider = (0, 320, 3, 0.9)
    result = instance_ap([overlaps(scan_of(ids, first, wider))], class_aware=True)
    # Hits at 0.9 (instance 1) and 0.9 (instance 2), a mistake at 0.4: (r 1, p 2/3), (r 1, p 1), (0, 1).
    assert result.ap25 == pytest.approx(1.0)
    swapped = instance_ap([overlaps(scan_of(ids, wider, first))], class_aware=True)
    # The wide one claims instance 1 and is used; instance 2 is missed; 0.4 is a mistake.
    assert swapped.ap25 == pytest.approx(0.5)
    assert instance_ap([overlaps(scan_of(ids, first, wider), walk="score")], class_aware=True).ap25 == pytest.approx(0.5)


def test_an_instance_number_of_zero_is_an_instance_and_other_labels_are_void():
    ids = ids_of((0, 200, 3000), (200, 400, 1005), (400, 600, 0))
    hit, on_wall, on_nothing = (0, 200, 3, 0.5), (200, 400, 3, 0.9), (400, 600, 3, 0.8)
    result = ours([scan_of(ids, hit, on_wall, on_nothing)])
    assert (result.ap50, result.num_true) == (1.0, 1)


def test_groups_and_small_instances_are_neither_found_nor_held_against_anyone():
    # Label 0 is valid here, so numbers below 1000 are groups of it rather than void.
    ids = torch.from_numpy(ids_of((0, 200, 1001), (200, 400, 7), (400, 450, 1002)))
    masks = torch.zeros(3, 1000, dtype=torch.bool)
    masks[0, :200], masks[1, 200:400], masks[2, 360:460] = True, True, True
    scene = measure_encoded(masks, torch.tensor([0.5, 0.9, 0.8]), ids, (0, 1), predicted_labels=torch.tensor([1, 0, 1]))
    assert scene.true_is_group.tolist() == [True, False, False]
    result = instance_ap([scene], class_aware=True)
    assert (result.num_true, set(result.per_class)) == (1, {1})
    # The third prediction lies half on the small instance: excused at 0.25 and at 0.5 not, since 50 / 100 <= 0.5.
    # A mistake above the only hit: (r 1, p 1/2), (r 0, p 0), (0, 1), steps 1/2, 1/2, 0.
    assert (result.ap25, result.ap50) == (1.0, pytest.approx(0.25))


def test_predictions_of_no_valid_label_and_under_100_vertices_are_dropped():
    ids = ids_of((0, 200, 3001))
    scan = scan_of(ids, (0, 99, 3, 0.9), (0, 200, 1, 0.8), (0, 200, 3, 0.7))
    assert overlaps(scan).predicted_rows.tolist() == [2]
    assert overlaps(scan, predicted_labels=None).predicted_rows.tolist() == [1, 2]


def test_the_mean_with_095_has_its_own_name():
    ids = ids_of((0, 200, 3001))
    result = ours([scan_of(ids, (0, 188, 3, 0.9))])  # IoU 0.94
    assert result.ap == 1.0 and result.ap_with_95 == pytest.approx(0.9)


@pytest.mark.parametrize("seed", range(5))
def test_repeated_predictions_gain_nothing_and_names_of_instances_do_not_matter(seed):
    scan = random_scan(seed)
    expected = ours([scan], walk="score")
    doubled = replace(scan, **{name: np.concatenate([getattr(scan, name)] * 2) for name in ("masks", "labels", "scores")})
    assert ours([doubled], walk="score").ap <= expected.ap + 1e-12
    order = np.random.default_rng(seed).permutation(len(scan.scores))
    distinct = replace(scan, scores=scan.scores + 1e-3 * np.arange(len(scan.scores)))
    shuffled = replace(distinct, **{name: getattr(distinct, name)[order] for name in ("masks", "labels", "scores")})
    assert ours([shuffled], walk="score") == ours([distinct], walk="score")


def test_empty_prediction_and_empty_truth():
    nothing = Scan(ids_of((0, 200, 3001)), np.zeros((0, 1000), dtype=bool), np.zeros(0, dtype=np.int64), np.zeros(0))
    assert ours([nothing]).ap == 0.0
    assert math.isnan(ours([scan_of(ids_of(), (0, 200, 3, 0.5))]).ap)


def test_class_tables():
    assert (len(benchmark_labels("scannet")), len(benchmark_labels("scannet200"))) == (18, 198)
    assert benchmark_labels("scannet")[39] == "otherfurniture"
    assert not {"wall", "floor"} & set(benchmark_labels("scannet200").values())
    assert listed_labels(("wall", "floor", "table", "door"), ("table", "door")) == {2: "table", 3: "door"}
    with pytest.raises(ValueError, match="instance_names: expected names of semantic classes, got chair"):
        listed_labels(("wall",), ("chair",))
    with pytest.raises(ValueError, match="benchmark: expected one of scannet, scannet200, got 'replica'"):
        benchmark_labels("replica")
