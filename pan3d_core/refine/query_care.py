"""Whether the queries do well: which got masks, which never do, and whether one has taken all."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from pan3d_core.refine.model import CHUNK, Block, PanopticMap, QueryGaussians

ALIKE = 0.25  # assumed: root mean square difference of tokens from their mean below which they say the same; they begin with 1

# Assumed: an object of its own is surest of at least this share of the Gaussians that it claims. Mask2Former asks for four fifths
# of a mask; queries are more alike where labels contradict each other.
OWN_SHARE = 0.5


@dataclass(frozen=True)
class MatchCounts:
    """What became of the masks. The last four are of the present round over the views."""

    assigned: Tensor  # (Q,) int64 masks that each query was matched to since it was seeded
    wins: Tensor  # (Q,) int64 masks that each query covers best
    masks: int
    crowded: int  # of them in views of two masks or more
    surest: float  # 0..1 best mean probability of any query in any mask

    @classmethod
    def none(cls, num_queries: int) -> MatchCounts:
        """Before the first view."""
        zero = torch.zeros(num_queries, dtype=torch.int64)
        return cls(zero, zero.clone(), 0, 0, 0.0)

    def after(self, queries: Tensor, match: tuple[Tensor, Tensor], coverage: Tensor) -> MatchCounts:
        """With one more view: its queries (K,), matches among them, and mean probabilities (K, M) within the masks."""
        assigned, wins, surest = self.assigned.clone(), self.wins.clone(), self.surest
        assigned[queries[match[0]].cpu()] += 1
        count = coverage.shape[1]
        if coverage.numel():
            best, winner = coverage.max(0)
            wins.index_add_(0, queries[winner].cpu(), torch.ones(count, dtype=torch.int64))
            surest = max(surest, float(best.max()))
        return MatchCounts(assigned, wins, self.masks + count, self.crowded + (count if count > 1 else 0), surest)

    def next_round(self) -> MatchCounts:
        """The next round's beginning."""
        return replace(self, wins=torch.zeros_like(self.wins), masks=0, crowded=0, surest=0.0)

    def collapsed(self, largest_share: float, faint: float) -> str:
        """Why this round is a collapse, empty when it is none. Without views of two masks there is nothing to tell apart."""
        if self.masks == 0:
            return ""
        if self.surest < faint:
            return f"no query covers any of {self.masks} masks (surest {self.surest:.2g})"
        share = int(self.wins.max()) / self.masks
        if self.crowded and share > largest_share:
            return f"query {int(self.wins.argmax())} covers {share:.0%} of {self.masks} masks best"
        return ""


@torch.no_grad()
def alike(model: PanopticMap) -> str:
    """Why all queries are one, empty when they are not. Matching tears their masks apart, but none finds far objects."""
    tokens, places = model.query_tokens[model.alive], model.query_means[model.alive]
    if len(tokens) < 2 or float((tokens - tokens.mean(0)).square().mean().sqrt()) >= ALIKE:
        return ""
    size_m = float(model.query_log_scales[model.alive].exp().mean())
    apart_m = float((places - places.mean(0)).norm(dim=-1).max())
    return f"all {len(tokens)} queries are alike and in one place" if apart_m < size_m else ""


@torch.no_grad()
def prune(model: PanopticMap, counts: MatchCounts) -> None:
    """Drop the queries that never got a mask, unless none did."""
    useful = model.alive & (counts.assigned > 0).to(model.alive.device)
    if bool(useful.any()):
        model.alive.copy_(useful)


@torch.no_grad()
def drop_repeated(model: PanopticMap) -> int:
    """Drop queries that claim what others have, the most repeated one first, until none is left -> how many.

    Labels that split an object or join two teach some queries what others know better; each keeps a few pixels and would be an
    object there. A query claims a Gaussian with a probability above a half; of several that do, the one of the largest product
    with the probability of its class has it, as masks compete in Mask2Former. Gaussians count by their opacity.
    """
    queries = model.alive.nonzero()[:, 0]
    rows = torch.arange(len(model.means), device=model.means.device)
    probs = torch.cat([model.attention(Block(part, queries)) for part in rows.split(CHUNK)])
    opacity = model.opacity_logits.sigmoid()
    claimed = probs > 0.5
    weighed = torch.where(claimed, probs * model.class_logits(queries).softmax(-1)[:, :-1].max(-1).values, 0.0)
    total = opacity @ claimed.to(opacity)
    kept = torch.ones_like(queries, dtype=torch.bool)
    while len(queries):
        best, column = (weighed * kept).max(-1)
        own = torch.zeros_like(total).index_add_(0, column, torch.where(best > 0, opacity, 0.0))
        share, worst = torch.where(kept, own / total.clamp_min(1e-9), torch.inf).min(0)
        if share >= OWN_SHARE:
            break
        kept[worst] = False
    if bool(kept.any()):  # a map that claims nothing is left as it is
        model.alive[queries[~kept]] = False
        return int((~kept).sum())
    return 0


@torch.no_grad()
def reseed(model: PanopticMap, first: QueryGaussians, seed: int) -> list[nn.Parameter]:
    """All queries where they began with other tokens, all instance features forgotten -> the parameters that changed."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randn(model.query_tokens.shape, generator=generator)
    model.query_tokens.copy_(tokens)
    model.query_means.copy_(first.means)
    model.query_log_scales.copy_(first.scales.log())
    model.query_quats_wxyz.copy_(first.quats_wxyz)
    model.instance_features.zero_()
    model.alive.fill_(True)
    names = ("query_tokens", "query_means", "query_log_scales", "query_quats_wxyz", "instance_features")
    return [getattr(model, name) for name in names]
