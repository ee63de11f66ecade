"""The page of a Gaussian scene in a real browser: what it shows, and that clicks arrive."""

from dataclasses import replace

import numpy as np
import pytest
from chromium import Page, find_chromium, until
from gaussian_boxes import BOXES, boxes_scene, text_embeddings

from pan3d_core.pictures.palette import class_colors, instance_color

pytest.importorskip("viser", reason="needs viser (extra [web])")
if find_chromium() is None:
    pytest.skip("needs Chromium: apt-get install chromium", allow_module_level=True)

from pan3d_tools.viewer.page import GaussianViewer, PageSettings  # noqa: E402

FREE_PORT = PageSettings(port=0)
# Of viser's own splats: an attribute that its shader fills looks empty to three.js.
KNOWN_PROBLEM = "THREE.BufferGeometry.computeBoundingSphere(): Computed radius is NaN"
RED, GREEN = (217, 38, 26), (38, 166, 51)
TOLERANCE = 30


class BoxNames:
    """Text encoder of the hand-made scene: a box is what red and green ones are; the blue one is something else."""

    dim = 6

    def encode(self, texts):
        return text_embeddings(*(0 if text == "box" else 3 for text in texts))


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with Page(find_chromium(), tmp_path_factory.mktemp("profile")) as page:
        yield page


def pixels_of(picture: np.ndarray, color: tuple[int, int, int]) -> np.ndarray:
    """(K, 2) x and y of pixels of about this colour."""
    near = (np.abs(picture.astype(int) - np.array(color)) < TOLERANCE).all(-1)
    return np.argwhere(near)[:, ::-1]


def place_of(page: Page, color: tuple[int, int, int]) -> tuple[float, float]:
    """Middle of where the scene shows a colour; the panel is out of the way at the right."""

    def middle() -> tuple[float, float] | None:
        pixels = pixels_of(page.picture(), color)
        return tuple(np.median(pixels, axis=0).tolist()) if len(pixels) > 300 else None

    return until(middle, f"pixels of {color}")


def colour_at(page: Page, place: tuple[float, float], color: tuple[int, int, int]) -> bool:
    return bool((np.abs(page.picture()[int(place[1]), int(place[0])].astype(int) - np.array(color)) < TOLERANCE).all())


def choose_mode(page: Page, now: str, mode: str) -> None:
    page.click_text(now)
    page.click_text(mode)


def test_a_person_picks_recolours_and_removes(page):
    viewer = GaussianViewer(boxes_scene(), FREE_PORT, BoxNames())
    try:
        page.open(viewer.address)
        until(lambda: all(f"{number} {box[0]}" in page.text() for number, box in enumerate(BOXES, 1)), "the list of objects")
        red, green = place_of(page, RED), place_of(page, GREEN)
        page.click(*red)
        until(lambda: viewer.display.selected == 1, "the red box to be selected")
        until(lambda: "red box (id 1)" in page.text() and "size 8 × 6 × 8 cm" in page.text(), "facts of the red box")
        assert "clicked at (-0.1" in page.text()
        page.click_text("2 blue box")
        until(lambda: viewer.display.selected == 2, "the blue box of the list to be selected")
        choose_mode(page, "colour", "instances")
        until(lambda: colour_at(page, red, instance_color(1)) and colour_at(page, green, instance_color(3)), "colours of ids")
        choose_mode(page, "instances", "semantics")
        page.click_text("Colour by these classes")
        until(lambda: "none of these" in page.text(), "the legend")
        (box,) = class_colors(["box"])
        until(lambda: colour_at(page, red, box) and colour_at(page, green, box), "one class")
        choose_mode(page, "semantics", "colour")
        until(lambda: colour_at(page, red, RED), "the red box")
        page.click(*red)
        until(lambda: "red box (id 1)" in page.text(), "the red box to be selected")
        page.click_text("remove")
        until(lambda: "1 red box (removed)" in page.text(), "the list to say so")
        until(lambda: not colour_at(page, red, RED) and colour_at(page, green, GREEN), "the red box alone to go")
        assert [text for text in page.problems if KNOWN_PROBLEM not in text] == []
    finally:
        viewer.stop()


def test_refusals_and_odd_names_are_shown_as_text(page):
    scene = boxes_scene()
    odd = "<img src=x onerror='window.owned = true'>"
    scene = replace(scene, text_space=None, names=scene.names | {1: odd})
    viewer = GaussianViewer(scene, FREE_PORT)
    try:
        page.open(viewer.address)
        until(lambda: f"1 {odd}" in page.text(), "the name in the list")
        page.click_text(f"1 {odd}")
        until(lambda: f"{odd} (id 1)" in page.text(), "the name as text")
        choose_mode(page, "colour", "semantics")
        until(lambda: "no semantic features" in page.text(), "the reason in the page")
        assert page.evaluate("window.owned") is None and viewer.display.mode == "colour"
    finally:
        viewer.stop()
