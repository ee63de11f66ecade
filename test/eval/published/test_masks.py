"""The tables of SegVGGT and FAST3DIS on folders in published layouts agree with a slow, obvious computation."""

import re

import numpy as np
import pytest
import torch
from published_scenes import put_text, write_replica, write_scannet
from recalling_engine import NAMES, Recalling
from scannet_copies import copy_scene
from slow_protocols import average_precision, vertex_masks_posed, vertex_masks_unposed

from pan3d_core.config import ModelConfig
from pan3d_core.engines import ENGINES
from pan3d_eval.datasets import ViewSelection, read_dataset_scene
from pan3d_eval.published import PROTOCOLS, PublishedChoices, evaluate_published
from pan3d_eval.published.masks import mask_evaluator, ranked_pairs

THRESHOLDS = [0.5 + 0.05 * step for step in range(9)]
NYU40 = {"chair": 5, "sofa": 6}  # of the engine's names those that ScanNet's benchmark has
MODEL = ModelConfig(name="recalling")


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    folder = write_scannet(tmp_path_factory.mktemp("scannet"))
    copy_scene(folder, "scene0001_00")
    return folder.parent


def mean_ap(scenes, thresholds):
    return float(np.mean([average_precision(scenes, threshold) for threshold in thresholds]))


def vertex_truth(scene, labels):
    """ids and void of the scan, as the benchmark numbers it."""
    ids = scene.truth.mesh.ids.numpy()
    return ids, ~np.isin(ids // 1000, list(labels))


def test_segvggt_s_table_is_what_the_description_gives(scans, engine, tmp_path):
    choices = PublishedChoices(table="scannetv2", stride=1)
    found = evaluate_published([scans], PROTOCOLS["segvggt"], MODEL, choices, tmp_path)
    assert found.measured == ("scene0000_00", "scene0001_00") and not found.failures
    plain, named = [], {number: [] for number in NYU40.values()}
    for name, (views, _, instances) in zip(found.measured, engine.said, strict=True):
        assert views.depth is None and views.cam_from_world is None
        scene = read_dataset_scene(scans / name, ViewSelection(0))
        masks = vertex_masks_posed(instances.mask_logits.numpy() > 0, views.network_from_original, scene)
        ids, void = vertex_truth(scene, scene.truth.mesh.class_of_label)
        plain.append((masks, instances.scores.tolist(), ids, void))
        chances = torch.softmax(instances.class_logits.double(), 1).tolist()
        for number in NYU40.values():
            column = NAMES.index({v: k for k, v in NYU40.items()}[number])
            scores = [s * row[column] / (1 - row[-1]) for s, row in zip(instances.scores.tolist(), chances, strict=True)]
            others = (ids // 1000 != number) & ~void
            named[number].append((masks, scores, np.where(others, 0, ids), void))
    figures = found.figures
    assert figures["ap"] == pytest.approx(mean_ap(plain, THRESHOLDS), abs=1e-6) and 0.05 < figures["ap"] < 0.95
    assert figures["ap50"] == pytest.approx(mean_ap(plain, [0.5]), abs=1e-6)
    assert figures["ap25"] == pytest.approx(mean_ap(plain, [0.25]), abs=1e-6)
    assert figures["ap_with_95"] == pytest.approx(mean_ap(plain, [*THRESHOLDS, 0.95]), abs=1e-6)
    for name, thresholds in (("named ap", THRESHOLDS), ("named ap50", [0.5]), ("named ap25", [0.25])):
        expected = np.mean([mean_ap(scenes, thresholds) for scenes in named.values()])
        assert figures[name] == pytest.approx(expected, abs=1e-6) and 0 < expected < 1


def test_fast3dis_s_table_is_what_the_description_gives(scans, engine, tmp_path):
    found = evaluate_published([scans], PROTOCOLS["fast3dis"], MODEL, PublishedChoices(limit=1), tmp_path)
    (views, geometry, instances), scene = engine.said[0], read_dataset_scene(scans / "scene0000_00", ViewSelection(50))
    assert len(views.cameras) == 4 and views.cam_from_world is None
    logits = instances.mask_logits.numpy()
    owner = np.where(logits.max(0) > 0, logits.argmax(0), -1)
    seen = geometry.depth.numpy() > 0
    masks = vertex_masks_unposed(
        geometry.world_points.double().numpy()[seen], owner[seen], len(logits),
        geometry.cam_from_world.double().numpy(), scene.cameras().double().numpy(), scene.truth.mesh.vertices.double().numpy(),
    )  # fmt: skip
    scenes = [(masks, instances.scores.tolist(), *vertex_truth(scene, scene.truth.mesh.class_of_label))]
    assert found.figures["ap25"] == pytest.approx(mean_ap(scenes, [0.25]), abs=1e-6) and found.figures["ap25"] > 0
    assert found.figures["ap50"] == pytest.approx(mean_ap(scenes, [0.5]), abs=1e-6)
    assert found.figures["ap"] == pytest.approx(mean_ap(scenes, THRESHOLDS), abs=1e-6)


def test_replica_is_measured_by_predicted_cameras(engine, tmp_path):
    write_replica(tmp_path)
    found = evaluate_published([tmp_path / "room_0"], PROTOCOLS["fast3dis"], MODEL, PublishedChoices(), tmp_path / "out")
    assert found.measured == ("room_0/Sequence_1",) and found.table.key == "replica"
    assert found.figures["instances"] == 4  # every object of the room, its floor is none


def test_scannet200_takes_the_other_numbers(scans, tmp_path, monkeypatch):
    """The table of labels numbers raw names in a column of its own; lamp and box are classes there, and sofa is called couch."""
    numbers = {"floor": 2, "lamp": 28, "chair": 2, "couch": 6, "box": 26}
    rows = ["id\traw_category\tnyu40id", *(f"{numbers[name]}\t{name}\t{nyu}" for name, nyu in
            {"floor": 2, "lamp": 35, "chair": 5, "couch": 6, "box": 29}.items())]  # fmt: skip
    folder = copy_scene(scans / "scene0000_00", "scene0007_00", tmp_path)
    put_text(folder / "scannetv2-labels.combined.tsv", "\n".join(rows))
    made = Recalling(("lamp", "chair", "couch", "box"))
    monkeypatch.setitem(ENGINES, "recalling", lambda config: made)
    choices = PublishedChoices(table="scannet200", stride=1)
    found = evaluate_published([folder], PROTOCOLS["segvggt"], MODEL, choices, tmp_path / "out")
    # The floor has number 2 here as well, which is chair's: ids say what a vertex is, not names.
    assert found.figures["instances"] == 5 and found.figures["named ap25"] > 0


@pytest.mark.parametrize(
    ("choices", "names", "message"),
    [
        (PublishedChoices(table="scannetv2", stride=1, classes=("chair", "sofaa")), NAMES, "--classes: .* got 'sofaa'.*sofa"),
        (PublishedChoices(table="scannetv2", stride=1, classes=("chair",)), NAMES, ""),
    ],
)
def test_a_list_of_classes_must_fit_the_labels(scans, tmp_path, monkeypatch, choices, names, message):
    monkeypatch.setitem(ENGINES, "recalling", lambda config: Recalling(names))
    found = evaluate_published([scans / "scene0000_00"], PROTOCOLS["segvggt"], MODEL, choices, tmp_path)
    if message:
        (failure,) = found.failures
        assert failure.message.startswith("scene scene0000_00: ") and re.search(message, failure.message)
    else:
        assert found.figures["instances"] == 1 and found.changed == (
            "which images of a recording are taken", "1 classes of one's own",
        )  # fmt: skip


def test_engines_that_cannot_be_measured_so_are_refused(scans, tmp_path, monkeypatch):
    choices = PublishedChoices(table="scannetv2", stride=1)

    def refused(name):
        evaluate_published([scans], PROTOCOLS["segvggt"], ModelConfig(name=name), choices, tmp_path)

    monkeypatch.setitem(ENGINES, "other", lambda config: Recalling(("mug", "can", "cup", "pan")))
    with pytest.raises(ValueError, match="expected one that names classes of scannetv2 such as cabinet, got mug"):
        refused("other")
    with pytest.raises(ValueError, match="from colour alone, as published, got one that needs depth"):
        refused("depth_clusters")


def test_the_engine_is_asked_to_drop_nothing(monkeypatch):
    seen = []
    monkeypatch.setitem(ENGINES, "recalling", lambda config: seen.append(config) or Recalling())
    mask_evaluator(MODEL, PROTOCOLS["segvggt"].tables[0].setting)
    assert (seen[0].min_score, seen[0].nms_iou, seen[0].max_instances) == (0.0, 1.0, 1000)


def test_pairs_are_ranked_by_the_class_among_objects():
    engine = Recalling()
    instances = engine(type("Views", (), {"cameras": ("frame_0",)}))[1]
    rows, classes, scores = ranked_pairs(instances, 5)
    chances = torch.softmax(instances.class_logits, 1)
    best = sorted(((float(chances[r, c]), r, c) for r in range(7) for c in range(4)), reverse=True)[:5]
    assert [(r, c) for _, r, c in best] == list(zip(rows.tolist(), classes.tolist(), strict=True))
    for place, (chance, row, _) in enumerate(best):
        assert float(scores[place]) == pytest.approx(float(instances.scores[row]) * chance / (1 - float(chances[row, 4])))
