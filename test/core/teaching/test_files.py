"""The library on disk: readable, whole or not at all, and robust to what is wrong with one entry."""

import json
import shutil
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from boxes_to_teach import taught

from pan3d_core.pictures.cloud_files import read_ply
from pan3d_core.runtime.checksums import read_stored, write_weights
from pan3d_core.teaching import export_objects, forget_object, import_objects, read_library, read_object, write_object
from pan3d_core.teaching.objects import OTHER_LOOK


@pytest.fixture(scope="module")
def valve():
    return taught("Blue valve")


@pytest.fixture
def library(tmp_path, valve):
    write_object(tmp_path / "objects", valve)
    write_object(tmp_path / "objects", replace(valve, name="Schieber 3"))
    return tmp_path / "objects"


def test_an_object_comes_back_as_it_was_written(library, valve):
    found = read_library(library)
    assert found.names == ("Blue valve", "Schieber 3") and not found.skipped
    back = found.find("blue-VALVE!")
    for name in ("colors", "pixels", "textures", "tone", "size_m", "spread_m", "distances"):
        assert getattr(back.looks, name) == pytest.approx(getattr(valve.looks, name)), name
    assert back.looks.vectors is None and back.looks.meaning is None
    assert back.description == valve.description and back.engine == "depth_clusters"
    assert [picture.shape for picture in back.thumbnails] == [picture.shape for picture in valve.thumbnails]
    assert not list(library.glob(".*"))


def test_a_person_can_read_the_folder(library):
    folder = library / "blue_valve"
    assert sorted(path.name for path in folder.iterdir()) == [
        "looks.safetensors", "model.ply", "object.json", *(f"view_{index}.png" for index in range(4)),
    ]  # fmt: skip
    card = json.loads((folder / "object.json").read_text())
    assert card["name"] == "Blue valve" and card["views"] == 4
    assert card["size_m"] == pytest.approx([0.10, 0.06, 0.05], abs=0.01)  # sides, falling
    cloud = read_ply(folder / "model.ply")  # in the frame of the box
    assert np.abs(cloud.points).max(axis=0) == pytest.approx([0.05, 0.025, 0.03], abs=0.01)
    assert cloud.colors[:, 2].mean() > 2 * cloud.colors[:, 0].mean()


def test_a_name_is_taken_until_it_is_replaced_or_forgotten(library, valve):
    with pytest.raises(ValueError, match="not taken, got 'BLUE valve'"):
        write_object(library, replace(valve, name="BLUE valve"))
    write_object(library, replace(valve, name="BLUE valve", description="other"), replace=True)
    assert read_library(library).find("blue valve").description == "other"
    assert forget_object(library, "blue valve") == library / "blue_valve"
    assert read_library(library).names == ("Schieber 3",) and not list(library.glob(".*"))
    with pytest.raises(ValueError, match="expected one of Schieber 3, got 'blue valve'"):
        forget_object(library, "blue valve")


def test_what_was_taught_with_an_earlier_look_is_read_and_every_result_says_so(library, valve):
    earlier = replace(valve.looks, crops=np.eye(64, dtype=np.float32)[:2], space="earlier")
    write_object(library, replace(valve, name="old valve", looks=earlier))
    found = read_library(library)
    assert found.find("old valve").looks.space == "earlier" and not found.skipped
    assert found.problems("") == (f"'old valve' {OTHER_LOOK}",)


def edited_card(folder, **changes):
    path = folder / "object.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edited_looks(folder, change):
    tensors, metadata = read_stored(folder / "looks.safetensors", "looks", "")
    write_weights(folder / "looks.safetensors", change(tensors), metadata)


DAMAGE = {
    "object.json: format": lambda folder: edited_card(folder, version=2),
    "object.json: stamp_ns": lambda folder: edited_card(folder, stamp_ns="yesterday"),
    "object.json: name": lambda folder: edited_card(folder, name="another valve"),
    "object.json: expected JSON": lambda folder: (folder / "object.json").write_text("{"),
    "object.json, which does not exist": lambda folder: (folder / "object.json").unlink(),
    "model.ply: expected a binary PLY": lambda folder: (folder / "model.ply").write_bytes(b"ply"),
    "model.ply, which does not exist": lambda folder: (folder / "model.ply").unlink(),
    "looks.safetensors": lambda folder: (folder / "looks.safetensors").write_bytes(b"\0" * 100),
    "looks.safetensors: tone": lambda folder: edited_looks(folder, lambda held: held | {"tone": held["tone"][:5]}),
    "looks.safetensors: colors": lambda folder: edited_looks(
        folder, lambda held: {k: v for k, v in held.items() if k != "colors"}
    ),
    "looks.safetensors: pixels": lambda folder: edited_looks(folder, lambda held: held | {"pixels": held["pixels"][:1]}),
    "looks.safetensors: size_m": lambda folder: edited_looks(folder, lambda held: held | {"size_m": held["size_m"] / 0}),
    "looks.safetensors: checkpoint": lambda folder: edited_card(folder, checkpoint="other"),
    "view_0.png": lambda folder: (folder / "view_0.png").write_bytes(b"no picture"),
}


@pytest.mark.parametrize("field", DAMAGE)
def test_a_damaged_entry_is_left_out_with_file_and_field_and_the_others_serve(library, field):
    DAMAGE[field](library / "blue_valve")
    found = read_library(library)
    assert found.names == ("Schieber 3",)
    (told,) = found.skipped
    assert told.startswith("blue_valve is left out: ") and field in told
    forget_object(library, "blue valve")  # whatever state it is in
    assert read_library(library).skipped == ()


def test_changed_numbers_do_not_pass_for_what_was_taught(library):
    path = library / "blue_valve" / "looks.safetensors"
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    assert "is damaged" in read_library(library).skipped[0]


def test_another_robot_imports_what_was_exported(library, tmp_path):
    archive, other = tmp_path / "valves.zip", tmp_path / "robot"
    assert export_objects(library, archive, ["blue valve"]) == ("Blue valve",)
    assert import_objects(other, archive).names == ("Blue valve",)
    assert read_object(other / "blue_valve").looks.colors == pytest.approx(read_object(library / "blue_valve").looks.colors)
    with pytest.raises(ValueError, match="not taken, got Blue valve"):
        import_objects(other, archive)
    assert import_objects(other, archive, replace=True).names == ("Blue valve",)
    export_objects(library, archive)
    shutil.rmtree(other)
    assert import_objects(other, archive).names == ("Blue valve", "Schieber 3")


def test_archives_that_are_none_or_lead_out_of_the_folder_are_refused(library, tmp_path):
    with pytest.raises(ValueError, match=r"ending in \.zip"):
        export_objects(library, tmp_path / "valves.tar")
    with pytest.raises(ValueError, match="expected one of Blue valve, Schieber 3, got 'hose'"):
        export_objects(library, tmp_path / "valves.zip", ["hose"])
    with pytest.raises(FileNotFoundError, match="none.zip"):
        import_objects(library, tmp_path / "none.zip")
    (tmp_path / "text.zip").write_text("hello")
    with pytest.raises(ValueError, match="an archive of taught objects"):
        import_objects(library, tmp_path / "text.zip")
    with zipfile.ZipFile(tmp_path / "out.zip", "w") as stream:
        stream.writestr("../outside.txt", "x")
    with pytest.raises(ValueError, match="inside the folder"):
        import_objects(library, tmp_path / "out.zip")
    assert not (tmp_path / "outside.txt").exists()


def test_a_library_that_is_not_there_is_no_empty_one(tmp_path):
    with pytest.raises(FileNotFoundError, match="objects: expected a folder of taught objects"):
        read_library(tmp_path / "nothing")
