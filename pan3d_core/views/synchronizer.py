"""Sets of views, one per camera, taken at nearly the same time. Pure Python: no ROS, no threads, no callbacks.

What it does that an approximate-time filter over all cameras does not: it delivers without a camera that has
died, always prefers the newest matching set, forgets everything when stamps jump back (a bag that starts
over), says why each view was dropped, and measures by how much cameras that never match are apart.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

# What a gap in which no camera sends counts at most towards the silence of each, as a share of the timeout: where the host was
# busy, or all cameras are slow, the one whose view comes first must not find all others dead.
GAP_SHARE = 0.25

COMPLETE, PARTIAL = "latest_complete", "latest_partial"


@dataclass(frozen=True)
class SyncRules:
    """When views of several cameras are one set."""

    slop_ns: int = 50_000_000  # largest difference between the oldest and the newest stamp of a set
    queue: int = 10  # views kept per camera
    min_cameras: int = 1  # smallest set that may be delivered
    policy: str = COMPLETE  # COMPLETE waits for every live camera, PARTIAL for min_cameras only
    camera_timeout_s: float = 2.0  # a camera silent for so long, while others send, is dead: sets are delivered without it
    jump_back_ns: int = 500_000_000  # a stamp so much older than its predecessor means that time started over

    def __post_init__(self) -> None:
        if self.policy not in (COMPLETE, PARTIAL):
            raise ValueError(f"SyncRules.policy: expected one of {[COMPLETE, PARTIAL]}, got '{self.policy}'")
        if self.queue < 1 or self.min_cameras < 1 or self.slop_ns < 0:
            raise ValueError(
                "SyncRules: expected queue >= 1, min_cameras >= 1 and slop_ns >= 0, got "
                f"{self.queue}, {self.min_cameras} and {self.slop_ns}"
            )


@dataclass(frozen=True)
class ViewSet(Generic[T]):
    """Items of one moment, in the order of the synchroniser's cameras."""

    cameras: tuple[str, ...]
    stamps_ns: tuple[int, ...]
    items: tuple[T, ...]
    missing: tuple[str, ...]  # cameras that were given up on

    @property
    def oldest_ns(self) -> int:
        return min(self.stamps_ns)

    @property
    def newest_ns(self) -> int:
        return max(self.stamps_ns)


class ViewSetSynchronizer(Generic[T]):
    """Feed `add`; it returns a set as soon as one is there. Each item is delivered at most once.

    `arrival_s` is a monotonic time of the host, used only to tell a dead camera from a camera whose clock is
    wrong: the first is left out, the second never is, because its pictures would be of another moment.
    """

    def __init__(self, cameras: Sequence[str], rules: SyncRules, time_offsets_ns: dict[str, int] | None = None) -> None:
        if not cameras or len(set(cameras)) != len(cameras):
            raise ValueError(f"cameras: expected unique names, at least one, got {list(cameras)}")
        if rules.min_cameras > len(cameras):
            raise ValueError(f"sync.min_cameras: expected at most the {len(cameras)} cameras, got {rules.min_cameras}")
        self.cameras = tuple(cameras)
        self.rules = rules
        self.drops: Counter[tuple[str, str]] = Counter()  # (camera, reason) -> number
        self.delivered = 0
        self.jumps = 0  # times that stamps jumped back
        self._offsets = dict.fromkeys(self.cameras, 0) | (time_offsets_ns or {})
        self._views: dict[str, deque[tuple[int, T]]] = {c: deque() for c in self.cameras}
        self._last_stamp: dict[str, int] = {}
        self._last_arrival: dict[str, float] = {}
        self._any_arrival_s = 0.0
        self._sending_s = 0.0  # for how long cameras have been sending
        self._last_sending_s: dict[str, float] = {}  # the same at the last view of each
        self._started_s: float | None = None
        self._delivered_s: float | None = None
        self._delivered_newest: int | None = None

    def reset(self, reason: str) -> None:
        """Forget all views and stamps, for instance because the clock jumped."""
        for camera, views in self._views.items():
            self.drops[camera, reason] += len(views)
            views.clear()
        self._last_stamp.clear()
        self._delivered_newest = None

    def add(self, camera: str, stamp_ns: int, item: T, arrival_s: float) -> ViewSet[T] | None:
        """Take one view; the newest complete set, when there is one now."""
        stamp_ns += self._offsets[camera]
        last = self._last_stamp.get(camera)
        if last is not None and last - stamp_ns > self.rules.jump_back_ns:
            self.reset("clock_jump")
            self.jumps += 1
        elif last is not None and stamp_ns <= last:
            self.drops[camera, "duplicate" if stamp_ns == last else "out_of_order"] += 1
            return None
        if self._started_s is None:
            self._started_s = self._any_arrival_s = arrival_s
        self._last_stamp[camera] = stamp_ns
        self._last_arrival[camera] = arrival_s
        self._sending_s += min(max(arrival_s - self._any_arrival_s, 0.0), GAP_SHARE * self.rules.camera_timeout_s)
        self._any_arrival_s, self._last_sending_s[camera] = arrival_s, self._sending_s
        views = self._views[camera]
        views.append((stamp_ns, item))
        if len(views) > self.rules.queue:
            views.popleft()
            self.drops[camera, "no_match"] += 1
        return self._take(arrival_s)

    def dead_cameras(self, now_s: float) -> tuple[str, ...]:
        """Cameras that have sent nothing for `camera_timeout_s` (or since the first view of any camera)."""
        if self._started_s is None:
            return ()
        return tuple(c for c in self.cameras if now_s - self._last_arrival.get(c, self._started_s) > self.rules.camera_timeout_s)

    def starved_s(self, now_s: float) -> float:
        """Seconds since the last set (or the first view); 0 before any view."""
        since = self._delivered_s if self._delivered_s is not None else self._started_s
        return 0.0 if since is None else now_s - since

    def observed_offset_ns(self) -> dict[str, int]:
        """Smallest stamp difference of each camera to the first camera that has views: where no set is ever
        delivered, this is the slop or the time offset that would be needed."""
        stamps = {c: [stamp for stamp, _ in tuple(self._views[c])] for c in self.cameras}  # copies: another thread may ask
        filled = [c for c in self.cameras if stamps[c]]
        return {c: min((s - r for s in stamps[c] for r in stamps[filled[0]]), key=abs) for c in filled[1:]}

    def _take(self, now_s: float) -> ViewSet[T] | None:
        silent_s = {c: self._sending_s - self._last_sending_s.get(c, 0.0) for c in self.cameras}
        wanted = [c for c in self.cameras if silent_s[c] <= self.rules.camera_timeout_s]
        required = self.rules.min_cameras if self.rules.policy == PARTIAL else max(self.rules.min_cameras, len(wanted))
        for newest in sorted({stamp for c in wanted for stamp, _ in self._views[c]}, reverse=True):
            if self._delivered_newest is not None and newest <= self._delivered_newest:
                return None  # a straggler of a moment that has been delivered without it
            found = {c: self._newest_within(c, newest) for c in wanted}
            chosen = [c for c in wanted if found[c] is not None]
            if len(chosen) >= required:
                return self._deliver(chosen, {c: found[c] for c in chosen}, now_s)  # type: ignore[misc]
        return None

    def _newest_within(self, camera: str, newest_ns: int) -> tuple[int, T] | None:
        """The view of `camera` that is closest before `newest_ns`, when it is within the slop."""
        for stamp, item in reversed(self._views[camera]):
            if stamp <= newest_ns:
                return (stamp, item) if newest_ns - stamp <= self.rules.slop_ns else None
        return None

    def _deliver(self, chosen: list[str], found: dict[str, tuple[int, T]], now_s: float) -> ViewSet[T]:
        """Remove the chosen views and everything older than them."""
        newest = max(stamp for stamp, _ in found.values())
        for camera, views in self._views.items():
            until = found[camera][0] if camera in found else newest - self.rules.slop_ns - 1
            while views and views[0][0] <= until:
                stamp, _ = views.popleft()
                if camera not in found or stamp != until:
                    self.drops[camera, "superseded"] += 1
        self.delivered += 1
        self._delivered_newest, self._delivered_s = newest, now_s
        return ViewSet(
            cameras=tuple(chosen),
            stamps_ns=tuple(found[c][0] for c in chosen),
            items=tuple(found[c][1] for c in chosen),
            missing=tuple(c for c in self.cameras if c not in found),
        )
