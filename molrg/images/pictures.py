"""One picture file as an array: of 8 or 16 bits per channel, upright, on a white ground.

What is transparent shows the ground and not the colour that is stored under it. Of a file with
several pictures, such as an animation, the first one is read.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = frozenset(
    (".png", ".apng", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".pgm", ".ppm")
)
WHITE = 255
_DEEP = 65535  # white of 16 bits
_ALLOWED = "allowed is a whole picture of 8 or 16 bits per channel"
_TRANSPARENT = ("LA", "La", "PA", "RGBA", "RGBa")


class Picture(NamedTuple):
    """A picture file: its values and how many pictures it holds."""

    values: NDArray[np.uint8] | NDArray[np.float32]  # (C, H, W) in [0, WHITE]
    frames: int


def read(path: Path, *, size: int | None = None, grey: bool = False) -> Picture:
    """Read a picture file; the first picture of those that hold several.

    Pictures of 16 bits per channel are scaled by 65,535. Pillow gives 8 bits of their colours.

    Args:
        path: the file.
        size: cut to the central square and resized to size x size; left as it is where omitted.
        grey: one channel in place of three.

    Raises:
        FileNotFoundError: where there is no such file.
        ValueError: where the file is damaged, too large, or its pixels have no known range; the
            message names the file.
    """
    from PIL import Image, UnidentifiedImageError  # noqa: PLC0415 - slow to import

    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as opened:
                return Picture(_values(opened, size, grey), getattr(opened, "n_frames", 1))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        most = f"at most {Image.MAX_IMAGE_PIXELS:,} pixels (PIL.Image.MAX_IMAGE_PIXELS)"
        raise ValueError(f"{path} = a picture that is too large: allowed is {most}") from None
    except UnidentifiedImageError:
        raise ValueError(f"{path} = no picture, or a damaged one: {_ALLOWED}") from None
    except MemoryError:
        raise
    except Exception as error:  # Pillow's decoders raise whatever they meet in a damaged file
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path} = {reason}: {_ALLOWED}") from error


def _values(opened: Image.Image, size: int | None, grey: bool) -> NDArray:
    from PIL import ImageOps  # noqa: PLC0415 - slow to import

    upright = ImageOps.exif_transpose(opened)
    if upright.mode.startswith("I"):
        picture = _deep(upright, opened.format)
    else:
        picture = _shallow(upright, grey)
    fitted = picture if size is None else ImageOps.fit(picture, (size, size))
    values = np.atleast_3d(np.asarray(fitted)).transpose(2, 0, 1)
    if values.dtype == np.uint8:
        return values
    values = values.clip(0, WHITE)  # cubic interpolation overshoots
    return values if grey else values.repeat(3, axis=0)


def _deep(picture: Image.Image, file_format: str | None) -> Image.Image:
    """Grey values of 16 bits as floating-point ones in [0, WHITE]."""
    from PIL import Image  # noqa: PLC0415 - slow to import

    if picture.mode == "I" and file_format not in ("PNG", "PPM"):
        raise ValueError(f"whole numbers of 32 bits or with a sign, mode {picture.mode}")
    values = np.asarray(picture).astype(np.float32)
    hidden = picture.info.get("transparency")
    if hidden is not None:
        values[values == hidden] = _DEEP
    return Image.fromarray(values * (WHITE / _DEEP))


def _shallow(picture: Image.Image, grey: bool) -> Image.Image:
    """Any picture of 8 bits per channel in grey or in colours, on the white ground."""
    from PIL import Image  # noqa: PLC0415 - slow to import

    if picture.mode == "F":
        raise ValueError("floating-point pixels, whose range is not known")
    palette = picture.palette
    if (
        picture.mode in _TRANSPARENT
        or "transparency" in picture.info
        or (palette is not None and palette.mode.endswith("A"))
    ):
        ground = Image.new("RGBA", picture.size, (WHITE, WHITE, WHITE, WHITE))
        picture = Image.alpha_composite(ground, picture.convert("RGBA"))
    return picture.convert("L" if grey else "RGB")
