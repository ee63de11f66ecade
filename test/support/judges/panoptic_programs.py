"""Random panoptic maps, and the public programs that score them, executed as they are."""

from __future__ import annotations

import importlib.util
import sys
import textwrap
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from PIL import Image
from scipy.optimize import linear_sum_assignment

from pan3d_core.labels import LabelSpace

LABELS = LabelSpace(("wall", "floor", "chair", "table", "sofa"), (False, False, True, True, True))
SHAPE = (4, 24, 32)  # views, rows, columns


@dataclass(frozen=True)
class Maps:
    """Prediction and truth of four views, -1 = no class; ids agree across views, 0 for some things too."""

    semantic_p: np.ndarray
    instance_p: np.ndarray
    semantic_t: np.ndarray
    instance_t: np.ndarray

    @property
    def predicted(self) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.from_numpy(self.semantic_p), torch.from_numpy(self.instance_p)

    @property
    def truth(self) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.from_numpy(self.semantic_t), torch.from_numpy(self.instance_t)


def random_maps(seed: int) -> Maps:
    """Rectangles that move a little from view to view; the prediction has them shifted, lost, doubled or misnamed."""
    rng = np.random.default_rng(seed)
    maps = [np.zeros(SHAPE, dtype=np.int64) for _ in range(4)]
    semantic_p, instance_p, semantic_t, instance_t = maps
    semantic_t[:, 12:], semantic_p[:, 11:] = 1, 1
    for number in range(1, 9):
        size, place = rng.integers(3, 12, 2), rng.integers(0, 20, 2)
        class_t = int(rng.integers(2, 5))
        class_p = class_t if rng.random() < 0.8 else int(rng.integers(-1, 5))
        number_p = number + 20 if rng.random() < 0.85 else 21
        lost = rng.random() < 0.1
        for view in range(SHAPE[0]):
            top, left = place + rng.integers(0, 2, 2)
            here = (view, slice(top, top + size[0]), slice(left, left + size[1]))
            semantic_t[here], instance_t[here] = class_t, number
            top, left = np.maximum(np.array([top, left]) + rng.integers(-1, 2, 2), 0)
            here = (view, slice(top, top + size[0]), slice(left, left + size[1]))
            if not lost:
                semantic_p[here], instance_p[here] = class_p, number_p
    semantic_t[rng.random(SHAPE) < 0.03] = -1
    semantic_t[:, :4, :6] = -1  # void in a corner
    semantic_p[rng.random(SHAPE) < 0.02] = -1
    instance_p[rng.random(SHAPE) < 0.02] = 0
    return Maps(semantic_p, instance_p, semantic_t, instance_t)


def load_module(path: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def coco_program(folder: Path, scene: Maps, tmp_path: Path, crowd: set[tuple[int, int, int]]) -> dict:
    """`panopticapi` on the views as images; `crowd`: (view, class, instance). Its per-image loop, without worker processes."""
    sys.path.insert(0, str(folder))
    try:
        from panopticapi import evaluation
        from panopticapi.utils import id2rgb
    finally:
        sys.path.remove(str(folder))
    annotations, folders = [], [tmp_path / "gt", tmp_path / "pred"]
    for path in folders:
        path.mkdir(parents=True, exist_ok=True)
    for view in range(SHAPE[0]):
        pair = []
        for path, semantic, instance in zip(
            folders, (scene.semantic_t, scene.semantic_p), (scene.instance_t, scene.instance_p), strict=True
        ):
            codes = np.where(semantic[view] >= 0, 1 + semantic[view] * 1000 + instance[view], 0)
            Image.fromarray(id2rgb(codes)).save(path / f"{view}.png")
            infos = []
            for code in np.unique(codes[codes > 0]).tolist():
                key = (view, (code - 1) // 1000, (code - 1) % 1000)
                is_crowd = int(path == folders[0] and key in crowd)
                infos.append({"id": code, "category_id": key[1], "iscrowd": is_crowd, "area": int((codes == code).sum())})
            pair.append({"file_name": f"{view}.png", "image_id": view, "segments_info": infos})
        annotations.append(tuple(pair))
    categories = {k: {"isthing": int(LABELS.is_thing[k])} for k in range(len(LABELS))}
    counts = evaluation.pq_compute_single_core(0, annotations, *(str(path) for path in folders), categories)
    average, per_class = counts.pq_average(categories, isthing=None)
    return {"average": average, "per_class": per_class}


def lifting_program(folder: Path, scene: Maps) -> tuple[float, float, float]:
    """`panoptic_quality` of Panoptic Lifting; its class 0 is void, so ours move up by one."""
    program = load_module(folder / "util" / "panoptic_quality.py", "panoptic_lifting_quality")
    kept = scene.semantic_t >= 0
    maps = [
        torch.from_numpy(np.stack([semantic[kept] + 1, instance[kept]], axis=1))
        for semantic, instance in ((scene.semantic_p, scene.instance_p), (scene.semantic_t, scene.instance_t))
    ]
    things = {k + 1 for k in range(len(LABELS)) if LABELS.is_thing[k]}
    stuff = {k + 1 for k in range(len(LABELS))} - things
    result = program.panoptic_quality(*maps, things, stuff, allow_unknown_preds_category=True)
    return tuple(float(value) for value in result)


def loose_program(script: Path, scene: Maps) -> dict[str, float]:
    """The evaluator of PanopticRecon++ (eval/eval_segmentation_scannet.py): the arithmetic, without files and pictures."""
    text = script.read_text()
    space = {"np": np, "defaultdict": defaultdict, "OFFSET": 256**3, "VOID": 0, "tqdm": lambda items, **_: items}
    statistics = text[text.index("class PanopticStatCat") : text.index("class OpenVocabEvaluator")]
    exec(statistics, space)
    body = text[text.index("    def _instance_label_remapping") : text.index("    def _evaluate_semantic")]
    body += text[text.index("    def _evaluate_instance") : text.index("    def _evaluate_panoptic")]
    panoptic = text[text.index("    def _evaluate_panoptic") :]
    pictures = panoptic.index("            for i, index in enumerate(tqdm(indices")
    body += panoptic[: panoptic.rindex("        if self.debug", 0, pictures)]
    exec("class Evaluator:\n" + body, space)
    evaluator = space["Evaluator"]()
    evaluator.debug, evaluator.label_map = False, {"thing": True}
    evaluator.evaluated_labels = np.arange(len(LABELS)) + 1
    evaluator.label_thing_mapping = {k + 1: int(thing) for k, thing in enumerate(LABELS.is_thing)} | {0: -1}
    evaluator.panoptic_stat = space["PanopticStat"]()
    semantic_p, instance_p, semantic_t, instance_t = (getattr(scene, name).copy() for name in vars(scene))
    gt_instances, gt_things = evaluator._instance_label_remapping(instance_t, semantic_t + 1)
    evaluator._evaluate_instance(gt_instances, gt_things, instance_p, np.arange(SHAPE[0]))
    pred_instances, _ = evaluator._instance_label_remapping(instance_p, semantic_p + 1)
    evaluator._evaluate_panoptic(pred_instances, semantic_p + 1, semantic_t + 1, gt_instances, np.arange(SHAPE[0]))
    average, _ = evaluator.panoptic_stat.pq_average(evaluator.evaluated_labels, evaluator.label_thing_mapping)
    instances = evaluator.panoptic_stat.instance_average()
    return {**{key: float(average[key]) for key in ("pq", "sq", "rq")}, "mCov": instances["mCov"], "mWCov": instances["mWCov"]}


def cross_view_program(script: Path, scene: Maps) -> dict[str, float]:
    """The instance part of EPS3D's test script (scripts/test_eps3d_panoptic.py)."""
    text = script.read_text()
    text = text[text.index("            pred_instance_masked = all_instance_labels.clone()") :]
    text = text[: text.index('                print(f"  [Instance] mIoU')]
    truth = torch.from_numpy(scene.instance_t)
    space = {
        "torch": torch,
        "linear_sum_assignment": linear_sum_assignment,
        "gt_instance_stacked": truth,
        "gt_inst_list": list(truth),
        "all_instance_labels": torch.from_numpy(scene.instance_p),
        "print": lambda *_: None,
    }
    exec(textwrap.dedent(text), space)
    names = {"miou": "mean_iou", "precision": "precision_05", "recall": "recall_05", "f_score": "f_score"}
    return {ours: float(space[theirs]) for ours, theirs in names.items()}


def eps3d_quality_program(script: Path, scene: Maps) -> tuple[float, float, float]:
    """`evaluate_pq_for_batch` of EPS3D (scripts/evaluate_pq.py); classes as in our LABELS, moved up by two to meet theirs."""
    text = script.read_text()
    space: dict = {"torch": torch, "np": np, "F": torch.nn.functional, "os": __import__("os")}
    exec("from typing import Any, Dict, List, Set, Tuple\n", space)
    exec(text[text.index("def _nested_tuple") : text.index("def main():")], space)
    semantic_p, semantic_t = (np.where(item >= 0, item + 2, 0) for item in (scene.semantic_p, scene.semantic_t))
    lists = [list(item) for item in (semantic_t, semantic_p, scene.instance_t, scene.instance_p)]
    return space["evaluate_pq_for_batch"](*lists, SHAPE[0], device="cpu")


def eps3d_semantic_program(torchmetrics_folder: Path, scene: Maps) -> tuple[float, float]:
    """What EPS3D's test script does with torchmetrics: mean IoU over eight classes, and accuracy."""
    sys.path.insert(0, str(torchmetrics_folder))
    try:
        from torchmetrics import Accuracy
        from torchmetrics.segmentation import MeanIoU
    finally:
        sys.path.remove(str(torchmetrics_folder))
    miou = MeanIoU(num_classes=9, include_background=False, per_class=True, input_format="index")
    accuracy = Accuracy(num_classes=9, task="multiclass", ignore_index=0)
    for semantic_p, semantic_t in zip(torch.from_numpy(scene.semantic_p), torch.from_numpy(scene.semantic_t)):
        truth = (semantic_t + 1)[None]
        predicted = torch.where(truth != 0, semantic_p[None].clamp_min(0) + 1, 0)
        miou.update(predicted, truth)
        accuracy.update(predicted, truth)
    return float(miou.compute().clamp(0, 1).mean()), float(accuracy.compute())
