"""The page of a Gaussian scene without a browser: what it serves, and what its controls do to the state."""

import re
import signal
import socket
import subprocess
import sys
import urllib.request
from dataclasses import replace

import numpy as np
import pytest
import torch
from gaussian_boxes import BOXES, EYES, boxes_scene, text_embeddings

from pan3d_core.gaussians.ply import read_gaussian_ply, write_gaussian_ply
from pan3d_core.gaussians.scene import write_gaussian_scene
from pan3d_core.structures import Gaussians
from pan3d_tools import cli

pytest.importorskip("viser", reason="needs viser (extra [web])")

from pan3d_tools.viewer.drawing import covariances, splat_unit  # noqa: E402
from pan3d_tools.viewer.page import GaussianViewer, PageSettings  # noqa: E402

SCENE = boxes_scene(spacing=0.02)


class BoxNames:
    """Text encoder of the hand-made scene: a brick is what red and green boxes are, a sea what the blue one is."""

    dim = 6

    def encode(self, texts):
        return text_embeddings(*({"brick": 0, "sea": 1}.get(text, 3) for text in texts))


@pytest.fixture
def serve():
    """Pages on free ports, closed at the end."""
    viewers = []

    def start(scene=SCENE, encoder=None) -> GaussianViewer:
        viewers.append(GaussianViewer(scene, PageSettings(port=0), encoder))
        return viewers[-1]

    yield start
    for viewer in viewers:
        viewer.stop()


def rgba(viewer: GaussianViewer) -> np.ndarray:
    """(N, 4) as sent to browsers."""
    return viewer._drawing._splats.buffer[:, 7:8].view(np.uint8)


def ray_to_box(number: int) -> tuple[torch.Tensor, torch.Tensor]:
    eye = torch.tensor(EYES[0])
    return eye, torch.tensor(BOXES[number - 1][1]) - eye


def test_the_address_answers_with_a_page(serve):
    with urllib.request.urlopen(serve().address, timeout=30) as answer:
        assert answer.status == 200 and b"<html" in answer.read()


@pytest.mark.parametrize(
    "path", ["/../../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/etc/passwd", "etc/passwd"]
)
def test_files_of_the_machine_are_not_served(serve, path):
    # Urls are tidied by clients on the way, so the request is written by hand, from as deep as any folder of packages is.
    asked = path.replace("../../../", "../" * 40).replace("%2e%2e/%2e%2e/", "%2e%2e/" * 40)
    with socket.create_connection(("127.0.0.1", int(serve().address.rsplit(":", 1)[1])), timeout=30) as connection:
        connection.sendall(f"GET {asked} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 404") and b"root:" not in answer


def test_a_click_selects_what_is_seen_there(serve):
    viewer = serve()
    viewer.attempt(lambda: viewer.pick(*ray_to_box(1), 500.0))
    assert viewer.display.selected == 1 and viewer.problem == ""
    viewer.attempt(lambda: viewer.set_presence(1, "hide"))
    viewer.attempt(lambda: viewer.pick(*ray_to_box(1), 500.0))
    assert viewer.display.selected != 1
    viewer.attempt(lambda: viewer.pick(torch.tensor(EYES[0]), torch.tensor([0.0, 0.0, 1.0]), 500.0))
    assert viewer.display.selected == 0


def test_selecting_twice_lets_go(serve):
    viewer = serve()
    viewer.attempt(lambda: viewer.select(2))
    assert viewer.display.selected == 2
    viewer.attempt(lambda: viewer.select(2))
    assert viewer.display.selected == 0


def test_hidden_and_removed_objects_leave_the_page_but_only_removed_ones_the_file(serve, tmp_path):
    viewer = serve()
    viewer.attempt(lambda: viewer.set_presence(1, "hide"))
    viewer.attempt(lambda: viewer.set_presence(2, "remove"))
    shown = rgba(viewer)[:, 3] > 0
    assert np.array_equal(shown, ~np.isin(SCENE.instance_id.numpy(), (1, 2)))
    (tmp_path / "out.ply").write_bytes(viewer.ply_bytes())
    assert torch.allclose(read_gaussian_ply(tmp_path / "out.ply").means, SCENE.gaussians.means[SCENE.instance_id != 2])
    viewer.attempt(lambda: viewer.set_presence(2, "show"))
    assert viewer.display.removed == frozenset() and viewer.display.hidden == {1}
    viewer.attempt(viewer.show_all)
    assert bool((rgba(viewer)[:, 3] > 0).all())


def test_modes_change_the_colours_that_are_sent(serve):
    viewer = serve(encoder=BoxNames())
    sent = {"colour": rgba(viewer).copy()}
    viewer.attempt(lambda: viewer.set_mode("instances"))
    sent["instances"] = rgba(viewer).copy()
    viewer.attempt(lambda: viewer.set_classes("brick, sea,, brick"))
    sent["semantics"] = rgba(viewer).copy()
    assert viewer.display.classes == ("brick", "sea") and viewer.problem == ""
    red, green = (sent["semantics"][SCENE.instance_id.numpy() == number][0].tolist() for number in (1, 3))
    assert red == green
    assert len({content.tobytes() for content in sent.values()}) == 3


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda viewer: viewer.select(9), "expected one of 1 (red box)"),
        (lambda viewer: viewer.set_classes(" , "), "Classes: expected names"),
        (lambda viewer: viewer.set_mode("x-ray"), "mode: expected one of colour"),
        (lambda viewer: viewer.set_presence(1, "burn"), "presence: expected one of show, hide, remove"),
    ],
)
def test_a_refusal_is_shown_and_changes_nothing(serve, action, message):
    viewer = serve(encoder=BoxNames())
    before = viewer.display
    viewer.attempt(lambda: action(viewer))
    assert message in viewer.problem and message in viewer._panel._problem.content.replace("&#x27;", "'")
    assert viewer.display.selected == before.selected and viewer.display.hidden == before.hidden
    viewer.attempt(lambda: viewer.select(1))
    assert viewer.problem == "" and not viewer._panel._problem.visible


def test_a_text_encoder_that_is_missing_is_said_in_the_page(serve, tmp_path):
    scene = replace(SCENE, text_space=replace(SCENE.text_space, encoder="clip-vit-b32"))
    viewer = serve(scene)
    viewer.attempt(lambda: viewer.set_classes("mug"))
    assert viewer.problem
    viewer = serve(replace(SCENE, text_space=replace(SCENE.text_space, encoder="morse")))
    viewer.attempt(lambda: viewer.set_classes("mug"))
    assert "encoder: expected one of minilm" in viewer.problem


def test_scenes_without_semantics_objects_views_or_gaussians(serve):
    bare = replace(
        SCENE, instance_id=torch.zeros_like(SCENE.instance_id), names={}, text_space=None, is_metric=False,
        cam_from_world=torch.zeros(0, 4, 4), intrinsics=torch.zeros(0, 3, 3),
    )  # fmt: skip
    viewer = serve(bare)
    viewer.attempt(lambda: viewer.set_mode("semantics"))
    assert "no semantic features" in viewer.problem and viewer.display.mode == "colour"
    viewer.attempt(lambda: viewer.pick(*ray_to_box(1), 500.0))
    assert viewer.display.selected == 0 and viewer.problem == ""
    nothing = Gaussians(torch.zeros(0, 3), torch.zeros(0, 3), torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, 3))
    empty = serve(replace(bare, gaussians=nothing, instance_id=torch.zeros(0, dtype=torch.int64)))
    empty.attempt(lambda: empty.pick(*ray_to_box(1), 500.0))
    assert empty.display.selected == 0 and empty.problem == ""


def test_small_gaussians_survive_the_16_bit_floats():
    small = replace(SCENE.gaussians, scales=torch.full_like(SCENE.gaussians.scales, 1e-4))
    unit = splat_unit(small)
    sent = covariances(small, unit).half().float() * unit**2
    expected = covariances(small)
    assert float(expected[0, 0, 0]) == pytest.approx(1e-8, rel=1e-4)
    assert torch.allclose(sent, expected, rtol=2e-3, atol=0)
    assert not torch.allclose(expected.half().float(), expected, rtol=0.5, atol=0)  # why the unit is needed


def test_a_flat_turned_gaussian_has_its_covariance():
    quat = torch.tensor([[np.cos(np.pi / 8), 0.0, 0.0, np.sin(np.pi / 8)]], dtype=torch.float32)  # 45 degrees about z
    flat = Gaussians(torch.zeros(1, 3), torch.tensor([[2.0, 1.0, 0.5]]), quat, torch.ones(1), torch.ones(1, 3))
    assert torch.allclose(covariances(flat)[0], torch.tensor([[2.5, 1.5, 0.0], [1.5, 2.5, 0.0], [0.0, 0.0, 0.25]]), atol=1e-5)


def test_the_command_serves_until_it_is_interrupted(tmp_path):
    write_gaussian_scene(tmp_path / "boxes.safetensors", SCENE)
    command = [sys.executable, "-m", "pan3d_tools.cli", "view", str(tmp_path / "boxes.safetensors"), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        address = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
        assert address, process.communicate(timeout=60)
        with urllib.request.urlopen(address[0], timeout=60) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0 and "stopping" in out and "Traceback" not in err


def test_a_taken_port_and_a_foreign_host_are_refused(tmp_path, capsys):
    path = str(tmp_path / "boxes.ply")
    write_gaussian_ply(path, SCENE.gaussians)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert cli.main(["view", path, "--port", str(port)]) == 2
    assert f"expected a free port of this machine, got {port} of 127.0.0.1" in capsys.readouterr().err
    assert cli.main(["view", path, "--host", "192.0.2.1", "--port", "0"]) == 2
    assert "got 0 of 192.0.2.1" in capsys.readouterr().err
    assert cli.main(["view", path, "--port", "70000"]) == 2
    assert "port: expected 0 to 65535, got 70000" in capsys.readouterr().err


def test_the_command_says_what_to_install_and_which_files_it_takes(tmp_path, capsys, monkeypatch):
    write_gaussian_scene(tmp_path / "boxes.safetensors", SCENE)
    assert cli.main(["view", str(tmp_path / "scene.obj")]) == 2
    assert "file: expected .safetensors" in capsys.readouterr().err
    assert cli.main(["view", str(tmp_path / "missing.ply")]) == 2
    assert "missing.ply" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "viser", None)
    assert cli.main(["view", str(tmp_path / "boxes.safetensors"), "--port", "0"]) == 2
    assert "the extra [web]" in capsys.readouterr().err
