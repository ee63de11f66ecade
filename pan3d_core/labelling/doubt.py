"""What of a refined scene may be called known: objects that proposers agree on, and table where nobody saw an object."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from pan3d_core.labelling.proposals import MIN_PIXELS, OBJECT, Proposal
from pan3d_core.settings import SHARE, Checked, setting

SAME = 0.5  # IoU above which a proposer's mask of a view shows the object that the map shows there
THING = "thing"  # what nobody has a name for
THIN = "too thin for the noise of depth: hardly a pixel of it lies inside"
CRUMB = "it may be a part of the thing beside it"
MOVED = "other views see through it: it was moved, or it is none"


@dataclass(frozen=True)
class DoubtRules(Checked):
    """From when on an object is taken for one."""

    confirmed: float = setting(0.3, "share of its views in which each of two proposers must see an object", range=SHARE)
    alone: float = setting(
        0.6,
        "share of its views in which a proposer must see it that is the only one, or that goes by other views",
        range=SHARE,
    )
    moved: float = setting(0.3, "share of its pixels at which it is not there in other views", range=SHARE)
    named: float = setting(0.5, "share of the views with a name that must agree on it", range=SHARE)
    core: float = setting(0.3, "share of its pixels that lie inside, not at its outline, unless two proposers agree", range=SHARE)
    rival: float = setting(0.3, "share of the views from which on a second taught name is a contradiction", range=SHARE)


@dataclass(frozen=True)
class MapViews:
    """What a map of the scene shows in V views."""

    semantic_id: Tensor  # (V, H, W) int64 in `CLASSES`, -1 = nothing
    instance_id: Tensor  # (V, H, W) int64, 0 = none; ids hold in all views
    crumbs: frozenset[int] = frozenset()  # ids of what may be a part of the thing beside it


@dataclass(frozen=True)
class Verdicts:
    """What is taken for known, and what not."""

    names: dict[int, str]  # id -> name of the objects that are sure
    doubted: dict[int, str]  # id -> why, of the others
    void: Tensor  # (V, H, W) bool


@dataclass(frozen=True)
class _Sightings:
    """How often an object is shown, seen and named."""

    shown: int  # views
    seen: dict[str, int]  # proposer -> views in which it sees the object
    core: float  # share of its pixels whose neighbours are all its own
    crumb: bool  # it may be a part of another one
    by_others: frozenset[str]  # proposers that know of a view by other views alone
    names: Counter[str] = field(default_factory=Counter)  # of proposers that name things
    taught: Counter[str] = field(default_factory=Counter)


def verdicts(
    shown: MapViews,
    proposals: Sequence[Proposal],
    recognised: Sequence[Mapping[int, str]],
    rules: DoubtRules | None = None,
    moved: Tensor | None = None,
) -> Verdicts:
    """Decide what of a refined scene is known.

    Args:
        shown: What the map shows.
        proposals: At least one, of the same views.
        recognised: Per view, the map's ids that were recognised there as taught objects, with their names.
        rules: None = the defaults.
        moved: (V, H, W) bool, what stands in a view where others see through it; None = nobody looked.

    Returns:
        Objects with names, those in doubt, and the pixels of which nothing is said: doubtful objects, places that a proposer took
        for an object and the map for table, and places that the map does not show.
    """
    rules = rules or DoubtRules()
    names, doubted = {}, {}
    for value in shown.instance_id.unique().tolist():
        if value == 0:
            continue
        found = _sightings(value, shown, proposals, recognised)
        share = 0.0 if moved is None else float(moved[shown.instance_id == value].float().mean())
        if why := MOVED if share >= rules.moved else _doubt(found, rules):
            doubted[value] = why
        else:
            names[value] = _name(found, rules)
    return Verdicts(names, doubted, void_places(shown, proposals, names, moved))


def void_places(shown: MapViews, proposals: Sequence[Proposal], names: Mapping[int, str], moved: Tensor | None = None) -> Tensor:
    """Find the pixels of which nothing is said.

    Args:
        shown: What the map shows.
        proposals: At least one, of the same views.
        names: By id, of the objects that are sure.
        moved: (V, H, W) bool as for `verdicts`.

    Returns:
        (V, H, W) bool.
    """
    claimed = torch.zeros_like(shown.instance_id, dtype=torch.bool) if moved is None else moved
    claimed = claimed | torch.stack([proposal.ids > 0 for proposal in proposals]).any(0)
    sure = torch.isin(shown.instance_id, torch.tensor(list(names), dtype=torch.int64))
    # A thing without an id is an object that no query has.
    return ~sure & ((shown.instance_id > 0) | (shown.semantic_id <= OBJECT) | claimed)


def _sightings(value: int, shown: MapViews, proposals: Sequence[Proposal], recognised: Sequence[Mapping[int, str]]) -> _Sightings:
    seen, names, taught, count = dict.fromkeys((item.name for item in proposals), 0), Counter[str](), Counter[str](), 0
    masks = shown.instance_id == value
    for index, mask in enumerate(masks):
        if mask.sum() < MIN_PIXELS:
            continue
        count += 1
        if value in recognised[index]:
            taught[recognised[index][value]] += 1
        for proposal in proposals:
            row = same_object(mask, proposal.ids[index])
            seen[proposal.name] += row > 0
            if row in proposal.classes[index]:
                names[proposal.classes[index][row]] += 1
    inside = 1 - F.max_pool2d((~masks)[:, None].float(), 3, stride=1, padding=1)
    by_others = frozenset(item.name for item in proposals if item.by_others)
    return _Sightings(count, seen, float(inside.sum() / masks.sum()), value in shown.crumbs, by_others, names, taught)


def same_object(mask: Tensor, ids: Tensor) -> int:
    """Find the mask of a view that shows what another one shows.

    Args:
        mask: (H, W) bool.
        ids: (H, W) int64, 0 = none.

    Returns:
        Its id; 0 = there is none whose IoU is over `SAME`.
    """
    inside = torch.bincount(ids[mask])
    inside[:1] = 0
    best = int(inside.argmax()) if len(inside) else 0
    union = int(mask.sum()) + int((ids == best).sum()) - int(inside[best]) if best else 1
    return best if best and int(inside[best]) > SAME * union else 0


def _doubt(found: _Sightings, rules: DoubtRules) -> str:
    """Why an object is not sure; empty = it is."""
    if not found.shown:
        return "too small in all views"
    shares = {name: count / found.shown for name, count in found.seen.items()}
    told = ", ".join(f"{name} {found.seen[name]}" for name in shares)
    if len(shares) == 1:
        if max(shares.values()) < rules.alone:
            return f"views disagree: seen in few of {found.shown} ({told})"
    elif sum(share >= rules.confirmed for share in shares.values()) < 2:
        if not any(shares[name] >= rules.alone for name in found.by_others):
            return f"seen by one proposer only, or by none, of {found.shown} views ({told})"
        if found.crumb or found.core < rules.core:
            return CRUMB if found.crumb else THIN
    rivals = found.taught.most_common(2)
    if len(rivals) == 2 and rivals[1][1] >= rules.rival * found.taught.total():
        return f"two taught names: {rivals[0][0]!r} and {rivals[1][0]!r}"
    return ""


def _name(found: _Sightings, rules: DoubtRules) -> str:
    """The taught name, else the proposers', else `THING`."""
    for votes in (found.taught, found.names):
        if votes:
            name, count = votes.most_common(1)[0]
            if count >= rules.named * votes.total():
                return name
    return THING
