"""Clouds of Gaussians, cameras that see them, and what a plain reference renders of them, pixel by pixel."""

import torch

from pan3d_core.geometry.rotations import matrix_from_quat_xyzw
from pan3d_core.geometry.transforms import look_at, transform_points
from pan3d_core.rendering.rasterizer import rasterize, view_colors
from pan3d_core.structures import Gaussians

FIELDS = ("means", "scales", "quats_wxyz", "opacities", "colors")
HW = (13, 18)


def reference(gaussians, cam_from_world, intrinsics, image_hw, features, near=0.01, far=1e10):
    """One view, every Gaussian at every pixel: (H, W, 3 + F) sums, accumulated depth, opacity; plain autograd."""
    x, y, z = transform_points(cam_from_world, gaussians.means).unbind(-1)
    kept = ((z >= near) & (z <= far)).nonzero()[:, 0]
    kept = kept[z[kept].argsort(stable=True)]
    x, y, z = x[kept], y[kept], z[kept]
    (fx, fy), (cx, cy) = intrinsics.diagonal()[:2], intrinsics[:2, 2] + 0.5
    height, width = image_hw
    tx = (x / z).clamp(-(cx / fx + 0.15 * width / fx), (width - cx) / fx + 0.15 * width / fx)
    ty = (y / z).clamp(-(cy / fy + 0.15 * height / fy), (height - cy) / fy + 0.15 * height / fy)
    zero = torch.zeros_like(z)
    jacobian = torch.stack([fx / z, zero, -fx * tx / z, zero, fy / z, -fy * ty / z], dim=-1).view(-1, 2, 3)
    turned = matrix_from_quat_xyzw(gaussians.quats_wxyz[kept].roll(-1, dims=-1)) * gaussians.scales[kept, None]
    on_image = jacobian @ cam_from_world[:3, :3] @ turned
    inverse = torch.linalg.inv(on_image @ on_image.transpose(1, 2) + 0.3 * torch.eye(2, dtype=z.dtype))
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    pixels = torch.stack([columns, rows], dim=-1).to(z) + 0.5
    offset = pixels[..., None, :] - torch.stack([fx * x / z + cx, fy * y / z + cy], dim=-1)
    sigma = 0.5 * torch.einsum("hwni,nij,hwnj->hwn", offset, inverse, offset)
    alpha = (gaussians.opacities[kept] * torch.exp(-sigma)).clamp_max(0.999)
    alpha = torch.where(alpha < 1 / 255, 0.0, alpha)
    behind = (1 - alpha).cumprod(-1)
    before = torch.cat([torch.ones_like(behind[..., :1]), behind[..., :-1]], dim=-1)
    weights = torch.where(behind > 1e-4, alpha * before, 0.0)
    values = torch.cat([view_colors(gaussians, cam_from_world), features], dim=-1)[kept]
    return weights @ values, weights @ z, weights.sum(-1)


def cloud(count, seed=0, dtype=torch.float64, spread=1.0, scale=0.08):
    """Gaussians around (0, 0, 2) and 4 feature channels."""
    generator = torch.Generator().manual_seed(seed)

    def rand(*shape):
        return torch.rand(*shape, generator=generator, dtype=dtype)

    means = (rand(count, 3) - 0.5) * 2 * spread + torch.tensor([0, 0, 2.0], dtype=dtype)
    gaussians = Gaussians(means, scale * (0.3 + rand(count, 3)), rand(count, 4) - 0.5, rand(count), rand(count, 3))
    return gaussians, rand(count, 4) - 0.5


def cameras(dtype=torch.float64, image_hw=HW, count=1):
    """Cameras at the origin side that look at the cloud, with a principal point off the middle."""
    eyes = torch.tensor([[0.0, 0, 0], [0.7, -0.3, 0.2], [-0.4, 0.5, -0.3]], dtype=dtype)[:count]
    down = torch.tensor([0.0, -1.0, 0.0], dtype=dtype)
    poses = torch.stack([look_at(eye, torch.tensor([0, 0, 2.0], dtype=dtype), down) for eye in eyes])
    height, width = image_hw
    matrix = torch.tensor([[0.9 * width, 0, 0.45 * width], [0, 1.1 * width, 0.55 * height], [0, 0, 1]], dtype=dtype)
    return poses, matrix.expand(count, 3, 3), image_hw


def with_gradient(gaussians, features):
    leaves = [getattr(gaussians, name).clone().requires_grad_() for name in FIELDS]
    return Gaussians(*leaves), features.clone().requires_grad_()


def all_sums(rendering):
    """(C, 3 + F + 2, H, W) of a rendering, depth accumulated."""
    accumulated = rendering.depth * rendering.opacity
    return torch.cat([rendering.colors, rendering.features, accumulated[:, None], rendering.opacity[:, None]], dim=1)


def reference_sums(gaussians, poses, intrinsics, image_hw, features):
    views = []
    for pose, matrix in zip(poses, intrinsics):
        values, depth, opacity = reference(gaussians, pose, matrix, image_hw, features)
        views.append(torch.cat([values, depth[..., None], opacity[..., None]], dim=-1).movedim(-1, 0))
    return torch.stack(views)


def assert_same_with_gradients(gaussians, features, view, atol=1e-10):
    """Rendering and all gradients equal the reference's."""
    results = []
    for render in (lambda g, f: all_sums(rasterize(g, *view, f)), lambda g, f: reference_sums(g, *view, f)):
        leaves, channels = with_gradient(gaussians, features)
        sums = render(leaves, channels)
        weights = torch.sin(torch.arange(sums.numel(), dtype=sums.dtype)).view_as(sums)
        (sums * weights).sum().backward()
        results.append([sums.detach(), *(getattr(leaves, name).grad for name in FIELDS), channels.grad])
    for ours, expected in zip(*results):
        assert torch.isfinite(ours).all()
        scale = max([1.0, *expected.abs().flatten().tolist()])
        assert torch.allclose(ours, expected, atol=atol * scale, rtol=0), float((ours - expected).abs().max())
