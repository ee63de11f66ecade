"""Which photographs of which freely licensed packages serve as surfaces, and how wide each is in the world."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

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


_DEBIAN = "https://deb.debian.org/debian/pool/main/"

PHOTOGRAPH_SOURCES: tuple[PhotographSource, ...] = (
    PhotographSource(
        SCIKIT_IMAGE,
        "scikit-image", "", "skimage/data/", "CC0-1.0", "CC0Textures (brick, gravel), linolafett (grass)",
        "https://scikit-image.org/docs/stable/api/skimage.data.html",
        {"brick.png": 1.2, "grass.png": 0.5, "gravel.png": 0.6},
    ),
    PhotographSource(
        PublishedPackage(
            "sweethome3d 7.0.2+dfsg-3", _DEBIAN + "s/sweethome3d/sweethome3d_7.0.2+dfsg-3_all.deb",
            "54bce4394ae763da1ffccff8f025565ce7161dc6934371e07480034ef155c411",
        ),
        "sweethome3d",
        "usr/share/sweethome3d/sweethome3d.jar", "com/eteks/sweethome3d/io/resources/textures/",
        "CC-BY-3.0", "Emmanuel Puybaret, eTeks", "https://www.sweethome3d.com",
        {
            "beigeTile.jpg": 0.32, "blackAndWhiteTiles.jpg": 0.7, "blueTiles.jpg": 0.2, "boxTree.jpg": 0.2,
            "darkBlueTile.jpg": 0.32, "grass.jpg": 0.3, "greyTile.jpg": 0.315, "lightBlueTile.jpg": 0.32, "marbleWall.jpg": 0.4,
            "oldWoodenFloor.jpg": 0.269,
            "pavingStone.jpg": 0.423, "pebbles.jpg": 0.2, "redTiles.jpg": 0.4, "roughcast.jpg": 0.2, "smallBricks.jpg": 0.23,
            "smallRedBricks.jpg": 0.23, "smallWhiteBricks.jpg": 0.23, "stone2Wall.jpg": 0.648, "stone3Wall.jpg": 0.6,
            "stoneTiles.jpg": 0.6, "stoneWall.jpg": 0.76, "wallBeigeTile.jpg": 0.2, "woodenFloor.jpg": 0.425, "cloudy.jpg": 4.0,
        },
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
        {
            "tex_buildings/carpet008.png": 1.6, "tex_buildings/carpet009.png": 1.5, "tex_buildings/carpet010.png": 1.0,
            "tex_buildings/carpet011.png": 0.8, "tex_buildings/carpet012.png": 1.4, "tex_buildings/carpet018.png": 1.2,
            "tex_buildings/carpet021.png": 0.8, "tex_buildings/carpet023.png": 0.8, "tex_buildings/carpet025.png": 0.7,
            "tex_buildings/floor005.png": 0.6, "tex_buildings/floor_wood01.png": 0.8, "tex_buildings/metal01.png": 0.8,
            "tex_buildings/metal02.png": 0.4, "tex_buildings/paving001.png": 1.0, "tex_buildings/tile01.png": 0.6,
            "tex_buildings/tile02.png": 0.5, "tex_buildings/tile03.png": 0.5, "tex_doors/door009.png": 1.6,
            "tex_material/metall006.jpg": 0.6, "tex_material/s_wood001.png": 0.5, "tex_material/s_wood002.png": 0.4,
            "tex_material/s_wood003.png": 0.5, "tex_material/wood001.png": 0.5, "tex_material/wood003.png": 0.7,
            "tex_misc/barrel_side.png": 1.0, "tex_misc/books005.jpg": 0.2, "tex_misc/books008.jpg": 0.2,
            "tex_misc/books009.jpg": 0.2,
            "tex_misc/pipes001.png": 0.6, "tex_misc/yellowcamelcrossing.jpg": 0.5, "tex_misc/yellowtwowaysign.jpg": 0.5,
            "tex_nature/desert009.png": 0.8, "tex_nature/dirt003.png": 0.6, "tex_nature/ice001.jpg": 0.5,
            "tex_nature/jungle002.png": 0.7, "tex_nature/railway.png": 0.6, "tex_nature/rock017.png": 0.8,
            "tex_nature/rock018.png": 0.8, "tex_nature/stone001.png": 0.7, "tex_pics/art_africa010.png": 0.6,
            "tex_pics/art_japan001.png": 2.0, "tex_pics/art_japan004.png": 0.5, "tex_pics/art_japan005.png": 0.4,
            "tex_pics/art_japan006.png": 0.4, "tex_pics/art_japan008.png": 0.4, "tex_pics/art_japan009.png": 0.4,
            "tex_pics/art_japan010.png": 0.4, "tex_pics/art_japan011.png": 0.5, "tex_pics/art_japan012.png": 0.5,
            "tex_pics/art_japan013.png": 0.5, "tex_pics/art_japan014.png": 0.5, "tex_pics/dragon001.jpg": 0.4,
            "tex_pics/dragon003.png": 0.4, "tex_pics/traktor2.png": 0.6,
        },
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
