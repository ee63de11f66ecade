"""Picture files to pixels and back: stored or upright, of any depth and mode, with one error for what cannot be decoded."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from pan3d_core.config import ImageLimits
from pan3d_core.runtime.files import refuse_endless, written_whole

Pixels = npt.NDArray[np.uint8]

# What Pillow raises for damaged files: chunks of PNG files as SyntaxError, modes without a conversion as ValueError.
_DAMAGE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError, EOFError, struct.error)
_ORIENTATION, _BITS, _PHOTOMETRIC = 0x0112, 258, 262  # numbers of EXIF and TIFF tags
_Turn = Image.Transpose
# Orientation -> what turns stored pixels upright. Only quarter turns differ from what undoes them.
_UPRIGHT = {
    2: _Turn.FLIP_LEFT_RIGHT, 3: _Turn.ROTATE_180, 4: _Turn.FLIP_TOP_BOTTOM, 5: _Turn.TRANSPOSE, 6: _Turn.ROTATE_270,
    7: _Turn.TRANSVERSE, 8: _Turn.ROTATE_90,
}  # fmt: skip
_STORED = _UPRIGHT | {6: _Turn.ROTATE_90, 8: _Turn.ROTATE_270}
_SIXTEEN_BITS_AS_I = ("PNG", "PPM")  # formats whose values of 16 bits Pillow may give as 32 bits


DARKEST_WHITE = 16  # of 255, in pictures of 16 bits: 4095 of 65535

DEFAULT_LIMITS = ImageLimits()


class PictureSizeRefused(ValueError):
    """A picture of a size that is refused, too small or too large, told before it is decoded."""


def require_image_size(name: str, height: int, width: int, limits: ImageLimits = DEFAULT_LIMITS) -> None:
    """Refuse a picture by its size alone: decoding and resizing would cost memory that a small message does not show.

    Args:
        name: Of the picture, for the error.
        height: Pixels.
        width: Pixels.
        limits: That hold.

    Raises:
        PictureSizeRefused: It has no pixels or too many, or is too long for its width.
    """
    if height < 1 or width < 1:
        raise PictureSizeRefused(f"{name}: expected a size of at least 1 x 1, got {width} x {height}")
    if height * width > limits.max_pixels:
        raise PictureSizeRefused(
            f"{name}: expected at most limits.max_pixels = {limits.max_pixels} pixels, got {width} x {height}"
        )
    if max(height, width) > limits.max_aspect * max(1, min(height, width)):
        raise PictureSizeRefused(
            f"{name}: expected sides of at most limits.max_aspect = {limits.max_aspect:g} to 1, got {width} x {height}"
        )


@contextmanager
def opened_picture(
    source: Path | str | bytes,
    what: str,
    expected: str = "a picture (PNG, JPEG, ...)",
    limits: ImageLimits = DEFAULT_LIMITS,
) -> Iterator[Image.Image]:
    """Open a picture; what the block decodes of it is covered by the errors.

    Args:
        source: The file, or its content.
        what: It is, for the error: `"image"`.
        expected: Kind of file that it should be, for the error.
        limits: Of its size.

    Yields:
        The picture; its pixels are not decoded yet.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no picture, is too large, is damaged or cannot be taken as the block takes it.
    """
    where = "the data" if isinstance(source, bytes) else str(source)
    if not isinstance(source, bytes):
        refuse_endless(source, what)
    try:
        with Image.open(BytesIO(source) if isinstance(source, bytes) else source) as picture:
            require_image_size(f"{what}: {where}", picture.height, picture.width, limits)
            yield picture
    except PictureSizeRefused:
        raise
    except FileNotFoundError:
        raise FileNotFoundError(f"{what}: expected a file, got {where}, which does not exist") from None
    except _DAMAGE as error:
        raise ValueError(f"{what}: expected {expected}, got {where}, which cannot be decoded ({error})") from error


def read_image(path: Path | str, *, upright: bool = True, limits: ImageLimits = DEFAULT_LIMITS) -> Tensor:
    """Read a picture as RGB.

    Args:
        path: A file of any format that Pillow reads; grey, palette, CMYK, transparency and 16 bits become the same picture as
            with 8 bits of RGB.
        upright: Turn it as its EXIF orientation says, as people want to see it. False gives the pixels as they are stored, which
            is what a calibration is of.
        limits: Of its size.

    Returns:
        (3, H, W) float32 RGB in 0..1.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no image, is cut off, too large, or has values of which nobody can say what white is; names the file.
    """
    return image_tensor(read_pixels(path, "image", upright=upright, limits=limits))


def image_tensor(pixels: Pixels) -> Tensor:
    """Pixels as the library holds pictures.

    Args:
        pixels: (H, W, 3) uint8 RGB.

    Returns:
        (3, H, W) float32 RGB in 0..1.
    """
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255.0


def read_pixels(source: Path | str | bytes, what: str, *, upright: bool, limits: ImageLimits = DEFAULT_LIMITS) -> Pixels:
    """Read a picture as (H, W, 3) uint8 RGB.

    Args:
        source: The file, or its content.
        what: It is, for the error.
        upright: As for `read_image`, whose errors it has.
        limits: Of its size.
    """
    with opened_picture(source, what, limits=limits) as picture:
        is_deep = any(";16" in str(tile[3]) for tile in getattr(picture, "tile", ()))  # how it is stored, which decoding forgets
        require_one(picture)
        orientation = picture.getexif().get(_ORIENTATION, 1)
        pixels = _eight_bits(picture)
        if is_deep:
            require_white(np.array(pixels))
        # Pillow turns a TIFF file of one page when it decodes it, and forgets the tag then.
        is_upright = picture.getexif().get(_ORIENTATION, 1) != orientation
        turns = _UPRIGHT if upright else _STORED
        if upright != is_upright and orientation in turns:
            pixels = pixels.transpose(turns[orientation])
        return np.array(pixels)


def stored_size(source: Path | str | bytes) -> tuple[int, int]:
    """Height and width of a picture (file or its content) as it is stored, whatever its orientation; errors as `read_image`."""
    with opened_picture(source, "image") as picture:
        quarter = picture.format == "TIFF" and picture.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
        return (picture.width, picture.height) if quarter else (picture.height, picture.width)


def write_image(path: Path, image: Tensor) -> None:
    """Write a picture with 8 bits per channel.

    Args:
        path: Of the file, whose ending says the format.
        image: (3, H, W) RGB 0..1; values beyond are clamped.
    """
    pixels = (image * 255.0).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    with written_whole(path) as part:
        Image.fromarray(np.ascontiguousarray(pixels)).save(part)


def read_16_bit(path: Path | str) -> npt.NDArray[np.uint16] | npt.NDArray[np.int32]:
    """Read one 16-bit channel: (H, W) as stored; errors as `read_image`."""
    with opened_picture(path, "image", "a 16-bit PNG") as picture:
        pixels = np.array(picture)
    if pixels.ndim != 2 or pixels.dtype not in (np.uint16, np.int32):
        raise ValueError(f"image: expected one 16-bit channel, got {path} with shape {pixels.shape} of {pixels.dtype}")
    return pixels


def write_16_bit(path: Path, values: Tensor) -> None:
    """Write (H, W) values of 0..65535 as one 16-bit channel."""
    with written_whole(path) as part:
        Image.fromarray(values.cpu().numpy().astype(np.uint16)).save(part)


def require_white(pixels: Pixels) -> None:
    """Refuse a picture of 16 bits in which even the brightest pixel is nearly black: values of fewer bits that nobody scaled.

    Args:
        pixels: Of any shape, with 8 bits.

    Raises:
        ValueError: No value is above that of 4095 of 65535.
    """
    if pixels.size and pixels.max() <= DARKEST_WHITE:
        raise ValueError("expected values up to 65535 of 16 bits, got none above 4095; are they of 10 or 12 bits? Scale them")


def require_one(picture: Image.Image) -> None:
    """Refuse films and several pages of one size; small pages beside the picture are previews.

    Args:
        picture: As Pillow opened it.

    Raises:
        ValueError: It holds several pictures.
    """
    count = getattr(picture, "n_frames", 1)
    if count < 2 or picture.format == "MPO":  # of phones: what belongs to a picture stands behind it
        return
    size = picture.size
    picture.seek(1)
    is_film = picture.format != "TIFF" or picture.size == size
    picture.seek(0)
    if is_film:
        raise ValueError(f"it holds {count} pictures, and nobody can say which is meant; store the one alone")


def _eight_bits(picture: Image.Image) -> Image.Image:
    """The picture as 8-bit RGB. Pillow's own conversion would clip what is wider, so that 16-bit pictures become white."""
    if picture.mode.startswith("I;16") or (picture.mode == "I" and picture.format in _SIXTEEN_BITS_AS_I):
        tags = getattr(picture, "tag_v2", {})
        white = 2 ** int(tags.get(_BITS, (16,))[0]) - 1
        values = np.array(picture).astype(np.float64) / white
        return _grey(1 - values if tags.get(_PHOTOMETRIC) == 0 else values)  # 0: white is stored as 0
    if picture.mode == "F":
        values = np.array(picture).astype(np.float64)
        if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
            raise ValueError(f"floats must be 0 to 1, where 1 is white; these are {values.min():g} to {values.max():g}")
        return _grey(values)
    if picture.mode == "I":
        raise ValueError("it has 32 bits per pixel, of which nobody can say what white is; 8 or 16 are expected")
    return picture.convert("RGB")


def _grey(values: npt.NDArray[np.float64]) -> Image.Image:
    """Shares of white as 8-bit RGB."""
    return Image.fromarray((values * 255).round().clip(0, 255).astype(np.uint8)).convert("RGB")
