"""Episodes as a data set in LeRobot's format v3.0: tables in Parquet, pictures in them, and what they mean in `meta/`.

https://github.com/huggingface/lerobot, docs/source/lerobot-dataset-v3.mdx and src/lerobot/datasets/. Pictures are features of the
kind "image" (PNG in the table), which loses nothing and needs no video encoder.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pan3d_core.geometry.rotations import quat_xyzw_from_matrix
from pan3d_core.pipeline import PerceptionPipeline
from pan3d_core.runtime.files import written_whole
from pan3d_core.structures import Segment
from pan3d_ros.bags.excerpts.episodes import EpisodeRequest, Moment, episodes_of, moments_of, recorded_fps

if TYPE_CHECKING:
    import pyarrow

VERSION = "v3.0"
CHUNK, FILE_BYTES, VIDEO_MB = 1000, 100_000_000, 200  # files of a folder; bytes after which a new file begins
DATA = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
EPISODES = "meta/episodes/chunk-000/file-000.parquet"
QUANTILES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}
BOX = ("x", "y", "z", "qx", "qy", "qz", "qw", "sx", "sy", "sz")  # metres: middle, turn, extents
OBJECTS_FILE = "pan3d/objects.parquet"  # beside the format's own files: names and scores


@dataclass(frozen=True)
class Written:
    """What was written."""

    episodes: int
    frames: int
    fps: int
    without_result: int  # frames whose objects are not known
    left_out: int  # objects of frames that had more than were asked for


@dataclass(frozen=True)
class LeRobotRequest:
    """What is written of bags."""

    task: str  # what the robot does, in words
    episodes: EpisodeRequest = EpisodeRequest()
    max_objects: int = 16  # of a frame; those with the highest scores

    def __post_init__(self) -> None:
        if not self.task.strip():
            raise ValueError(f"task: expected words, got {self.task!r}")
        if not 1 <= self.max_objects <= 1000:
            raise ValueError(f"max_objects: expected 1 to 1000, got {self.max_objects}")


def export_lerobot(
    bags: Sequence[Path], folder: Path, request: LeRobotRequest, pipeline: PerceptionPipeline | None = None
) -> Written:
    """Write bags as one data set; a bag is one episode, or several where it was interrupted.

    Args:
        bags: Folders, or .mcap or .db3 files, of the same cameras.
        folder: To be; written completely or not at all.
        request: What is wanted.
        pipeline: None = as the request and the bags say.

    Returns:
        What was written.

    Raises:
        ValueError: `folder` is there already, or the bags' cameras differ.
        BagError: A bag cannot be read, lacks topics, or has no view set with all cameras.
        ModuleNotFoundError: pyarrow is not installed.
    """
    if folder.exists():
        raise ValueError(f"out: expected a folder that is not there yet, got {folder}")
    recorded = [moments_of(bag, request.episodes, pipeline) for bag in bags]
    fps = request.episodes.fps or recorded_fps(recorded[0])
    episodes = [episode for moments in recorded for episode in episodes_of(moments, fps)]
    _require_alike(episodes)
    with written_whole(folder) as part:
        _write(part, episodes, fps, request)
    frames = [moment for episode in episodes for moment in episode]
    return Written(
        len(episodes),
        len(frames),
        fps,
        sum(not moment.is_metric for moment in frames),
        sum(max(0, len(moment.objects) - request.max_objects) for moment in frames),
    )


def features_of(first: Moment, max_objects: int) -> dict[str, dict[str, Any]]:
    """Describe the columns.

    Args:
        first: Whose cameras all frames have.
        max_objects: Of a frame.

    Returns:
        Column -> kind, shape and names of its elements, as `meta/info.json` has them.
    """
    features: dict[str, dict[str, Any]] = {}
    for camera, view in first.views.items():
        height, width = view.hw
        names = ["height", "width", "channels"]
        features[f"observation.images.{camera}"] = {"dtype": "image", "shape": [height, width, 3], "names": names}
        if view.depth is not None:
            told = {"is_depth_map": True, "depth_unit": "mm"}
            features[f"observation.images.{camera}_depth"] = {
                "dtype": "image", "shape": [height, width, 1], "names": names, "info": told,
            }  # fmt: skip
        features[f"observation.intrinsics.{camera}"] = _numbers("float32", ["fx", "fy", "cx", "cy"])
        matrix = [f"m{row}{column}" for row in range(4) for column in range(4)]
        features[f"observation.world_from_cam.{camera}"] = _numbers("float32", matrix)
        features[f"observation.posed.{camera}"] = _numbers("bool", None)
    features["observation.objects.known"] = _numbers("bool", None)
    features["observation.objects.id"] = _numbers("int64", [f"object_{k}" for k in range(max_objects)])
    boxes = [f"object_{k}.{part}" for k in range(max_objects) for part in BOX]
    features["observation.objects.box"] = _numbers("float32", boxes)
    features["observation.stamp_ns"] = _numbers("int64", None)
    features["timestamp"] = _numbers("float32", None)
    for name in ("frame_index", "episode_index", "index", "task_index"):
        features[name] = _numbers("int64", None)
    return features


def _numbers(dtype: str, names: list[str] | None) -> dict[str, Any]:
    return {"dtype": dtype, "shape": [1 if names is None else len(names)], "names": names}


def _require_alike(episodes: Sequence[Sequence[Moment]]) -> None:
    """All frames have the cameras, sizes and depth of the first."""
    first = {camera: (view.hw, view.depth is not None) for camera, view in episodes[0][0].views.items()}
    for moment in (moment for episode in episodes for moment in episode):
        own = {camera: (view.hw, view.depth is not None) for camera, view in moment.views.items()}
        if own != first:
            raise ValueError(f"cameras: expected those of the first view set, {first}, in all bags, got {own}")


def _write(folder: Path, episodes: Sequence[Sequence[Moment]], fps: int, request: LeRobotRequest) -> None:
    import pyarrow
    import pyarrow.parquet

    features = features_of(episodes[0][0], request.max_objects)
    schema = pyarrow.schema([(name, _arrow(feature)) for name, feature in features.items()])
    rows: list[dict[str, Any]] = []
    all_columns: dict[str, list[Any]] = {name: [] for name in features}
    for (chunk, file), own in _by_file(episodes):
        path = folder / DATA.format(chunk_index=chunk, file_index=file)
        path.parent.mkdir(parents=True, exist_ok=True)
        places = {
            "data/chunk_index": chunk,
            "data/file_index": file,
            "meta/episodes/chunk_index": 0,
            "meta/episodes/file_index": 0,
        }
        with pyarrow.parquet.ParquetWriter(path, schema) as writer:
            for episode in own:
                number, begin = len(rows), rows[-1]["dataset_to_index"] if rows else 0
                columns = _columns(episode, features, fps, (number, begin))
                for name, values in columns.items():
                    all_columns[name] += values
                stored = {name: _stored(columns[name], feature) for name, feature in features.items()}
                writer.write_table(pyarrow.table(stored, schema=schema))
                figures = _statistics(episode, columns, features)
                flat = {f"stats/{name}/{kind}": value for name, kinds in figures.items() for kind, value in kinds.items()}
                within = {"dataset_from_index": begin, "dataset_to_index": begin + len(episode)}
                told = {"episode_index": number, "tasks": [request.task], "length": len(episode)}
                rows.append({**told, **within, **places, **flat})
    whole = [moment for episode in episodes for moment in episode]
    _write_meta(folder, features, rows, request.task, fps)
    _write_json(folder / "meta/stats.json", _statistics(whole, all_columns, features))
    objects = [row for number, episode in enumerate(episodes) for row in _object_rows(episode, number)]
    _write_table(folder / OBJECTS_FILE, pyarrow.Table.from_pylist(objects, schema=_object_schema()))


def _by_file(episodes: Sequence[Sequence[Moment]]) -> Iterator[tuple[tuple[int, int], list[Sequence[Moment]]]]:
    """(Chunk, file) -> the episodes in it: as many as fit into `FILE_BYTES` of pictures, one at least."""
    own: list[Sequence[Moment]] = []
    held, files = 0, 0
    for episode in episodes:
        size = sum(len(view.picture) + len(view.depth or b"") for moment in episode for view in moment.views.values())
        if own and held + size > FILE_BYTES:
            yield divmod(files, CHUNK), own
            own, held, files = [], 0, files + 1
        own.append(episode)
        held += size
    yield divmod(files, CHUNK), own


def _write_meta(folder: Path, features: Mapping[str, Any], rows: list[dict[str, Any]], task: str, fps: int) -> None:
    import pyarrow

    info = {
        "codebase_version": VERSION, "robot_type": None, "fps": fps, "features": dict(features),
        "splits": {"train": f"0:{len(rows)}"},
        "total_episodes": len(rows), "total_frames": sum(row["length"] for row in rows), "total_tasks": 1,
        "chunks_size": CHUNK, "data_files_size_in_mb": FILE_BYTES // 1_000_000, "video_files_size_in_mb": VIDEO_MB,
        "data_path": DATA, "video_path": None,
    }  # fmt: skip
    _write_json(folder / "meta/info.json", info)
    _write_table(folder / EPISODES, pyarrow.Table.from_pylist(rows))
    # Tasks are the index of a table of pandas.
    columns = [
        {"name": "task_index", "field_name": "task_index", "pandas_type": "int64", "numpy_type": "int64", "metadata": None},
        {"name": "task", "field_name": "task", "pandas_type": "unicode", "numpy_type": "object", "metadata": None},
    ]
    told = json.dumps({"index_columns": ["task"], "column_indexes": [], "columns": columns, "pandas_version": "2.0.0"})
    tasks = pyarrow.table({"task_index": pyarrow.array([0], pyarrow.int64()), "task": [task]})
    _write_table(folder / "meta/tasks.parquet", tasks.replace_schema_metadata({"pandas": told}))


def _write_table(path: Path, table: pyarrow.Table) -> None:
    import pyarrow.parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(table, path)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=4), encoding="utf-8")


def _columns(episode: Sequence[Moment], features: Mapping[str, Any], fps: int, place: tuple[int, int]) -> dict[str, list[Any]]:
    """Column -> one value a frame: bytes of pictures, arrays (N,) of numbers. `place`: number and first index of the episode."""
    count = features["observation.objects.id"]["shape"][0]
    made: dict[str, list[Any]] = {name: [] for name in features}
    for index, moment in enumerate(episode):
        for camera, view in moment.views.items():
            made[f"observation.images.{camera}"].append(view.picture)
            if view.depth is not None:
                made[f"observation.images.{camera}_depth"].append(view.depth)
            matrix = np.zeros((3, 3)) if view.intrinsics is None else view.intrinsics
            made[f"observation.intrinsics.{camera}"].append(matrix[[0, 1, 0, 1], [0, 1, 2, 2]])
            pose = np.zeros((4, 4)) if view.world_from_cam is None else view.world_from_cam
            made[f"observation.world_from_cam.{camera}"].append(pose.reshape(-1))
            made[f"observation.posed.{camera}"].append(np.array([view.world_from_cam is not None]))
        chosen = sorted(moment.objects, key=lambda segment: -segment.score)[:count]
        boxes = np.zeros((count, len(BOX)))
        boxes[: len(chosen)] = np.array([_box(segment) for segment in chosen]).reshape(-1, len(BOX))
        ids = [segment.instance_id for segment in chosen] + [0] * (count - len(chosen))
        made["observation.objects.known"].append(np.array([moment.is_metric]))
        made["observation.objects.id"].append(np.array(ids))
        made["observation.objects.box"].append(boxes.reshape(-1))
        made["observation.stamp_ns"].append(np.array([moment.stamp_ns]))
        numbers = {"timestamp": index / fps, "frame_index": index, "episode_index": place[0], "index": place[1] + index}
        for name, value in {**numbers, "task_index": 0}.items():
            made[name].append(np.array([value]))
    return made


def _box(segment: Segment) -> list[float]:
    pose = segment.box.world_from_box.double()
    return [*pose[:3, 3].tolist(), *quat_xyzw_from_matrix(pose[:3, :3]).tolist(), *segment.box.size_m.tolist()]


def _arrow(feature: Mapping[str, Any]) -> pyarrow.DataType:
    import pyarrow

    if feature["dtype"] == "image":
        return pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    kind = {"float32": pyarrow.float32(), "int64": pyarrow.int64(), "bool": pyarrow.bool_()}[feature["dtype"]]
    return kind if feature["shape"] == [1] else pyarrow.list_(kind, feature["shape"][0])


def _stored(values: list[Any], feature: Mapping[str, Any]) -> pyarrow.Array:
    import pyarrow

    if feature["dtype"] == "image":
        return pyarrow.array([{"bytes": value, "path": None} for value in values], _arrow(feature))
    plain = np.array(values, feature["dtype"])
    return pyarrow.array(plain[:, 0] if feature["shape"] == [1] else plain.tolist(), _arrow(feature))


def _statistics(
    moments: Sequence[Moment], columns: Mapping[str, list[Any]], features: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Column -> min, max, mean, std, count and quantiles; of pictures by channel, in 0..1, from a sample of their pixels."""
    made = {}
    for name, feature in features.items():
        if feature["dtype"] != "image":
            made[name] = _figures(np.array(columns[name], np.float64), len(moments))
        elif not feature.get("info"):  # depth is for geometry, and is not normalised
            camera = name.removeprefix("observation.images.")
            pixels = np.concatenate(
                [moment.views[camera].sample for moment in islice(moments, 0, None, max(1, len(moments) // 100))]
            )
            own = _figures(pixels / 255.0, len(moments))
            made[name] = {key: value if key == "count" else [[[v]] for v in value] for key, value in own.items()}
    return made


def _figures(values: np.ndarray, count: int) -> dict[str, list[Any]]:
    found = {"min": values.min(0), "max": values.max(0), "mean": values.mean(0), "std": values.std(0)}
    found |= {name: np.quantile(values, share, axis=0) for name, share in QUANTILES.items()}
    return {**{name: value.tolist() for name, value in found.items()}, "count": [count]}


def _object_schema() -> pyarrow.Schema:
    import pyarrow

    whole, number = pyarrow.int64(), pyarrow.float32()
    places = [("episode_index", whole), ("frame_index", whole), ("id", whole), ("name", pyarrow.string())]
    return pyarrow.schema([*places, ("name_probability", number), ("score", number), *((part, number) for part in BOX)])


def _object_rows(episode: Sequence[Moment], number: int) -> list[dict[str, Any]]:
    """Every object of every frame, also of frames that have more than fit into the columns."""
    return [
        {
            "episode_index": number,
            "frame_index": index,
            "id": segment.instance_id,
            "name": moment.names[segment.instance_id],
            "name_probability": float(segment.class_score),
            "score": float(segment.score),
            **dict(zip(BOX, _box(segment))),
        }
        for index, moment in enumerate(episode)
        for segment in moment.objects
    ]
