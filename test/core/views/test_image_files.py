"""Picture files of every orientation, depth and mode: what they become, and what is refused."""

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from pan3d_core.views.image_files import read_image, stored_size

TURNED = (1, 2, 3, 4, 5, 6, 7, 8)


@pytest.fixture
def rgb() -> np.ndarray:
    """(8, 16, 3), of blocks that survive JPEG, with every turn of it another picture."""
    blocks = np.array([[[200, 30, 40], [40, 160, 50]]], np.uint8)
    return blocks.repeat(8, axis=0).repeat(8, axis=1) // np.array([[[1]]] * 4 + [[[2]]] * 4, np.uint8)


def pixels_of(path, **how) -> np.ndarray:
    return (read_image(path, **how) * 255).round().byte().permute(1, 2, 0).numpy()


def close(first: np.ndarray, second: np.ndarray, within: int = 1) -> bool:
    return first.shape == second.shape and int(np.abs(first.astype(int) - second).max()) <= within


@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", TURNED)
def test_a_picture_is_turned_upright_or_left_as_it_is_stored(rgb, orientation, ending, tmp_path):
    path, exif = tmp_path / f"turned.{ending}", Image.Exif()
    exif[0x0112] = orientation
    picture = Image.fromarray(rgb)
    picture.save(path, exif=exif, **({"quality": 100, "subsampling": 0} if ending == "jpg" else {}), lossless=True)
    tagged = Image.fromarray(rgb)
    tagged.getexif()[0x0112] = orientation
    within = 6 if ending == "jpg" else 0
    assert close(pixels_of(path, upright=False), rgb, within)
    assert close(pixels_of(path), np.array(ImageOps.exif_transpose(tagged)), within)
    assert stored_size(path) == rgb.shape[:2]


def test_grey_of_sixteen_bits_is_the_grey_of_eight(rgb, tmp_path):
    grey = np.array(Image.fromarray(rgb).convert("L"))
    for name in ("g.png", "g.tif"):
        Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / name)
        np.testing.assert_array_equal(pixels_of(tmp_path / name), grey[:, :, None].repeat(3, 2))
    (tmp_path / "g.pgm").write_bytes(b"P5 16 8 65535\n" + (grey.astype(">u2") * 257).tobytes())
    assert close(pixels_of(tmp_path / "g.pgm"), grey[:, :, None].repeat(3, 2))


def test_white_may_be_stored_as_zero(rgb, tmp_path):
    grey = np.array(Image.fromarray(rgb).convert("L"))
    Image.fromarray((255 - grey).astype(np.uint16) * 257).save(tmp_path / "w.tif", tiffinfo={262: 0})
    np.testing.assert_array_equal(pixels_of(tmp_path / "w.tif")[..., 0], grey)


@pytest.mark.parametrize("name", ["c.png", "c.tif"])
def test_colour_of_sixteen_bits_is_the_colour_of_eight(rgb, name, tmp_path):
    cv2.imwrite(str(tmp_path / name), rgb[:, :, ::-1].astype(np.uint16) * 257)
    np.testing.assert_array_equal(pixels_of(tmp_path / name), rgb)


MODES = ["P png", "P gif", "RGBA png", "RGBA webp", "CMYK jpg", "CMYK tif", "LA png", "1 png", "1 tif", "YCbCr tif"]


@pytest.mark.parametrize(("mode", "ending"), [text.split() for text in MODES])
def test_modes_become_the_same_picture(rgb, mode, ending, tmp_path):
    path = tmp_path / f"m.{ending}"
    Image.fromarray(rgb).convert(mode).save(path, **({"quality": 100} if ending == "jpg" else {"lossless": True}))
    wanted = np.array(Image.fromarray(rgb).convert(mode).convert("RGB"))
    assert close(pixels_of(path), wanted, 8)


def test_transparency_hides_nothing(rgb, tmp_path):
    Image.fromarray(np.dstack([rgb, np.zeros(rgb.shape[:2], np.uint8)])).save(tmp_path / "t.png")
    np.testing.assert_array_equal(pixels_of(tmp_path / "t.png"), rgb)


def test_floats_are_shares_of_white_or_refused(rgb, tmp_path):
    grey = np.array(Image.fromarray(rgb).convert("L")).astype(np.float32)
    Image.fromarray(grey / 255).save(tmp_path / "share.tif")
    np.testing.assert_array_equal(pixels_of(tmp_path / "share.tif")[..., 0], grey)
    bad = grey / 255
    bad[0, 0] = np.nan
    for name, values in (("levels.tif", grey), ("nan.tif", bad)):
        Image.fromarray(values).save(tmp_path / name)
        with pytest.raises(ValueError, match=rf"{name}.*floats must be 0 to 1"):
            read_image(tmp_path / name)


@pytest.mark.parametrize("ending", ["png", "tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_values_of_twelve_bits_that_nobody_scaled_are_refused(rgb, channels, ending, tmp_path):
    levels = rgb.astype(np.uint16) * 16  # up to 4080
    path = tmp_path / f"dark.{ending}"
    cv2.imwrite(str(path), levels[..., 0] if channels == 1 else levels)
    with pytest.raises(ValueError, match=rf"dark\.{ending}.*up to 65535 of 16 bits, got none above 4095"):
        read_image(path)
    Image.fromarray(rgb // 16).save(tmp_path / "night.png")  # with 8 bits it is a dark picture
    assert pixels_of(tmp_path / "night.png").max() < 16


@pytest.mark.parametrize("ending", ["gif", "webp", "png", "tif"])
def test_of_several_pictures_in_one_file_nobody_says_which(rgb, ending, tmp_path):
    film, first = tmp_path / f"film.{ending}", Image.fromarray(rgb)
    first.save(film, save_all=True, append_images=[Image.fromarray(255 - rgb)], lossless=True)
    with pytest.raises(ValueError, match=rf"film\.{ending}.*holds 2 pictures"):
        read_image(film)
    first.save(tmp_path / f"one.{ending}", save_all=True, lossless=True)
    assert close(pixels_of(tmp_path / f"one.{ending}"), rgb, 8)


def test_a_preview_beside_a_picture_is_no_second_one(rgb, tmp_path):
    Image.fromarray(rgb).save(tmp_path / "p.tif", save_all=True, append_images=[Image.fromarray(rgb[::2, ::2].copy())])
    more = {"append_images": [Image.fromarray(rgb)], "quality": 100, "subsampling": 0}
    Image.fromarray(rgb).save(tmp_path / "p.jpg", format="MPO", save_all=True, **more)
    assert close(pixels_of(tmp_path / "p.tif"), rgb) and close(pixels_of(tmp_path / "p.jpg"), rgb, 8)


def test_whole_numbers_of_32_bits_are_refused(tmp_path):
    Image.fromarray(np.full((4, 4), 70000, np.int32)).save(tmp_path / "i.tif")
    with pytest.raises(ValueError, match=r"i\.tif.*32 bits"):
        read_image(tmp_path / "i.tif")


def test_a_picture_too_large_to_be_one_is_refused(tmp_path, monkeypatch):
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ValueError, match=r"bomb\.png"):
        read_image(tmp_path / "bomb.png")
