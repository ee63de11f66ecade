"""The photographs, as rows of data. Nothing is trained or tuned on them.

Boxes are shares of width and height of the first picture, drawn by hand around what a person would pick up. What is on a
picture beyond them may be found as well; it counts for nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pan3d_core.runtime.packages import SCIKIT_IMAGE, PublishedPackage, extract_files, fetch_package

Box = tuple[float, float, float, float]  # left, top, right, bottom; shares of the picture

MVTB_DATA = PublishedPackage(
    "mvtb-data 1.6.1 (PyPI)",
    "https://files.pythonhosted.org/packages/d2/af/b17e99d5e8ac9d416a60ca0929a554c4ef461dc3a34c6beb3789307c1685/"
    "mvtb_data-1.6.1-py3-none-any.whl",
    "0ca9c30e100fa272421068a167ea6529085ff8f4afdca72e5fad681c52cabdbf",
)
OPENCV_DOC = PublishedPackage(
    "opencv-doc 4.6.0 (Debian)",
    "https://deb.debian.org/debian/pool/main/o/opencv/opencv-doc_4.6.0+dfsg-12_all.deb",
    "4b12681df35878207ac7097dc66184b2ae552e4bf4ddd2af04a0f03ed0b8682a",
)
LICENCES = {
    SCIKIT_IMAGE.name: "BSD-3-Clause package; coffee: CC0; coins: no known restrictions; motorcycle: Middlebury 2014, CC0",
    MVTB_DATA.name: "MIT package",
    OPENCV_DOC.name: "Apache-2.0 and BSD-3-Clause package",
}
_SKIMAGE, _MVTB, _OPENCV = "skimage/data", "mvtbdata/images", "usr/share/doc/opencv-doc/examples"


@dataclass(frozen=True)
class Thing:
    """One thing on a photograph."""

    box: Box
    names: tuple[str, ...]  # nouns that are right for it
    fill: float = 0.7  # share of the box that the thing itself covers


@dataclass(frozen=True)
class StereoTruth:
    """What is known of a rectified pair, so that depth can be judged."""

    focal_px: float
    principal_px: tuple[float, float]  # of the left picture
    right_shift_px: float  # by which the right picture's principal point lies further right
    baseline_m: float
    disparity: str  # file in the package with the left picture's disparity, pixels; NaN, infinite or 0 = unknown


@dataclass(frozen=True)
class Photograph:
    """One or several pictures of one place."""

    key: str
    title: str
    package: PublishedPackage
    files: tuple[str, ...]  # in the package
    things: tuple[Thing, ...]
    stereo: StereoTruth | None = None


def _alike(names: tuple[str, ...], *boxes: Box) -> tuple[Thing, ...]:
    return tuple(Thing(box, names) for box in boxes)


_COINS: tuple[Box, ...] = (
    (0.06, 0.12, 0.17, 0.24), (0.21, 0.13, 0.32, 0.24), (0.34, 0.1, 0.47, 0.24), (0.5, 0.1, 0.62, 0.24),
    (0.67, 0.11, 0.77, 0.23), (0.79, 0.05, 0.95, 0.24), (0.06, 0.34, 0.17, 0.48), (0.22, 0.36, 0.32, 0.48),
    (0.35, 0.36, 0.45, 0.48), (0.48, 0.35, 0.59, 0.48), (0.64, 0.32, 0.77, 0.48), (0.83, 0.35, 0.93, 0.48),
    (0.06, 0.59, 0.16, 0.71), (0.21, 0.58, 0.33, 0.72), (0.35, 0.59, 0.46, 0.72), (0.49, 0.56, 0.62, 0.71),
    (0.66, 0.57, 0.77, 0.71), (0.82, 0.52, 1.0, 0.71), (0.05, 0.77, 0.2, 0.95), (0.24, 0.81, 0.35, 0.95),
    (0.38, 0.78, 0.52, 0.95), (0.57, 0.79, 0.69, 0.95), (0.72, 0.79, 0.85, 0.95), (0.87, 0.82, 1.0, 0.98),
)  # fmt: skip
_SWEETS: tuple[Box, ...] = (
    (0.85, 0.16, 0.98, 0.3), (0.59, 0.26, 0.72, 0.4), (0.88, 0.41, 1.0, 0.55), (0.43, 0.52, 0.56, 0.67),
    (0.64, 0.53, 0.76, 0.67), (0.02, 0.57, 0.15, 0.72), (0.78, 0.6, 0.91, 0.74), (0.17, 0.66, 0.3, 0.8),
    (0.3, 0.69, 0.43, 0.84), (0.47, 0.79, 0.6, 0.93), (0.65, 0.83, 0.78, 0.97), (0.26, 0.85, 0.38, 0.99),
)  # fmt: skip
_BLOCKS: tuple[Box, ...] = (
    (0.1, 0.27, 0.9, 0.75), (0.05, 0.56, 0.19, 0.74), (0.53, 0.59, 0.66, 0.8), (0.81, 0.56, 0.95, 0.73),
    (0.04, 0.74, 0.26, 0.93), (0.28, 0.73, 0.46, 0.93), (0.72, 0.73, 0.94, 0.95), (0.66, 0.3, 0.79, 0.46),
    (0.36, 0.25, 0.6, 0.44),
)  # fmt: skip
_BOOK, _BOX, _BALL, _MUG = ("book",), ("box", "carton", "package"), ("ball",), ("mug", "cup")

PHOTOGRAPHS = (
    Photograph(
        "coffee", "A cup on a saucer", SCIKIT_IMAGE, (f"{_SKIMAGE}/coffee.png",),
        (Thing((0.29, 0.03, 0.7, 0.62), _MUG), Thing((0.13, 0.27, 0.8, 0.95), ("plate", "saucer"), 0.5),
         Thing((0.53, 0.55, 0.69, 0.82), ("spoon",), 0.5)),
    ),
    Photograph(
        "desk", "Small things on a desk", OPENCV_DOC, (f"{_OPENCV}/data/stuff.jpg",),
        (Thing((0.3, 0.04, 0.43, 0.21), ("cap", "lid", "puck")), Thing((0.09, 0.19, 0.53, 0.53), ("pencil", "pen"), 0.1),
         Thing((0.53, 0.26, 0.72, 0.52), ("tape", "lid", "puck", "bowl", "plate")),
         Thing((0.29, 0.6, 0.37, 0.68), ("coin", "cap")),
         Thing((0.49, 0.64, 0.57, 0.97), ("lighter",))),
    ),
    Photograph("sweets", "Sweets of many colours", OPENCV_DOC, (f"{_OPENCV}/data/smarties.png",), _alike(_BALL, *_SWEETS)),
    Photograph("coins", "Coins in rows, grey picture", SCIKIT_IMAGE, (f"{_SKIMAGE}/coins.png",), _alike(("coin",), *_COINS)),
    Photograph(
        "books", "Two books, two views", OPENCV_DOC, (f"{_OPENCV}/data/left.jpg", f"{_OPENCV}/data/right.jpg"),
        (Thing((0.17, 0.29, 0.42, 0.8), _BOOK), Thing((0.42, 0.22, 0.66, 0.69), _BOOK)),
    ),
    Photograph(
        "packages", "Packages in a bag, grey picture", OPENCV_DOC, (f"{_OPENCV}/data/box_in_scene.png",),
        _alike(_BOX, (0.2, 0.42, 0.5, 0.78), (0.43, 0.47, 0.75, 0.85), (0.3, 0.08, 0.78, 0.58)),
    ),
    Photograph(
        "blocks", "Wooden blocks, grey picture of 256 pixels", OPENCV_DOC, (f"{_OPENCV}/data/blox.jpg",),
        _alike(("block", "box", "brick", "cube"), *_BLOCKS),
    ),
    Photograph(
        "house", "A paper house and a mug, three views", MVTB_DATA, tuple(f"{_MVTB}/seq/im.{i:03d}.png" for i in (1, 3, 5)),
        (Thing((0.26, 0.06, 0.76, 0.88), ("house", "box"), 0.5), Thing((0.72, 0.54, 0.92, 0.8), _MUG),
         Thing((0.07, 0.61, 0.19, 0.73), ("car",))),
    ),
    Photograph(
        "fruits", "Cut fruits, near", OPENCV_DOC, (f"{_OPENCV}/data/fruits.jpg",),
        (Thing((0.24, 0.12, 0.72, 0.98), ("orange",), 0.5), Thing((0.62, 0.52, 1.0, 0.97), ("lemon",)),
         Thing((0.68, 0.26, 1.0, 0.6), ("lime", "lemon", "ball")), Thing((0.0, 0.57, 0.2, 1.0), ("kiwi",))),
    ),
    Photograph("orange", "An orange that fills the picture", OPENCV_DOC, (f"{_OPENCV}/data/orange.jpg",),
               (Thing((0.07, 0.1, 0.92, 0.97), ("orange", "ball", "fruit")),)),
    Photograph("apple", "An apple that fills the picture", OPENCV_DOC, (f"{_OPENCV}/data/apple.jpg",),
               (Thing((0.1, 0.08, 0.9, 1.0), ("apple", "ball", "fruit")),)),
    Photograph(
        "toys", "Toys and cloth", OPENCV_DOC, (f"{_OPENCV}/data/rubberwhale1.png",),
        (Thing((0.36, 0.22, 0.54, 0.47), ("whale", "toy")), Thing((0.28, 0.57, 0.52, 0.84), ("letter", "toy"), 0.5),
         Thing((0.12, 0.78, 0.32, 1.0), ("ring", "wheel", "toy", "tape")), Thing((0.68, 0.67, 1.0, 1.0), ("block", "box")),
         Thing((0.1, 0.36, 0.27, 0.47), ("pebble", "stone", "egg"))),
    ),
    Photograph(
        "pots", "A plant in its pot", OPENCV_DOC, (f"{_OPENCV}/alphamat/input_images/plant.jpg",),
        (Thing((0.39, 0.6, 0.71, 1.0), ("pot", "cup", "vase")), Thing((0.14, 0.58, 0.33, 0.86), ("pot", "cup", "vase", "mug"))),
    ),
    Photograph(
        "aloe", "An aloe before cloth, stereo pair", OPENCV_DOC, (f"{_OPENCV}/data/aloeL.jpg", f"{_OPENCV}/data/aloeR.jpg"),
        (Thing((0.57, 0.73, 0.8, 0.97), ("pot", "vase", "cup")),),
        # Middlebury 2006, full size: focal length 3740 pixels, baseline 160 mm, disparities cut by 270 pixels. The principal
        # point is not published; the middle is taken.
        StereoTruth(3740.0, (640.5, 554.5), 270.0, 0.16, f"{_OPENCV}/data/aloeGT.png"),
    ),
    Photograph(
        "motorcycle", "A motorcycle in a workshop, stereo pair", SCIKIT_IMAGE,
        (f"{_SKIMAGE}/motorcycle_left.png", f"{_SKIMAGE}/motorcycle_right.png"),
        (Thing((0.13, 0.25, 0.98, 0.83), ("motorcycle",), 0.5),),
        # Middlebury 2014, a quarter of its size, as scikit-image documents it.
        StereoTruth(994.978, (311.193, 254.877), 31.086, 0.193001, f"{_SKIMAGE}/motorcycle_disp.npz"),
    ),
)  # fmt: skip


def fetch_photograph(photograph: Photograph, folder: Path, told: Callable[[str], None] | None = None) -> list[Path]:
    """Bring the files of a photograph here, with its truth where there is some.

    Args:
        photograph: Which one.
        folder: Keeps packages and files.
        told: Called with a sentence when a download begins.

    Returns:
        The pictures, then the disparity where there is one.

    Raises:
        PackageUnavailable: The package cannot be reached or is another one.
        ValueError: The package is damaged.
    """
    wanted = [*photograph.files, *([photograph.stereo.disparity] if photograph.stereo else [])]
    places = {name: f"{photograph.key}/{Path(name).name}" for name in wanted}
    paths = [folder / place for place in places.values()]
    if not all(path.is_file() for path in paths):
        extract_files(fetch_package(photograph.package, folder, told), places, folder)
    return paths
