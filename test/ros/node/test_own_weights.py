"""The node with networks of one's own classes: it takes their files, looks, and says which classes there are."""

import pytest
import ros_support
from official_networks import OFFICIAL_TINY
from procedural_models import fill, tiny_eps3d, tiny_segvggt

from pan3d_core.language.known_names import KnownNames
from pan3d_core.language.minilm import TextEncoder
from pan3d_core.models.eps3d.files import Eps3dContent, Eps3dSizes, save_eps3d
from pan3d_core.models.eps3d.heads import TextDecoder
from pan3d_core.models.eps3d.network import FEATURES
from pan3d_core.models.eps3d.network import official_name as name_of_eps3d
from pan3d_core.models.vggt.files import SegVggtContent, save_segvggt
from pan3d_core.models.vggt.segvggt import official_name
from training.families.segvggt_settings import SegVggtSettings

CLASSES = ("gear", "shaft")


def own_segvggt(path):
    sizes = SegVggtSettings.from_dict(OFFICIAL_TINY)
    save_segvggt(fill(tiny_segvggt(2), official_name), SegVggtContent(sizes, CLASSES, 70, {}), path)


def own_eps3d(path):
    model = tiny_eps3d()
    model.text_decoder = TextDecoder(FEATURES, 384)
    own = {name: OFFICIAL_TINY[name] for name in ("native_grid", "dim", "encoder_depth", "depth", "heads", "features")}
    cameras = {name: OFFICIAL_TINY[name] for name in ("camera_depth", "camera_heads")}
    levels = {name: tuple(OFFICIAL_TINY[name]) for name in ("out_channels", "layers")}
    sizes = Eps3dSizes(**own, **cameras, **levels, text_channels=384, voxel_size=0.05)
    known = KnownNames.encode(dict.fromkeys(CLASSES, ()), TextEncoder())
    save_eps3d(fill(model, name_of_eps3d), Eps3dContent(sizes, "minilm", 56, 70, {}), known, path)


@pytest.mark.parametrize(("name", "write"), [("segvggt", own_segvggt), pytest.param("eps3d", own_eps3d, marks=pytest.mark.slow)])
def test_the_node_runs_a_file_of_own_classes(spinner, monkeypatch, tmp_path, name, write):
    path = tmp_path / "own.safetensors"
    write(path)
    bench = ros_support.Bench(spinner, monkeypatch, model__name=name, model__weights=str(path), model__device="cpu").start()
    bench.until(lambda: bench.listener.received["stats"] and bench.listener.received["label_info"], "a result")
    info = bench.listener.received["label_info"][-1]
    assert info.model == name and tuple(info.names) == CLASSES
    assert all(item.class_name in ("", *CLASSES) for array in bench.instances() for item in array.instances)
