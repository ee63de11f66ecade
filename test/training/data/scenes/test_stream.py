"""Streamed scenes: order, ranks, exact continuation, damage, object stores."""

import contextlib
import functools
import http.server
import io
import json
import logging
import re
import tarfile
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from raycast_scene import Ball, Block, camera_ring, cast
from shard_records import fake_record

from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.labels import LabelSpace
from pan3d_core.views.scene_folder import Scene, SceneObject, SceneTruth, write_scene
from pan3d_sim.data.scene_records import MAX_OBJECTS, SceneRecord, ShardRange, encode_record, scene_key
from training.data.scenes import shards as scene_shards
from training.data.scenes.folder_shards import open_scene_folders
from training.data.scenes.shards import open_tar_shards
from training.data.scenes.stream import BadScene, SceneReader, StreamPlan, buffer_order


def write_tar(folder: Path, first: int, last: int, change=lambda seed, members: members) -> Path:
    path = folder / f"{ShardRange(first, last).name}.tar"
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for seed in range(first, last + 1):
            for name, content in change(seed, encode_record(fake_record(seed))).items():
                member = tarfile.TarInfo(f"{scene_key(seed)}.{name}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return path


@pytest.fixture
def folder(tmp_path) -> Path:
    """Six shards of five scenes."""
    for first in range(0, 30, 5):
        write_tar(tmp_path, first, first + 4)
    (tmp_path / "vocabulary.json").write_text('{"kinds": ["a", "b", "c"], "settings": {"num_views": 2}}')
    (tmp_path / "index.json").write_text(json.dumps({"shards": [path.name for path in tmp_path.glob("*.tar")]}))
    return tmp_path


def seeds_of(reader: SceneReader, count: int) -> list[int]:
    return [reader.next().seed for _ in range(count)]


def reader_of(folder: Path, **changes) -> SceneReader:
    return SceneReader(open_tar_shards(folder), **{"seed": 1, "workers": 0, "buffer": 8, **changes})


@pytest.mark.parametrize(("count", "capacity"), [(0, 4), (1, 4), (30, 1), (30, 8), (30, 100)])
def test_the_buffer_gives_every_scene_once_and_holds_no_more_than_it_may(count, capacity):
    order = buffer_order(count, capacity, np.random.default_rng(0))
    assert sorted(order.tolist()) == list(range(count))
    assert (order <= np.arange(count) + capacity - 1).all()
    assert capacity > 1 or order.tolist() == list(range(count))


def test_every_epoch_has_every_scene_once_in_another_order(folder):
    reader = reader_of(folder)
    first, second = seeds_of(reader, 30), seeds_of(reader, 30)
    assert sorted(first) == sorted(second) == list(range(30)) and first != second and first != sorted(first)
    assert seeds_of(reader_of(folder), 30) == first and seeds_of(reader_of(folder, seed=2), 30) != first


def test_a_scene_comes_as_it_was_written(folder):
    record = reader_of(folder).next()
    for item in fields(SceneRecord):
        assert np.array_equal(getattr(record, item.name), getattr(fake_record(record.seed), item.name)), item.name


@pytest.mark.parametrize("ranks", [2, 4, 7])  # 7: more than there are shards, which are then cut
def test_ranks_share_an_epoch_without_overlap(folder, ranks):
    shards, plan = open_tar_shards(folder), StreamPlan(seed=3, buffer=8, shares=ranks)
    parts = [plan.reading_order(shards, epoch=1, share=share) for share in range(ranks)]
    assert Counter(key for part in parts for _, key in part) == Counter(scene_key(seed) for seed in range(30))
    assert all(parts)
    for rank in range(ranks):
        mine = {int(key) for _, key in plan.reading_order(shards, 0, rank)}
        assert set(seeds_of(reader_of(folder, seed=3, rank=rank, ranks=ranks), len(mine))) == mine
    with pytest.raises(ValueError, match="data: expected at least 31 scenes"):
        reader_of(folder, ranks=31)


def test_a_stream_continues_exactly_from_every_place(folder):
    expected = seeds_of(reader_of(folder), 75)
    for taken in (0, 1, 7, 29, 30, 44):
        before = reader_of(folder)
        seeds_of(before, taken)
        resumed = reader_of(folder)
        resumed.load_state_dict(before.state_dict())
        assert seeds_of(resumed, 75 - taken) == expected[taken:]
    with pytest.raises(ValueError, match="buffer: expected 8 as when the state was saved, got 9"):
        reader_of(folder, buffer=9).load_state_dict(before.state_dict())


def test_continuing_reads_only_what_is_still_to_come(folder, monkeypatch):
    opened = []
    open_file = scene_shards.open_file
    monkeypatch.setattr(scene_shards, "open_file", lambda place, name: opened.append(name) or open_file(place, name))
    reader = reader_of(folder, buffer=1)
    reader.load_state_dict(reader.state_dict() | {"taken": 20})
    opened.clear()
    seeds_of(reader, 10)
    assert len(opened) == 2


def test_worker_processes_keep_the_order_and_continue_exactly(folder):
    reader = reader_of(folder, workers=2, ranks=2, rank=1)
    start, state, rest = seeds_of(reader, 5), reader.state_dict(), seeds_of(reader, 12)
    reader.close()
    assert len(set(start + rest[:9])) == 14  # of the 15 that fall to this rank
    resumed = reader_of(folder, workers=2, ranks=2, rank=1)
    resumed.load_state_dict(state)
    assert seeds_of(resumed, 12) == rest
    resumed.close()


def test_bad_scenes_are_left_out_counted_and_named(folder, caplog):
    def damage(seed: int, members: dict) -> dict:
        if seed == 6:
            return {name: value for name, value in members.items() if name != "depth1.png"}
        if seed == 8:
            return members | {"image0.png": members["image0.png"][:60]}
        return members

    write_tar(folder, 5, 9, damage)
    whole = (folder / "scenes_00000010-00000014.tar").read_bytes()
    (folder / "scenes_00000010-00000014.tar").write_bytes(whole[: len(whole) // 2])
    reader = reader_of(folder)
    with caplog.at_level(logging.WARNING):
        seen = seeds_of(reader, 60 - 2 * (2 + 3) + 1)[:25]
    assert {6, 8}.isdisjoint(seen) and 5 in seen and 9 in seen and {13, 14}.isdisjoint(seen) and 10 in seen
    said = "\n".join(record.getMessage() for record in caplog.records)
    assert "shard scenes_00000005-00000009.tar, scene 00000006: depth1.png: missing" in said
    assert "scene 00000008: image0.png: " in said
    assert re.search(r"shard scenes_00000010-00000014.tar, scene 00000014: (ends early|not in the shard)", said)
    assert reader.bad >= 5 and reader.state_dict()["bad"] == reader.bad


def test_too_many_bad_scenes_are_an_error(folder):
    for path in list(folder.glob("*.tar"))[:3]:
        path.write_bytes(b"no tar file at all" * 100)
    with pytest.raises(ValueError, match=r"data: expected at most 2% bad scenes, got 11 of \d+, .* ends early or is damaged"):
        seeds_of(reader_of(folder), 60)


def test_a_shard_that_is_gone_is_named(folder):
    shards = open_tar_shards(folder)
    (folder / shards.chapters[0]).unlink()
    reader = SceneReader(shards, seed=0, workers=0)
    assert len(seeds_of(reader, 25)) == 25
    (item,) = reader._stream()._epoch([(0, "00000000")], np.array([0]))
    assert isinstance(item, BadScene) and "cannot be read" in item.reason


def test_held_out_scenes_are_refused_for_training(folder):
    write_tar(folder, 1_000_000, 1_000_001)
    with pytest.raises(ValueError, match="got held-out scenes"):
        open_tar_shards(folder)
    assert len(open_tar_shards(folder, held_out=True).chapters) == 7
    with pytest.raises(ValueError, match="data: expected shards such as"):
        open_tar_shards(folder / "nothing")


class FailingOnce(http.server.SimpleHTTPRequestHandler):
    """Answers the first request for each shard with an error."""

    seen: set[str] = set()

    def do_GET(self) -> None:
        if self.path.endswith(".tar") and self.path not in self.seen:
            self.seen.add(self.path)
            self.send_error(503)
        else:
            super().do_GET()

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def answering(handler: Callable[..., http.server.BaseHTTPRequestHandler]):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def served(folder: Path):
    FailingOnce.seen = set()
    return answering(functools.partial(FailingOnce, directory=str(folder)))


def test_scenes_stream_over_http_as_from_disk(folder, monkeypatch):
    pytest.importorskip("aiohttp")
    monkeypatch.setattr(scene_shards, "FIRST_WAIT_S", 0.01)
    with served(folder) as url:
        reader = SceneReader(open_tar_shards(url + "/"), seed=1, workers=0, buffer=8)
        assert seeds_of(reader, 30) == seeds_of(reader_of(folder), 30) and len(FailingOnce.seen) == 6
        in_workers = SceneReader(open_tar_shards(url), seed=1, workers=2, buffer=8)
        assert sorted(seeds_of(in_workers, 30)) == list(range(30))
        in_workers.close()
        (folder / "index.json").unlink()
        with pytest.raises(ValueError, match=r"data: expected index\.json in http"):
            open_tar_shards(url)


class Redirecting(http.server.BaseHTTPRequestHandler):
    """Sends whoever asks for a file to `target`, and the file's name after it."""

    def __init__(self, *arguments: object, target: str) -> None:
        self.target = target
        super().__init__(*arguments)

    def _redirect(self) -> None:
        self.send_response(302)
        self.send_header("Location", f"{self.target}/{self.path.rsplit('/', 1)[-1]}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD = _redirect

    def log_message(self, *_: object) -> None:
        pass


def redirected(target: str):
    return answering(functools.partial(Redirecting, target=target))


def test_shards_that_have_moved_to_another_host_are_read_there(folder, monkeypatch):
    pytest.importorskip("aiohttp")
    monkeypatch.setattr(scene_shards, "FIRST_WAIT_S", 0.01)
    with served(folder) as there, redirected(there) as url:
        reader = SceneReader(open_tar_shards(url), seed=1, workers=0, buffer=8)
        assert seeds_of(reader, 30) == seeds_of(reader_of(folder), 30)


@pytest.mark.parametrize("target", ["file://{folder}", "ftp://127.0.0.1", ""])
def test_a_redirect_to_files_other_protocols_or_itself_is_refused(folder, monkeypatch, target):
    pytest.importorskip("aiohttp")
    monkeypatch.setattr(scene_shards, "FIRST_WAIT_S", 0.01)
    with redirected(target.format(folder=folder)) as url, pytest.raises(OSError, match=f"{url}/index.json: "):
        open_tar_shards(url)


def test_scene_folders_are_sampled_at_network_size(tmp_path):
    cast_scene = cast((Ball((-0.1, 0.0, 0.04), 0.04), Block((0.1, 0.0, 0.04), (0.07, 0.06, 0.08))), camera_ring(2))
    pose = torch.eye(4)
    pose[:3, 3] = torch.tensor([0.1, 0.0, 0.04])
    objects = (SceneObject(1, "ball", 0), SceneObject(2, "block", 1, OrientedBox(pose, torch.tensor([0.07, 0.06, 0.08]))))
    labels = LabelSpace.things(("ball", "block"))
    truth = SceneTruth(tuple(cast_scene.ids.long()), tuple(cast_scene.depth), objects, labels)
    scene = Scene("cast", tuple(cast_scene.views), truth, 0.0)
    for name in ("a", "b"):
        write_scene(tmp_path / name, scene)
    (tmp_path / "b" / "scene.json").write_text("{")
    shards = open_scene_folders(tmp_path, width=48, height=36)
    assert shards.kinds == ("ball", "block")
    reader = SceneReader(shards, seed=0, workers=0)
    record = reader.next()
    assert record.images.shape == (2, 36, 48, 3) and record.ids.max() <= MAX_OBJECTS
    assert set(np.unique(record.ids)) == {0, 1, 2} and record.kinds[1:4].tolist() == [0, 1, 255]
    assert (record.visible_pixels[1:3] > 0).all() and abs(record.box_size[2] - [0.07, 0.06, 0.08]).max() < 1e-6
    near = record.depth[record.ids > 0] * 1e-4
    assert near.min() > 0.3 and near.max() < 1.5
