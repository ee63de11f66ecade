"""Random scans with every oddity that the ScanNet instance benchmark has a rule for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

LABELS = (3, 5, 7, 39)  # of the benchmark's valid ones
OTHER_LABELS = (1, 13, 40)  # wall, blinds, otherprop: annotated, but no instance classes


@dataclass(frozen=True)
class Scan:
    """One scan as the benchmark's files hold it."""

    ids: np.ndarray  # (N,) label * 1000 + instance, 0 = not annotated
    masks: np.ndarray  # (P, N) bool
    labels: np.ndarray  # (P,)
    scores: np.ndarray  # (P,)


def random_scan(seed: int, count: int = 2400) -> Scan:
    """Spans of instances (small ones, wall, groups, nothing) and predictions that move their ends, double, split and miss."""
    rng = np.random.default_rng(seed)
    ids = np.zeros(count, dtype=np.int64)
    edges = np.sort(rng.choice(np.arange(1, count // 20), size=14, replace=False)) * 20  # round sizes make IoUs hit thresholds
    spans = list(zip(edges[:-1], edges[1:]))
    for index, (start, stop) in enumerate(spans):
        kind = rng.random()
        if kind < 0.72:
            label = rng.choice(LABELS) if index == 0 or rng.random() < 0.5 else ids[start - 1] // 1000  # neighbours of a class
            ids[start:stop] = (label or LABELS[0]) * 1000 + (0 if kind < 0.05 else index + 1)
        elif kind < 0.85:
            ids[start:stop] = rng.choice(OTHER_LABELS) * 1000 + index + 1
        elif kind < 0.92:
            ids[start:stop] = 500 + index  # a group
    masks, labels, scores = [], [], []
    for start, stop in spans:
        label = int(ids[start] // 1000)
        for _ in range(rng.integers(0, 4)):
            mask = np.zeros(count, dtype=bool)
            low, high = np.clip(np.array([start, stop]) + rng.integers(-4, 5, 2) * 10, 0, count)
            mask[low:high] = True
            if rng.random() < 0.2:  # over the neighbour as well
                mask[high : min(high + (stop - start), count)] = True
            if rng.random() < 0.15:
                mask[low : low + 130] = rng.random(min(130, count - low)) < 0.5
            masks.append(mask)
            labels.append(label if label in LABELS and rng.random() < 0.85 else rng.choice((*LABELS, 1)))
            scores.append(rng.integers(1, 10) / 10)  # ties
    for label in LABELS:  # a mistake that nothing excuses, for each class: the program needs an entry
        place = next((a for a, b in spans if b - a >= 100 and ids[a] // 1000 in set(LABELS) - {label}), None)
        if place is not None:
            masks.append(np.isin(np.arange(count), np.arange(place, place + 100)))
            labels.append(label)
            scores.append(rng.integers(1, 10) / 10)
    order = rng.permutation(len(masks))
    return Scan(ids, np.array(masks)[order], np.array(labels)[order], np.array(scores)[order])


def official_aps(folder: Path, scans: list[Scan]) -> dict[int, tuple[float, float, float]]:
    """Label -> (AP, AP50, AP25) by the benchmark's own program.

    `folder`: BenchmarkScripts of github.com/ScanNet/ScanNet. Its functions are executed as they are, but for the names that
    newer NumPy and Python no longer know; files are handed over in memory.
    """
    text = (folder / "3d_evaluation" / "evaluate_semantic_instance.py").read_text()
    text = text[text.index("# ---------- Label info") : text.index("def print_results")]
    for old, new in (("np.float ", "float "), ("np.bool ", "bool "), ("np.in1d", "np.isin"), ("Exception, e", "Exception as e")):
        text = text.replace(old, new)
    utility = (folder / "util_3d.py").read_text()
    utility = (
        utility[utility.index("class Instance(object)") : utility.index("def read_instance_prediction_file")]
        + (utility[utility.index("def get_instances(") :])
    )
    tables: dict[str, dict] = {}
    arrays: dict[str, np.ndarray] = {}
    for index, scan in enumerate(scans):
        arrays[f"truth{index}"] = scan.ids
        tables[f"scan{index}"] = {}
        for row, mask in enumerate(scan.masks):
            arrays[f"mask{index}_{row}"] = mask.astype(np.int64)
            tables[f"scan{index}"][f"mask{index}_{row}"] = {"label_id": int(scan.labels[row]), "conf": float(scan.scores[row])}

    class Namespace:
        pass

    files = {"np": np}
    exec(utility, files)  # noqa: S102
    util_3d = Namespace()
    util_3d.get_instances = files["get_instances"]
    util_3d.load_ids = arrays.__getitem__
    util_3d.read_instance_prediction_file = lambda name, folder: tables[name]
    program = {"np": np, "util_3d": util_3d, "opt": Namespace()}
    exec("from copy import deepcopy\n" + text, program)  # noqa: S102
    matches = {}
    for index in range(len(scans)):
        gt2pred, pred2gt = program["assign_instances_for_scan"](f"scan{index}", f"truth{index}", "")
        matches[index] = {"gt": gt2pred, "pred": pred2gt}
    averages = program["compute_averages"](program["evaluate_matches"](matches))["classes"]
    return {
        int(label): tuple(float(averages[name][key]) for key in ("ap", "ap50%", "ap25%"))
        for label, name in program["ID_TO_LABEL"].items()
    }
