"""The state that PanopticSplatting (arXiv 2503.18073) optimises: Gaussians with features, queries, decoders.

What the paper leaves open is as in its sister PanopticRecon++ (tokens of 32 numbers, their norm, the class head) or assumed.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pan3d_core.geometry.rotations import matrix_from_quat_xyzw
from pan3d_core.geometry.spherical_harmonics import CONSTANT
from pan3d_core.labels import LabelSpace
from pan3d_core.refine.visibility import ellipsoids_in_frustum
from pan3d_core.rendering.project import Camera
from pan3d_core.structures import Gaussians, require_shape

SEMANTIC_CHANNELS, INSTANCE_CHANNELS = 16, 32
SEMANTIC_HIDDEN, CLASS_HIDDEN = 64, 128  # assumed; that of the class head as in PanopticRecon++
PRIOR_FLOOR = 1e-5  # what the spatial prior leaves everywhere, as in PanopticRecon++
LARGEST_OPACITY = 0.999  # of the first Gaussians, so that their logits are finite
SMALLEST_SCALE_M = 1e-6
CHUNK = 65_536  # Gaussians at a time where all meet all queries

GAUSSIAN_PARAMETERS = ("means", "quats_wxyz", "log_scales", "opacity_logits", "colors")
FEATURE_PARAMETERS = ("semantic_features", "instance_features")
QUERY_PARAMETERS = ("query_tokens", "query_means", "query_log_scales", "query_quats_wxyz")


@dataclass(frozen=True)
class QueryGaussians:
    """Where Q queries look for their objects, world metres."""

    means: Tensor  # (Q, 3)
    scales: Tensor  # (Q, 3) standard deviations
    quats_wxyz: Tensor  # (Q, 4)

    def __post_init__(self) -> None:
        require_shape("QueryGaussians.means", self.means, (None, 3))
        require_shape("QueryGaussians.scales", self.scales, (len(self.means), 3))
        require_shape("QueryGaussians.quats_wxyz", self.quats_wxyz, (len(self.means), 4))

    def __len__(self) -> int:
        return len(self.means)


@dataclass(frozen=True)
class Block:
    """The Gaussians and queries between which attention is computed: all of them, or those that one camera sees."""

    rows: Tensor  # (G,) int64 Gaussians
    queries: Tensor  # (K,) int64


class PanopticMap(nn.Module):
    """G Gaussians with semantic and instance features, Q queries, and decoders to the C classes of `labels` (K of them things).

    `alive` (Q,) bool is false for queries that were pruned: they take part in nothing. The same `seed` gives the same map.
    Colours depend on the view by harmonics up to degree `harmonics`, of which those up to `shown_degree` are shown.
    """

    alive: Tensor
    harmonics: nn.Parameter | None  # (G, (degree + 1)^2 - 1, 3) beyond the constant, which `colors` is

    def __init__(
        self, gaussians: Gaussians, queries: QueryGaussians, labels: LabelSpace, seed: int = 0, *, harmonics: int = 0
    ) -> None:
        super().__init__()
        if len(gaussians) == 0 or len(queries) == 0:
            raise ValueError(f"gaussians, queries: expected at least one of each, got {len(gaussians)} and {len(queries)}")
        if gaussians.colors.ndim != 2:
            raise ValueError(f"Gaussians.colors: expected RGB (N, 3), got shape {tuple(gaussians.colors.shape)}")
        if not any(labels.is_thing):
            raise ValueError("labels: expected at least one thing, got none")
        self.labels = labels
        count = len(gaussians)
        like = gaussians.means
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._add_decoders(len(labels), sum(labels.is_thing))
            tokens = torch.randn(len(queries), INSTANCE_CHANNELS)
        opacities = gaussians.opacities.clamp(1 - LARGEST_OPACITY, LARGEST_OPACITY)
        self.means = nn.Parameter(gaussians.means.detach().clone())
        self.quats_wxyz = nn.Parameter(F.normalize(gaussians.quats_wxyz.detach(), dim=-1))
        self.log_scales = nn.Parameter(gaussians.scales.detach().clamp_min(SMALLEST_SCALE_M).log())
        self.opacity_logits = nn.Parameter(opacities.detach().logit())
        self.colors = nn.Parameter(gaussians.colors.detach().clamp(0, 1).clone())
        more = (harmonics + 1) ** 2 - 1
        self.harmonics = nn.Parameter(like.new_zeros(count, more, 3)) if more else None
        self.shown_degree = harmonics
        self.semantic_features = nn.Parameter(like.new_zeros(count, SEMANTIC_CHANNELS))
        self.instance_features = nn.Parameter(like.new_zeros(count, INSTANCE_CHANNELS))
        self.query_tokens = nn.Parameter(tokens.to(like))
        self.query_means = nn.Parameter(queries.means.detach().clone())
        self.query_log_scales = nn.Parameter(queries.scales.detach().clamp_min(SMALLEST_SCALE_M).log())
        self.query_quats_wxyz = nn.Parameter(F.normalize(queries.quats_wxyz.detach(), dim=-1))
        self.register_buffer("alive", torch.ones(len(queries), dtype=torch.bool))
        self.to(like.device)

    def _add_decoders(self, num_classes: int, num_things: int) -> None:
        self.semantic_decoder = nn.Sequential(
            nn.Linear(SEMANTIC_CHANNELS, SEMANTIC_HIDDEN), nn.ReLU(), nn.Linear(SEMANTIC_HIDDEN, num_classes)
        )
        self.query_projection = nn.Linear(INSTANCE_CHANNELS, INSTANCE_CHANNELS)
        self.query_norm = nn.LayerNorm(INSTANCE_CHANNELS)
        self.class_head = nn.Sequential(
            nn.Linear(INSTANCE_CHANNELS, CLASS_HIDDEN), nn.ReLU(), nn.Linear(CLASS_HIDDEN, num_things + 1)
        )

    @classmethod
    def empty(cls, num_gaussians: int, num_queries: int, labels: LabelSpace, *, harmonics: int = 0) -> PanopticMap:
        """A map of these sizes whose values mean nothing: for a state that is loaded next."""
        zeros, turn = torch.zeros(num_gaussians, 3), torch.tensor([[1.0, 0.0, 0.0, 0.0]])
        gaussians = Gaussians(zeros, zeros + 1, turn.repeat(num_gaussians, 1), zeros[:, 0], zeros)
        first = torch.zeros(num_queries, 3)
        queries = QueryGaussians(first, first + 1, turn.repeat(num_queries, 1))
        return cls(gaussians, queries, labels, harmonics=harmonics)

    @property
    def gaussian_parameters(self) -> tuple[str, ...]:
        """Names of what belongs to each Gaussian, features aside."""
        return GAUSSIAN_PARAMETERS if self.harmonics is None else (*GAUSSIAN_PARAMETERS, "harmonics")

    @property
    def num_queries(self) -> int:
        """Q, pruned ones among them."""
        return len(self.query_tokens)

    def gaussians(self, rows: Tensor | None = None) -> Gaussians:
        """The Gaussians as the renderer takes them, of `rows` (G,) only when given; differentiable."""
        values = [getattr(self, name) for name in self.gaussian_parameters]
        if rows is not None:
            values = [value.index_select(0, rows) for value in values]
        means, quats_wxyz, log_scales, opacity_logits, colors = values[: len(GAUSSIAN_PARAMETERS)]
        if self.harmonics is not None and self.shown_degree:
            shown = values[-1][:, : (self.shown_degree + 1) ** 2 - 1]
            colors = torch.cat([(colors[:, None] - 0.5) / CONSTANT, shown], dim=1)
        return Gaussians(means, log_scales.exp(), quats_wxyz, opacity_logits.sigmoid(), colors)

    def everything(self) -> Block:
        """All Gaussians and all queries that are alive: global attention."""
        rows = torch.arange(len(self.means), device=self.means.device)
        return Block(rows, self.alive.nonzero()[:, 0])

    @torch.no_grad()
    def seen_by(self, camera: Camera) -> Block:
        """Those whose ellipsoids of 99 % reach into the camera's frustum: local attention."""
        seen = ellipsoids_in_frustum(self.means, self.log_scales.exp(), self.quats_wxyz, camera)
        queries = ellipsoids_in_frustum(self.query_means, self.query_log_scales.exp(), self.query_quats_wxyz, camera)
        return Block(seen.nonzero()[:, 0], (queries & self.alive).nonzero()[:, 0])

    def class_probs(self, rows: Tensor) -> Tensor:
        """(G, C) distribution over classes of the Gaussians `rows` (G,)."""
        return self.decoded(self.semantic_features.index_select(0, rows))

    def decoded(self, semantic_features: Tensor) -> Tensor:
        """(..., 16) semantic features -> (..., C) distribution over classes."""
        logits: Tensor = self.semantic_decoder(semantic_features)
        return logits.softmax(-1)

    def attention(self, block: Block) -> Tensor:
        """(G, K) probability that a Gaussian of the block belongs to a query of it; queries are independent of each other.

        Nothing is computed outside the block, and no gradient reaches what is outside. None reaches the Gaussians' means
        either: labels do not move them.
        """
        points = self.means.detach().index_select(0, block.rows)
        return self.assigned(self.instance_features.index_select(0, block.rows), points, block.queries)

    def assigned(self, instance_features: Tensor, points: Tensor, queries: Tensor) -> Tensor:
        """(G, 32) features at world points (G, 3), queries (K,) -> (G, K): clip(sigmoid(f . LN(W q)) (g + 1e-5), 0, 1)."""
        keys: Tensor = self.query_norm(self.query_projection(self.query_tokens.index_select(0, queries)))
        similarity = (instance_features @ keys.T).sigmoid()
        return (similarity * (self.spatial_prior(points, queries) + PRIOR_FLOOR)).clamp(0, 1)

    def spatial_prior(self, points: Tensor, queries: Tensor) -> Tensor:
        """(G, 3) world points, queries (K,) -> (G, K) density of the queries' Gaussians over its peak."""
        chosen = (getattr(self, name).index_select(0, queries) for name in QUERY_PARAMETERS[1:])
        means, log_scales, quats_wxyz = chosen
        axes = matrix_from_quat_xyzw(quats_wxyz.roll(-1, dims=-1)) * (-log_scales).exp()[:, None, :]
        # One product for all pairs, without their differences in memory; about the queries' middle, so that it stays exact
        # far from the world's origin.
        middle = means.detach().mean(0)
        offsets = torch.einsum("ki,kij->kj", means - middle, axes)
        whitened = torch.addmm(-offsets.flatten(), points - middle, axes.movedim(0, 1).flatten(1))
        distances: Tensor = whitened.unflatten(1, (len(queries), 3)).square().sum(-1)
        return (-0.5 * distances).exp()

    def class_logits(self, queries: Tensor) -> Tensor:
        """(K, things + 1) of the queries; the last column is "no object"."""
        logits: Tensor = self.class_head(self.query_tokens.index_select(0, queries))
        return logits
