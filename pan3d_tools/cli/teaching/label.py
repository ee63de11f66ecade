"""`pan3d label`: 2D labels of pictures, scenes and recordings by models of others, as files."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from pan3d_core.labelling.teachers import Asked, Picture, ask_pictures
from pan3d_core.runtime.lazy import load
from pan3d_core.structures import unit_range
from pan3d_core.views.image_files import read_image
from pan3d_core.views.scene_folder import Scene
from pan3d_eval.datasets import ViewSelection, dataset_of, read_dataset_scene
from pan3d_tools.cli.bags.files import find_bags
from pan3d_tools.cli.scenes.scene_output import write_keyframes
from pan3d_tools.cli.teaching.recordings import entry_readers, pictures_in, sources_of
from pan3d_tools.cli.teaching.teachers import add_teacher_options, open_teacher

# Imported for training data only, which come with what renders them.
SHARDS = "training.data.targets.asked:ask_for_shards"
SHARD_MARKER = "*/vocabulary.json"

Reader = Callable[[Path], list[Picture]]  # from the folder of the labels, to pictures that are read when their turn comes


def add(parser: argparse.ArgumentParser) -> None:
    """Put the command's options on its parser."""
    parser.set_defaults(command=run_label)
    parser.add_argument(
        "sources", nargs="+", type=Path, metavar="SOURCE",
        help="folders of pictures, scene folders, bags, scenes of public data sets, or a folder of training data",
    )  # fmt: skip
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="DIR", help="a folder of labels for each source")
    parser.add_argument(
        "--views", type=int, default=24, metavar="N", help="of a bag or a recording, 0: all (default: %(default)s)"
    )
    parser.add_argument("--stride", type=int, default=1, metavar="N", help="of a data set: every N-th image of its recording")
    parser.add_argument(
        "--features", type=Path, metavar="FILE", help="of training data: LSeg's checkpoint, whose features are written, too"
    )
    parser.add_argument(
        "--params", nargs="+", type=Path, default=[], metavar="FILE",
        help="parameter files of the node, for bags (default: the bag's)",
    )  # fmt: skip
    parser.add_argument("--device", help="auto (default), cpu, cuda or cuda:N")
    add_teacher_options(parser, required=True)
    # Bags are read as for an engine, and none is asked here.
    parser.set_defaults(config=None, model=None, weights=None, threads=None, runtime=None, depth=False)


def run_label(options: argparse.Namespace) -> int:
    """Label every source; 1 when something could not be looked at."""
    missing = next((path for path in options.sources if not path.exists()), None)
    if missing is not None:
        raise FileNotFoundError(f"SOURCE: expected pictures, a scene or a bag, got {missing}, which does not exist")
    shards = [path for path in options.sources if any(path.glob(SHARD_MARKER))]
    if shards and shards != options.sources:
        raise ValueError("SOURCE: expected training data alone or none, got both")
    if options.features is not None and not shards:
        raise ValueError("--features: expected training data, got other sources")
    sources = [] if shards else _named(options)
    teacher = open_teacher(options)
    if teacher is None:
        raise ValueError("--teacher: expected one, got none")
    if shards:
        features = None if options.features is None else str(options.features)
        for folder in shards:
            print(load(SHARDS)(folder, options.out, teacher, features))
        return 0
    problems = 0
    for told, name, read in sources:
        folder = options.out / name
        pictures = read(folder)
        problems += _say(told, len(pictures), ask_pictures(teacher, pictures, folder))
    return int(problems > 0)


def _named(options: argparse.Namespace) -> list[tuple[str, str, Reader]]:
    """Every source: for messages, the name of its folder of labels, and its pictures."""
    found = []
    for path in options.sources:
        own = [(told, Path(told).resolve().name, read) for told, read in _readers(path, options)]
        if not own:
            raise ValueError(f"SOURCE: expected pictures, a scene, a bag or training data, got {path} without")
        found += own
    names = [name for _, name, _ in found]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise ValueError(f"SOURCE: expected names that differ, got {twice!r} twice; label them one after the other")
    return found


def _readers(path: Path, options: argparse.Namespace) -> Iterator[tuple[str, Reader]]:
    if path.is_dir() and dataset_of(path) is not None:
        selection = ViewSelection(options.views, options.stride)
        yield str(path), lambda _: _views(read_dataset_scene(path, selection))
        return
    is_bag = bool(find_bags([path]))
    known = list(sources_of(path, options))
    for told, read in known:
        yield told, partial(_kept_views, read) if is_bag else partial(_pictures_of, Path(told))
    if not known and path.is_dir() and (files := pictures_in(path)):
        stems = [file.stem for file in files]
        if twice := next((stem for stem in stems if stems.count(stem) > 1), ""):
            raise ValueError(f"{path}: expected pictures of different names, got {twice!r} twice")
        yield str(path), lambda _: [Picture(file.stem, partial(read_image, file)) for file in files]


def _kept_views(read: Callable[[], Scene], folder: Path) -> list[Picture]:
    """Keyframes of a bag, which are written as a scene folder, since labels are of these."""
    scene = read()
    write_keyframes(folder / "scene", scene)
    return _views(scene)


def _pictures_of(folder: Path, _: Path) -> list[Picture]:
    """Pictures of a scene folder, or of a folder with a cameras file, as views show them; one that is broken harms no other."""
    return [Picture(_label_name(index, name), read) for index, (name, read) in enumerate(entry_readers(folder))]


def _views(scene: Scene) -> list[Picture]:
    return [Picture(_label_name(index, view.camera), partial(unit_range, view.image)) for index, view in enumerate(scene.views)]


def _label_name(index: int, camera: str) -> str:
    """What label files call a view of a scene (`pan3d_core.refine.labels.ids.image_names`)."""
    return f"{index:02d}_{camera.replace('/', '_')}"


def _say(told: str, count: int, asked: Asked) -> int:
    """What became of a source; how many of its pictures could not be looked at."""
    if asked.kept:
        print(f"{told}: labels of this teacher are in {asked.folder} already")
        return 0
    print(f"{told}: {len(asked.objects)} of {count} pictures looked at, {sum(asked.objects.values())} objects: {asked.folder}")
    if asked.empty:
        print(f"  nothing found in {len(asked.empty)}: {', '.join(asked.empty[:8])}{' ...' if len(asked.empty) > 8 else ''}")
    for name, why in asked.unseen.items():
        print(f"  could not look at {name}: {why}")
    return len(asked.unseen)
