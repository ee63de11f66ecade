"""Image messages to pixels and back: every encoding, padding, byte order, and what is refused."""

from io import BytesIO

import cv2
import numpy as np
import pytest
from PIL import Image as PillowImage
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from pan3d_ros.messages.buffers import assign_bytes, stamp_to_ns
from pan3d_ros.messages.images import (
    compressed_to_depth,
    compressed_to_rgb,
    depth_to_metres,
    image_array,
    image_to_rgb,
)
from pan3d_ros.messages.parts import image_message, stamp_from_ns

HEIGHT, WIDTH = 12, 16


@pytest.fixture
def rgb():
    """Smooth colours, so that chroma subsampling and demosaicing lose little."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    return np.stack([40 + 8 * columns, 60 + 10 * rows, 200 - 5 * columns - 3 * rows], axis=-1).astype(np.uint8)


def make_message(pixels: np.ndarray, encoding: str, padding: int = 0, big_endian: bool = False) -> Image:
    """Image of (rows, values per row) data; `height` and `width` are those of the picture."""
    stored = pixels.astype(pixels.dtype.newbyteorder(">" if big_endian else "<"))
    rows = stored.reshape(stored.shape[0], -1).view(np.uint8)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=77)
    message = Image(height=HEIGHT, width=WIDTH, encoding=encoding, is_bigendian=int(big_endian), step=rows.shape[1])
    assign_bytes(message, rows)
    return message


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize(("encoding", "order"), [("rgb8", "rgb"), ("bgr8", "bgr"), ("rgba8", "rgba"), ("bgra8", "bgra")])
def test_eight_bit_colour(rgb, encoding, order, padding):
    planes = {"r": rgb[..., 0], "g": rgb[..., 1], "b": rgb[..., 2], "a": np.full((HEIGHT, WIDTH), 9, np.uint8)}
    pixels = np.stack([planes[c] for c in order], axis=-1)
    np.testing.assert_array_equal(image_to_rgb(make_message(pixels, encoding, padding)), rgb)


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize(("encoding", "order"), [("rgb16", (0, 1, 2)), ("bgr16", (2, 1, 0))])
def test_sixteen_bit_colour(rgb, encoding, order, big_endian):
    pixels = rgb[..., order].astype(np.uint16) * 257
    np.testing.assert_array_equal(image_to_rgb(make_message(pixels, encoding, big_endian=big_endian)), rgb)


@pytest.mark.parametrize(("encoding", "factor"), [("mono8", 1), ("mono16", 257)])
def test_grey(rgb, encoding, factor):
    grey = rgb[..., 0].astype(np.uint16) * factor
    message = make_message(grey.astype(np.uint8) if factor == 1 else grey, encoding, padding=2)
    np.testing.assert_array_equal(image_to_rgb(message), np.repeat(rgb[..., :1], 3, axis=2))


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("order", ["rggb", "bggr", "gbrg", "grbg"])
def test_bayer(rgb, order, bits):
    mosaic = np.empty((HEIGHT, WIDTH), np.uint16 if bits == 16 else np.uint8)
    for index, letter in enumerate(order):
        row, column = divmod(index, 2)
        plane = rgb[row::2, column::2, "rgb".index(letter)].astype(mosaic.dtype)
        mosaic[row::2, column::2] = plane * 257 if bits == 16 else plane
    restored = image_to_rgb(make_message(mosaic, f"bayer_{order}{bits}"))
    assert np.abs(restored[2:-2, 2:-2].astype(int) - rgb[2:-2, 2:-2]).max() <= 6


@pytest.mark.parametrize("encoding", ["yuv422", "uyvy", "yuv422_yuy2", "yuyv", "nv12", "nv21"])
def test_yuv(rgb, encoding):
    yuv = cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV)
    luma = yuv[..., 0]
    if encoding.startswith("nv"):
        order = (1, 2) if encoding == "nv12" else (2, 1)
        chroma = np.stack([yuv[::2, ::2, c] for c in order], axis=-1).reshape(HEIGHT // 2, WIDTH)
        message = make_message(np.concatenate([luma, chroma]), encoding)
    else:
        chroma = np.stack([yuv[:, ::2, 1], yuv[:, ::2, 2]], axis=-1).reshape(HEIGHT, WIDTH)
        pair = (chroma, luma) if encoding in ("yuv422", "uyvy") else (luma, chroma)
        message = make_message(np.stack(pair, axis=-1), encoding)
    # Video range (16 to 235) against full range: the decoder stretches by 255 / 219.
    decoded = image_to_rgb(message).astype(float)
    expected = np.clip((rgb.astype(float) - 16) * 255 / 219, 0, 255)
    assert np.abs(decoded - expected)[2:-2, 2:-2].mean() < 8


def test_depth_in_metres_and_millimetres():
    metres = np.linspace(0.2, 3.0, HEIGHT * WIDTH, dtype=np.float32).reshape(HEIGHT, WIDTH)
    metres[0, :4] = [np.nan, np.inf, -1.0, 0.0]
    expected = np.where(np.isfinite(metres) & (metres > 0), metres, 0)
    np.testing.assert_array_equal(depth_to_metres(make_message(metres, "32FC1", padding=4)), expected)
    np.testing.assert_array_equal(depth_to_metres(make_message(metres, "32FC1", big_endian=True)), expected)
    millimetres = np.round(expected * 1000).astype(np.uint16)
    np.testing.assert_allclose(depth_to_metres(make_message(millimetres, "16UC1", big_endian=True)), expected, atol=5.1e-4)


def test_unknown_encodings_name_the_known_ones(rgb):
    with pytest.raises(ValueError, match="Image.encoding: expected one of .*rgb8.* got 'rgb9'"):
        image_to_rgb(make_message(rgb, "rgb9"))
    with pytest.raises(ValueError, match="got '32FC1'"):
        image_to_rgb(make_message(np.ones((HEIGHT, WIDTH), np.float32), "32FC1"))
    with pytest.raises(ValueError, match="depth Image.encoding"):
        depth_to_metres(make_message(rgb, "rgb8"))


def test_contradicting_sizes(rgb):
    short = make_message(rgb, "rgb8")
    short.data = short.data[:-1]
    with pytest.raises(ValueError, match="Image.data: expected at least 576"):
        image_to_rgb(short)
    narrow = make_message(rgb, "rgb8")
    narrow.step = 10
    with pytest.raises(ValueError, match="Image.step: expected at least 48"):
        image_to_rgb(narrow)
    with pytest.raises(ValueError, match="at least 1 x 1"):
        image_to_rgb(Image(encoding="rgb8"))
    odd = make_message(rgb, "nv12")
    odd.height, odd.width = 11, 15
    with pytest.raises(ValueError, match="even sides"):
        image_to_rgb(odd)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_compressed_colour(rgb, suffix):
    encoded = cv2.imencode(suffix, rgb[..., ::-1])[1]
    message = CompressedImage(format="rgb8; " + suffix[1:])
    assign_bytes(message, encoded)
    assert np.abs(compressed_to_rgb(message).astype(int) - rgb).max() <= (0 if suffix == ".png" else 24)


@pytest.mark.parametrize("data", [b"", b"this is no image"])
def test_what_is_no_compressed_image(data):
    with pytest.raises(ValueError, match="expected a JPEG or PNG"):
        compressed_to_rgb(CompressedImage(format="jpeg", data=data))


@pytest.mark.parametrize("ending", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_compressed_image_is_taken_as_it_is_stored(rgb, orientation, ending):
    exif, file = PillowImage.Exif(), BytesIO()
    exif[0x0112] = orientation
    PillowImage.fromarray(rgb).save(file, ending, exif=exif, **({"quality": 100} if ending == "JPEG" else {}))
    taken = compressed_to_rgb(CompressedImage(format=ending.lower(), data=file.getvalue()))
    assert taken.shape == rgb.shape and np.abs(taken.astype(int) - rgb).max() <= (24 if ending == "JPEG" else 0)


@pytest.mark.parametrize("ending", [".png", ".tiff"])
def test_a_compressed_image_of_sixteen_bits_is_that_of_eight(rgb, ending):
    for stored, wanted in ((rgb[:, :, ::-1], rgb), (rgb[:, :, 0], rgb[:, :, :1].repeat(3, 2))):
        data = cv2.imencode(ending, stored.astype(np.uint16) * 257)[1]
        np.testing.assert_array_equal(compressed_to_rgb(CompressedImage(format=ending[1:], data=data.tobytes())), wanted)


def test_compressed_depth_with_an_orientation_is_taken_as_it_is_stored():
    exif, file = PillowImage.Exif(), BytesIO()
    exif[0x0112] = 6
    PillowImage.fromarray(np.full((HEIGHT, WIDTH), 1500, np.uint16)).save(file, "PNG", exif=exif)
    message = CompressedImage(format="16UC1; compressedDepth png", data=bytes(12) + file.getvalue())
    assert compressed_to_depth(message).shape == (HEIGHT, WIDTH)


def test_compressed_depth():
    metres = np.linspace(0.3, 4.0, HEIGHT * WIDTH, dtype=np.float32).reshape(HEIGHT, WIDTH)
    millimetres = np.round(metres * 1000).astype(np.uint16)
    message = CompressedImage(format="16UC1; compressedDepth png")
    assign_bytes(message, np.concatenate([np.zeros(12, np.uint8), cv2.imencode(".png", millimetres)[1].ravel()]))
    np.testing.assert_allclose(compressed_to_depth(message), metres, atol=5.1e-4)
    # Inverse depth as the transport stores it: q = a / d + b with these two numbers in the header.
    numerator, offset = np.float32(100 * 101), np.float32(1 - 100 * 101 / 10.0)
    quantized = np.round(numerator / metres + offset)
    quantized[0, 0] = 0
    header = np.concatenate([np.zeros(4, np.uint8), np.array([numerator, offset], "<f4").view(np.uint8)])
    message = CompressedImage(format="32FC1; compressedDepth png")
    assign_bytes(message, np.concatenate([header, cv2.imencode(".png", quantized.astype(np.uint16))[1].ravel()]))
    restored = compressed_to_depth(message)
    assert restored[0, 0] == 0
    np.testing.assert_allclose(restored.ravel()[1:], metres.ravel()[1:], rtol=1e-3)
    with pytest.raises(ValueError, match="CompressedImage.format"):
        compressed_to_depth(CompressedImage(format="jpeg"))


@pytest.mark.parametrize(
    ("pixels", "encoding"),
    [
        (np.arange(36, dtype=np.uint8).reshape(3, 4, 3), "rgb8"),
        (np.arange(12, dtype=np.uint16).reshape(3, 4), "16UC1"),
        (np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4), "32FC1"),
    ],
)
def test_written_images_are_read_back(pixels, encoding):
    message = image_message(pixels, encoding, Header(frame_id="camera"))
    assert message.header.frame_id == "camera"
    np.testing.assert_array_equal(image_array(message), pixels)


def test_written_images_must_have_the_type_of_the_encoding():
    with pytest.raises(ValueError, match="expected u1 with 3 channels for rgb8"):
        image_message(np.zeros((3, 4), np.float32), "rgb8", Header())


def test_stamps_stay_exact():
    stamp_ns = 1_790_000_000_123_456_789
    assert stamp_to_ns(stamp_from_ns(stamp_ns)) == stamp_ns
