"""Modelled objects from the Debian package `sweethome3d-furniture`: fetched, compared with its checksum, unpacked, converted."""

from __future__ import annotations

import logging
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from pan3d_core.runtime.files import written_whole
from pan3d_core.runtime.packages import PublishedPackage, check_package, fetch_package, open_members
from pan3d_sim.library.catalogue import CatalogueEntry, open_catalogue, read_catalogue
from pan3d_sim.library.convert import prepare
from pan3d_sim.library.folder import NOTICE_FILE, FolderIndex, ObjectFacts, read_index, save_object, write_index
from pan3d_sim.library.notice import LICENCES, notice_text
from pan3d_sim.library.tables import ListedObject, kind_words, listed_objects

PACKAGE = PublishedPackage(
    "sweethome3d-furniture 1.8-1",
    "https://deb.debian.org/debian/pool/main/s/sweethome3d-furniture/sweethome3d-furniture_1.8-1_all.deb",
    "3ccb90c63f9525e887a767b9cd5c8b6933b8b6b2973a615a5359ee68a2118668",
)
SOURCE = f"Debian {PACKAGE.name}, sha256 {PACKAGE.sha256}"
_log = logging.getLogger("pan3d.sim.library")
Report = Callable[[int, int], None]


class ObjectsUnavailable(ValueError):
    """The package cannot be had or is another one; the text says why, and that the procedural objects serve meanwhile."""


def fetch_objects(out: Path, package: Path | None = None, report: Report | None = None) -> FolderIndex:
    """Fetch and convert the modelled objects, unless the folder has them already.

    Args:
        out: Folder to be; it appears when it is complete.
        package: A copy of the Debian package; None fetches it from Debian's archive.
        report: Called with the number of objects converted so far and that of all.

    Returns:
        What the folder holds.

    Raises:
        ObjectsUnavailable: The package cannot be fetched, or is not the one that is known.
        ValueError: `out` is there and is something else.
    """
    if out.exists():
        index = read_index(out)
        if index.source != SOURCE:
            raise ValueError(f"out: expected objects from {SOURCE}, got {out} from {index.source}; remove it to fetch them again")
        return index
    with tempfile.TemporaryDirectory(prefix="pan3d_objects_") as work:
        try:
            if package is not None:
                check_package(PACKAGE, package)
            archive = package or fetch_package(PACKAGE, work)
        except ValueError as error:
            raise ObjectsUnavailable(f"{error}. {_MEANWHILE}") from error
        catalogues = unpack_catalogues(archive, Path(work) / "catalogues")
        with written_whole(out) as partial:
            partial.mkdir()
            return convert_all(catalogues, listed_objects(), partial, report)


def unpack_catalogues(package: Path, folder: Path) -> dict[str, Path]:
    """Unpack the catalogues of a Debian package.

    Args:
        package: The `.deb` file: an ar archive with a tar archive inside.
        folder: To unpack to.

    Returns:
        Name of the catalogue -> its file.

    Raises:
        ObjectsUnavailable: The file is damaged or holds no catalogues.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    try:
        for name, stream in open_members(package):
            if name.endswith(".sh3f"):
                path = folder / Path(name).name
                with path.open("wb") as target:
                    shutil.copyfileobj(stream, target)
                found[path.stem] = path
    except ValueError as error:
        raise ObjectsUnavailable(f"{error}. {_MEANWHILE}") from error
    if not found:
        raise ObjectsUnavailable(f"{package}: expected catalogues of models (.sh3f), got none. {_MEANWHILE}")
    return found


def convert_all(
    catalogues: dict[str, Path], objects: Sequence[ListedObject], folder: Path, report: Report | None = None
) -> FolderIndex:
    """Convert listed objects into a folder; those that are missing or damaged are left out with the reason.

    Args:
        catalogues: Name -> file.
        objects: What to convert.
        folder: An empty one.
        report: See `fetch_objects`.

    Returns:
        What was written as the folder's index.

    Raises:
        ObjectsUnavailable: Not one object could be converted.
    """
    facts, left_out = [], {}
    with ExitStack() as stack:
        opened: dict[str, tuple[zipfile.ZipFile, dict[str, CatalogueEntry]]] = {}
        for number, item in enumerate(objects):
            try:
                if item.catalogue not in opened:
                    archive = stack.enter_context(open_catalogue(_listed(catalogues, item.catalogue, "catalogue")))
                    opened[item.catalogue] = archive, read_catalogue(archive)
                archive, entries = opened[item.catalogue]
                entry = _listed(entries, item.model, item.catalogue)
                file = f"{item.name}.npz"
                save_object(folder / file, prepare(archive, entry, item.longest_m))
                words = kind_words().get(item.kind)
                materials = words.materials if words else ()
                licence = LICENCES[item.catalogue].name
                facts.append(ObjectFacts(item.name, item.kind, item.split, licence, entry.author, file, materials))
            except ValueError as error:
                _log.warning("%s is left out: %s", item.name, error)
                left_out[item.name] = str(error)
            if report is not None:
                report(number + 1, len(objects))
    if not facts:
        raise ObjectsUnavailable(f"objects: expected models in {', '.join(catalogues)}, got none that can be used. {_MEANWHILE}")
    index = FolderIndex(SOURCE, tuple(facts), left_out)
    (folder / NOTICE_FILE).write_text(notice_text(index.objects), encoding="utf-8")
    write_index(folder, index)
    return index


def _listed(table, name: str, where: str):
    if name not in table:
        raise ValueError(f"{where}: expected {name}, got none of that name")
    return table[name]


_MEANWHILE = "Until they are there, leave --object-folder out: the procedural objects serve"
