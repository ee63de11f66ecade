"""`pan3d bench memory`: truth is what its pictures show, and a memory that loses ids or states is told."""

import pytest
import torch

from pan3d_core.config import MemoryConfig
from pan3d_core.memory import WorldMemory
from pan3d_tools.bench.memory import stream
from pan3d_tools.bench.memory.stream import Judgement, run, watched
from pan3d_tools.bench.memory.table import MIN_PIXELS, Rates, Table


@pytest.mark.slow
def test_ids_and_states_of_a_busy_table():
    found = run(["--steps", "300", "--objects", "6", "--seed", "1"])
    assert found["object_steps"] > 500 and found["things"] > 5
    assert found["switches_per_1000_object_steps"] <= 4.0  # one by chance is 2
    assert found["states_right"] >= 0.95
    judged = found["states_judged_by_kind"]
    assert judged["away"] > 30 and judged["seen"] > 500 and judged["hidden"] > 0
    assert found["step"]["p50_ms"] > 0 and len(found["step"]["slopes_per_1000_steps"]["rss_mb"]) == 3


@pytest.mark.slow
def test_a_memory_that_looks_at_places_alone_is_told(monkeypatch):
    class Forgetful(WorldMemory):
        def __init__(self) -> None:
            super().__init__(config=MemoryConfig(min_likeness=1.0, gone_after=1000))

    monkeypatch.setattr(stream, "WorldMemory", Forgetful)
    found = watched(Table(1, 6, Rates()), 300)
    assert found["switches_per_1000_object_steps"] > 6.0
    assert found["states_right_by_kind"]["away"] < 0.5


def test_what_is_found_is_in_the_picture_and_what_is_hidden_is_not():
    table, hidden_once = Table(3, 8, Rates(arm=0.5, missed=0.0)), 0
    for _ in range(60):
        table.advance()
        panoptic, seen, found, hidden = table.look()
        assert set(found) | hidden == {thing.number for thing in table.on_table} and not set(found) & hidden
        for number, segment_id in found.items():
            mine = panoptic.instance_id == segment_id
            assert int(mine.sum()) >= MIN_PIXELS
            thing = table.things[number]
            away = seen.world_points[mine] - torch.tensor(thing.center)
            assert float(away.norm(dim=-1).median()) < 0.5 * float(torch.tensor(thing.size).norm()) + 0.01
        hidden_once += bool(hidden)
    assert hidden_once > 0


def test_switches_are_counted_over_absences():
    judgement = Judgement()
    for found in ({1: 7, 2: 8}, {2: 8}, {1: 9, 2: 8}, {1: 9, 2: 7}):
        judgement.take(found)
    assert (judgement.object_steps, judgement.switches) == (7, 2)


def test_too_few_steps_are_refused():
    with pytest.raises(ValueError, match="--steps: expected at least 40, got 3"):
        run(["--steps", "3"])
