"""Fused surfaces stay bounded and get better; free space is what was looked through; worlds come back from files as they were."""

from dataclasses import replace

import pytest
import torch
from raycast_scene import Block, camera_ring
from remembered_scenes import remembered, seen, shown
from safetensors.torch import save_file

from pan3d_core.config import MemoryConfig
from pan3d_core.memory import ObjectState, Space, WorldMemory, read_world, write_world
from pan3d_core.memory.space import CELLS, PORTIONS
from pan3d_core.memory.surface import empty_surface, fuse
from pan3d_core.structures import to_device

BOX = Block((0.0, 0.0, 0.04), (0.1, 0.06, 0.08), 0.3)
OTHER = Block((0.1, 0.2, 0.03), (0.06, 0.06, 0.06), rgb=(0.8, 0.7, 0.1))


def test_a_surface_is_bounded_and_its_points_are_means():
    generator = torch.Generator().manual_seed(0)
    surface = empty_surface()
    for _ in range(30):
        points = torch.rand(2000, 3, generator=generator) * 0.1
        surface = fuse(surface, points, points * 10, 500)
        assert 50 < len(surface) <= 500
    assert int(surface.counts.min()) >= 1 and int(surface.counts.max()) == 30
    torch.testing.assert_close(surface.colors, surface.points * 10, rtol=0, atol=1e-4)  # the same means of both
    assert fuse(surface, torch.zeros(0, 3), torch.zeros(0, 3), 500) is surface


def test_a_cell_is_counted_once_for_each_view_set():
    points = torch.tensor([[0.0101, 0.0, 0.0], [0.0102, 0.0, 0.0], [0.05, 0.0, 0.0]])
    surface = fuse(empty_surface(), points, points, 10)
    assert surface.counts.tolist() == [1, 1]
    assert fuse(surface, points[:1], points[:1], 10).counts.tolist() == [2, 1]


def test_places_and_sides_of_a_still_object_get_better_with_views():
    truth, memory, errors = torch.tensor(BOX.center), WorldMemory(), []
    ring = camera_ring(16, arc_deg=337.5)
    for step in range(16):
        pair = ring[[step, (step + 5) % 16]]
        ids = shown(memory, [BOX], float(step), cameras=pair, noise_m=0.006)
        item = remembered(memory, ids[0])
        errors.append(float((item.segment.box.world_from_box[:3, 3] - truth).norm()))  # of this step alone
    assert ids == [1] and item.rest.count == 16 and item.sightings == 16
    assert float((item.rest.center_m - truth).norm()) < 0.7 * sum(errors) / len(errors)
    assert item.unseen_share == 0.0
    first = WorldMemory()
    shown(first, [BOX], 0.0, cameras=ring[:1])
    assert remembered(first, 1).unseen_share == 7 / 8
    assert float(item.rest.spread_m.max()) < 0.02
    assert len(item.surface) > 1.5 * len(remembered(first, 1).surface)


def test_a_surface_that_was_seen_often_is_renewed_now_and_then_and_at_once_from_a_new_side():
    memory, ring = WorldMemory(), camera_ring(16, arc_deg=337.5)
    counts = []
    for step in range(20):
        shown(memory, [BOX], float(step), cameras=ring[:2])
        counts.append(int(remembered(memory, 1).surface.counts.max()))
    assert counts[:8] == list(range(1, 9)) and counts[8:] == [9 + k // 4 for k in range(12)]
    shown(memory, [BOX], 20.0, cameras=ring[8:10])
    assert int(remembered(memory, 1).surface.counts.sum()) > 0 and remembered(memory, 1).unseen_share < 0.8


def test_a_partly_hidden_object_has_not_moved():
    memory = WorldMemory()
    long = Block((0.0, 0.0, 0.03), (0.06, 0.24, 0.06))
    (one,) = shown(memory, [long], 0.0)
    screen = Block((0.1, 0.12, 0.15), (0.02, 0.2, 0.3), rgb=(0.3, 0.3, 0.3))
    assert shown(memory, [long, screen], 1.0, overlooked=[1]) == [one]
    item = remembered(memory, one)
    assert item.state is ObjectState.VISIBLE and len(item.history) == 1


def test_what_is_looked_through_is_free_what_is_behind_is_unknown():
    memory = WorldMemory(config=MemoryConfig(space_cell_m=0.02))
    wall = Block((0.0, 0.0, 0.15), (0.04, 0.4, 0.3))
    for step in range(16):
        memory.update(*seen([wall], float(step), cameras=camera_ring(2, arc_deg=10.0)))
    points = torch.tensor([[0.2, 0.0, 0.1], [0.02, 0.0, 0.15], [-0.1, 0.0, 0.05], [9.0, 0.0, 0.0]])
    assert memory.space.at(points).tolist() == [Space.FREE, Space.OCCUPIED, Space.UNKNOWN, Space.UNKNOWN]
    for step in range(16, 64):  # the wall is taken away
        memory.update(*seen([], float(step), cameras=camera_ring(2, arc_deg=10.0)))
    assert memory.space.at(points).tolist() == [Space.FREE, Space.FREE, Space.FREE, Space.UNKNOWN]
    free = memory.space.cells(Space.FREE)
    assert len(free) > 1000 and (memory.space.at(free) == Space.FREE).all()
    memory.reset()
    assert memory.space.at(points).tolist() == [Space.UNKNOWN] * 4 and not len(memory.space.cells(Space.FREE))


def test_a_world_comes_back_from_its_file(tmp_path):
    memory = WorldMemory()
    box, other = shown(memory, [BOX, OTHER], 5.0)
    shown(memory, [OTHER], 6.0)
    path = tmp_path / "worlds" / "table.safetensors"
    write_world(path, memory.world)
    world = read_world(path, "world")
    assert world.stamp_ns == memory.world.stamp_ns and len(world.objects) == 2
    for ours, theirs in zip(memory.world.objects, world.objects):
        for name in ("instance_id", "state", "reason", "name", "sightings", "sides", "history", "first_seen_ns", "last_seen_ns"):
            if name != "state":
                assert getattr(ours, name) == getattr(theirs, name), name
        torch.testing.assert_close(theirs.surface.points, ours.surface.points, rtol=0, atol=0)
        torch.testing.assert_close(theirs.box.world_from_box, ours.box.world_from_box, rtol=0, atol=0)
    restarted = WorldMemory()
    restarted.use_world(world)
    assert shown(restarted, [OTHER], 0.0) == [other]  # of a clock that began again
    assert remembered(restarted, box).state is ObjectState.UNCERTAIN
    shown(restarted, [OTHER], 1.0)
    shown(restarted, [OTHER], 2.0)
    assert remembered(restarted, box).state is ObjectState.GONE
    assert shown(restarted, [OTHER, Block((-0.1, -0.2, 0.02), (0.04, 0.04, 0.04), rgb=(0.9, 0.2, 0.9))], 3.0) == [
        other,
        other + 1,
    ]


def test_files_of_other_frames_versions_and_kinds_are_refused(tmp_path, caplog):
    memory = WorldMemory()
    shown(memory, [BOX], 0.0)
    path = tmp_path / "a.safetensors"
    write_world(path, memory.world)
    with pytest.raises(ValueError, match=r"a\.safetensors: world_frame_id: expected 'map', got 'world'"):
        read_world(path, "map")
    with pytest.raises(FileNotFoundError, match="world: expected a file, got .*none"):
        read_world(tmp_path / "none.safetensors")
    data = path.read_bytes()
    for place in (len(data) // 2, len(data) - 5):
        damaged = tmp_path / "b.safetensors"
        damaged.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(ValueError, match=r"b\.safetensors"):
            read_world(damaged)
    (tmp_path / "c.safetensors").write_bytes(data[:1000])
    with pytest.raises(ValueError, match="complete safetensors file"):
        read_world(tmp_path / "c.safetensors")
    save_file({"x": torch.zeros(1)}, tmp_path / "d.safetensors")
    with pytest.raises(ValueError, match="format: expected 'pan3d-world', got None"):
        read_world(tmp_path / "d.safetensors")
    for number, (facts, words) in enumerate(
        [('{"version": 2}', "version: expected 1, got 2"), ("[]", "expected a remembered world"), ("{", "e.*safetensors")]
    ):
        file = tmp_path / f"e{number}.safetensors"
        save_file({"x": torch.zeros(1)}, file, {"format": "pan3d-world", "world": facts})
        with pytest.raises(ValueError, match=words):
            read_world(file)
    other = WorldMemory()
    other.use_world(replace(memory.world, world_frame_id="map"))
    assert shown(other, [BOX], 0.0) == [1]
    assert "world_frame_id: expected 'world', got 'map'" in caplog.text


def test_without_a_map_of_space_there_is_none():
    memory = WorldMemory(config=MemoryConfig(space_cell_m=0.0))
    shown(memory, [BOX], 0.0)
    assert not len(memory.space.cells(Space.FREE)) and memory.space.at(torch.zeros(1, 3)).tolist() == [Space.UNKNOWN]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_results_of_a_gpu_are_remembered_on_the_cpu():
    memory, plain = WorldMemory(), WorldMemory()
    for step in range(3):
        panoptic, found = seen([BOX, OTHER], float(step))
        segments = tuple(replace(to_device(item, "cuda"), box=to_device(item.box, "cuda")) for item in panoptic.segments)
        renamed = memory.update(replace(to_device(panoptic, "cuda"), segments=segments), to_device(found, "cuda"))
        assert renamed.instance_id.is_cuda and renamed.segments[0].centroid.is_cuda
        assert [item.instance_id for item in renamed.segments] == shown(plain, [BOX, OTHER], float(step))
    assert all(not item.surface.points.is_cuda and not item.rest.center_m.is_cuda for item in memory.world.objects)


def test_the_grid_is_what_is_known_of_each_cell_and_from_above_the_worst_counts():
    memory = WorldMemory(config=MemoryConfig(space_cell_m=0.02))
    assert memory.space.grid() is None
    for step in range(PORTIONS):
        shown(memory, [BOX], float(step))
    grid = memory.space.grid()
    assert grid.states.shape == CELLS and grid.cell_m == 0.02
    for kind in Space:
        torch.testing.assert_close(grid.centers()[grid.states.view(-1) == kind], memory.space.cells(kind))
    assert (grid.states.view(-1) == memory.space.at(grid.centers())).all()

    low, high = 0.03, 0.15
    seen_above, middles = grid.from_above(low, high), grid.centers().view(*CELLS, 3)[0, 0, :, 2]
    layers = grid.states[:, :, (middles >= low) & (middles <= high)]
    column = tuple(((torch.tensor([0.0, 0.0]) - grid.origin[:2]) / 0.02).long().tolist())
    assert seen_above[column] == Space.OCCUPIED  # the box
    assert ((seen_above == Space.FREE) == (layers == Space.FREE).all(-1)).all() and (seen_above == Space.FREE).any()
    assert ((seen_above == Space.OCCUPIED) == (layers == Space.OCCUPIED).any(-1)).all()
    assert (grid.from_above(5.0, 6.0) == Space.UNKNOWN).all()  # nothing is known of what is outside
