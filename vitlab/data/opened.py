"""From a file to the pixels of a picture: decoded, the right way up, of 8 bits and known channels.

Pillow decodes; it releases the GIL, so threads scale.
"""

import io
import os
import pathlib
from typing import TypeAlias

import numpy as np
from PIL import ExifTags, Image

from vitlab.data import bit_depth
from vitlab.errors import UserError

Picture: TypeAlias = bytes | str | os.PathLike | Image.Image | np.ndarray

_TURNS = {  # EXIF 2.3, tag Orientation
  2: Image.Transpose.FLIP_LEFT_RIGHT,
  3: Image.Transpose.ROTATE_180,
  4: Image.Transpose.FLIP_TOP_BOTTOM,
  5: Image.Transpose.TRANSPOSE,
  6: Image.Transpose.ROTATE_270,
  7: Image.Transpose.TRANSVERSE,
  8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = {_TURNS[orientation] for orientation in (5, 6, 7, 8)}
_EMPTY = 'empty: zero bytes'
_FULL = 'full_size'  # in the info of a picture: its size -> what it was before it was reduced


class ImageError(UserError):
  """This one picture cannot be used; others may be."""


def open_picture(picture: Picture, enough: int = 0) -> Image.Image:
  """A decoded PIL image; of a JPEG perhaps a reduced one, both sides still at least `enough`.

  Args:
    picture: As for `preprocess`.
    enough: Pixels; 0: nothing is reduced.
  """
  if isinstance(picture, Image.Image):
    return picture
  if isinstance(picture, np.ndarray):
    return _from_array(picture)
  if not isinstance(picture, bytes):
    picture = _read(pathlib.Path(picture))
  if not picture:
    raise ImageError(_EMPTY)
  try:
    image = Image.open(io.BytesIO(picture))
    full = image.size
    # libjpeg can halve a photograph while it decodes: much faster, and with twice the wanted size
    # left for the antialiased resize not to be told from a full decode.
    if enough:
      image.draft(None, (enough, enough))
      image.info[_FULL] = {image.size: full}
    image.load()
    if image.format == 'PNG' and picture[24] == 16:
      image.info['sBIT'] = bit_depth.significant_bits(picture)
    return image
  except Exception as error:  # Pillow's plugins raise anything on damaged data
    raise _no_image(error) from None


def _no_image(error: Exception) -> ImageError:
  if isinstance(error, Image.UnidentifiedImageError):  # its words name an object in memory
    return ImageError('not an image, or of a format that Pillow does not know')
  return ImageError(f'cannot be decoded: {error}')


def _read(path: pathlib.Path) -> bytes:
  try:
    return path.read_bytes()
  except OSError as error:
    raise ImageError(f'cannot read {path}: {error.strerror}') from None


def _from_array(array: np.ndarray) -> Image.Image:
  if array.dtype != np.uint8:
    raise ImageError(f'an array of {array.dtype}: expected uint8, 0 to 255')
  if array.ndim == 3 and array.shape[2] == 1:
    array = array[..., 0]
  if not (array.ndim == 2 or array.ndim == 3 and array.shape[2] in (3, 4)) or not array.size:
    raise ImageError(
      f'an array of shape {array.shape}: expected [h w], [h w 1], [h w 3] or [h w 4]'
    )
  return Image.fromarray(array)


def upright(image: Image.Image, opened: Image.Image) -> Image.Image:
  """Turns a picture the way up that the EXIF of the file says, as it was opened."""
  turn = _turn(opened)
  return image if turn is None else image.transpose(turn)


def stored_size(opened: Image.Image) -> tuple[int, int]:
  """(height, width) of the pixels in the file, however far they were reduced when it was opened."""
  full = opened.info.get(_FULL, {})  # Pillow hands it on to copies, which may have another size
  return full.get(opened.size, opened.size)[::-1]


def upright_size(opened: Image.Image) -> tuple[int, int]:
  """(height, width) of the picture in the file, turned as its EXIF says."""
  height, width = stored_size(opened)
  return (width, height) if _turn(opened) in _SIDEWAYS else (height, width)


def measure(picture: bytes, turned: bool = True) -> tuple[int, int]:
  """(height, width) from the head of a file; its pixels are not decoded.

  Args:
    picture: The file.
    turned: As its EXIF says; else as the pixels are stored.

  Raises:
    ImageError: it is none.
  """
  if not picture:
    raise ImageError(_EMPTY)
  try:
    with Image.open(io.BytesIO(picture)) as image:
      return upright_size(image) if turned else stored_size(image)
  except Exception as error:  # Pillow's plugins raise anything on damaged data
    raise _no_image(error) from None


def _turn(opened: Image.Image) -> Image.Transpose | None:
  try:
    return _TURNS.get(opened.getexif().get(ExifTags.Base.Orientation))
  except Exception:  # damaged EXIF does not make the pixels worse
    return None


def convert(image: Image.Image, channels: int, name: str) -> Image.Image:
  """To 8-bit grey or RGB; transparent pixels lie on white."""
  image = bit_depth.to_eight_bits(image, name)
  if image.mode in ('I', 'F', 'LAB', 'HSV'):
    raise ImageError(f'pixels of Pillow mode {image.mode} have no defined 8-bit range: convert it')
  if image.mode in ('RGBA', 'LA', 'PA', 'RGBa', 'La') or 'transparency' in image.info:
    image = image.convert('RGBA')
    image = Image.alpha_composite(Image.new('RGBA', image.size, 'white'), image)
  mode = 'RGB' if channels == 3 else 'L'
  return image if image.mode == mode else image.convert(mode)
