"""Which photographs of which freely licensed packages serve as surfaces, and how wide each is in the world."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from pan3d_core.runtime.files import read_rows
from pan3d_core.runtime.packages import SCIKIT_IMAGE, PublishedPackage


@dataclass(frozen=True)
class PhotographSource:
    """One package with pictures, named by their path below `folder` in the package, or in the archive `inner` inside it."""

    package: PublishedPackage
    folder_name: str  # where its pictures are put
    inner: str
    folder: str
    license: str
    author: str
    page: str  # where licence and authors are told
    widths_m: Mapping[str, float] = field(default_factory=dict)  # of surfaces
    panoramas: tuple[str, ...] = ()


@cache
def _widths() -> dict[str, dict[str, float]]:
    """Of the table of surfaces, by folder."""
    found: dict[str, dict[str, float]] = {}
    for folder, name, width in read_rows(Path(__file__).with_name("surfaces.txt"), 3):
        found.setdefault(folder, {})[name] = float(width)
    return found


_DEBIAN = "https://deb.debian.org/debian/pool/main/"

PHOTOGRAPH_SOURCES: tuple[PhotographSource, ...] = (
    PhotographSource(
        SCIKIT_IMAGE,
        "scikit-image", "", "skimage/data/", "CC0-1.0", "CC0Textures (brick, gravel), linolafett (grass)",
        "https://scikit-image.org/docs/stable/api/skimage.data.html",
        _widths()["scikit-image"],
    ),
    PhotographSource(
        PublishedPackage(
            "sweethome3d 7.0.2+dfsg-3", _DEBIAN + "s/sweethome3d/sweethome3d_7.0.2+dfsg-3_all.deb",
            "54bce4394ae763da1ffccff8f025565ce7161dc6934371e07480034ef155c411",
        ),
        "sweethome3d",
        "usr/share/sweethome3d/sweethome3d.jar", "com/eteks/sweethome3d/io/resources/textures/",
        "CC-BY-3.0", "Emmanuel Puybaret, eTeks", "https://www.sweethome3d.com",
        _widths()["sweethome3d"],
    ),
    PhotographSource(
        PublishedPackage(
            "ufoai-textures 2.5-2", _DEBIAN + "u/ufoai-maps/ufoai-textures_2.5-2_all.deb",
            "51c9c6a778249a3fa432c81c8c30ac5675ae5a1e675a33b0ce04545753d3218c",
        ),
        "ufoai-textures",
        "usr/share/games/ufoai/base/0textures.pk3", "textures/",
        "public domain", "yughues, Nobiax, Holger Gellrich and others, see the package's copyright file",
        "https://tracker.debian.org/pkg/ufoai-maps",
        _widths()["ufoai-textures"],
    ),
    PhotographSource(
        PublishedPackage(
            "@pmndrs/assets 1.7.0", "https://registry.npmjs.org/@pmndrs/assets/-/assets-1.7.0.tgz",
            "152bd218a3390703f184f0c6ce16e73c8f0a87f32d38530d418a09d33d8208dc",
        ),
        "pmndrs-assets", "", "package/hdri/", "CC0-1.0", "Poly Haven and others", "https://github.com/pmndrs/assets",
        panoramas=tuple(
            f"{name}.exr.js" for name in (
                "apartment", "bridge", "city", "dawn", "esplanade", "forest", "hall", "lab", "lobby", "night", "park", "sky",
                "studio", "sunrise", "sunset", "venice", "warehouse", "workshop",
            )
        ),
    ),
)  # fmt: skip
