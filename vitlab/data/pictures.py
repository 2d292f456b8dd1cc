"""From any picture to the array that a model was trained on; training and prediction share this.

Pillow decodes and resizes; it releases the GIL in both, so threads scale.
"""

import functools
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from vitlab.data import as_published, bit_depth, fitted
from vitlab.data.opened import (
  ImageError,
  Picture,
  convert,
  open_picture,
  stored_size,
  upright,
  upright_size,
)
from vitlab.errors import UserError, unknown

RESIZES = ('squash', 'crop', 'pad', 'fit')
LIBRARIES = ('vitlab', *as_published.LIBRARIES)
FILTERS = {
  name: Image.Resampling[name.upper()]
  for name in ('bicubic', 'bilinear', 'lanczos', 'box', 'hamming', 'nearest')
}
# Formats whose names Pillow knows, but that it cannot decode by itself, or that hold no picture.
_NO_PICTURES = {
  *('BUFR', 'EPS', 'FLI', 'FPX', 'GRIB', 'HDF5', 'IPTC', 'MIC', 'MPEG', 'PALM', 'PDF', 'WMF'),
}


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
    image_size: (height, width) of the result, or one number for both; of 'fit' (short, long).
    channels: 3 (RGB; grey is repeated) or 1 (grey; colours become ITU-R 601 luma).
    resize: 'squash' to the size; 'crop': scale so that the picture covers it, keep the centre;
      'pad': scale so that the picture fits into it, `fill` around; 'fit': as `fit`, padded.
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
  if resize == 'fit':
    image, full_size = fit(picture, size, channels, interpolation, name)
    return fitted.pad(image, fitted.canvas(full_size, size))
  if library == 'vitlab':
    opened = open_picture(picture, round(2 * max(size) / crop_fraction))
    image = _resize(upright(convert(opened, channels, name), opened), size, **how)
  else:
    image = open_picture(picture)
    bit_depth.warn_of_cut_values(image, name, library)
    image = upright(image, image) if library == 'huggingface' else image
    how['interpolation'] = FILTERS[interpolation]
    try:
      image = as_published.prepare(image, image_size=size, channels=channels, **how)
    except ValueError as error:  # Pillow has no way to RGB or grey
      raise ImageError(f'pixels of Pillow mode {image.mode}: {error}') from None
  array = np.asarray(image)
  return array[..., None] if array.ndim == 2 else array


def fit(
  picture: Picture,
  image_size: tuple[int, int],
  channels: int = 3,
  interpolation: str = 'bilinear',
  name: str = '',
  drawn: tuple[int, int] | None = None,
) -> tuple[UInt8[np.ndarray, 'h w c'], tuple[int, int]]:
  """A picture scaled to fit the padded shape of its orientation, its aspect kept; not yet padded.

  A box of the picture becomes one of the result by (w / width, h / height).

  Pictures are turned upright as their EXIF says, as OpenCV and detectron2 do, and the tools that
  boxes are drawn with. Where the annotation has the size of the pixels as they are stored, the
  boxes were drawn on these, and they stay.

  Args:
    picture: As for `preprocess`.
    image_size: (short, long), see `vitlab.data.fitted`.
    channels: 3 (RGB) or 1 (grey).
    interpolation: One of `FILTERS`.
    name: The picture in warnings.
    drawn: (height, width) of the picture that boxes were drawn on, if it is known.

  Returns:
    The pixels, and (height, width) of the picture that they are.

  Raises:
    ImageError: the picture cannot be decoded, or has another size than its annotation says.
  """
  opened = open_picture(picture, 2 * max(image_size))
  image, size = convert(opened, channels, name or 'a picture'), upright_size(opened)
  if drawn in (None, size):
    image = upright(image, opened)
  elif drawn != (size := stored_size(opened)):
    height, width = upright_size(opened)
    raise ImageError(
      f'{height} x {width} pixels (height x width), its annotation says {drawn[0]} x {drawn[1]}'
    )
  height, width = fitted.placed(size, image_size)
  if image.size != (width, height):
    image = image.resize((width, height), FILTERS[interpolation])
  array = np.asarray(image)
  return array.reshape(*array.shape[:2], channels), size


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
  if resize == 'fit' and (size[0] > size[1] or (crop_fraction, library) != (1, 'vitlab')):
    raise UserError(
      f"image_size={image_size}: with resize='fit' give (short, long), the sides of the shape that "
      'wide and tall pictures are padded to; crop_fraction and library are not for it'
    )
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


def _centred(size: tuple[int, int], part: tuple[float, float]) -> tuple[float, ...]:
  """The box (left, top, right, bottom) of a part (width, height) in the middle of a picture."""
  left, top = (max(0.0, (whole - side) / 2) for whole, side in zip(size, part))
  return left, top, size[0] - left, size[1] - top
