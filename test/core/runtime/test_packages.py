"""Packages that are fetched for files in them."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest
from packages import debian_bytes, tar_bytes

from pan3d_core.runtime.packages import PackageUnavailable, PublishedPackage, extract_files, fetch_package, open_members

FILES = {"usr/share/things/cup.obj": b"v 0 0 0\n", "usr/share/things/cup.png": b"picture" * 100}


def written(folder: Path, kind: str) -> Path:
    path = folder / f"package{kind}"
    if kind in (".whl", ".zip"):
        with zipfile.ZipFile(path, "w") as zipped:
            for name, data in FILES.items():
                zipped.writestr(name, data)
    else:
        path.write_bytes(debian_bytes(tar_bytes(FILES)) if kind == ".deb" else tar_bytes(FILES, "gz"))
    return path


@pytest.mark.parametrize("kind", [".whl", ".zip", ".deb", ".tgz"])
def test_files_come_out_of_every_kind_of_package(tmp_path, kind):
    name = "usr/share/things/cup.png"
    paths = extract_files(written(tmp_path, kind), {name: "pictures/cup.png"}, tmp_path / "out")
    assert paths == [tmp_path / "out/pictures/cup.png"] and paths[0].read_bytes() == FILES[name]
    assert {name: stream.read() for name, stream in open_members(tmp_path / f"package{kind}")} == FILES


def test_a_file_that_a_package_lacks_is_named(tmp_path):
    with pytest.raises(ValueError, match="expected the file bowl.obj in it"):
        extract_files(written(tmp_path, ".deb"), {"bowl.obj": "bowl.obj"}, tmp_path)


@pytest.mark.parametrize("kind", [".whl", ".deb", ".tgz"])
def test_half_a_package_is_one_error_that_names_it(tmp_path, kind):
    path = written(tmp_path, kind)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(ValueError, match=path.name):
        list(open_members(path))


@pytest.mark.parametrize("content", [b"", b"nothing of the kind", b"!<arch>\n", debian_bytes(b"", "other.tar")])
def test_what_is_no_debian_package_is_refused_by_name(tmp_path, content):
    path = tmp_path / "package.deb"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="package.deb: expected"):
        list(open_members(path))


def test_files_are_never_written_outside_the_folder(tmp_path):
    with pytest.raises(ValueError, match="inside the folder"):
        extract_files(written(tmp_path, ".whl"), {"usr/share/things/cup.obj": "../cup.obj"}, tmp_path / "out")
    assert not (tmp_path / "cup.obj").exists()


def test_a_package_is_fetched_once_and_only_if_it_is_the_known_one(tmp_path):
    source = written(tmp_path, ".whl")
    known = hashlib.sha256(source.read_bytes()).hexdigest()
    package = PublishedPackage("things 1.0", source.as_uri(), known)
    said: list[str] = []
    path = fetch_package(package, tmp_path / "kept", said.append)
    assert path.read_bytes() == source.read_bytes() and "things 1.0" in said[0]
    source.unlink()
    assert fetch_package(package, tmp_path / "kept", said.append) == path and len(said) == 1


def test_another_file_than_the_known_one_is_not_kept(tmp_path):
    package = PublishedPackage("things 1.0", written(tmp_path, ".whl").as_uri(), "0" * 64)
    with pytest.raises(PackageUnavailable, match="things 1.0: .*expected sha256 0000"):
        fetch_package(package, tmp_path / "kept")
    assert list((tmp_path / "kept").iterdir()) == []


def test_a_package_that_cannot_be_reached_says_what_to_do(tmp_path):
    package = PublishedPackage("things 1.0", (tmp_path / "nowhere.whl").as_uri(), "0" * 64)
    with pytest.raises(PackageUnavailable, match="could not be fetched .*a copy from elsewhere serves"):
        fetch_package(package, tmp_path / "kept")
