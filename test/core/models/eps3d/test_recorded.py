"""The recorded form of EPS3D computes what the network does, and CUDA graphs replay what they recorded."""

import pytest
import torch

from pan3d_core.models.eps3d.recorded import RecordedEps3d
from pan3d_core.runtime.cuda_graphs import CudaGraphs

on_gpu = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
FIELDS = ("means", "scales", "quats_wxyz", "opacities", "colors", "semantic_features", "instance_features")


def same(found, expected, **tolerances):
    torch.testing.assert_close(found.geometry.depth, expected.geometry.depth, **tolerances)
    torch.testing.assert_close(found.geometry.pose_encodings, expected.geometry.pose_encodings, **tolerances)
    assert len(found.gaussians) == len(expected.gaussians)
    for own, other in zip(found.gaussians, expected.gaussians):
        for name in FIELDS:
            if getattr(other, name) is not None:
                torch.testing.assert_close(getattr(own, name), getattr(other, name), **tolerances)


def shared_buffers(function):
    """Like a recording: results of a later call lie where those of an earlier one were."""
    first = None

    def call(*inputs):
        nonlocal first
        result = function(*inputs)
        if first is None:
            first = result
        overwrite(first, result)
        return first

    def overwrite(old, new):
        if isinstance(old, torch.Tensor):
            old.copy_(new)
        elif isinstance(old, dict):
            for key in old:
                overwrite(old[key], new[key])
        elif isinstance(old, tuple):
            for pair in zip(old, new):
                overwrite(*pair)
        elif old is not None:
            for name in vars(old):
                overwrite(getattr(old, name), getattr(new, name))

    return call


@pytest.mark.parametrize("panoptic", [True, False])
@torch.inference_mode()
def test_the_recorded_network_is_the_network(procedural, panoptic):
    model = procedural.fill(procedural.tiny_eps3d(panoptic=panoptic), str).eval()
    recorded = RecordedEps3d(model, recorded=shared_buffers)
    images = torch.rand(2, 2, 3, 3, 56, 70)
    found = [recorded(scenes) for scenes in images]  # what the first call gave must survive the second
    for own, scenes in zip(found, images):
        same(own, model(scenes))
    torch.testing.assert_close(recorded.geometry(images[0]).depth, model(images[0], parts=()).geometry.depth)


class TestOnAGpu:
    pytestmark = on_gpu

    def test_graphs_replay_for_every_shape_and_forget_the_oldest(self):
        runs = []

        def function(values):
            runs.append(values.shape)
            return {"double": values * 2}, values.sum()

        graphs = CudaGraphs(function, keep=2)
        for size in (3, 5, 3, 5):
            values = torch.rand(size, device="cuda")
            doubled, total = graphs(values)
            assert torch.equal(doubled["double"], values * 2) and torch.equal(total, values.sum())
        recorded = len(runs)
        assert graphs(torch.ones(5, device="cuda"))[1] == 5 and len(runs) == recorded  # replayed, not run
        graphs(torch.ones(7, device="cuda"))
        graphs(torch.ones(3, device="cuda"))
        assert len(runs) > recorded + 3  # 3 had been forgotten for 7

    @torch.inference_mode()
    def test_the_recorded_network_equals_the_launched_one(self, procedural):
        model = procedural.fill(procedural.tiny_eps3d(), str).eval().cuda()
        recorded = RecordedEps3d(model, torch.bfloat16)
        for views in (2, 3, 2):
            images = torch.rand(1, views, 3, 56, 70, device="cuda")
            expected = model(images, aggregator_dtype=torch.bfloat16)
            found = recorded(images)
            torch.testing.assert_close(found.geometry.depth, expected.geometry.depth, rtol=1e-3, atol=1e-3)
            assert len(found.gaussians[0]) == pytest.approx(len(expected.gaussians[0]), rel=0.02)
