"""`pan3d bench worlds`: every figure of its page is measured, and its curves are pictures that say what they show."""

import math
import xml.etree.ElementTree as xml

import pytest

from pan3d_tools.bench.worlds import command as worlds
from pan3d_tools.bench.worlds.curves import Line, curve_picture

SVG = "{http://www.w3.org/2000/svg}"


def test_a_world_is_judged(tmp_path):
    arguments = ["--engines", "depth_clusters+exact", "depth_clusters+active_stereo"]
    arguments += ["--scenes", "1", "--worlds", "cell", "--no-curves"]
    page = tmp_path / "docs" / "worlds.md"
    found = worlds.run([*arguments, "--world-folder", str(tmp_path / "scenes"), "--page", str(page)])
    figures = found["worlds"]["cell"]["depth_clusters+exact"]
    assert figures["AP50"] > 0.5 and figures["centre error (mm)"] < 15 and not found["curves"]
    noisy = found["worlds"]["cell"]["depth_clusters+active_stereo"]
    assert noisy["depth AbsRel on objects"] > figures["depth AbsRel on objects"] == 0.0
    text = page.read_text()
    assert f"| the plain cell (`cell`) | depth_clusters+exact | {figures['AP50']:.3f} |" in text and "{" not in text


def test_curves_are_of_what_is_told_and_of_the_number_of_views(tmp_path):
    asked = []

    def counted(world, engine, error, num_views):
        asked.append((world, engine, error, num_views))
        return {"AP50": 1 / len(asked), "centre error (mm)": float(len(asked))}

    curves = worlds.measured_curves(counted, ["one", "two"])
    erring = asked[: len(asked) - 2 * len(worlds.VIEWS)]
    told = [(error.position_m, error.rotation_deg, error.support_m) for _, engine, error, _ in erring if engine == "one"]
    assert len(told) == 11 and (0.01, 1.0, 0.0) in told and (0.0, 0.0, 0.1) in told
    assert [views for _, engine, _, views in asked[len(erring) :] if engine == "two"] == [1, 2, 3, 4, 6, 8]
    assert {world for world, *_ in asked} == {"cell"}
    poses = curves[0]
    assert poses.places == (0.0, 5.0, 10.0, 20.0)
    assert [own["centre error (mm)"] for own in poses.figures["two"]] == [5.0, 6.0, 7.0, 8.0]
    page = tmp_path / "docs" / "worlds.md"
    worlds.write_page(page, 3, {"cell": {"one": {"AP50": 0.5}}}, curves)
    pictures = sorted(path.name for path in (tmp_path / "docs" / "images").iterdir())
    assert len(pictures) == 6 and all(f"images/{name}" in page.read_text() for name in pictures)
    assert "| one | 0.500 |  |  |  |  |  |" in page.read_text()


def test_sensors_are_known_ones_and_modelled_objects_come_from_a_folder(tmp_path):
    with pytest.raises(ValueError, match="depth_sensor: expected one of exact, .* got 'sonar'"):
        worlds.run(["--engines", "pan3d-mini+sonar", "--worlds", "cell", "--scenes", "1", "--world-folder", str(tmp_path)])
    with pytest.raises(ValueError, match="pan3d sim objects fetch"):
        worlds.run(["--worlds", "modelled", "--scenes", "1", "--world-folder", str(tmp_path)])


def test_a_curve_has_each_value_at_its_place_and_leaves_out_what_there_is_not():
    picture = xml.fromstring(curve_picture("a & b", "views", "AP50", (1, 2, 4), [Line("one", (0.5, math.nan, 1.0))]))
    words = [item.text for item in picture.iter(f"{SVG}text")]
    assert {"a & b", "views", "AP50", "one", "1", "2", "4"} <= set(words)
    dots = [(float(item.get("cx")), float(item.get("cy"))) for item in picture.iter(f"{SVG}circle")]
    assert len(dots) == 2
    assert dots[0][0] < dots[1][0]
    assert dots[0][1] > dots[1][1]  # down is less
    lines = sorted({item.get("d") for item in picture.iter(f"{SVG}path")})
    assert any(str(f"{dots[0][0]:.1f}") in line for line in lines)
    with pytest.raises(ValueError, match="expected 3 values of two, got 2"):
        curve_picture("", "", "", (1, 2, 3), [Line("two", (1.0, 2.0))])
