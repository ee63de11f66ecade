"""Our figures against those of the public programs: stored ones always, the programs themselves where they are at hand."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from panoptic_programs import (
    LABELS,
    SHAPE,
    Maps,
    coco_program,
    cross_view_program,
    eps3d_quality_program,
    eps3d_semantic_program,
    lifting_program,
    loose_program,
    random_maps,
)
from places import DATA

from pan3d_eval.metrics.cross_view import cross_view_instances
from pan3d_eval.metrics.loose_panoptic import loose_panoptic_quality
from pan3d_eval.metrics.panoptic import average_quality, coco_panoptic_counts, panoptic_quality
from pan3d_eval.metrics.semantics import per_image_semantic_scores, semantic_confusion
from pan3d_eval.protocols.eps3d import eps3d_panoptic_quality

GOLDEN = DATA / "evaluation" / "panoptic_programs.npz"
GOLDEN_SEEDS = (0, 1, 2)
SEEDS = range(20)
CROWD = {(0, 2, 1), (1, 3, 2), (2, 4, 3), (3, 2, 4), (0, 2, 5)}  # (view, class, instance); not all of them exist
NAMES = ("pq", "sq", "rq")


def coco_figures(scene: Maps, crowd: set[tuple[int, int, int]]) -> dict[str, float]:
    counts = []
    for view in range(SHAPE[0]):
        is_crowd = torch.zeros(SHAPE[1:], dtype=torch.bool)
        for where, class_id, number in crowd:
            if where == view:
                is_crowd |= torch.from_numpy((scene.semantic_t[view] == class_id) & (scene.instance_t[view] == number))
        maps = [tuple(item[view] for item in pair) for pair in (scene.predicted, scene.truth)]
        counts.append(coco_panoptic_counts(*maps, len(LABELS), is_crowd))
    quality = average_quality(sum(counts[1:], counts[0]))
    return {name: getattr(quality, name) for name in NAMES}


def eps3d_maps_of(scene: Maps) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Classes moved to "floor", "ceiling", "chair" ...; 0 = not annotated, or background in the prediction."""
    return [(torch.where(pair[0] >= 0, pair[0] + 2, 0), pair[1]) for pair in (scene.predicted, scene.truth)]


def figures(scene: Maps) -> dict[str, dict[str, float]]:
    """All that the programs are asked for."""
    lifting = panoptic_quality(scene.predicted, scene.truth, LABELS, min_share=0.005)
    eps3d = eps3d_panoptic_quality(*eps3d_maps_of(scene))
    loose = loose_panoptic_quality(scene.predicted, scene.truth, LABELS, reduction=1)
    views = cross_view_instances(scene.predicted[1] + 1, scene.truth[1])  # there, 0 is a cluster like any other
    confusions = [semantic_confusion(p.clamp_min(0), t, 8) for p, t in zip(scene.predicted[0], scene.truth[0], strict=True)]
    semantic = per_image_semantic_scores(confusions)
    return {
        "coco": coco_figures(scene, set()),
        "coco with crowd": coco_figures(scene, single_crowd(scene)),
        "panoptic lifting": {name: getattr(lifting, name) for name in NAMES},
        "eps3d": {name: getattr(eps3d, name) for name in NAMES},
        "loose": {
            **{name: getattr(loose, f"loose_{name}") for name in NAMES},
            "mCov": loose.mean_coverage,
            "mWCov": loose.weighted_coverage,
        },
        "cross view": {name: getattr(views, name) for name in ("miou", "precision", "recall", "f_score")},
        "eps3d semantic": {"miou": semantic.miou, "accuracy": semantic.accuracy},
    }


def single_crowd(scene: Maps) -> set[tuple[int, int, int]]:
    """At most one crowd region per class and image, as in COCO: the program looks at one only."""
    kept: dict[tuple[int, int], tuple[int, int, int]] = {}
    for view, class_id, number in sorted(CROWD):
        if ((scene.semantic_t[view] == class_id) & (scene.instance_t[view] == number)).any():
            kept[view, class_id] = (view, class_id, number)
    return set(kept.values())


def program_figures(scene: Maps, folder: Path, tmp_path: Path) -> dict[str, dict[str, float]]:
    """`folder` holds panopticapi/ (cocodataset), panoptic-lifting/ (nihalsid), EPS3D/ (Runsong123), PanopticRecon_plus/
    (yuxuan1206) and torchmetrics/ (what `pip install --target` writes)."""
    eps3d = folder / "EPS3D" / "scripts"
    crowd = coco_program(folder / "panopticapi", scene, tmp_path / "crowd", single_crowd(scene))["average"]
    coco = coco_program(folder / "panopticapi", scene, tmp_path / "plain", set())["average"]
    loose = loose_program(folder / "PanopticRecon_plus" / "eval" / "eval_segmentation_scannet.py", scene)
    miou, accuracy = eps3d_semantic_program(folder / "torchmetrics", scene)
    return {
        "coco": {name: float(coco[name]) for name in NAMES},
        "coco with crowd": {name: float(crowd[name]) for name in NAMES},
        "panoptic lifting": dict(zip(NAMES, lifting_program(folder / "panoptic-lifting", scene), strict=True)),
        "eps3d": dict(zip(NAMES, eps3d_quality_program(eps3d / "evaluate_pq.py", scene), strict=True)),
        "loose": {name: float(value) for name, value in loose.items()},
        "cross view": cross_view_program(eps3d / "test_eps3d_panoptic.py", scene),
        "eps3d semantic": {"miou": miou, "accuracy": accuracy},
    }


def assert_agree(result: dict[str, dict[str, float]], expected: dict[str, dict[str, float]]):
    for form, values in expected.items():
        for name, value in values.items():
            assert result[form][name] == pytest.approx(value, abs=1e-6), (form, name)


@pytest.mark.parametrize("seed", GOLDEN_SEEDS)
def test_stored_figures_of_the_programs(seed):
    golden = np.load(GOLDEN)
    scene = Maps(*golden[f"maps_{seed}"].astype(np.int64))
    stored = json.loads(str(golden[f"figures_{seed}"]))
    assert_agree(figures(scene), stored)
    strict, loose = stored["coco"]["pq"], stored["loose"]["pq"]
    assert abs(strict - loose) > 1e-3  # the forms do not compare


@pytest.mark.skipif("PAN3D_PANOPTIC_PROGRAMS" not in os.environ, reason="PAN3D_PANOPTIC_PROGRAMS: the programs are not at hand")
@pytest.mark.parametrize("seed", SEEDS)
def test_the_programs_themselves(seed, tmp_path):
    scene = random_maps(seed)
    assert_agree(figures(scene), program_figures(scene, Path(os.environ["PAN3D_PANOPTIC_PROGRAMS"]), tmp_path))
