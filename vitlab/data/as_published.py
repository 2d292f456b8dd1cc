"""Pictures to the last bit as timm and Hugging Face prepare them for the weights they publish.

Both resize with Pillow to whole pixels and cut whole pixels out of that. They drop transparency
rather than lay it on white, cut values above 255 off rather than scale 16 bits, and timm does not
turn a picture as its EXIF says. The references are timm's `create_transform` on
`Image.open(file).convert('RGB')`, and Hugging Face's slow processors on what its pipelines load.
"""

import math
from collections.abc import Sequence

from PIL import Image

LIBRARIES = ('timm', 'huggingface')
_LARGEST = 2**26  # pixels of a resized picture that is cut afterwards


def prepare(
  image: Image.Image,
  *,
  image_size: tuple[int, int],
  channels: int,
  resize: str,
  crop_fraction: float,
  interpolation: Image.Resampling,
  library: str,
  fill: Sequence[int],
) -> Image.Image:
  """One picture in the size and mode of the model.

  Args:
    image: A decoded picture; for Hugging Face, turned upright.
    image_size: (height, width) of the result.
    channels: 3 (RGB) or 1 (grey).
    resize: 'squash', 'crop' (timm: 'center') or 'pad' (timm: 'border').
    crop_fraction: The size of the result as a part of the size that is cut from.
    interpolation: Pillow's filter.
    library: 'timm' or 'huggingface'; they round differently.
    fill: The colour around a padded picture, one value or one a channel.
  """
  image = image.convert('RGB' if channels == 3 else 'L')
  height, width = image_size
  rounded = math.floor if library == 'timm' else round
  target = tuple(rounded(side / crop_fraction) for side in image_size)
  size = _resized(image.size, target, resize)
  place = _offset(library, size[0], width), _offset(library, size[1], height)
  if size[0] * size[1] > _LARGEST:  # 1 x 10000 pixels: they fill the memory; this, but for a
    # rounding of the filter's weights, is the same
    box = _box(place, (width, height), image.size, size)
    return image.resize((width, height), interpolation, box)
  image = image.resize(size, interpolation)
  canvas = Image.new(image.mode, (width, height), colour(fill, channels))
  canvas.paste(image, (-place[0], -place[1]))
  return canvas


def _resized(size: tuple[int, int], target: tuple[int, int], resize: str) -> tuple[int, int]:
  """(width, height) that a picture of `size`, the same, is brought to; `target` is (h, w)."""
  height, width = target
  if resize == 'squash':
    return width, height
  if resize == 'crop' and height == width:
    short, long = sorted(size)
    longer = int(height * long / short)
    return (height, longer) if size[0] <= size[1] else (longer, height)
  ratios = size[1] / height, size[0] / width
  ratio = max(ratios) if resize == 'pad' else min(ratios)
  return max(1, round(size[0] / ratio)), max(1, round(size[1] / ratio))


def _offset(library: str, whole: int, part: int) -> int:
  """Where the cut begins; before the picture where that is smaller."""
  if whole < part:
    return -((part - whole) // 2)
  return round((whole - part) / 2) if library == 'timm' else (whole - part) // 2


def _box(place: tuple, part: tuple, source: tuple, size: tuple) -> tuple[float, ...]:
  """(left, top, right, bottom) in the source of a part of the resized picture."""
  scales = [whole / scaled for whole, scaled in zip(source, size)]
  starts = [at * scale for at, scale in zip(place, scales)]
  ends = [(at + side) * scale for at, side, scale in zip(place, part, scales)]
  return *starts, *(min(end, side) for end, side in zip(ends, source))


def colour(fill: Sequence[int], channels: int) -> int | tuple[int, ...]:
  """One value for all channels, or one for each, as Pillow takes a colour."""
  values = tuple(fill) * (channels if len(fill) == 1 else 1)
  return values if channels == 3 else values[0]
