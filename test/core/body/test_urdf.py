"""A URDF gives links, joints and closed surfaces; what is wrong with one is said by name."""

import numpy as np
import pytest
import trimesh
from robot_arms import TURNING_URDF, gantry_urdf

from pan3d_core.body import parse_urdf, read_urdf

MESH = '<link name="tool"><visual><geometry><mesh filename="{file}" scale="{scale}"/></geometry></visual></link>'
FIXED = '<joint name="mount" type="fixed"><parent link="carriage"/><child link="tool"/></joint>'


def volume(shape):
    a, b, c = (shape.vertices[shape.faces[:, k]] for k in range(3))
    return float(np.einsum("fk,fk->", a, np.cross(b, c)) / 6)


def test_links_joints_and_surfaces():
    robot = parse_urdf(TURNING_URDF)
    assert robot.root == "base" and robot.links == ("base", "arm", "left", "right")
    assert robot.told_joints == ("turn", "left_slide")
    assert [joint.child for joint in robot.joints] == ["arm", "left", "right"]
    assert {shape.link for shape in robot.shapes} == {"arm", "left", "right"}  # where nothing is visible, what collides
    arm, left, _ = robot.shapes
    assert volume(arm) == pytest.approx(np.pi * 0.05**2 * 0.4, rel=0.02)
    assert volume(left) == pytest.approx(4 / 3 * np.pi * 0.02**3, rel=0.06)


@pytest.mark.parametrize("suffix", ["stl", "obj", "ply"])
@pytest.mark.parametrize("name", ["{path}", "file://{path}", "meshes/tool.{suffix}", "package://some_robot/meshes/tool.{suffix}"])
def test_meshes_are_found_and_scaled(tmp_path, suffix, name):
    folder = tmp_path / "some_robot" / "meshes"
    folder.mkdir(parents=True)
    path = folder / f"tool.{suffix}"
    trimesh.creation.icosphere(subdivisions=4, radius=30.0).export(path)
    file = name.format(path=path, suffix=suffix)
    text = gantry_urdf(parts=MESH.format(file=file, scale="0.001 0.001 0.002") + FIXED)
    (tmp_path / "some_robot" / "robot.urdf").write_text(text)
    robot = read_urdf(tmp_path / "some_robot" / "robot.urdf", [tmp_path])
    tool = robot.shapes[-1]
    assert len(tool.faces) <= 1500  # of 5120
    assert volume(tool) == pytest.approx(4 / 3 * np.pi * 0.03**2 * 0.06, rel=0.05)


def test_a_mesh_inside_out_and_one_that_is_mirrored_enclose_something(tmp_path):
    ball = trimesh.creation.icosphere(subdivisions=2, radius=0.03)
    ball.invert()
    ball.export(tmp_path / "ball.stl")
    for scale in ("1 1 1", "1 1 -1"):
        robot = parse_urdf(gantry_urdf(parts=MESH.format(file="ball.stl", scale=scale) + FIXED), [tmp_path])
        assert volume(robot.shapes[-1]) > 0


def joint(text):
    return gantry_urdf(parts=f'<link name="tool"/><joint name="j" {text}</joint>')


PLACE = '<parent link="carriage"/><child link="tool"/>'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("no XML at all", "expected the XML of a URDF"),
        ("<sdf/>", "expected the element robot, got sdf"),
        ('<robot name="r" xmlns:xacro="http://www.ros.org/wiki/xacro"><xacro:arm/></robot>', "run xacro on it first"),
        ('<!DOCTYPE r [<!ENTITY a "b">]><robot name="r"/>', "without DOCTYPE"),
        ("<robot/>", "whose elements have what they need"),
        ('<robot name="r"><link name="a"/></robot>', "visual or collision geometry at some link, got none at 1 links"),
        ('<robot name="r"/>', "expected one that no joint moves"),
        (gantry_urdf(parts='<link name="loose"/>'), "root of all others, got base_link, loose"),
        (gantry_urdf(parts='<link name="carriage"/>'), "expected every name once, got carriage again"),
        (joint('type="floating">' + PLACE), "joint j.type: expected one of revolute, continuous, prismatic, fixed, got floating"),
        (joint('type="fixed"><parent link="nowhere"/><child link="tool"/>'), "joint j.parent: expected a link of base_link"),
        (joint(f'type="revolute"><axis xyz="0 0 0"/>{PLACE}'), "joint j.axis: expected a direction"),
        (joint(f'type="revolute"><mimic joint="lost"/>{PLACE}'), "joint j.mimic: expected one that moves and follows none"),
        (joint(f'type="fixed"><origin xyz="nan 0 0"/>{PLACE}'), "joint j.origin: expected finite numbers"),
        (joint('type="fixed"><parent link="carriage"/>'), "whose elements have what they need"),
        (gantry_urdf(size="0.1 -0.1 0.1"), "link carriage.geometry.box.size: expected positive lengths"),
        (gantry_urdf(size="0.1 0.1"), "link carriage.geometry.box.size: expected"),
        (
            gantry_urdf(parts=MESH.format(file="lost.stl", scale="1 1 1") + FIXED),
            "expected the file lost.stl, got none; looked",
        ),
        (
            gantry_urdf(parts=MESH.format(file="package://a/b.dae", scale="1 1 1") + FIXED),
            "link tool.geometry.mesh: expected the file package://a/b.dae",
        ),
    ],
)
def test_what_is_wrong_is_said_by_name(text, words, tmp_path):
    with pytest.raises(ValueError, match="robot_description: ") as caught:
        parse_urdf(text, [tmp_path])
    assert words in str(caught.value)


def test_a_circle_of_links_is_refused():
    circle = "".join(
        f'<link name="{a}"/><joint name="to_{a}" type="fixed"><parent link="{b}"/><child link="{a}"/></joint>'
        for a, b in (("p", "q"), ("q", "p"))
    )
    with pytest.raises(ValueError, match="got a circle at to_p"):
        parse_urdf(gantry_urdf(parts=circle))


def test_a_mesh_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "bad.stl").write_bytes(b"solid nothing")
    with pytest.raises(ValueError, match=r"link tool.geometry.mesh: expected .*bad.stl"):
        parse_urdf(gantry_urdf(parts=MESH.format(file="bad.stl", scale="1 1 1") + FIXED), [tmp_path])


def test_a_file_that_is_not_there_is_an_os_error(tmp_path):
    with pytest.raises(OSError, match=r"nothing\.urdf"):
        read_urdf(tmp_path / "nothing.urdf")
