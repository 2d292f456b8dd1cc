"""From any picture to the array that a model was trained on; training and prediction share this.

Pillow decodes and resizes; it releases the GIL in both, so threads scale.
"""

import functools
import io
import os
import pathlib
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import UInt8
from PIL import ExifTags, Image

from vitlab.data import as_published, bit_depth
from vitlab.errors import UserError, unknown

Picture: TypeAlias = bytes | str | os.PathLike | Image.Image | np.ndarray

RESIZES = ('squash', 'crop', 'pad')
LIBRARIES = ('vitlab', *as_published.LIBRARIES)
FILTERS = {
  name: Image.Resampling[name.upper()]
  for name in ('bicubic', 'bilinear', 'lanczos', 'box', 'hamming', 'nearest')
}
# Formats whose names Pillow knows, but that it cannot decode by itself, or that hold no picture.
_NO_PICTURES = {
  *('BUFR', 'EPS', 'FLI', 'FPX', 'GRIB', 'HDF5', 'IPTC', 'MIC', 'MPEG', 'PALM', 'PDF', 'WMF'),
}

_TURNS = {  # EXIF 2.3, tag Orientation
  2: Image.Transpose.FLIP_LEFT_RIGHT,
  3: Image.Transpose.ROTATE_180,
  4: Image.Transpose.FLIP_TOP_BOTTOM,
  5: Image.Transpose.TRANSPOSE,
  6: Image.Transpose.ROTATE_270,
  7: Image.Transpose.TRANSVERSE,
  8: Image.Transpose.ROTATE_90,
}


class ImageError(UserError):
  """This one picture cannot be used; others may be."""


@functools.cache
def _endings() -> frozenset[str]:
  """The endings of files that Pillow, with its plugins, reads as pictures: '.jpg', ..."""
  known = Image.registered_extensions().items()
  return frozenset(suffix for suffix, kind in known if kind not in _NO_PICTURES)


def ending(name: str) -> str:
  """The last part of a file's name in lower case, '.jpg', or that there is none."""
  return os.path.splitext(name)[1].lower() or 'without an ending'


def is_picture(name: str) -> bool:
  """Whether a file of this name is a picture."""
  return ending(name) in _endings()


def preprocess(
  picture: Picture,
  *,
  image_size: int | Sequence[int],
  channels: int = 3,
  resize: str = 'squash',
  crop_fraction: float = 1.0,
  interpolation: str = 'bicubic',
  library: str = 'vitlab',
  fill: Sequence[int] = (0,),
  name: str = '',
) -> UInt8[np.ndarray, 'h w c']:
  """Decodes a picture and brings it to one size and number of channels.

  Args:
    picture: Encoded bytes, the path of a file, a PIL image, or a uint8 array [h w] or [h w c].
    image_size: (height, width) of the result, or one number for both.
    channels: 3 (RGB; grey is repeated) or 1 (grey; colours become ITU-R 601 luma).
    resize: 'squash' to the size; 'crop': scale so that the picture covers it, keep the centre;
      'pad': scale so that the picture fits into it, `fill` around.
    crop_fraction: The part of the sides that is kept: with 'crop' of the covering picture's (0.875
      is the usual ImageNet evaluation), with 'squash' of the picture's.
    interpolation: One of `FILTERS`; all but 'nearest' antialiased.
    library: 'vitlab', or the library whose pixels are to be met to the last bit: 'timm',
      'huggingface'; see `vitlab.data.as_published`.
    fill: The colour around a padded picture, 0 to 255, one value or one a channel.
    name: The picture in warnings, by default its path.

  Raises:
    ImageError: the picture cannot be decoded, or its values have no defined 8-bit range.
    UserError: the other arguments.
  """
  how = dict(resize=resize, crop_fraction=crop_fraction, interpolation=interpolation)
  how |= dict(library=library, fill=fill)
  size = check_image_arguments(image_size=image_size, channels=channels, **how)
  name = name or (str(picture) if isinstance(picture, str | os.PathLike) else 'a picture')
  if library == 'vitlab':
    opened = _open(picture, round(2 * max(size) / crop_fraction))
    image = _resize(_upright(_convert(opened, channels, name), opened), size, **how)
  else:
    image = _open(picture)
    bit_depth.warn_of_cut_values(image, name, library)
    image = _upright(image, image) if library == 'huggingface' else image
    how['interpolation'] = FILTERS[interpolation]
    try:
      image = as_published.prepare(image, image_size=size, channels=channels, **how)
    except ValueError as error:  # Pillow has no way to RGB or grey
      raise ImageError(f'pixels of Pillow mode {image.mode}: {error}') from None
  array = np.asarray(image)
  return array[..., None] if array.ndim == 2 else array


def check_image_arguments(
  *,
  image_size: int | Sequence[int],
  channels: int,
  resize: str,
  crop_fraction: float,
  interpolation: str = 'bicubic',
  library: str = 'vitlab',
  fill: Sequence[int] = (0,),
) -> tuple[int, int]:
  """(height, width), or a UserError for arguments that `preprocess` cannot take."""
  size = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
  if len(size) != 2 or not all(isinstance(side, int) and side > 0 for side in size):
    raise UserError(
      f'image_size={image_size}: expected one or two positive numbers (height, width)'
    )
  if channels not in (1, 3):
    raise UserError(f'channels={channels}: possible are 1 (grey) and 3 (RGB)')
  if resize not in RESIZES:
    raise UserError(f'resize={resize!r}: possible are {", ".join(RESIZES)}')
  if not 0 < crop_fraction <= 1:
    raise UserError(f'crop_fraction={crop_fraction}: expected a number in (0, 1]')
  if interpolation not in FILTERS:
    raise UserError(f'interpolation={interpolation!r}: possible are {", ".join(FILTERS)}')
  if library not in LIBRARIES:
    raise unknown('library', library, LIBRARIES)
  if len(fill) not in (1, channels) or not all(type(v) is int and 0 <= v <= 255 for v in fill):
    raise UserError(f'fill={tuple(fill)}: expected one number from 0 to 255, or one a channel')
  return size


def image_facts(**arguments: Any) -> dict[str, Any]:
  """The arguments of `preprocess` as they stand in the facts of a data set, once checked.

  Raises:
    UserError: as `check_image_arguments`.
  """
  facts = arguments | dict(image_size=check_image_arguments(**arguments))
  facts |= dict(fill=tuple(facts['fill']))
  usual = dict(library='vitlab', fill=(0,))  # not said, as in the facts of earlier runs
  return {key: value for key, value in facts.items() if usual.get(key) != value}


def _resize(
  image: Image.Image,
  size: tuple[int, int],
  *,
  resize: str,
  crop_fraction: float,
  interpolation: str,
  library: str,
  fill: Sequence[int],
) -> Image.Image:
  """One picture in the size (height, width), by fractions of a pixel."""
  height, width = size
  box = 0, 0, image.width, image.height
  scaled = width, height
  if resize == 'crop':  # of the source, not of a scaled copy: a 1 x 10000 picture stays small
    scale = max(width / image.width, height / image.height) / crop_fraction
    box = _centred(image.size, (width / scale, height / scale))
  if resize == 'squash':
    box = _centred(image.size, tuple(side * crop_fraction for side in image.size))
  if resize == 'pad':
    scale = min(width / image.width, height / image.height)
    scaled = max(1, round(image.width * scale)), max(1, round(image.height * scale))
  if (scaled, (0, 0, *scaled)) != (image.size, box):
    image = image.resize(scaled, FILTERS[interpolation], box)
  if scaled != (width, height):
    colour = as_published.colour(fill, len(image.getbands()))
    canvas = Image.new(image.mode, (width, height), colour)
    canvas.paste(image, ((width - scaled[0]) // 2, (height - scaled[1]) // 2))
    return canvas
  return image


def _open(picture: Picture, enough: int = 0) -> Image.Image:
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
    raise ImageError('empty: zero bytes')
  try:
    image = Image.open(io.BytesIO(picture))
    # libjpeg can halve a photograph while it decodes: much faster, and with twice the wanted size
    # left for the antialiased resize not to be told from a full decode.
    if enough:
      image.draft(None, (enough, enough))
    image.load()
    if image.format == 'PNG' and picture[24] == 16:
      image.info['sBIT'] = bit_depth.significant_bits(picture)
    return image
  except Image.UnidentifiedImageError:
    raise ImageError('not an image, or of a format that Pillow does not know') from None
  except Exception as error:  # Pillow's plugins raise anything on damaged data
    raise ImageError(f'cannot be decoded: {error}') from None


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


def _upright(image: Image.Image, opened: Image.Image) -> Image.Image:
  """Turns a picture the way up that the EXIF of the file says, as it was opened."""
  try:
    orientation = opened.getexif().get(ExifTags.Base.Orientation, 1)
  except Exception:  # damaged EXIF does not make the pixels worse
    return image
  return image.transpose(_TURNS[orientation]) if orientation in _TURNS else image


def _convert(image: Image.Image, channels: int, name: str) -> Image.Image:
  """To 8-bit grey or RGB; transparent pixels lie on white."""
  image = bit_depth.to_eight_bits(image, name)
  if image.mode in ('I', 'F', 'LAB', 'HSV'):
    raise ImageError(f'pixels of Pillow mode {image.mode} have no defined 8-bit range: convert it')
  if image.mode in ('RGBA', 'LA', 'PA', 'RGBa', 'La') or 'transparency' in image.info:
    image = image.convert('RGBA')
    image = Image.alpha_composite(Image.new('RGBA', image.size, 'white'), image)
  mode = 'RGB' if channels == 3 else 'L'
  return image if image.mode == mode else image.convert(mode)


def _centred(size: tuple[int, int], part: tuple[float, float]) -> tuple[float, ...]:
  """The box (left, top, right, bottom) of a part (width, height) in the middle of a picture."""
  left, top = (max(0.0, (whole - side) / 2) for whole, side in zip(size, part))
  return left, top, size[0] - left, size[1] - top
