"""Tests of fetching, unpacking and converting; no network is asked."""

from dataclasses import replace

import pytest
from packages import debian_bytes, tar_bytes

from pan3d_core.runtime.files import file_sha256
from pan3d_sim.library import fetch
from pan3d_sim.library.fetch import ObjectsUnavailable, convert_all, fetch_objects, unpack_catalogues
from pan3d_sim.library.folder import INDEX_FILE, NOTICE_FILE, read_index


def _package(path, members):
    path.write_bytes(debian_bytes(tar_bytes(members)))
    return path


def test_catalogues_are_unpacked_from_a_debian_package(tmp_path, catalogue):
    members = {"usr/share/doc/x": b"text", "usr/share/Scopia.sh3f": catalogue.read_bytes()}
    found = unpack_catalogues(_package(tmp_path / "a.deb", members), tmp_path / "out")
    assert list(found) == ["Scopia"] and found["Scopia"].read_bytes() == catalogue.read_bytes()
    with pytest.raises(ObjectsUnavailable, match="got none"):
        unpack_catalogues(_package(tmp_path / "b.deb", {"x": b"y"}), tmp_path / "out2")
    damaged = _package(tmp_path / "c.deb", members)
    damaged.write_bytes(damaged.read_bytes()[:300])
    with pytest.raises(ObjectsUnavailable, match="damaged"):
        unpack_catalogues(damaged, tmp_path / "out3")


def test_what_cannot_be_used_is_left_out_with_the_reason_and_the_rest_is_there(tmp_path, catalogue, rows):
    folder = tmp_path / "objects"
    folder.mkdir()
    convert_all({"Scopia": catalogue}, rows, folder)
    index = read_index(folder)
    assert [item.name for item in index.objects] == ["Scopia-cube"] and index.objects[0].licence == "CC-BY-3.0"
    assert set(index.left_out) == {"Scopia-flat", "Scopia-broken", "Scopia-missing"}
    assert "got none of that name" in index.left_out["Scopia-missing"]
    assert "cube: Ann" in (folder / NOTICE_FILE).read_text()
    with pytest.raises(ObjectsUnavailable, match="the procedural objects serve"):
        convert_all({"Scopia": catalogue}, rows[1:], folder)


def test_another_package_is_not_unpacked(tmp_path):
    package = tmp_path / "a.deb"
    package.write_bytes(b"something else")
    with pytest.raises(ObjectsUnavailable, match="expected sha256 .* not used"):
        fetch_objects(tmp_path / "out", package)
    with pytest.raises(ObjectsUnavailable, match="cannot be read"):
        fetch_objects(tmp_path / "out", tmp_path / "none.deb")
    assert not (tmp_path / "out").exists()


def test_without_a_network_it_says_why_and_that_the_procedural_objects_serve(tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "PACKAGE", replace(fetch.PACKAGE, url=(tmp_path / "none.deb").as_uri()))
    with pytest.raises(ObjectsUnavailable, match="could not be fetched .*the procedural objects serve"):
        fetch_objects(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_fetching_again_does_nothing_and_another_folder_is_not_overwritten(tmp_path, catalogue, rows, monkeypatch):
    package = _package(tmp_path / "a.deb", {"Scopia.sh3f": catalogue.read_bytes()})
    monkeypatch.setattr(fetch, "PACKAGE", replace(fetch.PACKAGE, sha256=file_sha256(package)))
    monkeypatch.setattr(fetch, "listed_objects", lambda: tuple(rows))
    out = tmp_path / "out"
    first = fetch_objects(out, package)
    written = (out / INDEX_FILE).stat().st_mtime_ns
    assert fetch_objects(out, tmp_path / "none.deb") == first and (out / INDEX_FILE).stat().st_mtime_ns == written
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(ValueError, match="expected a folder that `pan3d sim objects fetch` has written"):
        fetch_objects(other, package)
