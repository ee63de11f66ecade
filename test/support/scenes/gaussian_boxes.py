"""A hand-made scene of 3D Gaussians: three coloured boxes on a table, with ids, features and a text space of its own."""

import torch
from torch import Tensor

from pan3d_core.gaussians.scene import GaussianScene
from pan3d_core.geometry.transforms import look_at
from pan3d_core.language.text_space import TextSpace
from pan3d_core.structures import Gaussians

# Name, centre, size (metres), colour, semantic direction.
BOXES = (
    ("red box", (-0.12, 0.05, 0.04), (0.06, 0.08, 0.08), (0.85, 0.15, 0.1), 0),
    ("blue box", (0.10, 0.12, 0.025), (0.10, 0.05, 0.05), (0.1, 0.3, 0.8), 1),
    ("green box", (0.08, -0.10, 0.06), (0.05, 0.05, 0.12), (0.15, 0.65, 0.2), 0),
)
TABLE_RGB = (0.55, 0.5, 0.45)
TABLE_HALF_M = 0.3
TABLE_SEMANTICS = 2
FEATURES, TEXT_WIDTH = 4, 6
EYES = ((-0.62, -0.05, 0.42), (0.1, 0.6, 0.5), (0.6, 0.1, 0.4), (-0.1, -0.55, 0.55))
HW = (90, 120)


def grid(*axes: Tensor) -> Tensor:
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, 3)


def surface_points(center: tuple[float, ...], size: tuple[float, ...], spacing: float) -> Tensor:
    """Points on the faces of an axis-aligned box."""
    ticks = [torch.linspace(-0.5, 0.5, max(2, round(side / spacing) + 1)) for side in size]
    points = grid(*ticks)
    outside = (points.abs() > 0.4999).any(-1)
    return points[outside] * torch.tensor(size) + torch.tensor(center)


def boxes_scene(spacing: float = 0.01, harmonics: int = 0) -> GaussianScene:
    """Boxes have ids 1 to 3 in the order of `BOXES`; texts are unit vectors of `text_embeddings`."""
    low = torch.linspace(-TABLE_HALF_M, TABLE_HALF_M, round(2 * TABLE_HALF_M / (2 * spacing)) + 1)
    parts = [(grid(low, low, torch.zeros(1)), TABLE_RGB, 0, TABLE_SEMANTICS, (1.0, 1.0, 0.2), 2 * spacing)]
    for number, (_, center, size, rgb, meaning) in enumerate(BOXES, start=1):
        parts.append((surface_points(center, size, spacing), rgb, number, meaning, (0.6, 0.6, 0.6), spacing))
    count = [len(part[0]) for part in parts]
    means = torch.cat([part[0] for part in parts])
    colors = torch.cat([torch.tensor(part[1]).expand(n, 3) for n, part in zip(count, parts)])
    if harmonics:
        coefficients = torch.zeros(len(means), (harmonics + 1) ** 2, 3)
        coefficients[:, 0] = (colors - 0.5) / 0.28209479177387814
        coefficients[:, 1:] = 0.05 * torch.randn(coefficients[:, 1:].shape, generator=torch.Generator().manual_seed(0))
        colors = coefficients
    gaussians = Gaussians(
        means=means,
        scales=torch.cat([torch.tensor(part[4]).mul(part[5]).expand(n, 3) for n, part in zip(count, parts)]),
        quats_wxyz=torch.tensor([1.0, 0.0, 0.0, 0.0]).expand(len(means), 4).clone(),
        opacities=torch.full((len(means),), 0.95),
        colors=colors.clone(),
        semantic_features=torch.cat([torch.eye(FEATURES)[part[3]].expand(n, -1) for n, part in zip(count, parts)]),
        instance_features=torch.cat([torch.eye(FEATURES)[part[2]].expand(n, -1) for n, part in zip(count, parts)]),
    )
    focal = 0.9 * HW[1]
    intrinsics = torch.tensor([[focal, 0.0, HW[1] / 2 - 0.5], [0.0, focal, HW[0] / 2 - 0.5], [0.0, 0.0, 1.0]])
    return GaussianScene(
        gaussians=gaussians,
        instance_id=torch.cat([torch.full((n,), part[2]) for n, part in zip(count, parts)]),
        names={number: box[0] for number, box in enumerate(BOXES, start=1)},
        cam_from_world=torch.stack([look_at(torch.tensor(eye), torch.tensor([0.0, 0.0, 0.03])) for eye in EYES]),
        intrinsics=intrinsics.expand(len(EYES), 3, 3).clone(),
        image_hw=HW,
        is_metric=True,
        text_space=TextSpace(torch.eye(TEXT_WIDTH, FEATURES), torch.zeros(TEXT_WIDTH), "minilm"),
    )


def text_embeddings(*meanings: int) -> Tensor:
    """(T, 6) unit rows, each the text of one semantic direction: 0 red and green box, 1 blue box, 2 table, 3 nothing here."""
    return torch.eye(TEXT_WIDTH)[list(meanings)]
