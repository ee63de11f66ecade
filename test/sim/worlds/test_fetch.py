"""Photographs are taken out of packages; what cannot be had is told and the rest serves."""

import base64
import hashlib
import io
import json
import zipfile
from dataclasses import replace

import cv2
import numpy as np
import pytest

from pan3d_core.runtime.packages import PublishedPackage
from pan3d_sim.worlds.fetch import fetch_photographs, panorama_entry
from pan3d_sim.worlds.photographs import read_photographs
from pan3d_sim.worlds.sources import PHOTOGRAPH_SOURCES, PhotographSource


def png(color):
    return cv2.imencode(".png", np.full((32, 48, 3), color, np.uint8))[1].tobytes()


@pytest.fixture
def source(tmp_path):
    """A package of two pictures that lies in `tmp_path/packages` already."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("pictures/wood.png", png((10, 60, 120)))
        archive.writestr("pictures/stone.png", png(90))
        archive.writestr("pictures/sky.exr.js", b"export default 'data:application/exr;base64," + base64.b64encode(b"no") + b"'")
    (tmp_path / "packages").mkdir()
    (tmp_path / "packages/pictures-1-py3-none-any.whl").write_bytes(buffer.getvalue())
    sha = hashlib.sha256(buffer.getvalue()).hexdigest()
    package = PublishedPackage("pictures 1", "http://127.0.0.1:9/pictures-1-py3-none-any.whl", sha)
    widths = {"wood.png": 0.4, "stone.png": 0.8}
    return PhotographSource(package, "pictures", "", "pictures/", "CC0-1.0", "somebody", "https://example.org", widths)


def test_pictures_of_a_package_become_surfaces_with_their_licence(source, tmp_path):
    assert fetch_photographs(tmp_path / "out", tmp_path / "packages", [source]) == []
    wood, stone = read_photographs(tmp_path / "out").surfaces
    assert (wood.size_m, stone.size_m) == (0.4, 0.8) and stone.tintable and not wood.tintable
    entries = json.loads((tmp_path / "out/photographs.json").read_text())
    assert all(entry["license"] == "CC0-1.0" and entry["author"] == "somebody" for entry in entries)


def test_what_cannot_be_had_is_told_and_the_rest_serves(source, tmp_path):
    away = replace(source, package=PublishedPackage("away 2", "http://127.0.0.1:9/away.whl", "0" * 64))
    lacking = replace(source, widths_m={"wood.png": 0.4, "gone.png": 1.0})
    damaged = replace(source, widths_m={}, panoramas=("sky.exr.js",))
    missing = fetch_photographs(tmp_path / "out", tmp_path / "packages", [away, lacking, damaged, source])
    assert len(missing) == 3 and "away 2: " in missing[0] and "gone.png in it" in missing[1] and "pictures 1: " in missing[2]
    assert len(read_photographs(tmp_path / "out").surfaces) == 2
    with pytest.raises(ValueError, match="expected at least one of the packages, got none .*away 2"):
        fetch_photographs(tmp_path / "none", tmp_path / "packages", [away])


def test_a_panorama_tells_where_its_light_comes_from():
    radiance = np.full((64, 128, 3), 0.1, np.float32)
    radiance[14:18, 30:34] = (18.0, 12.0, 6.0)  # 45 degrees up, to the left of the middle: towards +y
    pixels, facts = panorama_entry(radiance)
    assert pixels.shape == (64, 128, 3) and np.allclose(facts["light_direction"], [0, 0.707, 0.707], atol=0.05)
    assert facts["light_color"][0] == 1 and facts["light_color"][2] < 0.9 and facts["ambient_color"] == [1, 1, 1]


def test_every_listed_source_says_its_licence_and_gives_widths_of_surfaces():
    for source in PHOTOGRAPH_SOURCES:
        assert (
            source.license in ("CC0-1.0", "CC-BY-3.0", "public domain") and source.author and source.page.startswith("https://")
        )
        assert len(source.package.sha256) == 64 and source.package.url.startswith("https://")
        assert all(0.1 <= width <= 4 for width in source.widths_m.values()) and (source.widths_m or source.panoramas)
