"""Shards of training data: scenes by seed, formats, interruption, full disks, several processes."""

import json
import os
import resource
import signal
import subprocess
import sys
import tarfile
import time
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from pan3d_eval.datasets.scenes import find_scenes
from pan3d_sim.data.bank import SCENES_PER_BANK, SceneStream
from pan3d_sim.data.scene_records import (
    FIRST_HELD_OUT_SEED,
    DamagedScene,
    SceneRecord,
    ShardRange,
    decode_record,
    encode_record,
)
from pan3d_sim.data.shard_rendering import RenderingStopped, RenderPlan, render_data_set
from pan3d_sim.data.shards import SceneSettings, record_scene, shard_ranges
from pan3d_sim.objects.kinds import HELD_OUT_KINDS, KINDS

SMALL = SceneSettings(num_views=2, width=36, height=28)
FIRST = SCENES_PER_BANK - 2  # so that four scenes need two banks


def files_of(folder: Path) -> dict[str, bytes]:
    """All files below a folder, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def plan(out: Path, **changes: object) -> RenderPlan:
    return RenderPlan(**{"out": out, "first_seed": FIRST, "count": 4, "settings": SMALL, "shard_size": 2, **changes})


def command(out: Path, *more: str) -> list[str]:
    options = ["--shards", "--seed", FIRST, "--count", 4, "--shard-size", 2, "--cameras", 2, "--size", "36x28", "-o", out, *more]
    return [sys.executable, "-m", "pan3d_tools.cli", "sim", "render", *map(str, options)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "data"
    assert render_data_set(plan(out)) == []
    return out


@pytest.fixture(scope="module")
def record() -> SceneRecord:
    with SMALL.stream() as stream:
        return record_scene(FIRST, stream.render(FIRST), SMALL.kinds)


def assert_same(a: SceneRecord, b: SceneRecord) -> None:
    for item in fields(SceneRecord):
        left, right = getattr(a, item.name), getattr(b, item.name)
        assert np.array_equal(left, right) and np.asarray(left).dtype == np.asarray(right).dtype, item.name


def test_a_scene_depends_on_its_seed_alone(record):
    with SMALL.stream() as stream:
        after_others = [stream.render(seed) for seed in (FIRST + 1, FIRST + 2, FIRST)][-1]
    assert_same(record, record_scene(FIRST, after_others, SMALL.kinds))
    with SMALL.stream() as stream:
        assert not np.array_equal(stream.render(FIRST + 1).images, record.images)
        with pytest.raises(ValueError, match="seed: expected 0 or more"):
            stream.render(-1)


def test_shards_cover_the_seeds_once_and_never_cross_into_the_held_out_ones():
    ranges = shard_ranges(400, 500, 200)
    assert [len(item.seeds) for item in ranges] == [200, 200, 100] and ranges[0].name == "scenes_00000400-00000599"
    assert all(ShardRange.parse(f"{item.name}.tar") == item for item in ranges) and ShardRange.parse("notes") is None
    with pytest.raises(ValueError, match="expected seeds below 1000000"):
        shard_ranges(FIRST_HELD_OUT_SEED - 1, 2, 200)


def test_a_shard_holds_what_was_rendered(whole, record):
    shard = whole / ShardRange(FIRST, FIRST + 1).name
    arrays = {path.stem: np.load(path) for path in shard.glob("*.npy")}
    assert arrays["seeds"].tolist() == [FIRST, FIRST + 1]
    for name in {item.name for item in fields(SceneRecord)} - {"seed"}:
        assert np.array_equal(arrays[name][0], getattr(record, name)), name
    facts = json.loads((shard / "vocabulary.json").read_text())
    assert facts["kinds"] == list(KINDS) and facts["seed"] == FIRST and facts["scenes"] == 2
    for k in range(1, len(record.kinds)):
        present = record.kinds[k] != 255
        assert present == (record.visible_pixels[k].sum() > 0) == (record.box_size[k].min() > 0)


def test_boxes_hold_the_visible_points_of_their_objects(record):
    for view in range(record.num_views):
        rows, columns = np.nonzero(record.ids[view])
        depth = record.depth[view][rows, columns] * 1e-4
        points_cam = np.linalg.solve(record.intrinsics[view], np.stack([columns, rows, np.ones(len(rows))])) * depth
        points = np.linalg.inv(record.cam_from_world[view]) @ np.vstack([points_cam, np.ones(len(rows))])
        for k in np.unique(record.ids[view][rows, columns]):
            mine = record.ids[view][rows, columns] == k
            in_box = (np.linalg.inv(record.world_from_box[k]) @ points[:, mine])[:3].T
            assert (np.abs(in_box) <= record.box_size[k] / 2 + 0.003).all(1).mean() > 0.98


def test_evaluation_reads_shards_with_boxes_and_names(whole):
    scenes = list(find_scenes([whole]))
    assert [scene.name for scene in scenes][:2] == [f"{ShardRange(FIRST, FIRST + 1).name}/{row}" for row in range(2)]
    for item in scenes[0].truth.objects:
        color, kind = item.name.split()
        assert kind == KINDS[item.class_id] and color and item.box.size_m.max() < 0.3
        assert sum(int((ids == item.instance_id).sum()) for ids in scenes[0].truth.instance_ids) > 0


def test_held_out_kinds_have_their_own_data(tmp_path):
    settings = SceneSettings("held-out", num_views=1, width=36, height=28)
    render_data_set(plan(tmp_path, settings=settings, first_seed=1_500_000, count=1))
    scene = next(find_scenes([tmp_path]))
    assert scene.truth.labels.names == HELD_OUT_KINDS and scene.truth.objects
    with pytest.raises(ValueError, match="out: expected data with settings"):
        render_data_set(plan(tmp_path, first_seed=1_600_000, count=1))


def test_tar_members_decode_to_the_same_scene(record):
    assert_same(decode_record(encode_record(record)), record)
    for image_format in ("jpg", "webp"):
        lossy = decode_record(encode_record(record, image_format))
        assert np.abs(lossy.images.astype(int) - record.images).mean() < 8 and np.array_equal(lossy.depth, record.depth)


def damaged(members: dict, **changes: bytes | None) -> dict:
    return {name: value for name, value in {**members, **changes}.items() if value is not None}


def test_damage_is_named(record):
    members = encode_record(record)
    facts = json.loads(members["json"])
    cases = {
        r"depth1\.png: missing": damaged(members, **{"depth1.png": None}),
        r"image0\.png: ": damaged(members, **{"image0.png": members["image0.png"][:200]}),
        r"ids0\.png: expected a picture": damaged(members, **{"ids0.png": b"no picture"}),
        r"ids1\.png: expected 2 axes of uint8": damaged(members, **{"ids1.png": members["depth1.png"]}),
        "json: missing": damaged(members, json=None),
        "json: ": damaged(members, json=b"{"),
        "KeyError: 'kind'": damaged(members, json=json.dumps(facts | {"objects": [{"id": 1}]}).encode()),
        "cannot reshape": damaged(members, json=json.dumps(facts | {"intrinsics": [[1.0]]}).encode()),
        "ids: expected only objects that json lists": damaged(members, json=json.dumps(facts | {"objects": []}).encode()),
    }  # fmt: skip
    for reason, broken in cases.items():
        with pytest.raises(DamagedScene, match=reason):
            decode_record(broken)


def test_a_complete_data_set_is_not_rendered_again(whole):
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*.npy")}
    seen = []
    render_data_set(plan(whole), report=seen.append)
    assert {path: path.stat().st_mtime_ns for path in whole.rglob("*.npy")} == before
    assert (seen[-1].done, seen[-1].total) == (4, 4)
    with pytest.raises(ValueError, match="out: expected no other scenes with seeds"):
        render_data_set(plan(whole, shard_size=4))


def test_two_parts_give_what_one_gives(whole, tmp_path):
    for k in (1, 2):
        render_data_set(plan(tmp_path / "parts", part=(k, 2)))
        assert len(list((tmp_path / "parts").glob("scenes_*"))) == k
    assert files_of(tmp_path / "parts") == files_of(whole)
    with pytest.raises(ValueError, match="part: expected k/n"):
        plan(tmp_path, part=(3, 2))


@pytest.mark.slow
def test_two_workers_give_what_one_process_gives(whole, tmp_path):
    render_data_set(plan(tmp_path / "workers"), workers=2)
    assert files_of(tmp_path / "workers") == files_of(whole)


@pytest.mark.slow
@pytest.mark.parametrize("shard_format", ["arrays", "tar"])
def test_a_killed_run_goes_on_to_the_same_bytes(shard_format, whole, tmp_path):
    out = tmp_path / "data"
    process = subprocess.Popen(command(out, "--format", shard_format, "--workers", "1"), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(out.glob(".scenes_*.part")) and time.monotonic() < deadline:
        time.sleep(0.01)
    if shard_format == "tar":
        while not list(out.glob(".scenes_*.part/shard.tar")) and time.monotonic() < deadline:
            time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert list(out.glob(".scenes_*.part")), "the run ended before it could be killed"
    assert render_data_set(plan(out, shard_format=shard_format)) == []
    assert not list(out.glob(".*"))
    if shard_format == "arrays":
        assert files_of(out) == files_of(whole)
    else:
        render_data_set(plan(tmp_path / "again", shard_format="tar"))
        assert files_of(out) == files_of(tmp_path / "again")
        with tarfile.open(next(out.glob("*.tar"))) as tar:
            names = tar.getnames()
        assert names[0] == f"{FIRST:08d}.image0.png" and names[6] == f"{FIRST:08d}.json" and len(names) == 14


@pytest.mark.slow
def test_a_full_disk_ends_with_a_message_and_leaves_complete_shards_alone(whole, tmp_path):
    out = tmp_path / "data"
    render_data_set(plan(out, count=2))
    complete = files_of(out)

    def no_large_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))

    done = subprocess.run(command(out, "--workers", "1"), preexec_fn=no_large_files, capture_output=True, text=True)
    assert done.returncode == 2 and "no room left; 1 of 2 shards are complete" in done.stderr
    assert files_of(out) == complete and not list(out.glob(".*"))
    assert render_data_set(plan(out)) == [] and files_of(out) == files_of(whole)


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RenderingStopped, match="0 of 2 shards are complete"):
        render_data_set(plan(tmp_path / "file"))


def test_options_of_folders_and_shards_are_not_mixed(capsys, tmp_path):
    from pan3d_tools.cli import main

    assert main(["sim", "render", "--shards", "--objects", "3", "-o", str(tmp_path)]) == 2
    assert main(["sim", "render", "--part", "1/2", "-o", str(tmp_path)]) == 2
    assert main(["sim", "render", "--shards", "--part", "2", "-o", str(tmp_path)]) == 2
    errors = capsys.readouterr().err
    assert "--objects: expected only without --shards" in errors and "--part: expected only together with --shards" in errors
    assert "--part: expected K/N such as 2/8, got '2'" in errors


def test_views_of_a_shard_reproject_into_each_other():
    with SceneStream(num_views=4) as stream:
        scene = record_scene(7, stream.render(7), KINDS)
    height, width = scene.depth.shape[1:]
    near = (scene.depth[1] > 1000) & (scene.depth[1] < 20000)
    rows, columns = np.nonzero(near)
    points_cam = np.linalg.solve(scene.intrinsics[1], np.stack([columns, rows, np.ones(len(rows))])) * scene.depth[1][near] * 1e-4
    points = np.linalg.inv(scene.cam_from_world[1]) @ np.vstack([points_cam, np.ones(len(rows))])
    seen = (scene.cam_from_world[0] @ points)[:3]
    x, y = np.round((scene.intrinsics[0] @ seen / seen[2])[:2]).astype(int)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    error = np.abs(scene.depth[0][y[inside], x[inside]] * 1e-4 - seen[2][inside])
    assert np.median(error) < 0.004
    assert (scene.ids[0][y[inside], x[inside]] == scene.ids[1][near][inside]).mean() > 0.85
