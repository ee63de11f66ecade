"""View sets: properties that hold for any stream, and the cases that break other synchronisers."""

import numpy as np
import pytest

from pan3d_core.views.synchronizer import PARTIAL, SyncRules, ViewSetSynchronizer

MS = 1_000_000


def play(sync, events):
    """Feed (arrival_s, camera, stamp_ns); the sets that came out."""
    return [s for arrival, camera, stamp in events if (s := sync.add(camera, stamp, (camera, stamp), arrival)) is not None]


def steady(cameras, count=20, period_ms=100, jitter_ms=0, start_ms=0, start_s=0.0, rng=None):
    """Cameras that take pictures together, with jitter of stamp and order."""
    events = []
    for index in range(count):
        order = list(cameras) if rng is None else list(rng.permutation(list(cameras)))
        for k, camera in enumerate(order):
            jitter = 0 if rng is None else int(rng.integers(0, jitter_ms * MS + 1))
            events.append(
                (start_s + index * period_ms / 1000 + k * 0.001, str(camera), (start_ms + index * period_ms) * MS + jitter)
            )
    return events


@pytest.mark.parametrize("seed", range(30))
def test_properties_of_random_streams(seed):
    rng = np.random.default_rng(seed)
    cameras = [f"c{i}" for i in range(rng.integers(1, 6))]
    rules = SyncRules(
        slop_ns=int(rng.integers(1, 80)) * MS,
        queue=int(rng.integers(1, 12)),
        min_cameras=int(rng.integers(1, len(cameras) + 1)),
        policy=str(rng.choice(["latest_complete", "latest_partial"])),
        camera_timeout_s=float(rng.uniform(0.2, 3)),
    )
    sync = ViewSetSynchronizer(cameras, rules)
    events, clock = [], dict.fromkeys(cameras, 0)
    for step in range(300):
        camera = str(rng.choice(cameras))
        clock[camera] = max(0, clock[camera] + int(rng.normal(60, 60)) * MS)
        if rng.random() < 0.01:
            clock = dict.fromkeys(cameras, 0)
        events.append((step * 0.02, camera, clock[camera]))
    sets, jumps, newest = [], 0, -1
    for arrival, camera, stamp in events:
        found = sync.add(camera, stamp, (camera, stamp), arrival)
        if sync.jumps > jumps:
            jumps, newest = sync.jumps, -1
        if found is None:
            continue
        sets.append(found)
        assert found.newest_ns - found.oldest_ns <= rules.slop_ns
        assert len(found.cameras) >= rules.min_cameras
        assert set(found.cameras) | set(found.missing) == set(cameras)
        assert all(item == (c, s) for item, c, s in zip(found.items, found.cameras, found.stamps_ns))
        assert found.newest_ns > newest, "time went back without a jump"
        newest = found.newest_ns
    assert sync.delivered == len(sets)
    # Nothing is lost without being counted.
    delivered = sum(len(s.cameras) for s in sets)
    waiting = sum(len(views) for views in sync._views.values())
    assert delivered + sum(sync.drops.values()) + waiting == len(events)


@pytest.mark.parametrize("seed", range(5))
def test_every_moment_is_delivered_when_all_is_well(seed):
    rng = np.random.default_rng(seed)
    cameras = ("a", "b", "c", "d")
    sync = ViewSetSynchronizer(cameras, SyncRules(slop_ns=40 * MS))
    sets = play(sync, steady(cameras, jitter_ms=30, rng=rng))
    assert len(sets) == 20
    assert all(not s.missing for s in sets)
    assert not sync.drops


def test_a_dead_camera_does_not_stop_the_others():
    sync = ViewSetSynchronizer(("a", "b", "c"), SyncRules(camera_timeout_s=0.5))
    play(sync, steady(("a", "b", "c"), count=5))
    later = play(sync, steady(("a", "b"), count=20, start_ms=500, start_s=0.5))
    assert sync.dead_cameras(2.4) == ("c",)
    assert later and all(s.missing == ("c",) for s in later)
    assert len(later) >= 14  # all but those of the first half second
    # It comes back and is part of the sets at once.
    again = play(sync, steady(("a", "b", "c"), count=3, start_ms=2500, start_s=2.5))
    assert again[-1].missing == ()


@pytest.mark.parametrize("cameras", [4, 5], ids=["all there", "one never present"])
def test_after_a_pause_of_the_host_no_living_camera_is_taken_for_dead(cameras):
    living = ["a", "b", "c", "d"]
    sync = ViewSetSynchronizer([*living, "ghost"][:cameras], SyncRules())
    pauses = [0.5] * 10 + [2.3] + [0.5] * 4 + [2.1, 2.6] + [0.5] * 3  # s between the moments, as they arrive
    arrivals = [sum(pauses[: number + 1]) for number in range(len(pauses))]
    events = [(arrival + 0.01 * i, c, round(arrival * 1000) * MS) for arrival in arrivals for i, c in enumerate(living)]
    sets = play(sync, events)
    assert len(sets) > 10
    assert {found.cameras for found in sets} == {tuple(living)}


def test_a_slow_rig_gives_up_on_a_camera_that_is_not_there_and_on_no_other():
    sync = ViewSetSynchronizer(["a", "b", "ghost"], SyncRules(slop_ns=1000 * MS))
    sets = play(sync, [(3.0 * moment + 0.1 * i, c, 3000 * moment * MS) for moment in range(9) for i, c in enumerate("ab")])
    assert {found.cameras for found in sets} == {("a", "b")}


def test_a_camera_with_a_wrong_clock_is_not_left_out_silently():
    sync = ViewSetSynchronizer(("a", "b"), SyncRules())
    events = []
    for index in range(30):
        events += [(index * 0.1, "a", index * 100 * MS), (index * 0.1, "b", (index * 100 + 3_600_000) * MS)]
    assert play(sync, events) == []
    assert sync.dead_cameras(3.0) == ()
    assert sync.starved_s(3.0) == pytest.approx(3.0)
    assert abs(sync.observed_offset_ns()["b"] - 3_600_000 * MS) <= 1000 * MS
    assert sync.drops["a", "no_match"] == 20
    # With the right offset the same stream matches.
    mended = ViewSetSynchronizer(("a", "b"), SyncRules(), {"b": -3_600_000 * MS})
    assert len(play(mended, events)) == 30


def test_clock_jumping_back_costs_one_set_at_most():
    sync = ViewSetSynchronizer(("a", "b"), SyncRules())
    first = play(sync, steady(("a", "b"), count=10, start_ms=100_000))
    second = play(sync, steady(("a", "b"), count=10, start_s=1.0))
    assert len(first) == 10
    assert len(second) >= 9
    assert sync.jumps >= 1
    assert all(s.newest_ns < 2_000 * MS for s in second)


@pytest.mark.parametrize(("back_ns", "jumps"), [(0, 0), (1, 0), (500 * MS, 0), (500 * MS + 1, 1)])
def test_stamps_that_go_back_by_more_than_the_limit_are_a_jump(back_ns, jumps):
    sync = ViewSetSynchronizer(["a"], SyncRules())
    assert len(play(sync, [(0.0, "a", 10_000 * MS)])) == 1
    assert len(play(sync, [(0.1, "a", 10_000 * MS - back_ns)])) == jumps
    assert sync.jumps == jumps
    assert sync.drops["a", "out_of_order"] == (back_ns > 0 and not jumps)
    assert sync.drops["a", "duplicate"] == (back_ns == 0)


def test_small_disorder_is_dropped_not_taken_for_a_jump():
    sync = ViewSetSynchronizer(("a",), SyncRules())
    play(sync, [(0.0, "a", 100 * MS), (0.1, "a", 80 * MS), (0.2, "a", 100 * MS), (0.3, "a", 200 * MS)])
    assert sync.drops == {("a", "out_of_order"): 1, ("a", "duplicate"): 1}
    assert (sync.delivered, sync.jumps) == (2, 0)


def test_the_newest_complete_set_wins():
    sync = ViewSetSynchronizer(("a", "b"), SyncRules())
    for index in range(5):
        assert sync.add("a", index * 100 * MS, index, index * 0.1) is None
    found = sync.add("b", 400 * MS, "b", 0.5)
    assert found.items == (4, "b")
    assert sync.drops["a", "superseded"] == 4


def test_partial_policy_takes_what_is_there():
    sync = ViewSetSynchronizer(("a", "b", "c"), SyncRules(policy=PARTIAL, min_cameras=2))
    assert sync.add("a", 0, "a", 0.0) is None
    assert sync.add("b", 1 * MS, "b", 0.0).cameras == ("a", "b")
    assert sync.add("c", 1 * MS, "c", 0.0) is None  # a straggler makes no second set of the same moment


def test_reset_forgets_and_counts():
    sync = ViewSetSynchronizer(("a", "b"), SyncRules())
    sync.add("a", 5_000 * MS, "a", 0.0)
    sync.reset("clock_jump")
    assert sync.drops["a", "clock_jump"] == 1
    assert sync.add("a", 1 * MS, "a", 0.1) is None
    assert sync.add("b", 1 * MS, "b", 0.1) is not None


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: ViewSetSynchronizer((), SyncRules()), "cameras: expected unique names, at least one"),
        (lambda: ViewSetSynchronizer(("a", "a"), SyncRules()), "cameras: expected unique names"),
        (lambda: ViewSetSynchronizer(("a",), SyncRules(min_cameras=2)), "sync.min_cameras: expected at most the 1"),
        (lambda: SyncRules(policy="first"), "SyncRules.policy: expected one of"),
        (lambda: SyncRules(queue=0), "queue >= 1"),
    ],
)
def test_impossible_rules_are_refused(make, text):
    with pytest.raises(ValueError, match=text):
        make()
