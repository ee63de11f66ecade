"""gsplat in the place of our own kernels: its conventions, what it lacks, and the same pictures."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
from plain_rasterizer import (
    FIELDS,
    all_sums,
    cameras,
    cloud,
    reference,
)

from pan3d_core.rendering import rasterizer as rasterize_module
from pan3d_core.rendering.rasterizer import RasterSettings, rasterize
from pan3d_core.structures import Gaussians


def test_gsplat_gets_its_own_conventions(monkeypatch):
    """A stand-in with gsplat's arguments, pixel centres at halves, rendered by the plain reference."""

    def rasterization(
        means, quats, scales, opacities, colors, viewmats, Ks, width, height, near_plane, far_plane, radius_clip, eps2d,
        packed, render_mode, rasterize_mode,
    ):  # fmt: skip
        assert (packed, render_mode, rasterize_mode, eps2d, radius_clip) == (False, "RGB+D", "classic", 0.3, 0.0)
        intrinsics = Ks[0].clone()
        intrinsics[:2, 2] -= 0.5
        gaussians = Gaussians(means, scales, quats, opacities, colors[:, :3])
        values, depth, opacity = reference(
            gaussians, viewmats[0], intrinsics, (height, width), colors[:, 3:], near_plane, far_plane
        )
        radii = torch.ones(1, len(means), 2, dtype=torch.int32)
        radii[0, 0, 1] = 0
        details = {"radii": radii, "means2d": means[None, :, :2]}
        return torch.cat([values, depth[..., None]], dim=-1)[None], opacity[None, ..., None], details

    gaussians, features = cloud(40)
    arguments = (gaussians, *cameras(count=2), features, torch.ones(3, dtype=torch.float64))
    expected = rasterize(*arguments)
    module = ModuleType("gsplat")
    module.rasterization = rasterization
    monkeypatch.setitem(sys.modules, "gsplat", module)
    monkeypatch.setattr(rasterize_module, "chosen_backend", lambda *_: "gsplat")
    found = rasterize(*arguments)
    assert torch.allclose(all_sums(found), all_sums(expected), atol=1e-10)
    assert found.visible[:, 1:].all() and not found.visible[:, 0].any()


@pytest.mark.parametrize("trouble", [None, RuntimeError("ninja failed"), ImportError("undefined symbol")])
def test_gsplat_without_kernels_is_named_and_passed_over(monkeypatch, caplog, trouble):
    """`find_spec` alone would choose it, and the first rendering would fail."""

    def backend(name):
        if trouble is not None:
            raise trouble
        return SimpleNamespace(_C=None)

    rasterize_module._missing_for_gsplat.cache_clear()
    monkeypatch.setattr(rasterize_module, "find_spec", lambda _: object())
    monkeypatch.setattr(rasterize_module, "import_module", backend)
    why = "it found no CUDA toolkit" if trouble is None else str(trouble)
    try:
        assert f"gsplat has no kernels here: {why}" in rasterize_module._missing_for_gsplat()
        assert "rendering goes on in PyTorch, slower" in caplog.text
    finally:
        rasterize_module._missing_for_gsplat.cache_clear()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_gsplat_on_a_gpu_equals_ours():
    pytest.importorskip("gsplat")
    gaussians, features = cloud(300, dtype=torch.float32)
    moved = Gaussians(*(getattr(gaussians, name).cuda() for name in FIELDS))
    poses, intrinsics, image_hw = cameras(torch.float32, count=2)
    arguments = (poses.cuda(), intrinsics.cuda(), image_hw, features.cuda())
    gsplat, ours = (rasterize(moved, *arguments, settings=RasterSettings(backend=name)) for name in ("gsplat", "torch"))
    assert torch.allclose(all_sums(gsplat), all_sums(ours), atol=5e-3)
    assert (all_sums(gsplat) - all_sums(ours)).abs().mean() < 1e-5
    assert (gsplat.visible != ours.visible).sum() <= 2
