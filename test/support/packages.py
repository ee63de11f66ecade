"""Packages as archives publish them, made in memory."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping


def tar_bytes(files: Mapping[str, bytes], compression: str = "xz") -> bytes:
    """A tar of files, their names as Debian writes them."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode=f"w:{compression}") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(f"./{name}")
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return content.getvalue()


def debian_bytes(data: bytes, name: str = "data.tar.xz") -> bytes:
    """A Debian package whose files are in the tar `data`."""
    parts = {"debian-binary": b"2.0\n", "control.tar.xz": b"odd", name: data}
    content = b"!<arch>\n"
    for part, held in parts.items():
        content += f"{part:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(held):<10}`\n".encode() + held + b"\n" * (len(held) % 2)
    return content
