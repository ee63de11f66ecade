"""Annotated objects of a ScanNet++ mesh, and the benchmark's classes where its metadata are at hand."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pan3d_core.labels import LabelSpace
from pan3d_eval.datasets.published_files import field_of, find_above, read_json_object

CLASSES = "metadata/semantic_benchmark/top100_instance.txt"
CLASS_MAP = "metadata/semantic_benchmark/map_benchmark.csv"
# Raw names that are surroundings or remarks of the annotators, for scenes without the benchmark's list of classes.
NOT_OBJECTS = frozenset({"wall", "floor", "ceiling", "remove", "split"})


@dataclass(frozen=True)
class Annotation:
    """Objects of a scan: what every vertex belongs to."""

    instance: np.ndarray  # (N,) int64 objectId, 0 = none; of overlapping objects the one with fewer vertices
    segment: np.ndarray  # (N,) int64 over-segmentation
    names: dict[int, str]  # objectId -> class name, or raw name outside of the benchmark's classes
    labels: LabelSpace
    region: np.ndarray  # (N,) int64 objectId of everything annotated, walls and floors included; likewise
    region_names: dict[int, str]  # objectId -> semantic class of the benchmark, or raw name

    def class_of(self, instance: int) -> int:
        """Index into `labels`; -1 for none."""
        name = self.names.get(instance)
        return self.labels.names.index(name) if name in self.labels.names else -1


def read_annotation(scans: Path) -> Annotation:
    """Read `segments.json` and `segments_anno.json`; objects outside of the instance classes are left out."""
    segments_path, groups_path = scans / "segments.json", scans / "segments_anno.json"
    content = read_json_object(segments_path, "the over-segmentation of the mesh")
    segment = np.array(field_of(content, "segIndices", segments_path), dtype=np.int64)
    groups = field_of(read_json_object(groups_path, "the annotated objects"), "segGroups", groups_path)
    classes, renamed, semantic = _benchmark(scans)
    members: dict[int, np.ndarray] = {}
    names: dict[int, str] = {}
    region_names: dict[int, str] = {}
    for group in groups:
        raw = str(field_of(group, "label", groups_path))
        number = int(field_of(group, "objectId", groups_path))
        if number < 1:
            raise ValueError(f"{groups_path}: objectId: expected 1 or more, got {number}")
        members[number] = np.isin(segment, field_of(group, "segments", groups_path))
        region_names[number] = semantic.get(raw, raw)
        name = renamed.get(raw, raw)
        if name in classes if classes else name.lower() not in NOT_OBJECTS:
            names[number] = name
    instance, region = np.zeros_like(segment), np.zeros_like(segment)
    for number in sorted(members, key=lambda number: -int(members[number].sum())):
        region[members[number]] = number
        if number in names:
            instance[members[number]] = number
    labels = LabelSpace.things(classes or tuple(sorted(set(names.values()))))
    return Annotation(instance, segment, names, labels, region, region_names)


def _benchmark(scans: Path) -> tuple[tuple[str, ...], dict[str, str], dict[str, str]]:
    """Instance classes, raw name -> instance class and raw name -> semantic class; all empty without the metadata."""
    classes_path, map_path = find_above(scans, (CLASSES,)), find_above(scans, (CLASS_MAP,))
    if classes_path is None:
        return (), {}, {}
    classes = tuple(line.strip() for line in classes_path.read_text(encoding="utf-8").splitlines() if line.strip())
    rows: list[dict[str, str]] = []
    if map_path is not None:
        with open(map_path, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    columns = ("instance_map_to", "semantic_map_to")
    renamed, semantic = ({row["class"]: row[column] for row in rows if row.get(column)} for column in columns)
    return classes, renamed, semantic
